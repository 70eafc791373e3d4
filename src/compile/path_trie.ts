import {
  NEXT_GUARD,
  NEXT_GUARD_END,
  NEXT_NODE,
  NODE_ROOT,
  NODE_SOURCES,
  OP_CLASSES,
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  VERDICT_NONE,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Posture } from "../model/posture.ts";
import { isPathTarget, type PathTarget } from "../model/rule.ts";
import { componentsOf } from "./hash.ts";
import { numberedReferences } from "./numbered.ts";
import { NO_RULE, type Row, RowTable } from "./row_table.ts";
import {
  compareText,
  FILE_OPS,
  isPathOp,
  isStricter,
  postureVerdict,
  type RuleRef,
  verdictsOf,
} from "./rules.ts";

/** One step of the trie. The three row references are for paths that end here, one name later, and further down. */
export interface Edge {
  /** Node that the edge leaves. */
  readonly node: number;
  readonly name: string;
  /** Node that it leads to (0: none), NEXT_GUARD and NEXT_GUARD_END. */
  readonly next: number;
  readonly end: number;
  readonly child: number;
  readonly desc: number;
}

/** All rules of one image as a trie of path components, precedence already resolved in its rows. */
export interface PathTrie {
  /** In the order of a walk from the root, children sorted by name. */
  readonly edges: readonly Edge[];
  readonly root: Pick<Edge, "next" | "end" | "child" | "desc">;
  readonly rows: readonly Row[];
  /** Executable to source class, 1 .. sources. */
  readonly sourceOf: ReadonlyMap<string, number>;
  readonly sources: number;
  /** Row references of kinds of sockets and capabilities, by their numbers; empty: no rule names any. */
  readonly references: readonly number[];
}

/**
 * Builds the trie.
 *
 * Every row is complete: what a rule higher up says about a node is already in it, so that the kernel steps as far
 * as edges lead and reads one row. That works because precedence looks only upward: a path's verdict depends on rules
 * at the path itself, at its parent and on the deepest recursive directory above.
 * @throws {RangeError} when there are more nodes or rows than the format can number.
 */
export function buildPathTrie(rules: readonly RuleRef[], posture: Posture): PathTrie {
  const { sourceOf, sources } = sourceClasses(rules);
  const root = newNode();
  rules.forEach((ref, index) => addRule(root, ref, index, sourceOf));
  const table = new RowTable();
  const written = new TrieWriter(table, postureVerdicts(rules, posture), sources).write(root);
  const references = numberedReferences({ rules, posture, sourceOf, sources }, table);
  return { ...written, rows: table.rows, sourceOf, sources, references };
}

function postureVerdicts(rules: readonly RuleRef[], posture: Posture): number[] {
  return Array.from(
    { length: OP_CLASSES },
    (_, op) => isPathOp(op) ? postureVerdict(op, rules, posture) : VERDICT_NONE,
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

/**
 * Op classes that always find the same deciding rule. Memory mappings are apart from executions because directories
 * say nothing about them.
 */
const FACETS: readonly (readonly number[])[] = [[OP_EXEC, OP_LOAD], [OP_MMAP_EXEC], FILE_OPS];

/** What the rules on one identical selector say together: the strictest for each op class, the first of equals. */
interface Cell {
  readonly verdicts: number[];
  readonly rules: number[];
}

/** One cell or none for each facet. */
type Cells = readonly (Cell | undefined)[];

/** Selectors of one source class at one node, by kind. */
interface Selectors {
  exact: Cells;
  recursive: Cells;
  direct: Cells;
}

interface Node {
  readonly children: Map<string, Node>;
  /** By source class. */
  readonly selectors: Map<number, Selectors>;
}

const NO_CELLS: Cells = FACETS.map(() => undefined);

function newNode(): Node {
  return { children: new Map(), selectors: new Map() };
}

function addRule(
  root: Node,
  { rule }: RuleRef,
  index: number,
  sourceOf: ReadonlyMap<string, number>,
): void {
  if (!isPathTarget(rule.target)) return;
  const node = componentsOf(rule.target.path).reduce(childOf, root);
  const verdicts = verdictsOf(rule);
  const classes = rule.fromSource.length === 0
    ? [0]
    : new Set(rule.fromSource.map((source) => sourceOf.get(source)!));
  for (const source of classes) {
    const cells = cellsAt(node, source, selectorKind(rule.target));
    FACETS.forEach((ops, facet) => {
      if (ops.every((op) => verdicts[op] === VERDICT_NONE)) return;
      const cell = cells[facet] ??= newCell();
      for (const op of ops) tighten(cell, op, verdicts[op]!, index);
    });
  }
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
  return {
    verdicts: Array(OP_CLASSES).fill(VERDICT_NONE),
    rules: Array(OP_CLASSES).fill(NO_RULE),
  };
}

function tighten(cell: Cell, op: number, verdict: number, rule: number): void {
  if (!isStricter(verdict, cell.verdicts[op]!)) return;
  cell.verdicts[op] = verdict;
  // The posture's verdict has no rule to name: see evaluate.ts.
  cell.rules[op] = verdict === VERDICT_POSTURE_BLOCK ? NO_RULE : rule;
}

/** What of one source class is in force at a node. */
interface Scope {
  readonly exact: Cells;
  /** Deepest recursive directory here or above. */
  readonly recursive: Cells;
  /** Non-recursive directory here. */
  readonly own: Cells;
  /** Non-recursive directory one node up. */
  readonly above: Cells;
}

type Scopes = ReadonlyMap<number, Scope>;
type Place = "end" | "child" | "desc";

const NO_SCOPE: Scope = { exact: NO_CELLS, recursive: NO_CELLS, own: NO_CELLS, above: NO_CELLS };

/** The scopes of a child from its parent's. */
function descend(outer: Scopes, node: Node): Scopes {
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

/** The cell of one source class that decides at a place: a recursive directory, even a higher one, beats others. */
function decidingCell(scope: Scope | undefined, place: Place, facet: number): Cell | undefined {
  if (scope === undefined) return undefined;
  const { exact, recursive, own, above } = scope;
  switch (place) {
    case "end":
      return exact[facet] ?? recursive[facet] ?? own[facet] ?? above[facet];
    case "child":
      return recursive[facet] ?? own[facet];
    case "desc":
      return recursive[facet];
  }
}

/** Whether no cell decides at a place, as at most of them. */
function isEmpty(scope: Scope | undefined, place: Place): boolean {
  if (scope === undefined) return true;
  const { exact, recursive, own, above } = scope;
  if (recursive !== NO_CELLS) return false;
  if (place === "desc") return true;
  return own === NO_CELLS && (place === "child" || exact === NO_CELLS && above === NO_CELLS);
}

/** Resolves rows and numbers nodes, walking the trie once from the root. */
class TrieWriter {
  readonly #posture: readonly number[];
  readonly #sources: number;
  readonly #table: RowTable;
  readonly #resolved = new Map<string, Row>();
  readonly #cellIds = new Map<Cell, number>();
  readonly #edges: Edge[] = [];
  #lastNode = NODE_SOURCES;
  /** Where no rule says anything. */
  #undecided: Row | undefined;

  constructor(table: RowTable, posture: readonly number[], sources: number) {
    this.#table = table;
    this.#posture = posture;
    this.#sources = sources;
  }

  write(root: Node): Pick<PathTrie, "edges" | "root"> {
    const written = this.#writeNode(root, descend(new Map(), root), NODE_ROOT);
    return { edges: this.#edges, root: written };
  }

  /** Writes all edges below a node; `id` is its number, should an edge leave it. */
  #writeNode(node: Node, scopes: Scopes, id: number): Omit<Edge, "node" | "name"> {
    const end = this.#rowsAt(scopes, "end");
    const child = this.#rowsAt(scopes, "child");
    const desc = this.#rowsAt(scopes, "desc");
    const endBlocks = end.some((row) => this.#table.blocks(row));
    let guarded = endBlocks || [...child, ...desc].some((row) => this.#table.blocks(row));
    const references = {
      end: this.#table.reference(end),
      child: this.#table.reference(child),
      desc: this.#table.reference(desc),
    };
    for (const name of [...node.children.keys()].sort(compareText)) {
      const below = this.#writeEdge(node.children.get(name)!, scopes, id, name);
      guarded ||= (below & NEXT_GUARD) !== 0;
    }
    return {
      next: (node.children.size > 0 ? id : 0) | (guarded ? NEXT_GUARD : 0) |
        (endBlocks ? NEXT_GUARD_END : 0),
      ...references,
    };
  }

  #writeEdge(node: Node, outer: Scopes, from: number, name: string): number {
    const id = node.children.size > 0 ? this.#newNodeId() : 0;
    const place = this.#edges.length;
    const edge = { node: from, name, next: id, end: 0, child: 0, desc: 0 };
    this.#edges.push(edge);
    this.#edges[place] = { ...edge, ...this.#writeNode(node, descend(outer, node), id) };
    return this.#edges[place].next;
  }

  #newNodeId(): number {
    if (this.#lastNode === NEXT_NODE) {
      throw new RangeError(
        `Cannot compile policies: more than ${NEXT_NODE} directories are named`,
      );
    }
    return ++this.#lastNode;
  }

  /** One row for every source class, 0 first; a single one when no class differs. */
  #rowsAt(scopes: Scopes, place: Place): Row[] {
    const general = this.#rowFor(scopes, 0, place);
    const rows: Row[] = [general];
    if ([...scopes.keys()].every((source) => source === 0)) return rows;
    for (let source = 1; source <= this.#sources; source++) {
      rows.push(scopes.has(source) ? this.#rowFor(scopes, source, place) : general);
    }
    return rows;
  }

  #rowFor(scopes: Scopes, source: number, place: Place): Row {
    if (isEmpty(scopes.get(source), place) && isEmpty(scopes.get(0), place)) {
      return this.#undecided ??= this.#resolve([]);
    }
    const decided = FACETS.map((_, facet) => {
      const named = source === 0 ? undefined : decidingCell(scopes.get(source), place, facet);
      if (named !== undefined) return { cell: named, flag: VERDICT_SOURCE };
      return { cell: decidingCell(scopes.get(0), place, facet), flag: 0 };
    });
    const key = decided.map(({ cell, flag }) => `${this.#cellId(cell)}/${flag}`).join();
    const known = this.#resolved.get(key) ?? this.#resolve(decided);
    this.#resolved.set(key, known);
    return known;
  }

  /** Numbers cells in the order of their first use; 0 is none. */
  #cellId(cell: Cell | undefined): number {
    if (cell === undefined) return 0;
    const id = this.#cellIds.get(cell) ?? this.#cellIds.size + 1;
    this.#cellIds.set(cell, id);
    return id;
  }

  #resolve(decided: readonly { cell: Cell | undefined; flag: number }[]): Row {
    const verdicts = [...this.#posture];
    const rules: number[] = Array(OP_CLASSES).fill(NO_RULE);
    decided.forEach(({ cell, flag }, facet) => {
      if (cell === undefined) return;
      for (const op of FACETS[facet]!) {
        verdicts[op] = cell.verdicts[op]! | flag;
        rules[op] = cell.rules[op]!;
      }
    });
    return this.#table.intern(verdicts, rules);
  }
}
