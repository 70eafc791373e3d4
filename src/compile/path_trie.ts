import { OP_CLASSES, VERDICT_NONE } from "../../ffi/generated/agent_api.ts";
import { globOfName, parseGlob } from "../model/glob.ts";
import type { Posture } from "../model/posture.ts";
import { isMatchedTarget } from "../model/rule.ts";
import { evaluateUnreachable } from "./evaluate.ts";
import { GlobStates, type NameStates, type StateSet } from "./glob_states.ts";
import { type NameTrie, nameTrie } from "./names.ts";
import { numberedReferences } from "./numbered.ts";
import { type Row, RowTable } from "./row_table.ts";
import {
  compareText,
  differentRules,
  isPathOp,
  postureVerdict,
  type RuleRef,
  verdictOf,
} from "./rules.ts";
import { addRule, matchedCells, newNode } from "./scopes.ts";
import { TrieWriter } from "./trie_writer.ts";

/** Where a walk has come to. The three row references are for paths that end here, one name later, and further down. */
export interface Step {
  /** Node that leads on (0: none), NEXT_*. */
  readonly next: number;
  readonly end: number;
  readonly child: number;
  readonly desc: number;
}

/** A step of the trie by one name. */
export interface Edge extends Step {
  /** Node that the edge leaves. */
  readonly node: number;
  readonly name: string;
}

/** What a node says of names without an edge. */
export interface Lexer {
  /** First of its entries among those of all lexers. */
  readonly place: number;
  readonly names: NameStates;
  /** For each state of `names`. */
  readonly outcomes: readonly Step[];
}

/** All rules of one image as a trie of path components, precedence already resolved in its rows. */
export interface PathTrie {
  /** In the order of a walk from the root, children sorted by name. */
  readonly edges: readonly Edge[];
  readonly root: Step;
  /** The last number of a node that is no lexer's. */
  readonly lastNode: number;
  /** By place. */
  readonly lexers: readonly Lexer[];
  readonly rows: readonly Row[];
  /** Executable to source class, 1 .. sources. */
  readonly sourceOf: ReadonlyMap<string, number>;
  readonly sources: number;
  /** Of names that are asked for; undefined: no rule is about any. */
  readonly names: NameTrie | undefined;
  /** Row references of kinds of sockets and capabilities, by their numbers; empty: no rule names any. */
  readonly references: readonly number[];
}

/**
 * Builds the trie.
 *
 * Every row is complete: what a rule higher up says about a node is already in it, so that the kernel steps as far
 * as edges lead and reads one row. That works because precedence looks only upward: a path's verdict depends on rules
 * at the path itself, at its parent, on the deepest recursive directory above, and on the patterns that match it, which
 * are known name by name.
 * @throws {RangeError} when there are more nodes or rows than the format can number.
 * @throws {TooManyStatesError} when the patterns need too large an automaton.
 */
export function buildPathTrie(rules: readonly RuleRef[], posture: Posture): PathTrie {
  const { sourceOf, sources } = sourceClasses(rules);
  const root = newNode();
  rules.forEach((ref, index) => addRule(root, ref, index, sourceOf));
  const table = new RowTable(sources);
  const unreachable = unreachableVerdicts(rules, posture);
  const written = new TrieWriter({
    table,
    posture: postureVerdicts(rules, posture),
    sources,
    ...patternsOf(rules, sourceOf),
    staysBehind: (index) => rules[index]?.rule.target.kind !== "name",
    tooDeep: (spoken) => tooDeepVerdicts(spoken.map((index) => rules[index]!), unreachable),
  }).write(root);
  const references = numberedReferences({ rules, posture, sourceOf, sources }, table);
  const given = { rules, posture, sourceOf, sources, lastNode: written.lastNode };
  const names = nameTrie(given, table);
  const lastNode = names?.lastNode ?? written.lastNode;
  return { ...written, lastNode, rows: table.rows, sourceOf, sources, names, references };
}

/** The automaton of all patterns and names, and what the rules on those that match say. */
function patternsOf(rules: readonly RuleRef[], sourceOf: ReadonlyMap<string, number>) {
  const indices: number[] = [];
  const states = new GlobStates(rules.flatMap(({ rule: { target } }, index) => {
    if (!isMatchedTarget(target)) return [];
    indices.push(index);
    return [target.kind === "name" ? globOfName(target.name) : parseGlob(target.pattern)];
  }));
  const matched = (accepts: number) =>
    matchedCells(states.accepted(accepts).map((number) => indices[number]!), rules, sourceOf);
  const alive = (live: StateSet) => states.alive(live).map((number) => indices[number]!);
  return { states, matched, alive };
}

/** What is not known of a path that one of the rules may match; undefined where they say nothing. */
function tooDeepVerdicts(rules: readonly RuleRef[], unreachable: readonly number[]) {
  return unreachable.map((verdict, op) =>
    rules.some(({ rule }) => verdictOf(rule, op) !== VERDICT_NONE) ? verdict : undefined
  );
}

function postureVerdicts(rules: readonly RuleRef[], posture: Posture): number[] {
  return Array.from(
    { length: OP_CLASSES },
    (_, op) => isPathOp(op) ? postureVerdict(op, rules, posture) : VERDICT_NONE,
  );
}

/** For objects whose path is not known to the end. */
export function unreachableVerdicts(rules: readonly RuleRef[], posture: Posture): number[] {
  // It is asked what rules say, not what they say it about.
  const sayings = differentRules(rules);
  return Array.from(
    { length: OP_CLASSES },
    (_, op) => isPathOp(op) ? evaluateUnreachable(op, sayings, posture) : VERDICT_NONE,
  );
}

/** Executables that the same rules name share a class. 0 is everyone else's. */
function sourceClasses(rules: readonly RuleRef[]) {
  const namedBy = new Map<string, number[]>();
  rules.forEach(({ rule }, index) => {
    for (const source of new Set(rule.fromSource)) {
      const indices = namedBy.get(source) ?? [];
      namedBy.set(source, [...indices, index]);
    }
  });
  const classOf = new Map<string, number>();
  const sourceOf = new Map<string, number>();
  for (const source of [...namedBy.keys()].sort(compareText)) {
    const signature = namedBy.get(source)!.join();
    const known = classOf.get(signature) ?? classOf.size + 1;
    classOf.set(signature, known);
    sourceOf.set(source, known);
  }
  return { sourceOf, sources: classOf.size };
}
