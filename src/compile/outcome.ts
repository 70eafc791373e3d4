/** What becomes of an operation, in three words, from the kernel's verdict. */
import {
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";

/** Worst last. */
const OUTCOMES = ["passes", "reported", "refused"] as const;

export type Outcome = (typeof OUTCOMES)[number];

const BY_VERDICT: Readonly<Record<number, Outcome>> = {
  [VERDICT_NONE]: "passes",
  [VERDICT_ALLOW]: "passes",
  [VERDICT_AUDIT]: "reported",
  [VERDICT_BLOCK]: "refused",
  [VERDICT_POSTURE_AUDIT]: "reported",
  [VERDICT_POSTURE_BLOCK]: "refused",
};

/**
 * @param verdict VERDICT_* of rules and postures, with or without its source bit
 * @throws {RangeError} another one
 */
export function outcomeOf(verdict: number): Outcome {
  const outcome = BY_VERDICT[verdict & ~VERDICT_SOURCE];
  if (outcome === undefined) throw new RangeError(`No rule has verdict ${verdict}`);
  return outcome;
}

export function isWorse(a: Outcome, b: Outcome): boolean {
  return OUTCOMES.indexOf(a) > OUTCOMES.indexOf(b);
}

/** Of none: "passes". */
export function worstOf(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce<Outcome>((worst, one) => isWorse(one, worst) ? one : worst, "passes");
}
