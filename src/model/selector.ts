/** Which workloads a policy selects. */
import type { Policy } from "./policy.ts";
import { selectsNode } from "./node_selector.ts";
import { compilePosixRegex } from "./posix_regex.ts";
import type { Workload } from "./workload.ts";

/** `spec.selector` as written; `selects` says what it means. */
export interface Selector {
  /** Without the container-name key. All must be among the workload's labels. */
  readonly matchLabels: Readonly<Record<string, string>>;
  /** From `kubearmor.io/container.name`: names, one of which the container must have; empty: every container. */
  readonly containerNames: readonly string[];
  /** From the same key: a POSIX extended regular expression that the whole name must match. */
  readonly containerPattern?: string;
  /** All must hold. */
  readonly matchExpressions?: readonly MatchExpression[];
}

/** `In`: one of the values is the workload's; `NotIn`: none is. */
export interface MatchExpression {
  /** `namespace` stands in cluster policies only. */
  readonly key: "label" | "namespace";
  readonly operator: "In" | "NotIn";
  /** `key=value` for labels, else namespaces. */
  readonly values: readonly string[];
}

export const CONTAINER_NAME_KEY = "kubearmor.io/container.name";

/** The label that kubelets put on the containers of pods. */
export const POD_NAMESPACE_KEY = "io.kubernetes.pod.namespace";

/** KubeArmor's namespace of containers outside Kubernetes. */
const CONTAINER_NAMESPACE = "container_namespace";

/** Where kubectl puts an object that names no namespace. */
const DEFAULT_NAMESPACE = "default";

/**
 * What a cluster policy leaves alone unless it names it: the cluster's own pods, without which there is no cluster to
 * guard, and KubeArmor's. KubeArmor's untrackedNs has the same by default.
 */
export const SYSTEM_NAMESPACES: readonly string[] = ["kube-system", "kubearmor"];

/**
 * Whether the policy applies to the workload: a container policy, in its namespace, with all its labels, expressions and
 * one of its container names. A policy that is not enforced selects nothing.
 *
 * Namespaces: a pod's container is selected by policies of the pod's namespace, where a policy without one is in
 * `default`, as kubectl has it. Outside Kubernetes the policy's namespace counts only for containers that carry a
 * `kubearmor.io/namespace` label, and a policy without one selects those too. A cluster policy has no namespace: its
 * expressions name those that it selects, and without any it selects all but `SYSTEM_NAMESPACES`.
 *
 * A host policy selects the node itself, and nothing else does; what is exempt on it, by `isForced` only.
 *
 * Without any condition a policy selects all pods of its namespace and, as in KubeArmor, nothing outside Kubernetes.
 */
export function selects(policy: Policy, workload: Workload): boolean {
  const { selector } = policy;
  if (policy.notEnforced !== undefined) return false;
  if (workload.host !== undefined) {
    return policy.kind === "KubeArmorHostPolicy" && selectsNode(selector, workload.labels) &&
      (workload.host === "judged" || policy.isForced === true);
  }
  if (!isContainerPolicy(policy)) return false;
  return inNamespace(policy, workload) &&
    (isPod(workload) || hasCondition(selector)) &&
    hasLabels(workload, selector.matchLabels) &&
    (selector.matchExpressions ?? []).every((expression) => holds(expression, workload)) &&
    hasContainerName(workload, selector);
}

/** Whether the policy is of a kind that selects containers. */
export function isContainerPolicy({ kind }: Policy): boolean {
  return kind === "KubeArmorPolicy" || kind === "KubeArmorClusterPolicy";
}

/** Whether the selector asks for anything. */
export function hasCondition(selector: Selector): boolean {
  return Object.keys(selector.matchLabels).length > 0 || selector.containerNames.length > 0 ||
    selector.containerPattern !== undefined || (selector.matchExpressions ?? []).length > 0;
}

function isPod(workload: Workload): boolean {
  return Object.hasOwn(workload.labels, POD_NAMESPACE_KEY);
}

function inNamespace(policy: Policy, workload: Workload): boolean {
  if (policy.kind === "KubeArmorClusterPolicy") {
    const namespace = namespaceOf(workload);
    return !SYSTEM_NAMESPACES.includes(namespace) || namesNamespace(policy.selector, namespace);
  }
  if (isPod(workload)) {
    return (policy.namespace || DEFAULT_NAMESPACE) === workload.labels[POD_NAMESPACE_KEY];
  }
  return workload.namespace === CONTAINER_NAMESPACE || policy.namespace === "" ||
    policy.namespace === workload.namespace;
}

/** The pod's; outside Kubernetes what alerts call the container's. */
export function namespaceOf(workload: Workload): string {
  return workload.labels[POD_NAMESPACE_KEY] ?? workload.namespace;
}

/** Whether an expression asks for the namespace by name. */
export function namesNamespace({ matchExpressions = [] }: Selector, namespace: string): boolean {
  return matchExpressions.some(({ key, operator, values }) =>
    key === "namespace" && operator === "In" && values.includes(namespace)
  );
}

function hasLabels(workload: Workload, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) =>
    Object.hasOwn(workload.labels, key) && workload.labels[key] === value
  );
}

function holds({ key, operator, values }: MatchExpression, workload: Workload): boolean {
  const some = key === "namespace"
    ? values.includes(namespaceOf(workload))
    : values.some((pair) => hasLabels(workload, labelOf(pair)));
  return operator === "In" ? some : !some;
}

/** `key=value` as a label. */
export function labelOf(pair: string): Record<string, string> {
  const equals = pair.indexOf("=");
  return { [pair.slice(0, equals)]: pair.slice(equals + 1) };
}

/**
 * KubeArmor documents a POSIX regular expression and then compares as text, so that `web` selects exactly `web`. A
 * match of the whole name gives both: what is written there today selects the same containers, and `web-.*` works.
 */
function hasContainerName(workload: Workload, selector: Selector): boolean {
  const { containerNames, containerPattern } = selector;
  if (containerNames.length === 0 && containerPattern === undefined) return true;
  if (containerNames.includes(workload.name)) return true;
  return containerPattern !== undefined && patternOf(selector, containerPattern)(workload.name);
}

/** Selectors are tested against every workload at every change; translating the expression once is enough. */
const patterns = new WeakMap<Selector, (name: string) => boolean>();

function patternOf(selector: Selector, source: string): (name: string) => boolean {
  const known = patterns.get(selector) ?? compilePosixRegex(source);
  patterns.set(selector, known);
  return known;
}

/** What a value of `kubearmor.io/container.name` means. */
export interface ContainerNames {
  readonly names: readonly string[];
  readonly pattern?: string;
}

/**
 * Reads `[a, b]` as a list of names, a plain word as one name, and anything else as a POSIX regular expression. `*`
 * means every container; an empty list or text asks for nothing.
 *
 * @throws {SyntaxError} when the expression is not POSIX
 */
export function parseContainerNames(value: string): ContainerNames {
  const trimmed = value.trim();
  const list = /^\[(.*)\]$/s.exec(trimmed)?.[1];
  if (list !== undefined) {
    return { names: list.split(",").map((name) => name.trim()).filter((name) => name !== "") };
  }
  if (trimmed === "") return { names: [] };
  // No expression, but documented by KubeArmor.
  if (trimmed === "*") return { names: [], pattern: ".*" };
  if (/^[A-Za-z0-9_-]+$/.test(trimmed)) return { names: [trimmed] };
  compilePosixRegex(trimmed);
  return { names: [], pattern: trimmed };
}
