import assert from "node:assert/strict";
import type { DesiredState, HashKeys } from "../compile/compile.ts";
import { ManualClock } from "../lib/clock.ts";
import type { Policy } from "../model/policy.ts";
import { DEFAULT_GOVERNANCE } from "../model/governance.ts";
import type { Rule } from "../model/rule.ts";
import type { Workload } from "../model/workload.ts";
import type { Step } from "./plan.ts";
import { Reconciler, type ReconcileTarget } from "./reconciler.ts";

const KEYS: HashKeys = {
  a: BigUint64Array.from({ length: 68 }, (_, i) => BigInt(i) * 0x9e3779b97f4a7c15n + 1n),
  b: BigUint64Array.from({ length: 68 }, (_, i) => BigInt(i) * 0xbf58476d1ce4e5b9n + 1n),
};
const STEP: Step = { kind: "word", index: 1, word: 0n };

/** Remembers what it was given; fails as often as told. */
class FakeTarget implements ReconcileTarget {
  readonly keys = KEYS;
  readonly states: { desired: DesiredState; workloads: readonly Workload[] }[] = [];
  failures = 0;

  lacks({ target }: Rule): string | undefined {
    return target.kind === "pattern" ? "patterns are not known here" : undefined;
  }

  apply(desired: DesiredState, workloads: readonly Workload[]) {
    if (this.failures-- > 0) throw new Error(`refused`);
    this.states.push({ desired, workloads });
    return { steps: [STEP], shadowed: [] };
  }
}

function workload(id: string): Workload {
  return {
    id,
    name: id,
    runtimeNamespace: "default",
    namespace: "container_namespace",
    podName: id,
    image: "busybox",
    labels: {},
    pid: 1,
    cgroupPath: `/default/${id}`,
    cgroupId: BigInt(id.length),
  };
}

function policy(name: string): Policy {
  const where = { file: "p.yaml", line: 1, column: 1 };
  const rule = {
    group: "process",
    list: "matchPaths",
    index: 0,
    target: { kind: "path", path: "/bin/sh" },
    action: "Block",
    readOnly: false,
    fromSource: [],
    severity: 1,
    tags: [],
    message: "",
    where,
  } as const;
  const selector = { matchLabels: {}, containerNames: [] };
  return { kind: "KubeArmorPolicy", namespace: "default", name, selector, rules: [rule], where };
}

/** What became of the first rule. */
function fate({ desired }: Reconciler) {
  const { state, reason } = desired!.rules[0]!;
  return [state, reason];
}

function start(
  { waitsForAll = true, hosts = [] as readonly Workload[], isFollowed = false } = {},
) {
  const [target, clock, failures] = [new FakeTarget(), new ManualClock(), [] as string[]];
  const reconciler = new Reconciler({
    target,
    waitsForAll: () => waitsForAll,
    clock,
    governance: DEFAULT_GOVERNANCE,
    host: { rails: undefined, workloads: hosts, isFollowed: () => isFollowed },
    onApplied: () => {},
    onFailure: (error) => failures.push(error.message),
  });
  /** Lets a gathering end, and what it gathered be applied. */
  const settle = async () => {
    await clock.sleeping();
    clock.advance(2);
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { target, clock, failures, reconciler, settle };
}

Deno.test("Reconciler applies nothing before policies and workloads are known", async () => {
  const { target, reconciler, settle } = start();
  reconciler.setWorkload(workload("a"));
  reconciler.setPolicies([policy("p")]);
  assert.equal(target.states.length, 0);
  reconciler.setListed();
  await settle();
  await reconciler.applied;
  assert.equal(target.states.length, 1);
  assert.equal(reconciler.generation, 1);
  await reconciler.close();
});

Deno.test("Reconciler leaves out and tells of what the kernel's programs can't judge", async () => {
  const { target, reconciler, settle } = start();
  const known = policy("p");
  const [rule] = known.rules;
  const pattern = { ...rule!, target: { kind: "pattern", pattern: "/bin/*" } } as const;
  reconciler.setPolicies([{ ...known, rules: [rule!, pattern] }]);
  reconciler.setListed();
  await settle();
  const told = target.states[0]!.desired.rules.map(({ state, reason }) => [state, reason]);
  assert.deepEqual(told, [["enforced", undefined], [
    "not enforced",
    "patterns are not known here",
  ]]);
  await reconciler.close();
});

Deno.test("Reconciler applies changes that come together at once, with the latest of each", async () => {
  const { target, reconciler, settle } = start();
  reconciler.setPolicies([policy("old")]);
  reconciler.setListed();
  for (const id of ["a", "bb", "ccc"]) reconciler.setWorkload(workload(id));
  reconciler.deleteWorkload("default", "bb");
  reconciler.setPolicies([policy("new")]);
  await settle();
  assert.equal(target.states.length, 1);
  const { workloads, desired } = target.states[0]!;
  assert.deepEqual(workloads.map(({ id }) => id), ["a", "ccc"]);
  assert.equal(desired.rules[0]!.policy.name, "new");
  await reconciler.close();
});

Deno.test("Reconciler applies policies before it returns, and what was gathered until then with them", async () => {
  const { target, clock, reconciler, settle } = start();
  reconciler.setPolicies([policy("old")]);
  reconciler.setListed();
  await settle();
  reconciler.setWorkload(workload("a"));
  await clock.sleeping();
  reconciler.setPolicies([policy("new")]);
  const state = target.states.at(-1)!;
  assert.deepEqual([state.desired.rules[0]!.policy.name, state.workloads.length], ["new", 1]);
  await settle();
  assert.equal(target.states.length, 2);
  await reconciler.close();
});

Deno.test("Reconciler applies the present state once more when it is told to", async () => {
  const { target, reconciler, settle } = start();
  reconciler.repeat();
  assert.equal(target.states.length, 0);
  reconciler.setPolicies([policy("p")]);
  reconciler.setListed();
  await settle();
  reconciler.repeat();
  await settle();
  assert.equal(target.states.length, 2);
  assert.deepEqual(target.states[1]!.desired.rules, target.states[0]!.desired.rules);
  await reconciler.close();
});

Deno.test("Reconciler tries again after a failure, tells of it once, and keeps the state before", async () => {
  const { target, clock, failures, reconciler, settle } = start();
  reconciler.setPolicies([]);
  reconciler.setListed();
  await settle();
  const before = reconciler.desired;
  target.failures = 2;
  reconciler.setPolicies([policy("p")]);
  await settle();
  assert.equal(reconciler.desired, before);
  assert.equal(reconciler.failure?.message, "refused");
  for (let attempt = 0; attempt < 2; attempt++) {
    clock.advance(30_000);
    await settle();
  }
  assert.equal(reconciler.failure, undefined);
  assert.equal(target.states.length, 2);
  assert.deepEqual(failures, ["refused"]);
  await reconciler.close();
});

Deno.test("Reconciler does not wait when something changed after a failure", async () => {
  const { target, reconciler, settle } = start();
  target.failures = 1;
  reconciler.setPolicies([]);
  reconciler.setListed();
  await settle();
  assert.equal(target.states.length, 0);
  reconciler.setPolicies([policy("p")]);
  await new Promise((resolve) => setTimeout(resolve));
  await settle();
  assert.equal(target.states.length, 1);
  await reconciler.close();
});

Deno.test("Reconciler.close() ends a wait and applies nothing more", async () => {
  const { target, reconciler } = start();
  reconciler.setPolicies([]);
  reconciler.setListed();
  await reconciler.close();
  reconciler.setPolicies([policy("p")]);
  assert.equal(target.states.length, 0);
});

Deno.test("Reconciler applies what it knows at once where nothing is replaced, and is complete with all workloads", async () => {
  const { target, reconciler, settle } = start({ waitsForAll: false });
  reconciler.setPolicies([policy("p")]);
  assert.equal(target.states.length, 1);
  assert.equal(reconciler.complete, false);
  reconciler.setWorkload(workload("web"));
  reconciler.setListed();
  await settle();
  await reconciler.applied;
  assert.equal(reconciler.complete, true);
  assert.deepEqual(target.states.at(-1)!.workloads.map(({ id }) => id), ["web"]);
  await reconciler.close();
});

Deno.test("Reconciler names the node once all containers are known, and lists it while a policy selects it", async () => {
  const node: Workload = { ...workload("node"), host: "judged" };
  const { target, reconciler, settle } = start({ waitsForAll: false, hosts: [node] });
  reconciler.setWorkload(workload("a"));
  reconciler.setPolicies([{ ...policy("host"), kind: "KubeArmorHostPolicy" }]);
  const named = () => target.states.at(-1)!.workloads.map(({ id }) => id);
  assert.deepEqual(named(), ["a"]);
  assert.deepEqual(reconciler.workloads.map(({ id }) => id), ["a"]);
  assert.deepEqual(fate(reconciler), [
    "not enforced",
    "waiting until containerd has listed its containers",
  ]);
  reconciler.setListed();
  await settle();
  assert.deepEqual(named(), ["a", "node"]);
  assert.deepEqual(fate(reconciler), ["enforced", undefined]);
  assert.deepEqual(reconciler.workloads.map(({ id }) => id), ["a", "node"]);
  assert.deepEqual(reconciler.containers.map(({ id }) => id), ["a"]);
  reconciler.setPolicies([]);
  // Named still, so that the kernel hears that nothing is in force any more.
  assert.deepEqual(named(), ["a", "node"]);
  assert.deepEqual(reconciler.workloads.map(({ id }) => id), ["a"]);
  await reconciler.close();
});

Deno.test("Reconciler names the node at once where the kernel judges it already", async () => {
  const node: Workload = { ...workload("node"), host: "judged" };
  const { target, reconciler } = start({ waitsForAll: false, hosts: [node], isFollowed: true });
  reconciler.setPolicies([{ ...policy("host"), kind: "KubeArmorHostPolicy" }]);
  assert.deepEqual(target.states.at(-1)!.workloads.map(({ id }) => id), ["node"]);
  assert.deepEqual(fate(reconciler), ["enforced", undefined]);
  await reconciler.close();
});
