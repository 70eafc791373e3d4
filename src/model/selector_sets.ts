/** What can be said about selectors without any container: whether one can be selected at all, by both, by one if by the other. */
import type { Policy } from "./policy.ts";
import { compilePosixRegex } from "./posix_regex.ts";
import {
  hasCondition,
  isContainerPolicy,
  labelOf,
  type MatchExpression,
  namesNamespace,
  type Selector,
  SYSTEM_NAMESPACES,
} from "./selector.ts";

/** Values that one key may have: all but `denied` where `allowed` is undefined. */
interface Values {
  readonly allowed: ReadonlySet<string> | undefined;
  readonly denied: ReadonlySet<string>;
}

/** Not a label: no label's key has a blank. */
const NAMESPACE = " namespace";

/** Whether the conditions exclude each other, so that no container has them all. */
export function neverSelects(policy: Policy): boolean {
  return (policy.selector.matchExpressions ?? []).some(isEmptyIn) ||
    !isPossible(conditionsOf([policy]));
}

/** Whether some container may be selected by both. Where that can't be told, it may. */
export function canSelectTogether(a: Policy, b: Policy): boolean {
  return isContainerPolicy(a) && isContainerPolicy(b) && isPossible(conditionsOf([a, b])) &&
    namesMeet(a.selector, b.selector);
}

/** Whether `wide` selects every container that `narrow` selects. Where that can't be told, it does not. */
export function covers(wide: Policy, narrow: Policy): boolean {
  if (!isContainerPolicy(wide) || !isContainerPolicy(narrow)) return false;
  if (wide.kind === "KubeArmorPolicy") {
    if (narrow.kind !== "KubeArmorPolicy" || wide.namespace !== narrow.namespace) return false;
  } else if (narrow.kind !== "KubeArmorClusterPolicy" || !coversSystem(wide, narrow)) {
    // It leaves the cluster's own namespaces alone, and a policy for one may be for these.
    return false;
  }
  // Without a condition it selects nothing outside Kubernetes.
  if (!hasCondition(wide.selector) && hasCondition(narrow.selector)) return false;
  const labels = Object.entries(wide.selector.matchLabels);
  return labels.every(([key, value]) => narrow.selector.matchLabels[key] === value) &&
    (wide.selector.matchExpressions ?? []).every((expression) => implies(narrow, expression)) &&
    coversNames(wide.selector, narrow.selector);
}

function coversSystem(wide: Policy, narrow: Policy): boolean {
  return SYSTEM_NAMESPACES.every((namespace) =>
    namesNamespace(wide.selector, namespace) || !namesNamespace(narrow.selector, namespace)
  );
}

function isEmptyIn({ operator, values }: MatchExpression): boolean {
  return operator === "In" && values.length === 0;
}

/** One for each label's key and for the namespace, as far as it is a condition on one key. */
function conditionsOf(policies: readonly Policy[]): Map<string, Values[]> {
  const conditions = new Map<string, Values[]>();
  const add = (key: string, values: Values) =>
    conditions.set(key, [...conditions.get(key) ?? [], values]);
  for (const { kind, namespace, selector } of policies) {
    // A policy without namespace may be meant for Kubernetes' default or for containers outside it.
    if (kind === "KubeArmorPolicy" && namespace !== "") add(NAMESPACE, only([namespace]));
    if (kind === "KubeArmorClusterPolicy") add(NAMESPACE, withoutSystem(selector));
    for (const [key, value] of Object.entries(selector.matchLabels)) add(key, only([value]));
    for (const expression of selector.matchExpressions ?? []) addExpression(expression, add);
  }
  return conditions;
}

function withoutSystem(selector: Selector): Values {
  const denied = SYSTEM_NAMESPACES.filter((namespace) => !namesNamespace(selector, namespace));
  return { allowed: undefined, denied: new Set(denied) };
}

function addExpression(
  { key, operator, values }: MatchExpression,
  add: (key: string, values: Values) => void,
): void {
  const byKey = new Map<string, string[]>();
  for (const value of values) {
    const [label, wanted] = key === "namespace" ? [NAMESPACE, value] : pairOf(value);
    byKey.set(label, [...byKey.get(label) ?? [], wanted]);
  }
  for (const [label, wanted] of byKey) {
    if (operator === "NotIn") add(label, { allowed: undefined, denied: new Set(wanted) });
    // One of several labels is no condition on any of them.
    else if (byKey.size === 1) add(label, only(wanted));
  }
}

function pairOf(value: string): [key: string, value: string] {
  return Object.entries(labelOf(value))[0]!;
}

function only(values: readonly string[]): Values {
  return { allowed: new Set(values), denied: new Set() };
}

function isPossible(conditions: ReadonlyMap<string, readonly Values[]>): boolean {
  return [...conditions.values()].every((all) => {
    const lists = all.flatMap(({ allowed }) => allowed === undefined ? [] : [allowed]);
    if (lists.length === 0) return true;
    return [...lists[0]!].some((value) =>
      lists.every((list) => list.has(value)) && !all.some(({ denied }) => denied.has(value))
    );
  });
}

function namesMeet(a: Selector, b: Selector): boolean {
  if (!hasNames(a) || !hasNames(b)) return true;
  if (a.containerPattern !== undefined && b.containerPattern !== undefined) return true;
  return a.containerNames.some((name) => takesName(b, name)) ||
    b.containerNames.some((name) => takesName(a, name));
}

function coversNames(wide: Selector, narrow: Selector): boolean {
  if (!hasNames(wide)) return true;
  if (!hasNames(narrow)) return false;
  return narrow.containerNames.every((name) => takesName(wide, name)) &&
    (narrow.containerPattern === undefined || narrow.containerPattern === wide.containerPattern);
}

function hasNames({ containerNames, containerPattern }: Selector): boolean {
  return containerNames.length > 0 || containerPattern !== undefined;
}

function takesName({ containerNames, containerPattern }: Selector, name: string): boolean {
  return containerNames.includes(name) ||
    (containerPattern !== undefined && compilePosixRegex(containerPattern)(name));
}

/** Whether what `policy` selects fulfils the expression. */
function implies({ selector }: Policy, wanted: MatchExpression): boolean {
  const same = JSON.stringify(wanted);
  if ((selector.matchExpressions ?? []).some((own) => JSON.stringify(own) === same)) return true;
  return wanted.key === "label" && wanted.operator === "In" &&
    wanted.values.some((value) => {
      const [key, label] = pairOf(value);
      return selector.matchLabels[key] === label;
    });
}
