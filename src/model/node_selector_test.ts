import assert from "node:assert/strict";
import type { Policy } from "./policy.ts";
import { nodeLabelsOf, selectsNode } from "./node_selector.ts";
import { parsePolicies } from "./parse.ts";
import { selects } from "./selector.ts";
import type { Workload } from "./workload.ts";

const NODE = nodeLabelsOf("node-1", { zone: "west" });

const CASES: [claim: string, matchLabels: Record<string, string>, selected: boolean][] = [
  ["every node, where nothing is asked for", {}, true],
  ["a label", { zone: "west" }, true],
  ["another value", { zone: "east" }, false],
  ["a label that the node has not", { rack: "1" }, false],
  ["the host name, as kubelets have it", { "kubernetes.io/hostname": "node-1" }, true],
  ["the host name, as KubeArmor has it", { "kubearmor.io/hostname": "node-1" }, true],
  ["another host", { "kubernetes.io/hostname": "node-10" }, false],
  ["one of several hosts", { "kubernetes.io/hostname": "node-2, node-1" }, true],
  ["every host", { "kubernetes.io/hostname": "*" }, true],
  ["every host, of one zone", { "kubernetes.io/hostname": "*", zone: "east" }, false],
  ["an expression", { "kubernetes.io/hostnamereg": "node-[0-9]" }, true],
  ["an expression with a star", { "kubearmor.io/hostnamereg": "no*1" }, true],
  ["an expression of others", { "kubearmor.io/hostnamereg": "db-.*" }, false],
];

for (const [claim, matchLabels, selected] of CASES) {
  Deno.test(`selectsNode() ${selected ? "takes" : "leaves"} ${claim}`, () => {
    assert.equal(selectsNode({ matchLabels, containerNames: [] }, NODE), selected);
  });
}

Deno.test("nodeLabelsOf() leaves host names that are set", () => {
  const labels = nodeLabelsOf("node-1", { "kubernetes.io/hostname": "node-1.example" });
  assert.equal(labels["kubernetes.io/hostname"], "node-1.example");
  assert.equal(labels["kubearmor.io/hostname"], "node-1");
});

Deno.test("selectsNode() takes the whole host name and the short one, and no other domain's", () => {
  const labels = nodeLabelsOf("node-1.ec2.internal", {});
  const by = (key: string, value: string) =>
    selectsNode({ matchLabels: { [key]: value }, containerNames: [] }, labels);
  for (const key of ["kubernetes.io/hostname", "kubearmor.io/hostname"]) {
    const wanted = ["node-1", "node-1.ec2.internal", "db, node-1.ec2.internal"];
    assert.deepEqual(wanted.map((name) => by(key, name)), [true, true, true]);
    const others = ["node-1.other", "node-1.ec2", "ec2.internal"];
    assert.deepEqual(others.map((name) => by(key, name)), [false, false, false]);
  }
  assert.ok(by("kubernetes.io/hostnamereg", "\\.internal$"));
  assert.ok(by("kubernetes.io/hostnamereg", "node-1$"));
  assert.ok(!by("kubernetes.io/hostnamereg", "node\\.*"));
});

const document = (annotations: string, kind = "KubeArmorHostPolicy") => `
apiVersion: security.kubearmor.com/v1
kind: ${kind}
metadata:
  name: host
  annotations: ${annotations}
spec:
  ${kind === "KubeArmorHostPolicy" ? "nodeSelector" : "selector"}: {matchLabels: {zone: west}}
  process: {matchPaths: [{path: /bin/x}]}
`;

Deno.test("selects() has host policies for the node alone, and what is exempt for forced ones", () => {
  const workload = (host?: Workload["host"]): Workload => ({
    ...{ id: "x", name: "x", runtimeNamespace: "", namespace: "container_namespace", podName: "x" },
    ...{ image: "", labels: NODE, pid: 1, cgroupPath: "/", cgroupId: 0n },
    ...(host !== undefined && { host }),
  });
  const read = (text: string): Policy => parsePolicies(text, "host.yaml").policies[0]!;
  const all = [workload(), workload("judged"), workload("exempt")];
  const by = (text: string) => all.map((one) => selects(read(text), one));
  assert.deepEqual(by(document("{}")), [false, true, false]);
  assert.deepEqual(by(document('{ankylo.io/force: "true"}')), [false, true, true]);
  assert.deepEqual(by(document("{}", "KubeArmorPolicy")), [true, false, false]);
});

Deno.test("parsePolicies() refuses a force that is neither, or of containers, and bad expressions", () => {
  const messages = (text: string) =>
    parsePolicies(text, "a.yaml").diagnostics.map(({ message }) => message);
  assert.match(messages(document('{ankylo.io/force: "yes"}'))[0]!, /must be "true" or "false"/);
  assert.match(
    messages(document('{ankylo.io/force: "true"}', "KubeArmorPolicy"))[0]!,
    /belongs to KubeArmorHostPolicy/,
  );
  const bad = document("{}").replace("zone: west", '"kubernetes.io/hostnamereg": "("');
  assert.match(messages(bad)[0]!, /must be a POSIX regular expression/);
});
