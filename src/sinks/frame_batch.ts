/** Records on their way to subscribers, encoded one behind the other into one buffer. */
import type { JsonRecord } from "../alerts/json_record.ts";
import { writeNumber } from "../alerts/json_record.ts";
import type { RecordFacets } from "../alerts/pipeline.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Records with consecutive numbers as their bytes on the wire, in one piece. It may be shared: nobody writes to it again.
 * One object for many records, as an object for each would cost as much as its bytes do.
 */
export class Frames {
  readonly firstSeq: number;
  readonly bytes: Bytes;
  /** Where each record begins. */
  readonly #starts: readonly number[];
  readonly #facets: readonly RecordFacets[];

  constructor(
    firstSeq: number,
    bytes: Bytes,
    starts: readonly number[],
    facets: readonly RecordFacets[],
  ) {
    this.firstSeq = firstSeq;
    this.bytes = bytes;
    this.#starts = starts;
    this.#facets = facets;
  }

  get count(): number {
    return this.#starts.length;
  }

  /** Bytes of the record at `index`, from 0. */
  sizeOf(index: number): number {
    return this.#end(index) - this.#starts[index]!;
  }

  /** The records from `index` on. */
  from(index: number): Selection {
    return { bytes: this.bytes.subarray(this.#starts[index]), count: this.count - index };
  }

  /** Those records from `index` on that are wanted. */
  select(wants: (facets: RecordFacets) => boolean, index = 0): Selection {
    const wanted: number[] = [];
    for (let i = index; i < this.count; i++) if (wants(this.#facets[i]!)) wanted.push(i);
    if (wanted.length === this.count - index) return this.from(index);
    const bytes = new Uint8Array(wanted.reduce((sum, i) => sum + this.sizeOf(i), 0));
    let at = 0;
    for (const i of wanted) {
      bytes.set(this.bytes.subarray(this.#starts[i], this.#end(i)), at);
      at += this.sizeOf(i);
    }
    return { bytes, count: wanted.length };
  }

  #end(index: number): number {
    return this.#starts[index + 1] ?? this.bytes.length;
  }
}

/** Some records' bytes in one piece, and how many they are. */
export interface Selection {
  readonly bytes: Bytes;
  readonly count: number;
}

const encoder = new TextEncoder();
const ID = encoder.encode("id: ");
const END = encoder.encode("\n\n");
/** Beside the record: `id: `, number, life, `data: ` and the empty line. */
const FRAME_BYTES_MAX = 64;

/** One buffer for many records, because an `encode` per record costs ten times a write into what is there. */
export class FrameBatch {
  readonly #capacity: number;
  readonly #data: Bytes;
  #buffer: Bytes;
  #firstSeq = 0;
  #starts: number[] = [];
  #facets: RecordFacets[] = [];
  #used = 0;

  /** `life` stands behind each number. */
  constructor(capacityBytes: number, life: string) {
    this.#capacity = capacityBytes;
    this.#buffer = new Uint8Array(capacityBytes);
    this.#data = encoder.encode(`-${life}\ndata: `);
  }

  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  get firstSeq(): number | undefined {
    return this.isEmpty ? undefined : this.#firstSeq;
  }

  /** Whether `add` has room for the record. Otherwise take what is there first. */
  fits(record: JsonRecord): boolean {
    return this.isEmpty || this.#used + record.bytesMax + FRAME_BYTES_MAX <= this.#buffer.length;
  }

  /** `seq`: one more than the one before. A record that is larger than the whole batch gets a buffer of its own. */
  add(seq: number, record: JsonRecord, facets: RecordFacets): void {
    if (this.isEmpty) this.#begin(seq, record.bytesMax + FRAME_BYTES_MAX);
    const buffer = this.#buffer;
    this.#starts.push(this.#used);
    this.#facets.push(facets);
    buffer.set(ID, this.#used);
    let at = writeNumber(buffer, this.#used + ID.length, seq);
    buffer.set(this.#data, at);
    at = record.writeTo(buffer, at + this.#data.length);
    buffer.set(END, at);
    this.#used = at + END.length;
  }

  /** What was added, as bytes of their own, and begins anew. */
  take(): Frames {
    const bytes = this.#buffer.slice(0, this.#used);
    const frames = new Frames(this.#firstSeq, bytes, this.#starts, this.#facets);
    this.#starts = [];
    this.#facets = [];
    this.#used = 0;
    return frames;
  }

  #begin(seq: number, bytesMax: number): void {
    this.#firstSeq = seq;
    const capacity = Math.max(this.#capacity, bytesMax);
    if (this.#buffer.length !== capacity) this.#buffer = new Uint8Array(capacity);
  }
}
