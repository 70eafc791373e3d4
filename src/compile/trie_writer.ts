import {
  MOVES_PER_ENTRY,
  NEXT_GUARD,
  NEXT_GUARD_END,
  NEXT_LEXER,
  NEXT_NODE,
  NODE_LEXER,
  NODE_ROOT,
  NODE_SOURCES,
  OP_CLASSES,
  OUTCOMES_PER_ENTRY,
  VERDICT_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import {
  type GlobStates,
  LEXER_STATES_MAX,
  type NamePlan,
  type NameStates,
  type Outcome,
  type StateSet,
  TooManyStatesError,
} from "./glob_states.ts";
import type { Edge, Lexer, PathTrie, Step } from "./path_trie.ts";
import { NO_RULE, type Row, type RowTable, unpackRow } from "./row_table.ts";
import { compareText } from "./rules.ts";
import {
  type Cell,
  decidingCell,
  descend,
  FACETS,
  isEmpty,
  type Matched,
  newNode,
  type Node,
  type Place,
  type Saying,
  type Scopes,
} from "./scopes.ts";

export interface WriterOptions {
  readonly table: RowTable;
  /** Verdict of each op class where no rule says anything. */
  readonly posture: readonly number[];
  /** Source classes 1 .. sources. */
  readonly sources: number;
  readonly states: GlobStates;
  /** What the patterns behind a number of `accepts` say. */
  readonly matched: (accepts: number) => Matched;
  /** Whether a rule, by its index, would stay behind when a directory above what it blocks is renamed. */
  readonly staysBehind: (rule: number) => boolean;
  /** Rules on the patterns that may match something further down. */
  readonly alive: (live: StateSet) => readonly number[];
  /** Verdicts where the kernel compares no more names and these rules may hold; undefined where they say nothing. */
  readonly tooDeep: (rules: readonly number[]) => Verdicts;
}

/** For each op class: what is said instead of what rules say. */
type Verdicts = readonly (number | undefined)[];

/** What is written of a place that no rule on a path or a directory names. */
interface Below {
  /** Node, with NEXT_LEXER. */
  readonly id: number;
  readonly child: number;
  readonly desc: number;
  /** Whether a Block row lies below. */
  guarded: boolean;
}

/** Such a place while it is written. */
interface Spot extends Below {
  readonly scopes: Scopes;
  readonly live: StateSet;
  readonly plan: NamePlan;
  links: { readonly name?: string; readonly link: Link }[];
}

/** From one place to the next by some names. */
interface Link {
  readonly end: number;
  readonly endBlocks: boolean;
  readonly endGuards: boolean;
  readonly below: Below;
}

const NOWHERE: Node = newNode();
const NO_MATCH: Matched = new Map();
/** Entries of a lexer before its moves: what it is, and the classes of bytes. */
export const LEXER_HEAD = 3;

/** The cell of one facet, and VERDICT_SOURCE where it is that of rules with fromSource. */
interface Decided {
  readonly cell: Cell | undefined;
  readonly flag: number;
}

/** Resolves rows and numbers nodes, walking the trie once from the root, and the patterns' states with it. */
export class TrieWriter {
  readonly #options: WriterOptions;
  readonly #table: RowTable;
  readonly #states: GlobStates;
  readonly #resolved = new Map<string, Row>();
  readonly #cellIds = new Map<Cell, number>();
  readonly #matched = new Map<number, Matched>();
  /** Whether rows that block guard what is above. */
  readonly #guarding = new Map<Row, boolean>();
  readonly #edges: Edge[] = [];
  readonly #lexers: Lexer[] = [];
  readonly #spots = new Map<string, Below>();
  /** Whose names have not been written. */
  readonly #unwritten: Spot[] = [];
  #lexerEntries = 0;
  #lexerStates = 0;
  #lastNode = NODE_SOURCES;
  /** Where no rule says anything. */
  #undecided: Row | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#table = options.table;
    this.#states = options.states;
  }

  /** @throws {TooManyStatesError} */
  write(root: Node): Pick<PathTrie, "edges" | "root" | "lastNode" | "lexers"> {
    const start = this.#states.start;
    const plan = this.#states.plan(start);
    const id = this.#newNode(root, plan, NODE_ROOT);
    const written = this.#writeNode(root, descend(new Map(), root), start, NO_MATCH, id);
    this.#lexers.sort((a, b) => a.place - b.place);
    return {
      edges: this.#edges,
      root: written,
      lastNode: this.#lastNode,
      lexers: this.#lexers,
    };
  }

  // ---- places that rules on paths and directories name -------------------------------------------------------------------

  /** Writes all edges below a node, whose number is `id`. */
  #writeNode(node: Node, scopes: Scopes, live: StateSet, matched: Matched, id: number): Step {
    const plan = this.#states.plan(live);
    const end = this.#rowsAt(scopes, "end", matched);
    const endBlocks = this.#blocks(end);
    const endReference = this.#table.reference(end);
    const { guarded: isGuarded, ...rest } = this.#restOf(scopes, plan, live);
    let guarded = this.#guards(end) || isGuarded;
    for (const name of namesOf(node, plan)) {
      const below = this.#writeEdge(node.children.get(name), scopes, live, id, name);
      guarded ||= (below & NEXT_GUARD) !== 0;
    }
    if (plan.lexer !== undefined) {
      const outcomes = plan.lexer.outcomes.map((outcome) =>
        this.#stepTo(this.#linkTo(scopes, outcome))
      );
      this.#writeLexer(id, plan.lexer, outcomes);
      guarded ||= outcomes.some(({ next }) => (next & NEXT_GUARD) !== 0);
    }
    return { next: nextOf(id, guarded, endBlocks), end: endReference, ...rest };
  }

  #writeEdge(
    node: Node | undefined,
    outer: Scopes,
    live: StateSet,
    from: number,
    name: string,
  ): number {
    const outcome = this.#states.step(live, name);
    const leaves = from & NEXT_NODE;
    // The edge's place is before those below it.
    const place = this.#edges.length;
    this.#edges.push({ node: leaves, name, next: 0, end: 0, child: 0, desc: 0 });
    const step = node === undefined ? this.#stepTo(this.#linkTo(outer, outcome)) : this.#writeNode(
      node,
      descend(outer, node),
      outcome.next,
      this.#matchedBy(outcome.accepts),
      this.#newNode(node, this.#states.plan(outcome.next)),
    );
    this.#edges[place] = { node: leaves, name, ...step };
    return step.next;
  }

  #newNode(node: Node, { names, lexer }: NamePlan, plain?: number): number {
    if (lexer !== undefined) return this.#newLexer(lexer);
    if (plain !== undefined) return node.children.size + names.length > 0 ? plain : 0;
    return node.children.size + names.length > 0 ? this.#newNodeId() : 0;
  }

  // ---- places that only patterns name --------------------------------------------------------------------------------------

  /** One name further, where the trie has no edge. */
  #linkTo(outer: Scopes, { accepts, next }: Outcome): Link {
    const link = this.#openLink(outer, { accepts, next });
    this.#writeSpots();
    return link;
  }

  #openLink(outer: Scopes, { accepts, next }: Outcome): Link {
    const scopes = descend(outer, NOWHERE);
    const end = this.#rowsAt(scopes, "end", this.#matchedBy(accepts));
    return {
      end: this.#table.reference(end),
      endBlocks: this.#blocks(end),
      endGuards: this.#guards(end),
      below: this.#below(scopes, next),
    };
  }

  #below(scopes: Scopes, live: StateSet): Below {
    const key = `${live}/${this.#scopesKey(scopes)}`;
    const known = this.#spots.get(key);
    if (known !== undefined) return known;
    const plan = this.#states.plan(live);
    const id = this.#newNode(NOWHERE, plan);
    const spot = { id, ...this.#restOf(scopes, plan, live), scopes, live, plan, links: [] };
    this.#spots.set(key, spot);
    if (id !== 0) this.#unwritten.push(spot);
    return spot;
  }

  /** Only recursive directories reach below what they do not name. */
  #scopesKey(scopes: Scopes): string {
    return [...scopes].map(([source, { recursive }]) =>
      `${source}:${recursive.map((cell) => this.#cellId(cell)).join()}`
    ).join(";");
  }

  /** Writes the places that were met, and those that are met meanwhile: patterns may lead back to where they were. */
  #writeSpots(): void {
    const spots: Spot[] = [];
    for (let spot = this.#unwritten.pop(); spot !== undefined; spot = this.#unwritten.pop()) {
      const { scopes, live, plan } = spot;
      const named = plan.names.map((name) => ({
        name,
        link: this.#openLink(scopes, this.#states.step(live, name)),
      }));
      const others = (plan.lexer?.outcomes ?? []).map((outcome) => ({
        link: this.#openLink(scopes, outcome),
      }));
      spot.links = [...named, ...others];
      spots.push(spot);
    }
    guardThoseAbove(spots);
    for (const { id, plan, links } of spots) {
      const steps = links.map(({ name, link }) => ({ name, step: this.#stepTo(link) }));
      for (const { name, step } of steps) {
        if (name !== undefined) this.#edges.push({ node: id & NEXT_NODE, name, ...step });
      }
      if (plan.lexer !== undefined) {
        const outcomes = steps.filter(({ name }) => name === undefined).map(({ step }) => step);
        this.#writeLexer(id, plan.lexer, outcomes);
      }
    }
  }

  #stepTo({ end, endBlocks, endGuards, below: { id, child, desc, guarded } }: Link): Step {
    return { next: nextOf(id, guarded || endGuards, endBlocks), end, child, desc };
  }

  /** What holds for names without an edge. */
  #restOf(
    scopes: Scopes,
    { others }: NamePlan,
    live: StateSet,
  ): Pick<Below, "child" | "desc" | "guarded"> {
    if (others === undefined) {
      // Only names behind the last one that the kernel compares find no outcome.
      const deep = this.#options.tooDeep(this.#options.alive(live));
      const reference = this.#table.reference(this.#rowsAt(scopes, "desc", NO_MATCH, deep));
      return { child: reference, desc: reference, guarded: false };
    }
    const child = this.#rowsAt(scopes, "child", this.#matchedBy(others.accepts));
    const desc = this.#rowsAt(scopes, "desc", this.#matchedBy(others.below));
    return {
      child: this.#table.reference(child),
      desc: this.#table.reference(desc),
      guarded: this.#guards(child) || this.#guards(desc),
    };
  }

  // ---- numbers -----------------------------------------------------------------------------------------------------------

  #newNodeId(): number {
    if (this.#lastNode === NODE_LEXER - 1) {
      throw new RangeError(
        `Cannot compile policies: more than ${NODE_LEXER - 1} directories are named`,
      );
    }
    return ++this.#lastNode;
  }

  #newLexer(names: NameStates): number {
    const place = this.#lexerEntries;
    this.#lexerEntries += lexerSize(names);
    this.#lexerStates += names.outcomes.length;
    if (this.#lexerStates > LEXER_STATES_MAX) throw new TooManyStatesError();
    return (NEXT_LEXER | NODE_LEXER + place) >>> 0;
  }

  #writeLexer(id: number, names: NameStates, outcomes: readonly Step[]): void {
    this.#lexers.push({ place: id & (NODE_LEXER - 1), names, outcomes });
  }

  // ---- rows --------------------------------------------------------------------------------------------------------------

  #matchedBy(accepts: number): Matched {
    const known = this.#matched.get(accepts) ?? this.#options.matched(accepts);
    this.#matched.set(accepts, known);
    return known;
  }

  #blocks(rows: readonly Row[]): boolean {
    return rows.some((row) => this.#table.blocks(row));
  }

  /** Whether a Block would stay behind when a directory above it is renamed: the name of a program goes with it. */
  #guards(rows: readonly Row[]): boolean {
    return rows.some((row) => {
      if (!this.#table.blocks(row)) return false;
      const known = this.#guarding.get(row) ?? this.#isGuarding(row);
      this.#guarding.set(row, known);
      return known;
    });
  }

  #isGuarding({ bits, rules }: Row): boolean {
    return unpackRow(bits).some((verdict, op) =>
      (verdict & ~VERDICT_SOURCE) === VERDICT_BLOCK && this.#options.staysBehind(rules[op]!)
    );
  }

  /** One row for every source class, 0 first; a single one when no class differs. */
  #rowsAt(scopes: Scopes, place: Place, matched: Matched, unknown?: Verdicts): Row[] {
    const general = this.#rowFor(scopes, 0, place, matched, unknown);
    const rows: Row[] = [general];
    const classes = [...scopes.keys(), ...matched.keys()];
    if (classes.every((source) => source === 0)) return rows;
    for (let source = 1; source <= this.#options.sources; source++) {
      const isNamed = scopes.has(source) || matched.has(source);
      rows.push(isNamed ? this.#rowFor(scopes, source, place, matched, unknown) : general);
    }
    return rows;
  }

  #rowFor(
    scopes: Scopes,
    source: number,
    place: Place,
    matched: Matched,
    unknown?: Verdicts,
  ): Row {
    const [own, all] = [scopes.get(source), scopes.get(0)];
    if (unknown === undefined && matched.size === 0 && isEmpty(own, place) && isEmpty(all, place)) {
      return this.#undecided ??= this.#resolve([]);
    }
    const decided = FACETS.map((_, facet) => {
      const named = source === 0 ? undefined : decidingCell(own, place, facet, matched.get(source));
      if (named !== undefined) return { cell: named, flag: VERDICT_SOURCE };
      return { cell: decidingCell(all, place, facet, matched.get(0)), flag: 0 };
    });
    const cells = decided.map(({ cell, flag }) => `${this.#cellId(cell)}/${flag}`).join();
    const key = unknown === undefined ? cells : `${cells};${unknown}`;
    const known = this.#resolved.get(key) ?? this.#resolve(decided, unknown);
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

  #resolve(decided: readonly Decided[], unknown: Verdicts = []): Row {
    const conditions = decided.reduce((bits, { cell }) => bits | (cell?.conditions ?? 0), 0);
    return this.#table.internFor(conditions, (given) => this.#sayingOf(decided, given, unknown));
  }

  #sayingOf(decided: readonly Decided[], given: number, unknown: Verdicts): Saying {
    const verdicts = [...this.#options.posture];
    const rules: number[] = Array(OP_CLASSES).fill(NO_RULE);
    decided.forEach(({ cell, flag }, facet) => {
      if (cell === undefined) return;
      const saying = cell.sayings[given]!;
      for (const op of FACETS[facet]!) {
        verdicts[op] = saying.verdicts[op]! | flag;
        rules[op] = saying.rules[op]!;
      }
    });
    unknown.forEach((verdict, op) => {
      if (verdict === undefined) return;
      verdicts[op] = verdict;
      rules[op] = NO_RULE;
    });
    return { verdicts, rules };
  }
}

/** Entries of a lexer in the image. */
export function lexerSize({ moves, outcomes }: NameStates): number {
  return LEXER_HEAD + Math.ceil(moves.length / MOVES_PER_ENTRY) +
    Math.ceil(outcomes.length / OUTCOMES_PER_ENTRY);
}

function namesOf(node: Node, { names }: NamePlan): string[] {
  return [...new Set([...node.children.keys(), ...names])].sort(compareText);
}

function nextOf(id: number, guarded: boolean, endBlocks: boolean): number {
  const flags = (guarded ? NEXT_GUARD : 0) | (endBlocks ? NEXT_GUARD_END : 0);
  return (id | flags) >>> 0;
}

/** What leads to a guarded place is guarded, too. */
function guardThoseAbove(spots: readonly Spot[]): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const spot of spots.toReversed()) {
      if (spot.guarded) continue;
      spot.guarded = spot.links.some(({ link }) => link.endGuards || link.below.guarded);
      changed ||= spot.guarded;
    }
  }
}
