import {
  CIRCUMSTANCES,
  OP_CLASSES,
  ROW_BY_SOURCE,
  ROW_CIRCUMSTANCES,
  ROW_INDEX,
  VERDICT_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";

/** One verdict for each op class, and who decided it. */
export interface Row {
  /** Verdict of class c in bits 4c .. 4c+3. */
  readonly bits: bigint;
  /** For each op class the index of the rule that decided, or NO_RULE. */
  readonly rules: readonly number[];
  /** Circumstances that matter; `variants` has what holds where some of these are given, by their number. */
  readonly conditions: number;
  readonly variants: readonly (Row | undefined)[];
}

export const NO_RULE = -1;

const CONDITION_BITS = BigInt(CIRCUMSTANCES) << BigInt(ROW_CIRCUMSTANCES);
const VERDICT_BITS = ~CONDITION_BITS & 0xffff_ffff_ffff_ffffn;

/** The bits of a row with these verdicts, one for each op class. */
export function packRow(verdicts: readonly number[]): bigint {
  const half = (from: number) =>
    BigInt(
      verdicts.slice(from, from + 8).reduce((bits, verdict, op) => bits | verdict << 4 * op, 0) >>>
        0,
    );
  return half(8) << 32n | half(0);
}

/** Verdict of every op class, VERDICT_SOURCE included. */
export function unpackRow(bits: bigint): number[] {
  const verdicts = bits & VERDICT_BITS;
  const halves = [Number(verdicts & 0xffff_ffffn), Number(verdicts >> 32n)];
  return Array.from({ length: OP_CLASSES }, (_, op) => halves[op >> 3]! >>> 4 * (op & 7) & 15);
}

/** Verdict of one op class, VERDICT_SOURCE included. */
export function verdictIn(bits: bigint, op: number): number {
  return Number(((bits & VERDICT_BITS) >> BigInt(4 * op)) & 15n);
}

/** The circumstances that matter to a row. */
export function conditionsIn(bits: bigint): number {
  return Number((bits & CONDITION_BITS) >> BigInt(ROW_CIRCUMSTANCES));
}

/** True when some class's verdict, without its source flag, is one of these. */
export function hasVerdict(bits: bigint, ...wanted: number[]): boolean {
  return unpackRow(bits).some((verdict) => wanted.includes(verdict & ~VERDICT_SOURCE));
}

/**
 * The image's rows, equal ones stored once. Rows with the same verdicts and other rules behind them stay apart, since
 * an alert must name the rule. Row 0 has no verdict at all.
 */
export class RowTable {
  readonly #rows: Row[] = [];
  readonly #byContent = new Map<string, Row>();
  readonly #single = new Map<Row, number>();
  readonly #groups = new Map<string, number>();
  readonly #numbers = new Map<Row, number>();
  readonly #blocking = new Set<Row>();

  readonly #sources: number;
  readonly #rowsMax: number;

  /** `sources`: source classes beside 0. `rowsMax`: what an index can name; smaller in tests only. */
  constructor(sources = 0, rowsMax = ROW_INDEX) {
    this.#sources = sources;
    this.#rowsMax = rowsMax;
    this.reference([this.intern(Array(OP_CLASSES).fill(0), Array(OP_CLASSES).fill(NO_RULE))]);
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  /**
   * The one row with this content; no place in the image yet.
   *
   * @param conditions circumstances that matter
   * @param sayingOf what it says where these circumstances are given
   */
  internFor(
    conditions: number,
    sayingOf: (given: number) => Pick<Row, "rules"> & { readonly verdicts: readonly number[] },
  ): Row {
    const variants = Array.from({ length: conditions + 1 }, (_, given) => {
      if (given === 0 || (given & ~conditions) !== 0) return undefined;
      const { verdicts, rules } = sayingOf(given);
      return this.intern(verdicts, rules);
    });
    const { verdicts, rules } = sayingOf(0);
    return this.intern(verdicts, rules, conditions, variants);
  }

  /** The same of a row to which no circumstances matter, or whose variants are interned. */
  intern(
    verdicts: readonly number[],
    rules: readonly number[],
    conditions = 0,
    variants: Row["variants"] = [],
  ): Row {
    const others = variants.map((row) => row && this.#numbers.get(row));
    const key = `${verdicts.join()}:${rules.join()}:${conditions}:${others.join()}`;
    const known = this.#byContent.get(key);
    if (known !== undefined) return known;
    const bits = packRow(verdicts) | BigInt(conditions) << BigInt(ROW_CIRCUMSTANCES);
    const row = { bits, rules, conditions, variants };
    this.#byContent.set(key, row);
    this.#numbers.set(row, this.#numbers.size);
    if (hasVerdict(row.bits, VERDICT_BLOCK)) this.#blocking.add(row);
    return row;
  }

  /** True when the row says VERDICT_BLOCK for any class. */
  blocks(row: Row): boolean {
    return this.#blocking.has(row);
  }

  /**
   * What an edge stores for these rows, one for each source class from 0 on: an index, with ROW_BY_SOURCE when they
   * differ.
   * @throws {RangeError} when the image has more rows than an index can name.
   */
  reference(bySource: readonly Row[]): number {
    const [first] = bySource;
    if (first === undefined) throw new RangeError("Cannot place rows: there are none");
    const isSingle = bySource.every((row) => row === first);
    const conditions = bySource.reduce((bits, row) => bits | row.conditions, 0);
    const rows = conditions === 0 ? bySource : this.#withVariants(bySource, conditions);
    if (isSingle) return this.#place(this.#single, first, rows === bySource ? [first] : rows);
    const key = bySource.map((row) => this.#numbers.get(row)).join();
    return (this.#place(this.#groups, key, rows) | ROW_BY_SOURCE) >>> 0;
  }

  /** All rows for each number of circumstances, one behind the other. */
  #withVariants(bySource: readonly Row[], conditions: number): Row[] {
    const all = Array.from({ length: this.#sources + 1 }, (_, at) => bySource[at] ?? bySource[0]!);
    return Array.from(
      { length: conditions + 1 },
      (_, given) => all.map((row) => variantOf(row, given)),
    ).flat();
  }

  #place<K>(places: Map<K, number>, key: K, rows: readonly Row[]): number {
    const known = places.get(key);
    if (known !== undefined) return known;
    const index = this.#rows.length;
    if (index + rows.length > this.#rowsMax) {
      throw new RangeError(
        `Cannot compile policies: more than ${this.#rowsMax} verdict rows are needed: ` +
          "name fewer executables in fromSource, or fewer paths",
      );
    }
    for (const row of rows) this.#rows.push(row);
    places.set(key, index);
    return index;
  }
}

/** What a row says where these circumstances are given. */
function variantOf(row: Row, circumstances: number): Row {
  const given = circumstances & row.conditions;
  return given === 0 ? row : row.variants[given]!;
}
