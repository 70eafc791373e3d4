import {
  OP_CLASSES,
  ROW_BY_SOURCE,
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
}

export const NO_RULE = -1;

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
  const halves = [Number(bits & 0xffff_ffffn), Number(bits >> 32n)];
  return Array.from({ length: OP_CLASSES }, (_, op) => halves[op >> 3]! >>> 4 * (op & 7) & 15);
}

/** Verdict of one op class, VERDICT_SOURCE included. */
export function verdictIn(bits: bigint, op: number): number {
  return Number((bits >> BigInt(4 * op)) & 15n);
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

  readonly #rowsMax: number;

  /** `rowsMax`: what an index can name; smaller in tests only. */
  constructor(rowsMax = ROW_INDEX) {
    this.#rowsMax = rowsMax;
    this.reference([this.intern(Array(OP_CLASSES).fill(0), Array(OP_CLASSES).fill(NO_RULE))]);
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** The one row with this content; no place in the image yet. */
  intern(verdicts: readonly number[], rules: readonly number[]): Row {
    const key = `${verdicts.join()}:${rules.join()}`;
    const known = this.#byContent.get(key);
    if (known !== undefined) return known;
    const row = { bits: packRow(verdicts), rules };
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
    if (bySource.every((row) => row === first)) return this.#place(this.#single, first, [first]);
    const key = bySource.map((row) => this.#numbers.get(row)).join();
    return (this.#place(this.#groups, key, bySource) | ROW_BY_SOURCE) >>> 0;
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
