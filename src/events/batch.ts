/** A batch of a ring, walked in place: a view or a copy per record would cost more than what is read from it. */
import { Buffer } from "node:buffer";
import { RECORD_PREFIX_BYTES } from "../../ffi/ring.ts";

/** Bytes that a ring pads records to. */
const ALIGNMENT = 8;

/** Memory in which records lie, as whatever is quickest for what is read. */
export interface Memory {
  readonly view: DataView<ArrayBuffer>;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
}

/** Where a record lies: of the memory `length` bytes from `start` on, a multiple of 8. */
export interface RecordView extends Memory {
  readonly start: number;
  readonly length: number;
}

/** Stands on one record after the other; at first before the first. Also the view of the record that it stands on. */
export class RecordCursor implements RecordView {
  readonly view: DataView<ArrayBuffer>;
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly #end: number;
  #next = 0;
  start = 0;
  length = 0;
  /** Index of the record's first word in `words`. */
  word = 0;

  /** `batch`: every record behind its length (u32) and 4 bytes of 0, padded to 8; its start aligned to 8. */
  constructor({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.words = new Uint32Array(buffer, byteOffset, byteLength >> 2);
    this.#end = byteLength;
  }

  /** Steps onto the next record; false at the end. */
  next(): boolean {
    const prefix = this.#next;
    if (prefix >= this.#end) return false;
    this.length = this.words[prefix >> 2]!;
    this.start = prefix + RECORD_PREFIX_BYTES;
    this.word = this.start >> 2;
    this.#next = this.start + Math.ceil(this.length / ALIGNMENT) * ALIGNMENT;
    return true;
  }
}
