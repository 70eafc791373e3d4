import type { Position } from "./diagnostic.ts";
import type { Rule } from "./rule.ts";
import type { Selector } from "./selector.ts";

export type PolicyKind =
  | "KubeArmorPolicy"
  | "KubeArmorHostPolicy"
  | "KubeArmorClusterPolicy"
  | "KubeArmorNetworkPolicy";

/** One document of a policy file, valid and normalised. Unique by kind, namespace and name. */
export interface Policy {
  readonly kind: PolicyKind;
  /** Empty where the file gives none. */
  readonly namespace: string;
  readonly name: string;
  readonly selector: Selector;
  readonly rules: readonly Rule[];
  readonly where: Position;
  /** A host policy that holds for init, kubelet and container runtimes too. */
  readonly isForced?: true;
  /** Set when the whole policy is not enforced here (another kind, a selector that needs Kubernetes): why. */
  readonly notEnforced?: string;
}

/** Unique among policies that are in force together. */
export function policyKey(policy: Policy): string {
  return `${policy.kind}/${policy.namespace}/${policy.name}`;
}
