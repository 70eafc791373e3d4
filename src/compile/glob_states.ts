/**
 * All patterns of one image as one automaton over the bytes of a path, made deterministic name by name. Sets of its states are
 * numbered; the same set has the same number, so that what two names lead to can be compared.
 */
import type { Glob, GlobPart } from "../model/glob.ts";

/** Numbers a set of states between two bytes of a path. */
export type StateSet = number;

/** Where no pattern is left. */
export const NO_STATES: StateSet = 0;

/** What a name leads to: the patterns that match a path which ends with it, and the states behind its slash. */
export interface Outcome {
  /** A number of `accepted()`. */
  readonly accepts: number;
  readonly next: StateSet;
}

/** A deterministic automaton for the names at one place. */
export interface NameStates {
  /** Class of each byte, 256 of them. */
  readonly classes: Uint8Array;
  readonly classCount: number;
  readonly start: number;
  /** States below this one are never left. */
  readonly sinks: number;
  /** Next state, at state * classCount + class. */
  readonly moves: Uint16Array<ArrayBuffer>;
  /** For each state. */
  readonly outcomes: readonly Outcome[];
  /** Whether some name ends in the start's. */
  readonly returns: boolean;
}

/** How the names at one place are told apart. */
export interface NamePlan {
  /** Names that lead elsewhere than others, where these are few. */
  readonly names: readonly string[];
  /** What all other names lead to, where that is one thing, and nothing further down tells names apart either. */
  readonly others?: { readonly accepts: number; readonly below: number };
  /** Where they do not. */
  readonly lexer?: NameStates;
}

/** States of all automata of one image: what they may take of memory (some hundred kilobytes) and of time. */
export const STATES_MAX = 4_096;

/** States of all lexers: one automaton stands in the image once for each set of recursive directories around it. */
export const LEXER_STATES_MAX = 4 * STATES_MAX;

/**
 * How many states of the automaton before it is deterministic are followed by a byte, all in all: about a second. A few
 * deterministic ones may stand for hundreds each.
 */
export const STATES_FOLLOWED_MAX = 1 << 24;

/** Patterns that need more. */
export class TooManyStatesError extends Error {
  override name = "TooManyStatesError";
}

/** Names that are worth an edge each. */
const NAMES_MAX = 64;
/** Bytes tried to find them. */
const NAME_STEPS_MAX = 2_048;

const SLASH = 0x2f;
const NO_ACCEPTS = 0;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** One state of the automaton before it is deterministic. */
interface State {
  /** To be followed without a byte. */
  readonly free: number[];
  /** Bytes that lead to `to`. */
  bytes?: ReadonlySet<number>;
  to?: number;
  /** The pattern that ends here. */
  accepts?: number;
}

export class GlobStates {
  readonly #states: State[] = [];
  /** For each state, the pattern that it belongs to. */
  readonly #patterns: number[] = [];
  /** What #reachedFreely() found. */
  readonly #freely: (readonly number[])[] = [];
  /** For each state, the number of the set that it was last put into. */
  #marks: Uint32Array | undefined;
  #lastMark = 0;
  readonly #classOf: Uint8Array;
  readonly #classCount: number;
  readonly #sets = new Numbered<Uint32Array>();
  readonly #accepts = new Numbered<readonly number[]>();
  readonly #moves = new Map<number, StateSet>();
  readonly #plans = new Map<StateSet, NamePlan>();
  /** Whose plans are being made: names below such a place are told apart at the place itself. */
  readonly #open = new Set<StateSet>();
  readonly #statesMax: number;
  #statesUsed = 0;
  #statesFollowed = 0;

  /** Before the first name of a path. */
  readonly start: StateSet;

  /** `accepted()` counts patterns from 0 as they are given here. */
  constructor(globs: readonly Glob[], statesMax = STATES_MAX) {
    this.#statesMax = statesMax;
    this.#sets.of(new Uint32Array());
    this.#accepts.of([]);
    const starts = globs.map((glob, index) => {
      const end = this.#add({ free: [], accepts: index });
      const start = this.#addGlob(glob, end);
      while (this.#patterns.length < this.#states.length) this.#patterns.push(index);
      return start;
    });
    ({ classOf: this.#classOf, count: this.#classCount } = byteClasses(
      this.#states.flatMap(({ bytes }) => bytes ?? []),
    ));
    this.start = this.#after(this.#sets.of(this.#closure(starts)), SLASH);
  }

  /** What compiling has taken until now, of STATES_FOLLOWED_MAX. */
  get statesFollowed(): number {
    return this.#statesFollowed;
  }

  /** The patterns behind a number of `accepts`, ascending. */
  accepted(accepts: number): readonly number[] {
    return this.#accepts.at(accepts);
  }

  /** The patterns that may match something further down. */
  alive(set: StateSet): readonly number[] {
    return [...new Set(Array.from(this.#sets.at(set), (state) => this.#patterns[state]!))];
  }

  step(set: StateSet, name: string): Outcome {
    let at = set;
    for (const byte of encoder.encode(name)) at = this.#after(at, byte);
    return this.#outcome(at);
  }

  /** @throws {TooManyStatesError} */
  plan(set: StateSet): NamePlan {
    const known = this.#plans.get(set);
    if (known !== undefined) return known;
    this.#open.add(set);
    const found = this.#findPlan(set);
    this.#open.delete(set);
    this.#plans.set(set, found);
    return found;
  }

  /**
   * Makes the plans of all places that any path leads to.
   * @throws {TooManyStatesError}
   */
  planAll(): void {
    const sets = new Set([this.start]);
    for (const set of sets) {
      const { names, lexer } = this.plan(set);
      const outcomes = lexer?.outcomes ?? names.map((name) => this.step(set, name));
      for (const { next } of outcomes) sets.add(next);
    }
  }

  /** Whether some pattern matches all that lies directly in the directory, or, if `deep`, all that lies below it. */
  coverAll(directory: string, deep: boolean): boolean {
    let set = this.start;
    for (const name of directory.split("/").filter((part) => part !== "")) {
      set = this.step(set, name).next;
    }
    const { names, others } = this.plan(set);
    if (names.length > 0 || others === undefined || others.accepts === NO_ACCEPTS) return false;
    return !deep || others.below !== NO_ACCEPTS;
  }

  // ---- the automaton ---------------------------------------------------------------------------------------------------

  #add(state: State): number {
    this.#states.push(state);
    return this.#states.length - 1;
  }

  /** @returns the state that begins it; it ends at `end` */
  #addGlob(glob: Glob, end: number): number {
    return glob.reduceRight((next, part) => this.#addPart(part, next), end);
  }

  #addPart(part: GlobPart, next: number): number {
    switch (part.kind) {
      case "byte":
        return this.#add({ free: [], bytes: ONE_BYTE[part.byte]!, to: next });
      case "set":
        return this.#add({ free: [], bytes: part.bytes, to: next });
      case "star":
        return this.#addLoop(NAME_BYTES, next);
      case "globstar":
        return this.#addLoop(ALL_BYTES, next);
      case "choice":
        return this.#add({ free: part.branches.map((branch) => this.#addGlob(branch, next)) });
    }
  }

  #addLoop(bytes: ReadonlySet<number>, next: number): number {
    const loop = this.#add({ free: [next], bytes });
    this.#states[loop]!.to = loop;
    return loop;
  }

  /** With all that is reached without a byte; only states that something can happen in. Ascending. */
  #closure(states: Iterable<number>): Uint32Array {
    const reached: number[] = [];
    this.#marks ??= new Uint32Array(this.#states.length);
    const mark = ++this.#lastMark;
    for (const state of states) {
      for (const next of this.#reachedFreely(state)) {
        if (this.#marks[next] === mark) continue;
        this.#marks[next] = mark;
        reached.push(next);
      }
    }
    return Uint32Array.from(reached).sort();
  }

  #reachedFreely(state: number): readonly number[] {
    const known = this.#freely[state];
    if (known !== undefined) return known;
    const reached = new Set([state]);
    for (const next of reached) {
      for (const free of this.#states[next]!.free) reached.add(free);
    }
    return this.#freely[state] = [...reached].filter((next) => {
      const { bytes, accepts } = this.#states[next]!;
      return bytes !== undefined || accepts !== undefined;
    });
  }

  #movedBy(set: StateSet, byte: number): number[] {
    const moved: number[] = [];
    for (const state of this.#sets.at(set)) {
      const { bytes, to } = this.#states[state]!;
      if (bytes?.has(byte)) moved.push(to!);
    }
    return moved;
  }

  #after(set: StateSet, byte: number): StateSet {
    if (set === NO_STATES) return NO_STATES;
    const key = set * this.#classCount + this.#classOf[byte]!;
    const known = this.#moves.get(key);
    if (known !== undefined) return known;
    this.#statesFollowed += this.#sets.at(set).length;
    if (this.#statesFollowed > STATES_FOLLOWED_MAX) throw new TooManyStatesError();
    const after = this.#sets.of(this.#closure(this.#movedBy(set, byte)));
    this.#moves.set(key, after);
    return after;
  }

  #outcome(set: StateSet): Outcome {
    const accepts = [...this.#sets.at(set)].flatMap((state) => this.#states[state]!.accepts ?? []);
    return {
      accepts: this.#accepts.of(accepts.sort((a, b) => a - b)),
      next: this.#after(set, SLASH),
    };
  }

  // ---- names -----------------------------------------------------------------------------------------------------------

  #findPlan(set: StateSet): NamePlan {
    if (set === NO_STATES) return NO_PLAN;
    const lexer = this.#nameStates(set);
    const outcomes = lexer.outcomes.filter((_, state) => lexer.returns || state !== lexer.start);
    const [first] = outcomes;
    if (outcomes.every((outcome) => isSame(outcome, first!))) {
      const others = this.#foldOthers(first!, set);
      if (others !== undefined) return { names: [], others };
    }
    return this.#namedPlan(lexer) ?? { names: [], lexer };
  }

  /** What a name leads to and all that is below it, where that is one thing. */
  #foldOthers({ accepts, next }: Outcome, from?: StateSet): NamePlan["others"] {
    if (next === from) return { accepts, below: accepts };
    if (this.#open.has(next)) return undefined;
    const { names, others } = this.plan(next);
    if (names.length > 0 || others === undefined || others.accepts !== others.below) {
      return undefined;
    }
    return { accepts, below: others.below };
  }

  /** A plan with an edge for each name that differs from the rest; undefined: there are too many. */
  #namedPlan(lexer: NameStates): NamePlan | undefined {
    for (let rest = 0; rest < lexer.sinks; rest++) {
      const others = this.#foldOthers(lexer.outcomes[rest]!);
      const names = others && namesBeside(lexer, rest);
      if (others !== undefined && names !== undefined) return { names, others };
    }
    return undefined;
  }

  /** @throws {TooManyStatesError} */
  #nameStates(set: StateSet): NameStates {
    const sets: StateSet[] = [set];
    const numbers = new Map([[set, 0]]);
    const moves: number[][] = [];
    const bytes = this.#oneByteOfEachClass();
    for (let state = 0; state < sets.length; state++) {
      moves.push(bytes.map((byte) => {
        const next = this.#after(sets[state]!, byte);
        const number = numbers.get(next) ?? sets.push(next) - 1;
        numbers.set(next, number);
        return number;
      }));
      if (this.#statesUsed + sets.length > this.#statesMax) throw new TooManyStatesError();
    }
    this.#statesUsed += sets.length;
    return this.#numbered(sets, moves);
  }

  /** Sinks first, with the start where it comes to lie; equal columns are one class. */
  #numbered(sets: readonly StateSet[], moves: readonly (readonly number[])[]): NameStates {
    const isSink = moves.map((row, state) => row.every((next) => next === state));
    const order = [...sets.keys()].sort((a, b) => Number(isSink[b]) - Number(isSink[a]) || a - b);
    const place = new Map(order.map((state, index) => [state, index]));
    const columns = new Map<string, number>();
    const column = moves[0]!.map((_, byteClass) => {
      const key = moves.map((row) => row[byteClass]).join();
      return columns.get(key) ?? columns.set(key, columns.size).size - 1;
    });
    const classCount = columns.size;
    const table = new Uint16Array(sets.length * classCount);
    order.forEach((state, index) =>
      moves[state]!.forEach((next, byteClass) => {
        table[index * classCount + column[byteClass]!] = place.get(next)!;
      })
    );
    const nameClasses = this.#nameClasses();
    const returns = moves.some((row) => row.includes(0));
    return {
      // What no name has belongs to any class.
      classes: Uint8Array.from(this.#classOf, (one) => column[nameClasses.indexOf(one)] ?? 0),
      classCount,
      start: place.get(0)!,
      sinks: isSink.filter((sink) => sink).length,
      moves: table,
      outcomes: order.map((state) =>
        state === 0 && !returns ? NO_OUTCOME : this.#outcome(sets[state]!)
      ),
      returns,
    };
  }

  /** Classes of bytes that names have. */
  #nameClasses(): number[] {
    const classes = new Set<number>();
    for (const byte of NAME_BYTES) classes.add(this.#classOf[byte]!);
    return [...classes];
  }

  #oneByteOfEachClass(): number[] {
    return this.#nameClasses().map((one) =>
      this.#classOf.findIndex((other, byte) => other === one && NAME_BYTES.has(byte))
    );
  }
}

const ONE_BYTE: readonly ReadonlySet<number>[] = Array.from(
  { length: 256 },
  (_, byte) => new Set([byte]),
);
const ALL_BYTES: ReadonlySet<number> = new Set(Array.from({ length: 255 }, (_, i) => i + 1));
const NAME_BYTES: ReadonlySet<number> = new Set([...ALL_BYTES].filter((byte) => byte !== SLASH));

const NO_OUTCOME: Outcome = { accepts: NO_ACCEPTS, next: NO_STATES };
const NO_PLAN: NamePlan = { names: [], others: { accepts: NO_ACCEPTS, below: NO_ACCEPTS } };

function isSame(a: Outcome, b: Outcome): boolean {
  return a.accepts === b.accepts && a.next === b.next;
}

/** Bytes that no set of a glob tells apart are one class. */
function byteClasses(sets: readonly ReadonlySet<number>[]) {
  const classOf = new Uint8Array(256);
  let count = 1;
  for (const set of new Set([NAME_BYTES, ...sets])) {
    // Each class in two: its bytes in the set and those that are not.
    const split = new Map<number, number>();
    const previous = classOf.slice();
    for (let byte = 0; byte < 256; byte++) {
      const key = previous[byte]! * 2 + Number(set.has(byte));
      if (!split.has(key)) split.set(key, split.size);
      classOf[byte] = split.get(key)!;
    }
    count = split.size;
  }
  return { classOf, count };
}

/** Every name that does not end in state `rest`, where they are few and readable text; undefined: they are not. */
function namesBeside(lexer: NameStates, rest: number): string[] | undefined {
  const { classes, classCount, moves, outcomes, start } = lexer;
  const names: string[] = [];
  let steps = 0;
  const visit = (state: number, bytes: readonly number[]): boolean => {
    if (bytes.length > 0 && !isSame(outcomes[state]!, outcomes[rest]!)) {
      const name = readable(bytes);
      if (name === undefined || names.push(name) > NAMES_MAX) return false;
    }
    // A loop, or a name that is longer than any.
    if (bytes.length >= 255 && state !== rest) return false;
    for (const byte of NAME_BYTES) {
      const next = moves[state * classCount + classes[byte]!]!;
      if (next === rest) continue;
      if (++steps > NAME_STEPS_MAX || !visit(next, [...bytes, byte])) return false;
    }
    return true;
  };
  return visit(start, []) ? names : undefined;
}

function readable(bytes: readonly number[]): string | undefined {
  try {
    return decoder.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** Numbers lists by their content, from 0. */
class Numbered<List extends ArrayLike<number>> {
  readonly #lists: List[] = [];
  /** By a hash of the content. */
  readonly #numbers = new Map<number, number[]>();

  of(list: List): number {
    let hash = list.length;
    for (let i = 0; i < list.length; i++) hash = Math.imul(hash ^ list[i]!, 0x9e3779b1);
    const alike = this.#numbers.get(hash) ?? [];
    const known = alike.find((number) => isEqual(this.#lists[number]!, list));
    if (known !== undefined) return known;
    const number = this.#lists.push(list) - 1;
    this.#numbers.set(hash, [...alike, number]);
    return number;
  }

  at(number: number): List {
    return this.#lists[number]!;
  }
}

function isEqual(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
