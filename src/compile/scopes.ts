/** What rules say at each node of the trie, and which of them decides there. */
import {
  OP_CLASSES,
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  VERDICT_NONE,
  VERDICT_POSTURE_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import { isPathTarget, type PathTarget, type Rule } from "../model/rule.ts";
import { componentsOf } from "./hash.ts";
import { NO_RULE } from "./row_table.ts";
import {
  ALL_CIRCUMSTANCES,
  conditionsOf,
  FILE_OPS,
  isStricter,
  type RuleRef,
  verdictsOf,
} from "./rules.ts";

/** Source classes by executable, 1 and up. */
export type SourceClasses = ReadonlyMap<string, number>;

/**
 * Op classes that always find the same deciding rule. Memory mappings are apart from executions because directories
 * say nothing about them.
 */
export const FACETS: readonly (readonly number[])[] = [
  [OP_EXEC, OP_LOAD],
  [OP_MMAP_EXEC],
  FILE_OPS,
];

/** The strictest for each op class, the first of equals. */
export interface Saying {
  readonly verdicts: number[];
  readonly rules: number[];
}

/** What the rules on one identical selector say together. */
export interface Cell {
  /** Circumstances that matter to any of them. */
  conditions: number;
  /** By the circumstances that are given; the same object for those that differ in none of the conditions. */
  sayings: readonly Saying[];
}

/** One cell or none for each facet. */
export type Cells = readonly (Cell | undefined)[];

/** Selectors of one source class at one node, by kind. */
interface Selectors {
  exact: Cells;
  recursive: Cells;
  direct: Cells;
}

export interface Node {
  readonly children: Map<string, Node>;
  /** By source class. */
  readonly selectors: Map<number, Selectors>;
}

export const NO_CELLS: Cells = FACETS.map(() => undefined);

export function newNode(): Node {
  return { children: new Map(), selectors: new Map() };
}

/** Puts what a rule on a path or a directory says at its node. `index`: of the rule. */
export function addRule(
  root: Node,
  { rule }: RuleRef,
  index: number,
  sourceOf: SourceClasses,
): void {
  if (!isPathTarget(rule.target)) return;
  const node = componentsOf(rule.target.path).reduce(childOf, root);
  for (const source of classesOf(rule, sourceOf)) {
    addCells(cellsAt(node, source, selectorKind(rule.target)), rule, index);
  }
}

function classesOf({ fromSource }: Rule, sourceOf: SourceClasses): ReadonlySet<number> {
  return new Set(fromSource.length === 0 ? [0] : fromSource.map((source) => sourceOf.get(source)!));
}

function addCells(cells: (Cell | undefined)[], rule: Rule, index: number): void {
  const verdicts = verdictsOf(rule);
  FACETS.forEach((ops, facet) => {
    if (ops.every((op) => verdicts[op] === VERDICT_NONE)) return;
    const cell = cells[facet] ??= newCell();
    heed(cell, conditionsOf(rule));
    for (const given of subsetsOf(cell.conditions)) {
      const verdicts = verdictsOf(rule, given);
      for (const op of ops) tighten(cell.sayings[given]!, op, verdicts[op]!, index);
    }
  });
}

/** What the names and patterns that match a path say together, by source class: a name, else the patterns. */
export type Matched = ReadonlyMap<number, Cells>;

/** `indices`: of rules on names and patterns, ascending. */
export function matchedCells(
  indices: readonly number[],
  rules: readonly RuleRef[],
  sourceOf: SourceClasses,
): Matched {
  const isName = (index: number) => rules[index]!.rule.target.kind === "name";
  const patterns = cellsOf(indices.filter((index) => !isName(index)), rules, sourceOf);
  const names = cellsOf(indices.filter(isName), rules, sourceOf);
  const matched = new Map(patterns);
  for (const [source, cells] of names) {
    matched.set(source, overlay(cells, patterns.get(source) ?? NO_CELLS));
  }
  return matched;
}

function cellsOf(
  indices: readonly number[],
  rules: readonly RuleRef[],
  sourceOf: SourceClasses,
): Matched {
  const matched = new Map<number, (Cell | undefined)[]>();
  for (const index of indices) {
    const { rule } = rules[index]!;
    for (const source of classesOf(rule, sourceOf)) {
      const cells = matched.get(source) ?? [...NO_CELLS];
      matched.set(source, cells);
      addCells(cells, rule, index);
    }
  }
  return matched;
}

function childOf(node: Node, name: string): Node {
  const child = node.children.get(name) ?? newNode();
  node.children.set(name, child);
  return child;
}

function cellsAt(node: Node, source: number, kind: keyof Selectors): (Cell | undefined)[] {
  const selectors = node.selectors.get(source) ??
    { exact: NO_CELLS, recursive: NO_CELLS, direct: NO_CELLS };
  node.selectors.set(source, selectors);
  const cells = selectors[kind] === NO_CELLS ? [...NO_CELLS] : selectors[kind];
  selectors[kind] = cells;
  return cells as (Cell | undefined)[];
}

function selectorKind(target: PathTarget): keyof Selectors {
  if (target.kind === "path") return "exact";
  return target.recursive ? "recursive" : "direct";
}

function newCell(): Cell {
  const saying = {
    verdicts: Array(OP_CLASSES).fill(VERDICT_NONE),
    rules: Array(OP_CLASSES).fill(NO_RULE),
  };
  return { conditions: 0, sayings: ALL_CIRCUMSTANCES.map(() => saying) };
}

/** Has the cell tell these circumstances apart, too. */
function heed(cell: Cell, conditions: number): void {
  const [known, all] = [cell.conditions, cell.conditions | conditions];
  if (all === known) return;
  const copies = new Map(
    subsetsOf(all).map((given) => {
      const { verdicts, rules } = cell.sayings[given & known]!;
      return [given, { verdicts: [...verdicts], rules: [...rules] }];
    }),
  );
  cell.conditions = all;
  cell.sayings = ALL_CIRCUMSTANCES.map((given) => copies.get(given & all)!);
}

/** What may be given of some circumstances. */
export function subsetsOf(conditions: number): number[] {
  return ALL_CIRCUMSTANCES.filter((given) => (given & ~conditions) === 0);
}

function tighten(saying: Saying, op: number, verdict: number, rule: number): void {
  if (!isStricter(verdict, saying.verdicts[op]!)) return;
  saying.verdicts[op] = verdict;
  // The posture's verdict has no rule to name: see evaluate.ts.
  saying.rules[op] = verdict === VERDICT_POSTURE_BLOCK ? NO_RULE : rule;
}

/** What of one source class is in force at a node. */
export interface Scope {
  readonly exact: Cells;
  /** Deepest recursive directory here or above. */
  readonly recursive: Cells;
  /** Non-recursive directory here. */
  readonly own: Cells;
  /** Non-recursive directory one node up. */
  readonly above: Cells;
}

export type Scopes = ReadonlyMap<number, Scope>;
export type Place = "end" | "child" | "desc";

const NO_SCOPE: Scope = { exact: NO_CELLS, recursive: NO_CELLS, own: NO_CELLS, above: NO_CELLS };

/** The scopes of a child from its parent's. */
export function descend(outer: Scopes, node: Node): Scopes {
  if (outer.size === 0 && node.selectors.size === 0) return outer;
  const inner = new Map<number, Scope>();
  for (const source of new Set([...outer.keys(), ...node.selectors.keys()])) {
    const { recursive, own: above } = outer.get(source) ?? NO_SCOPE;
    const here = node.selectors.get(source);
    inner.set(source, {
      exact: here?.exact ?? NO_CELLS,
      recursive: here === undefined ? recursive : overlay(here.recursive, recursive),
      own: here?.direct ?? NO_CELLS,
      above,
    });
  }
  return inner;
}

function overlay(inner: Cells, outer: Cells): Cells {
  if (inner === NO_CELLS) return outer;
  return inner.map((cell, facet) => cell ?? outer[facet]);
}

/**
 * The cell of one source class that decides at a place: an exact path beats names and patterns, these beat directories, of
 * which a recursive one, even a higher one, beats others.
 */
export function decidingCell(
  { exact, recursive, own, above }: Scope = NO_SCOPE,
  place: Place,
  facet: number,
  pattern: Cells = NO_CELLS,
): Cell | undefined {
  switch (place) {
    case "end":
      return exact[facet] ?? pattern[facet] ?? recursive[facet] ?? own[facet] ?? above[facet];
    case "child":
      return pattern[facet] ?? recursive[facet] ?? own[facet];
    case "desc":
      return pattern[facet] ?? recursive[facet];
  }
}

/** Whether no cell decides at a place, as at most of them. */
export function isEmpty(scope: Scope | undefined, place: Place): boolean {
  if (scope === undefined) return true;
  const { exact, recursive, own, above } = scope;
  if (recursive !== NO_CELLS) return false;
  if (place === "desc") return true;
  return own === NO_CELLS && (place === "child" || exact === NO_CELLS && above === NO_CELLS);
}
