/**
 * What happens to an operation that an allow-list does not name. Anything but `block` counts as `audit` upstream; here other values are
 * refused when read.
 */
export type PostureAction = "audit" | "block";

/** Posture per resource class. `file` governs process rules too, as in KubeArmor. */
export interface Posture {
  readonly file: PostureAction;
  readonly network: PostureAction;
  readonly capabilities: PostureAction;
}

/** KubeArmor's built-in default since 2022. */
export const DEFAULT_POSTURE: Posture = { file: "audit", network: "audit", capabilities: "audit" };

export const POSTURE_CLASSES: readonly (keyof Posture)[] = ["file", "network", "capabilities"];

export const POSTURE_ACTIONS: readonly PostureAction[] = ["audit", "block"];
