/** Which patterns, and names of programs, an image has room for. */
import type { Posture } from "../model/posture.ts";
import { isMatchedTarget } from "../model/rule.ts";
import { LEXER_STATES_MAX, STATES_MAX, TooManyStatesError } from "./glob_states.ts";
import { buildPathTrie, type PathTrie } from "./path_trie.ts";
import type { RuleRef } from "./rules.ts";

export interface FittingTrie {
  readonly trie: PathTrie;
  /** What it is made of. */
  readonly judged: readonly RuleRef[];
  /** Rules on patterns and names that it has no room for. */
  readonly leftOut: readonly RuleRef[];
}

/** Why such a rule is not enforced. */
export const TOO_MANY_PATTERNS =
  `the patterns and names of one container need more than ${STATES_MAX} states, or ${LEXER_STATES_MAX} at all ` +
  'places where they meet other rules: use fewer, and fewer "*" before others';

/** Each is found by building the trie several times, which takes seconds: behind that many, all others are left out too. */
const LEFT_OUT_MAX = 2;

/**
 * Builds the trie of all rules or, where their patterns need too large an automaton, without those whose turn brings it about, in
 * the order of the rules.
 * @throws {RangeError} as buildPathTrie().
 */
export function fittingTrie(rules: readonly RuleRef[], posture: Posture): FittingTrie {
  const leftOut = new Set<RuleRef>();
  for (let fitting = 0;;) {
    const judged = rules.filter((ref) => !leftOut.has(ref));
    const trie = tryBuild(judged, posture);
    if (trie !== undefined) return { trie, judged, leftOut: [...leftOut] };
    const patterns = judged.filter(isMatched);
    fitting = countFitting(judged, patterns, fitting, posture);
    const refused = leftOut.size < LEFT_OUT_MAX ? [patterns[fitting]!] : patterns.slice(fitting);
    for (const ref of refused) leftOut.add(ref);
  }
}

/** How many of the patterns, from the first one on, fit beside the other rules; `known` of them do, and not all. */
function countFitting(
  rules: readonly RuleRef[],
  patterns: readonly RuleRef[],
  known: number,
  posture: Posture,
): number {
  let [fits, fails] = [known, patterns.length];
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1;
    const chosen = new Set(patterns.slice(0, middle));
    const some = rules.filter((ref) => !isMatched(ref) || chosen.has(ref));
    if (tryBuild(some, posture) === undefined) fails = middle;
    else fits = middle;
  }
  return fits;
}

function isMatched({ rule }: RuleRef): boolean {
  return isMatchedTarget(rule.target);
}

function tryBuild(rules: readonly RuleRef[], posture: Posture): PathTrie | undefined {
  try {
    return buildPathTrie(rules, posture);
  } catch (error) {
    if (error instanceof TooManyStatesError) return undefined;
    throw error;
  }
}
