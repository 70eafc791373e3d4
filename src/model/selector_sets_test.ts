import assert from "node:assert/strict";
import fc from "fast-check";
import type { Policy } from "./policy.ts";
import { type MatchExpression, type Selector, selects } from "./selector.ts";
import { canSelectTogether, covers, neverSelects } from "./selector_sets.ts";
import type { Workload } from "./workload.ts";

const RUNS = Number(Deno.env.get("FAST_CHECK_RUNS") ?? 300);

function policy(selector: Partial<Selector>, more: Partial<Policy> = {}): Policy {
  return {
    kind: "KubeArmorPolicy",
    namespace: "",
    name: "p",
    selector: { matchLabels: {}, containerNames: [], ...selector },
    rules: [],
    where: { file: "p.yaml", line: 1, column: 1 },
    ...more,
  };
}

const label = (operator: "In" | "NotIn", ...values: string[]): MatchExpression => (
  { key: "label", operator, values }
);
const namespace = (operator: "In" | "NotIn", ...values: string[]): MatchExpression => (
  { key: "namespace", operator, values }
);
const all = (...matchExpressions: MatchExpression[]): Partial<Selector> => ({ matchExpressions });
const cluster = (...expressions: MatchExpression[]) =>
  policy(all(...expressions), { kind: "KubeArmorClusterPolicy" });

const NEVER: [claim: string, policy: Policy, never: boolean][] = [
  ["In without values", policy(all(label("In"))), true],
  ["In and NotIn of the same", policy(all(label("In", "a=1"), label("NotIn", "a=1"))), true],
  [
    "In and NotIn that leave one",
    policy(all(label("In", "a=1", "a=2"), label("NotIn", "a=1"))),
    false,
  ],
  ["two In of one key", policy(all(label("In", "a=1"), label("In", "a=2"))), true],
  ["two In of two keys", policy(all(label("In", "a=1"), label("In", "b=2"))), false],
  [
    "In of two keys, one excluded",
    policy(all(label("In", "a=1", "b=1"), label("NotIn", "a=1"))),
    false,
  ],
  [
    "a label and its NotIn",
    policy({ matchLabels: { a: "1" }, ...all(label("NotIn", "a=1")) }),
    true,
  ],
  ["namespaces that exclude each other", cluster(namespace("In", "x"), namespace("In", "y")), true],
  ["namespaces that meet", cluster(namespace("In", "x", "z"), namespace("In", "y", "z")), false],
];

for (const [claim, subject, never] of NEVER) {
  Deno.test(`neverSelects() is ${never} for ${claim}`, () => {
    assert.equal(neverSelects(subject), never);
  });
}

const PAIRS: [claim: string, one: Policy, other: Policy, together: boolean, covered: boolean][] = [
  [
    "two labels",
    policy({ matchLabels: { a: "1" } }),
    policy({ matchLabels: { b: "1" } }),
    true,
    false,
  ],
  [
    "one value and another",
    policy({ matchLabels: { a: "1" } }),
    policy({ matchLabels: { a: "2" } }),
    false,
    false,
  ],
  [
    "fewer labels",
    policy({ matchLabels: { a: "1" } }),
    policy({ matchLabels: { a: "1", b: "2" } }),
    true,
    true,
  ],
  [
    "a list with the label",
    policy(all(label("In", "a=1", "a=2"))),
    policy({ matchLabels: { a: "2" } }),
    true,
    true,
  ],
  [
    "one namespace and another",
    policy({}, { namespace: "x" }),
    policy({}, { namespace: "y" }),
    false,
    false,
  ],
  ["one namespace and none", policy({}, { namespace: "x" }), policy({}), true, false],
  ["all namespaces and one", cluster(), policy({}, { namespace: "y" }), true, false],
  [
    "all namespaces but this one",
    cluster(namespace("NotIn", "y")),
    policy({}, { namespace: "y" }),
    false,
    false,
  ],
  [
    "all namespaces and a system's",
    cluster(),
    policy({}, { namespace: "kube-system" }),
    false,
    false,
  ],
  [
    "a system's namespace by name and its own",
    cluster(namespace("In", "kube-system")),
    policy({}, { namespace: "kube-system" }),
    true,
    false,
  ],
  [
    "a system's namespace by name and all namespaces",
    cluster(namespace("In", "kube-system")),
    cluster(),
    false,
    false,
  ],
  [
    "names that differ",
    policy({ containerNames: ["a"] }),
    policy({ containerNames: ["b"] }),
    false,
    false,
  ],
  [
    "a pattern with the name",
    policy({ containerPattern: "a.*" }),
    policy({ containerNames: ["ab"] }),
    true,
    true,
  ],
  [
    "a pattern without the name",
    policy({ containerPattern: "a.*" }),
    policy({ containerNames: ["b"] }),
    false,
    false,
  ],
  ["the host's kind", policy({}), policy({}, { kind: "KubeArmorHostPolicy" }), false, false],
];

for (const [claim, one, other, together, covered] of PAIRS) {
  Deno.test(`canSelectTogether() is ${together} and covers() is ${covered} for ${claim}`, () => {
    assert.equal(canSelectTogether(one, other), together);
    assert.equal(canSelectTogether(other, one), together);
    assert.equal(covers(one, other), covered);
  });
}

// ---- against selects() -----------------------------------------------------------------------------------------------

const anyPair = fc.constantFrom("a=1", "a=2", "b=1");
const anyExpression = fc.record({
  key: fc.constant("label" as const),
  operator: fc.constantFrom("In" as const, "NotIn" as const),
  values: fc.array(anyPair, { maxLength: 2 }),
});
const anyNamespaces = fc.record({
  key: fc.constant("namespace" as const),
  operator: fc.constantFrom("In" as const, "NotIn" as const),
  values: fc.subarray(["x", "y", "kube-system"]),
});
const names = {
  containerNames: fc.subarray(["web", "db"]),
};
const anyPolicy = fc.oneof(
  fc.record({
    namespace: fc.constantFrom("", "x", "y", "kube-system"),
    matchLabels: fc.constantFrom({}, { a: "1" }, { a: "2" }, { b: "1" }),
    matchExpressions: fc.array(anyExpression, { maxLength: 2 }),
    ...names,
  }).map(({ namespace, ...selector }) => policy(selector, { namespace })),
  fc.array(fc.oneof(anyExpression, anyNamespaces), { maxLength: 3 })
    .map((expressions) => cluster(...expressions)),
);

/** Every container that the policies above can tell apart, pods and others. */
const WORKLOADS: readonly Workload[] = ["x", "y", "kube-system", "default", undefined].flatMap((
  pod,
) =>
  ["web", "db", "other"].flatMap((name) =>
    [{}, { a: "1" }, { a: "2" }, { b: "1" }, { a: "1", b: "1" }, { a: "2", b: "1" }].map((
      labels,
    ) => ({
      ...{ id: name, name, runtimeNamespace: "default", podName: name, image: "" },
      ...{ pid: 1, cgroupPath: "", cgroupId: 1n, namespace: pod ?? "container_namespace" },
      labels: pod === undefined ? labels : { ...labels, "io.kubernetes.pod.namespace": pod },
    }))
  )
);

const isPod = ({ labels }: Workload) => Object.hasOwn(labels, "io.kubernetes.pod.namespace");

Deno.test("neverSelects() is never true of a policy that selects something", () => {
  fc.assert(
    fc.property(anyPolicy, (policy) => {
      if (neverSelects(policy)) {
        assert.equal(WORKLOADS.some((load) => selects(policy, load)), false);
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("canSelectTogether() is true of any two policies that select one pod", () => {
  fc.assert(
    fc.property(anyPolicy, anyPolicy, (one, other) => {
      const both = WORKLOADS.some((load) =>
        isPod(load) && selects(one, load) && selects(other, load)
      );
      if (both) assert.equal(canSelectTogether(one, other), true);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("covers() is true only of a policy that selects all that the other selects", () => {
  fc.assert(
    fc.property(anyPolicy, anyPolicy, (wide, narrow) => {
      if (!covers(wide, narrow)) return;
      const missed = WORKLOADS.find((load) => selects(narrow, load) && !selects(wide, load));
      assert.equal(missed, undefined);
    }),
    { numRuns: RUNS },
  );
});
