import assert from "node:assert/strict";
import {
  IMAGE_AUDITS,
  IMAGE_BLOCKS,
  OP_CREATE,
  OP_DELETE,
  OP_READ,
  OP_WRITE,
  VERDICT_ALLOW,
  VERDICT_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import { isPathTarget } from "../model/rule.ts";
import { type Workload, workloadKey } from "../model/workload.ts";
import { compile, compileImage } from "./compile.ts";
import { evaluate } from "./evaluate.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader } from "./lookup.ts";
import { whyNotEnforced } from "./rules.ts";
import { AUDIT, BLOCK, KEYS, keysFrom, policy, type RuleText, under } from "./test_policies.ts";

function workload(id: string, labels: Record<string, string>): Workload {
  return {
    id,
    name: id,
    runtimeNamespace: "default",
    namespace: "container_namespace",
    podName: id,
    image: "docker.io/library/busybox:latest",
    labels,
    pid: 1000,
    cgroupPath: `/default/${id}`,
    cgroupId: 1n,
  };
}

function selecting(labels: Record<string, string>, from: Policy): Policy {
  return { ...from, selector: { matchLabels: labels, containerNames: [] } };
}

const web = selecting({ app: "web" }, policy("web", { at: "/secret" }));
const all = selecting({ tier: "front" }, policy("front", { at: "/tmp//", group: "process" }));
const one = workload("one", { app: "web", tier: "front" });
const two = workload("two", { tier: "front", app: "web" });
const three = workload("three", { tier: "front" });
const four = workload("four", { app: "other" });

Deno.test("compile() shares an image between workloads that the same policies select", () => {
  const state = compile([web, all], [one, two, three, four], under(AUDIT), KEYS);
  const keyOf = (workload: Workload) => state.workloads.get(workloadKey(workload));
  assert.equal(state.images.size, 2);
  assert.equal(keyOf(one), keyOf(two));
  assert.notEqual(keyOf(one), keyOf(three));
  assert.equal(state.workloads.has(workloadKey(four)), true);
  assert.equal(keyOf(four), undefined);
  assert.deepEqual(
    new Set(state.images.keys()),
    new Set([keyOf(one), keyOf(three)]),
  );
});

Deno.test("compile() tells workloads of the same id in two namespaces of the runtime apart", () => {
  const other = { ...workload("one", { app: "other" }), runtimeNamespace: "k8s.io" };
  const { workloads } = compile([web], [one, other], under(AUDIT), KEYS);
  assert.notEqual(workloads.get(workloadKey(one)), undefined);
  assert.equal(workloads.get(workloadKey(other)), undefined);
});

Deno.test("compile() gives no image to a workload whose policies have no enforced rule", () => {
  const later = selecting(
    { app: "web" },
    policy("later", { at: "/a", notEnforced: "owner is not compared yet" }),
  );
  const state = compile([later], [one], under(BLOCK), KEYS);
  assert.equal(state.workloads.get(workloadKey(one)), undefined);
  assert.equal(state.images.size, 0);
});

Deno.test("compile() uses the images of the call before, unless policies, posture or keys are others", () => {
  const keys = keysFrom(7n);
  const imageOf = (policies: Policy[], posture = AUDIT, with_ = keys) => {
    const state = compile(policies, [one], under(posture), with_);
    return state.images.get(state.workloads.get(workloadKey(one))!);
  };
  const first = imageOf([web, all]);
  assert.equal(imageOf([all, web]), first);
  assert.equal(imageOf([structuredClone(web), all]), first);
  assert.notEqual(imageOf([web, all], BLOCK), first);
  assert.notEqual(imageOf([web, all], AUDIT, keysFrom(8n)), first);
  const changed = imageOf([web]);
  assert.notEqual(changed, first);
  // The call in between dropped it: what no workload needs is not kept.
  const again = imageOf([web, all]);
  assert.notEqual(again, first);
  assert.equal(again?.generation, first?.generation);
});

Deno.test("compile() governs by the container's labels, then by its namespace's posture", () => {
  const list = selecting({ app: "web" }, policy("list", { at: "/a", action: "Allow" }));
  const others: Record<string, string>[] = [
    {},
    { "kubearmor-policy": "audited" },
    { "kubearmor-policy": "disabled" },
    { "kubearmor-file-posture": "block" },
  ];
  const all = others.map((labels, i) => workload(String(i), { app: "web", ...labels }));
  const { images, workloads } = compile([list], all, under(AUDIT), KEYS);
  const [plain, audited, disabled, strict] = all.map((one) =>
    images.get(workloads.get(workloadKey(one)) ?? "")
  );
  const flags = [plain, audited, strict].map((image) =>
    new ImageReader(image!.bytes, PathHasher.of(KEYS)).header.flags
  );
  assert.deepEqual(flags, [0, IMAGE_AUDITS, IMAGE_BLOCKS]);
  assert.equal(disabled, undefined);
  assert.notEqual(audited?.generation, plain?.generation);
  const namespaces = new Map([["container_namespace", BLOCK]]);
  const namespaced = compile([list], all, { ...under(AUDIT), namespaces }, KEYS);
  assert.equal(
    namespaced.images.get(namespaced.workloads.get(workloadKey(all[0]!))!)?.generation,
    strict?.generation,
  );
});

Deno.test("compile() says that an audited node refuses nothing", () => {
  const { rules, images } = compile([web], [one], { ...under(AUDIT), mode: "audited" }, KEYS);
  assert.deepEqual(rules.map(({ state, reason }) => [state, reason]), [
    ["audited", "policyMode is audited: what would be refused passes and is reported"],
  ]);
  assert.ok([...images.values()].every(({ audits }) => audits));
});

Deno.test("compile() reports every rule in the order given", () => {
  const mixed = policy(
    "mixed",
    { at: "/a" },
    { at: "/b", action: "Audit" },
    { at: "/c", action: "Allow" },
    { at: "/d", action: "Allow", readOnly: true },
    { at: "/e", notEnforced: "owner is not compared yet" },
  );
  const states = (posture: typeof AUDIT) =>
    compile([mixed], [], under(posture), KEYS).rules.map(({ rule, state, reason }) => [
      isPathTarget(rule.target) ? rule.target.path : "",
      state,
      reason,
    ]);
  const allowAudit = "posture.file is audit: what no rule allows passes and is reported";
  assert.deepEqual(states(AUDIT), [
    ["/a", "enforced", undefined],
    ["/b", "audited", undefined],
    ["/c", "audited", allowAudit],
    ["/d", "enforced", undefined],
    ["/e", "not enforced", "owner is not compared yet"],
  ]);
  assert.deepEqual(states(BLOCK)[2], ["/c", "enforced", undefined]);
});

Deno.test("compile() reports a policy that is not enforced with its reason, rule by rule", () => {
  const host: Policy = { ...web, kind: "KubeArmorHostPolicy", notEnforced: "hosts are not judged" };
  const state = compile([host], [one], under(AUDIT), KEYS);
  assert.deepEqual(state.rules.map(({ state, reason }) => [state, reason]), [
    ["not enforced", "hosts are not judged"],
  ]);
  assert.equal(state.workloads.get(workloadKey(one)), undefined);
});

Deno.test("compile() names policies of the right object in explain()", () => {
  const state = compile([web, all], [one], under(AUDIT), KEYS);
  const image = state.images.get(state.workloads.get(workloadKey(one))!)!;
  const rows = Array.from({ length: 40 }, (_, row) => image.explain(row, OP_READ)?.policy);
  assert.ok(rows.includes(web));
  assert.ok(!rows.includes(all));
});

const UNENFORCEABLE: [RuleText, string][] = [
  [{ at: "/d".repeat(65) }, `path "${"/d".repeat(65)}" has 65 names: the kernel compares 64`],
  [{ at: "/a/../b" }, 'path "/a/../b" contains "." or ".."'],
  [
    { at: `/${"é".repeat(128)}` },
    `path "/${"é".repeat(128)}" has a name of 256 bytes: file systems allow 255`,
  ],
  [{ at: "/a", from: ["cat"] }, 'path "cat" does not start with "/"'],
];

for (const [text, reason] of UNENFORCEABLE) {
  Deno.test(`a rule that the kernel could never meet is not enforced: ${reason.slice(-50)}`, () => {
    const from = policy("p", text);
    assert.equal(whyNotEnforced(from, from.rules[0]!), reason);
  });
}

Deno.test("a rule of another group or kind of target is not enforced", () => {
  const from = policy("p", { at: "/a" });
  const file = from.rules[0]!;
  const pattern = {
    ...file,
    list: "matchPatterns",
    target: { kind: "other", list: "matchPatterns", text: "/*" },
  } as const;
  assert.equal(whyNotEnforced(from, pattern), "the engine does not judge file.matchPatterns");
  const target = { kind: "other", list: "matchDNSQueries", text: "example.com" } as const;
  const dns = { ...file, group: "network", list: "matchDNSQueries", target } as const;
  assert.equal(whyNotEnforced(from, dns), "the engine does not judge network.matchDNSQueries");
  assert.equal(whyNotEnforced(from, file), undefined);
});

Deno.test("compile() gives what keeps the node alive no guards: mounts, and what has no path, pass", () => {
  const forced = { ...policy("forced", { at: "/srv/x" }), kind: "KubeArmorHostPolicy" as const };
  const image = compileImage([forced], AUDIT, KEYS, false, true)!;
  const { header } = new ImageReader(image.bytes, PathHasher.of(KEYS));
  assert.deepEqual([header.flags, header.unreachable, header.anonymous], [0, 0n, 0n]);
  const judged = compileImage([forced], AUDIT, KEYS)!;
  assert.equal(
    new ImageReader(judged.bytes, PathHasher.of(KEYS)).header.flags & IMAGE_BLOCKS,
    IMAGE_BLOCKS,
  );
});

Deno.test("a guard rail lets a file be read, and leaves writing it to the node's policies", () => {
  const host = policy("host", { at: "/usr//", readOnly: true });
  const rails = policy("rails", { at: "/usr/ld.so", action: "Allow" });
  const [rail] = rails.rules;
  const all = [host, { ...rails, rules: [{ ...rail!, isRail: true as const }] }];
  const ask = (op: number) =>
    evaluate({ op, path: "/usr/ld.so", caller: "", parent: "", circumstances: 0 }, all, AUDIT)
      .verdict;
  assert.equal(ask(OP_READ), VERDICT_ALLOW);
  assert.deepEqual([OP_WRITE, OP_DELETE, OP_CREATE].map(ask), [
    VERDICT_BLOCK,
    VERDICT_BLOCK,
    VERDICT_BLOCK,
  ]);
});
