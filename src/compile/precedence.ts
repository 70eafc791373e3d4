/**
 * The order of precedence as one total order: of two rules that match, the first criterion in which they differ says which
 * decides. `evaluate.ts` is the specification; a test compares the two. For explanations, and for the table in
 * k8s/POLICY.md, which a test compares with this one.
 */
import type { Rule } from "../model/rule.ts";
import { specificity } from "./numbered.ts";
import { STRICTNESS, verdictOf } from "./rules.ts";

export interface Criterion {
  readonly decides: string;
  /** What the rule that loses has instead. */
  readonly before: string;
  /** Smaller decides. Given are rules that match one object and speak about one op class. */
  readonly rank: (rule: Rule, op: number, circumstances: number) => number;
}

/** From the weightiest on. */
export const PRECEDENCE: readonly Criterion[] = [
  {
    decides: "a rule whose fromSource names the program",
    before: "a rule for every program",
    rank: ({ fromSource }) => fromSource.length > 0 ? 0 : 1,
  },
  {
    decides: "an exact path",
    before: "a program's name, a pattern or a directory",
    rank: ({ target }) => target.kind === "path" ? 0 : 1,
  },
  {
    decides: "a program's name",
    before: "a pattern or a directory",
    rank: ({ target }) => target.kind === "name" ? 0 : 1,
  },
  {
    decides: "a pattern",
    before: "a directory",
    rank: ({ target }) => target.kind === "directory" ? 1 : 0,
  },
  {
    decides: "a recursive directory",
    before: "one that is not recursive",
    rank: ({ target }) => target.kind === "directory" && !target.recursive ? 1 : 0,
  },
  {
    decides: "a deeper directory",
    before: "a higher one",
    // All match one path, so that the directories lie on one line from the root.
    rank: ({ target }) => target.kind === "directory" ? -target.path.length : 0,
  },
  {
    decides: "a protocol",
    before: "a type of sockets, and that before all",
    rank: ({ target }) => target.kind === "protocol" ? -specificity(target) : 0,
  },
  {
    decides: "a longer domain",
    before: "one of which it is a part",
    // All match one name, so that each is the end of the next.
    rank: ({ target }) => target.kind === "domain" ? -target.domain.length : 0,
  },
  {
    // All patterns that match are one selector.
    decides: "on the identical selector Block",
    before: "Audit, and Audit before Allow",
    rank: (rule, op, circumstances) => -STRICTNESS.indexOf(verdictOf(rule, op, circumstances)),
  },
];

/** Negative when `a` decides, positive when `b` does, 0 for rules that say the same about the same. */
export function comparePrecedence(a: Rule, b: Rule, op: number, circumstances = 0): number {
  return criterionBetween(a, b, op, circumstances)?.difference ?? 0;
}

/** The first criterion in which two rules differ, and how much; undefined: in none. */
export function criterionBetween(
  a: Rule,
  b: Rule,
  op: number,
  circumstances = 0,
): { readonly criterion: Criterion; readonly difference: number } | undefined {
  for (const criterion of PRECEDENCE) {
    const difference = criterion.rank(a, op, circumstances) - criterion.rank(b, op, circumstances);
    if (difference !== 0) return { criterion, difference };
  }
  return undefined;
}
