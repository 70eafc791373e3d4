import assert from "node:assert/strict";
import type { Policy } from "./policy.ts";
import { type MatchExpression, parseContainerNames, type Selector, selects } from "./selector.ts";
import type { Workload } from "./workload.ts";

const PLAIN: Workload = {
  id: "c1",
  name: "web",
  runtimeNamespace: "default",
  namespace: "container_namespace",
  podName: "web",
  image: "busybox",
  labels: { app: "web", tier: "front" },
  pid: 1,
  cgroupPath: "/default/c1",
  cgroupId: 1n,
};

const POD: Workload = {
  ...PLAIN,
  runtimeNamespace: "k8s.io",
  namespace: "shop",
  podName: "web-0",
  labels: { app: "web", "io.kubernetes.pod.namespace": "shop" },
};

const SYSTEM: Workload = {
  ...POD,
  namespace: "kube-system",
  labels: { app: "web", "io.kubernetes.pod.namespace": "kube-system" },
};

const NAMED: Workload = { ...PLAIN, namespace: "blue" };

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

const labels = (matchLabels: Record<string, string>) => ({ matchLabels });
const cluster = (...matchExpressions: MatchExpression[]) =>
  policy({ matchExpressions }, { kind: "KubeArmorClusterPolicy" });
const namespaces = (operator: "In" | "NotIn", ...values: string[]) =>
  ({ key: "namespace", operator, values }) as const;
const labelled = (operator: "In" | "NotIn", ...values: string[]) =>
  ({ key: "label", operator, values }) as const;
const SHOP = { namespace: "shop" };

const CASES: [claim: string, policy: Policy, workload: Workload, selected: boolean][] = [
  ["one label", policy(labels({ app: "web" })), PLAIN, true],
  ["labels are ANDed", policy(labels({ app: "web", tier: "back" })), PLAIN, false],
  ["both labels", policy(labels({ app: "web", tier: "front" })), PLAIN, true],
  ["a label from the prototype", policy(labels({ constructor: "x" })), PLAIN, false],
  [
    "another namespace does not matter outside Kubernetes",
    policy(labels({ app: "web" }), SHOP),
    PLAIN,
    true,
  ],
  ["a container's own namespace does", policy(labels({ app: "web" }), SHOP), NAMED, false],
  [
    "its own namespace selects it",
    policy(labels({ app: "web" }), { namespace: "blue" }),
    NAMED,
    true,
  ],
  ["a policy without namespace, container with one", policy(labels({ app: "web" })), NAMED, true],
  ["nothing to select by, outside Kubernetes", policy({}), PLAIN, false],
  ["nothing to select by, in the pod's namespace", policy({}, SHOP), POD, true],
  ["nothing to select by, another namespace", policy({}, { namespace: "bank" }), POD, false],
  ["no namespace is default", policy(labels({ app: "web" })), POD, false],
  [
    "no namespace, pod in default",
    policy(labels({ app: "web" })),
    { ...POD, labels: { app: "web", "io.kubernetes.pod.namespace": "default" } },
    true,
  ],
  ["the container's name", policy({ containerNames: ["db", "web"] }), PLAIN, true],
  ["another container's name", policy({ containerNames: ["we"] }), PLAIN, false],
  ["a name pattern", policy({ containerPattern: "w.b" }), PLAIN, true],
  ["a name pattern must match whole", policy({ containerPattern: "w." }), PLAIN, false],
  [
    "name and labels are ANDed",
    policy({ containerNames: ["web"], ...labels({ app: "x" }) }),
    PLAIN,
    false,
  ],
  [
    "In",
    policy({ matchExpressions: [{ key: "label", operator: "In", values: ["app=db", "app=web"] }] }),
    PLAIN,
    true,
  ],
  [
    "In, none",
    policy({ matchExpressions: [{ key: "label", operator: "In", values: ["app=db"] }] }),
    PLAIN,
    false,
  ],
  [
    "NotIn",
    policy({ matchExpressions: [{ key: "label", operator: "NotIn", values: ["app=db"] }] }),
    PLAIN,
    true,
  ],
  [
    "NotIn after In still counts",
    policy({
      matchExpressions: [
        { key: "label", operator: "In", values: ["app=web"] },
        { key: "label", operator: "NotIn", values: ["tier=front"] },
      ],
    }),
    PLAIN,
    false,
  ],
  ["cluster: its namespace", cluster(namespaces("In", "shop", "bank")), POD, true],
  ["cluster: another namespace", cluster(namespaces("In", "bank")), POD, false],
  ["cluster: no prefix of a namespace", cluster(namespaces("In", "sho")), POD, false],
  ["cluster: NotIn another namespace", cluster(namespaces("NotIn", "bank")), POD, true],
  ["cluster: NotIn its namespace", cluster(namespaces("NotIn", "bank", "shop")), POD, false],
  ["cluster: a label in every namespace", cluster(labelled("In", "app=web")), POD, true],
  ["cluster: another label", cluster(labelled("In", "app=db")), POD, false],
  [
    "cluster: namespace and label",
    cluster(namespaces("In", "shop"), labelled("NotIn", "app=db")),
    POD,
    true,
  ],
  [
    "cluster: namespace without the label",
    cluster(namespaces("In", "shop"), labelled("In", "app=db")),
    POD,
    false,
  ],
  [
    "cluster: In and NotIn of namespaces are ANDed",
    cluster(namespaces("In", "shop", "bank"), namespaces("NotIn", "shop")),
    POD,
    false,
  ],
  [
    "cluster: two In of namespaces are ANDed",
    cluster(namespaces("In", "shop", "bank"), namespaces("In", "bank")),
    POD,
    false,
  ],
  ["cluster: nothing to select by, any pod", cluster(), POD, true],
  ["cluster: nothing to select by, outside Kubernetes", cluster(), PLAIN, false],
  ["cluster: a label outside Kubernetes", cluster(labelled("In", "app=web")), PLAIN, true],
  [
    "cluster: outside Kubernetes by the namespace of alerts",
    cluster(namespaces("In", "container_namespace")),
    PLAIN,
    true,
  ],
  ["cluster: a container's own namespace", cluster(namespaces("In", "blue")), NAMED, true],
  [
    "cluster: its own namespace does not matter",
    { ...cluster(namespaces("In", "shop")), namespace: "bank" },
    POD,
    true,
  ],
  ["cluster: a system pod by a label", cluster(labelled("In", "app=web")), SYSTEM, false],
  ["cluster: a system pod by NotIn", cluster(namespaces("NotIn", "shop")), SYSTEM, false],
  ["cluster: a system pod by name", cluster(namespaces("In", "kube-system")), SYSTEM, true],
  ["another kind", policy(labels({ app: "web" }), { kind: "KubeArmorHostPolicy" }), PLAIN, false],
  ["not enforced", policy(labels({ app: "web" }), { notEnforced: "why" }), PLAIN, false],
];

for (const [claim, subject, workload, selected] of CASES) {
  Deno.test(`selects() ${selected ? "takes" : "leaves"}: ${claim}`, () => {
    assert.equal(selects(subject, workload), selected);
  });
}

const NAMES: [value: string, meaning: ReturnType<typeof parseContainerNames>][] = [
  ["web", { names: ["web"] }],
  ["[web]", { names: ["web"] }],
  ["[web, db,,]", { names: ["web", "db"] }],
  ["[]", { names: [] }],
  ["", { names: [] }],
  ["*", { names: [], pattern: ".*" }],
  ["web-.*", { names: [], pattern: "web-.*" }],
  ["[a-c]x", { names: [], pattern: "[a-c]x" }],
];

for (const [value, meaning] of NAMES) {
  Deno.test(`parseContainerNames() reads "${value}"`, () => {
    assert.deepEqual(parseContainerNames(value), meaning);
  });
}

Deno.test("parseContainerNames() refuses what is no expression", () => {
  assert.throws(() => parseContainerNames("web("), SyntaxError);
});
