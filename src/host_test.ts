import assert from "node:assert/strict";
import { VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_NONE } from "../ffi/generated/agent_api.ts";
import { compile, compileImage } from "./compile/compile.ts";
import { explain, readAsk } from "./compile/explain.ts";
import { KEYS } from "./compile/test_policies.ts";
import { resolveSettings } from "./config/load.ts";
import { railsOf } from "./compile/rails.ts";
import { readHost, runtimesIn } from "./host.ts";
import { isHostIndex } from "./kernel/host_index.ts";
import { parsePolicies } from "./model/parse.ts";
import { DEFAULT_GOVERNANCE } from "./model/governance.ts";
import { DEFAULT_POSTURE } from "./model/posture.ts";
import { type Workload, workloadKey } from "./model/workload.ts";

const settings = resolveSettings({
  flags: { hostname: "node-1", nodeLabels: "zone=west", hostExempt: "/opt/own/guard" },
  environment: {},
}).settings;

Deno.test("readHost() has the node twice, with its labels, and programs that it should not lose", () => {
  const { workloads, programs } = readHost(settings);
  assert.deepEqual(workloads.map(({ host }) => host), ["judged", "exempt"]);
  assert.equal(workloads[0]!.labels["kubernetes.io/hostname"], "node-1");
  assert.equal(workloads[0]!.labels.zone, "west");
  assert.notEqual(workloads[0]!.cgroupId, workloads[1]!.cgroupId);
  assert.ok(programs.runtime.includes("/opt/own/guard"));
  assert.ok(programs.runtime.some((path) => path.endsWith("/kubelet")));
  assert.ok(!isHostIndex(1));
});

Deno.test("runtimesIn() finds runtimes below whatever folder stands for *, and nothing else", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-host-" });
  try {
    await Deno.mkdir(`${folder}/data/0a1b/bin`, { recursive: true });
    await Deno.mkdir(`${folder}/data/other`, { recursive: true });
    for (const name of ["containerd", "sh", "containerd-shim-runc-v2"]) {
      await Deno.writeTextFile(`${folder}/data/0a1b/bin/${name}`, "");
    }
    const failures: string[] = [];
    const found = runtimesIn(`${folder}/data/*/bin`, (path) => void failures.push(path));
    assert.deepEqual(found.map((path) => path.slice(folder.length)).sort(), [
      "/data/0a1b/bin/containerd",
      "/data/0a1b/bin/containerd-shim-runc-v2",
    ]);
    assert.deepEqual(runtimesIn(`${folder}/none/*/bin`, assert.fail), []);
    assert.deepEqual(failures, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const host = (spec: string, annotations = "{}") =>
  parsePolicies(
    `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: host, annotations: ${annotations}}
spec:
  nodeSelector: {matchLabels: {zone: west}}
  ${spec}
`,
    "host.yaml",
  ).policies;

const web: Workload = {
  ...{ id: "w", name: "web", runtimeNamespace: "default", namespace: "container_namespace" },
  ...{
    podName: "web",
    image: "",
    labels: { zone: "west" },
    pid: 9,
    cgroupPath: "/w",
    cgroupId: 9n,
  },
};

const EVERYTHING = "process: {matchDirectories: [{dir: /, recursive: true}]}";

/** What becomes of an exec under the rails of one program. */
function verdictOf(spec: string, program: string): number {
  const policies = [...host(spec), railsOf(["/usr/bin/rescue"], [])];
  const ask = readAsk({ access: "exec", object: program });
  return explain(ask, compileImage(policies, DEFAULT_POSTURE, KEYS), policies, KEYS)
    .explanations[0]!.verdict;
}

Deno.test("compile() judges the node by host policies, and what is exempt by forced ones only", () => {
  const node = readHost(settings);
  const all = [web, ...node.workloads];
  const keysOf = (annotations?: string) => {
    const state = compile(host(EVERYTHING, annotations), all, DEFAULT_GOVERNANCE, KEYS, node.rails);
    return all.map((workload) => state.workloads.get(workloadKey(workload)) !== undefined);
  };
  assert.deepEqual(keysOf(), [false, true, false]);
  assert.deepEqual(keysOf('{ankylo.io/force: "true"}'), [false, true, true]);
});

Deno.test("compile() says of host policies what their own posture makes of them", () => {
  const node = readHost(settings);
  const list = host("process: {matchPaths: [{path: /bin/x, action: Allow}]}");
  const states = (file: "audit" | "block") => {
    const governance = { ...DEFAULT_GOVERNANCE, host: { ...DEFAULT_POSTURE, file } };
    return compile(list, node.workloads, governance, KEYS, node.rails).rules
      .map(({ state }) => state);
  };
  assert.deepEqual(states("audit"), ["audited"]);
  assert.deepEqual(states("block"), ["enforced"]);
});

Deno.test("compile() says of host policies how the node's own labels govern it", () => {
  const stateOf = (label: string) => {
    const { settings } = resolveSettings({
      flags: { hostname: "node-1", nodeLabels: `zone=west,${label}` },
      environment: {},
    });
    const { workloads, rails } = readHost(settings);
    return compile(host(EVERYTHING), workloads, DEFAULT_GOVERNANCE, KEYS, rails).rules
      .map(({ state, reason = "" }) => [state, reason.includes("nodeLabels")]);
  };
  assert.deepEqual(stateOf("kubearmor-policy=enabled"), [["enforced", false]]);
  assert.deepEqual(stateOf("kubearmor-policy=audited"), [["audited", true]]);
  assert.deepEqual(stateOf("kubearmor-policy=disabled"), [["not enforced", true]]);
});

Deno.test("compile() keeps the node apart from a container of any name", () => {
  const node = readHost(settings);
  const rival = { ...web, id: "host", runtimeNamespace: "host" };
  const state = compile(host(EVERYTHING), [...node.workloads, rival], DEFAULT_GOVERNANCE, KEYS);
  assert.notEqual(state.workloads.get(workloadKey(node.workloads[0]!)), undefined);
  assert.equal(state.workloads.get(workloadKey(rival)), undefined);
});

Deno.test("readHost() tells which paths it could not look at, and of none that are missing", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ankylo-host-" });
  try {
    await Deno.symlink(`${dir}/loop`, `${dir}/loop`);
    const hostExempt = [`${dir}/loop`, `${dir}/missing`];
    const told: string[] = [];
    const { programs } = readHost({ ...settings, hostExempt }, (path) => told.push(path));
    assert.ok(told.includes(`${dir}/loop`) && !told.includes(`${dir}/missing`));
    assert.ok(hostExempt.every((path) => programs.runtime.includes(path)));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("railsOf() lets its programs pass unless a rule names them, and makes no allow-list", () => {
  assert.equal(verdictOf(EVERYTHING, "/usr/bin/rescue"), VERDICT_ALLOW);
  assert.equal(verdictOf(EVERYTHING, "/usr/bin/other"), VERDICT_BLOCK);
  const exact = "process: {matchPaths: [{path: /usr/bin/rescue}]}";
  assert.equal(verdictOf(exact, "/usr/bin/rescue"), VERDICT_BLOCK);
  assert.equal(verdictOf(exact, "/usr/bin/other"), VERDICT_NONE);
});
