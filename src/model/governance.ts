/** How a container is governed besides its policies: by which posture, and whether anything is refused at all. */
import {
  DEFAULT_POSTURE,
  type Posture,
  POSTURE_ACTIONS,
  POSTURE_CLASSES,
  type PostureAction,
} from "./posture.ts";
import { namespaceOf } from "./selector.ts";
import type { Workload } from "./workload.ts";

/** KubeArmor's words, the most lenient last. `audited`: nothing is refused, what would be is told. `disabled`: no policy holds. */
export const POLICY_MODES = ["enabled", "audited", "disabled"] as const;
export type PolicyMode = typeof POLICY_MODES[number];

export interface Governance {
  readonly posture: Posture;
  readonly mode: PolicyMode;
}

/** The node's: for all containers, and what it sets for those of a namespace. */
export interface GovernanceDefaults extends Governance {
  readonly namespaces: ReadonlyMap<string, Partial<Posture>>;
  /** For the node's own processes. */
  readonly host: Posture;
}

export const DEFAULT_GOVERNANCE: GovernanceDefaults = {
  posture: DEFAULT_POSTURE,
  mode: "enabled",
  namespaces: new Map(),
  host: DEFAULT_POSTURE,
};

/** KubeArmor has these as annotations of pods and namespaces. */
export const MODE_LABEL = "kubearmor-policy";

/** `kubearmor-file-posture` and so on. */
export function postureLabel(posture: keyof Posture): string {
  return `kubearmor-${posture}-posture`;
}

/**
 * What holds for a container: of the postures its own label's, else its namespace's, else the node's; of the modes the most
 * lenient. The node itself has labels and a posture, and no namespace. A label with another value counts as none, as in KubeArmor: `ignoredLabels` names it.
 */
export function governanceOf(workload: Workload, defaults: GovernanceDefaults): Governance {
  const ofNamespace = defaults.namespaces.get(namespaceOf(workload)) ?? {};
  const given = workload.host === undefined
    ? { ...defaults.posture, ...ofNamespace }
    : defaults.host;
  const posture = { ...given, ...labelledPosture(workload) };
  const own = valueOf(workload, MODE_LABEL, POLICY_MODES) ?? "enabled";
  const stage = Math.max(POLICY_MODES.indexOf(own), POLICY_MODES.indexOf(defaults.mode));
  return { posture, mode: POLICY_MODES[stage]! };
}

/** Labels that should govern the container and have a value that means nothing: `key=value`. */
export function ignoredLabels({ labels }: Workload): string[] {
  const known = [
    [MODE_LABEL, POLICY_MODES] as const,
    ...POSTURE_CLASSES.map((name) => [postureLabel(name), POSTURE_ACTIONS] as const),
  ];
  return known.flatMap(([key, values]: readonly [string, readonly string[]]) => {
    const value = labels[key];
    return value === undefined || values.includes(value.toLowerCase()) ? [] : [`${key}=${value}`];
  });
}

function labelledPosture(workload: Workload): Partial<Posture> {
  return Object.fromEntries(POSTURE_CLASSES.flatMap((name) => {
    const action: PostureAction | undefined = valueOf(
      workload,
      postureLabel(name),
      POSTURE_ACTIONS,
    );
    return action === undefined ? [] : [[name, action]];
  }));
}

/** KubeArmor reads these values in any case. */
function valueOf<Value extends string>(
  { labels }: Workload,
  key: string,
  values: readonly Value[],
): Value | undefined {
  const value = labels[key]?.toLowerCase();
  return values.find((known) => known === value);
}
