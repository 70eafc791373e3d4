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
  /**
   * Whether labels of containers count. containerd adds the image's own labels to them, so that whoever builds an image could take
   * its policies away.
   */
  readonly trustsLabels: boolean;
  /** For the node's own processes. */
  readonly host: Posture;
}

export const DEFAULT_GOVERNANCE: GovernanceDefaults = {
  posture: DEFAULT_POSTURE,
  mode: "enabled",
  namespaces: new Map(),
  trustsLabels: false,
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
 * lenient. The node itself has labels and a posture, and no namespace. A label that does not count is named by
 * `ignoredLabels`.
 */
export function governanceOf(workload: Workload, defaults: GovernanceDefaults): Governance {
  const ofNamespace = defaults.namespaces.get(namespaceOf(workload)) ?? {};
  const given = workload.host === undefined
    ? { ...defaults.posture, ...ofNamespace }
    : defaults.host;
  const labels = countsLabels(workload, defaults) ? workload.labels : {};
  const posture = { ...given, ...labelledPosture(labels) };
  const own = valueOf(labels, MODE_LABEL, POLICY_MODES) ?? "enabled";
  const stage = Math.max(POLICY_MODES.indexOf(own), POLICY_MODES.indexOf(defaults.mode));
  return { posture, mode: POLICY_MODES[stage]! };
}

/** The node's own are settings of its operator's. */
function countsLabels(
  { host }: Workload,
  { trustsLabels }: Pick<GovernanceDefaults, "trustsLabels">,
): boolean {
  return trustsLabels || host !== undefined;
}

/** Labels that should govern the container and do not, as `key=value`: not trusted, or of a value that means nothing, as in KubeArmor. */
export function ignoredLabels(
  workload: Workload,
  defaults: Pick<GovernanceDefaults, "trustsLabels">,
): string[] {
  const { labels } = workload;
  const counts = countsLabels(workload, defaults);
  const known = [
    [MODE_LABEL, POLICY_MODES] as const,
    ...POSTURE_CLASSES.map((name) => [postureLabel(name), POSTURE_ACTIONS] as const),
  ];
  return known.flatMap(([key, values]: readonly [string, readonly string[]]) => {
    const value = labels[key];
    const isIgnored = value !== undefined && !(counts && values.includes(value.toLowerCase()));
    return isIgnored ? [`${key}=${value}`] : [];
  });
}

type Labels = Workload["labels"];

function labelledPosture(labels: Labels): Partial<Posture> {
  return Object.fromEntries(POSTURE_CLASSES.flatMap((name) => {
    const action: PostureAction | undefined = valueOf(labels, postureLabel(name), POSTURE_ACTIONS);
    return action === undefined ? [] : [[name, action]];
  }));
}

/** KubeArmor reads these values in any case. */
function valueOf<Value extends string>(
  labels: Labels,
  key: string,
  values: readonly Value[],
): Value | undefined {
  const value = labels[key]?.toLowerCase();
  return values.find((known) => known === value);
}
