/** A batch of a ring, walked in place: a view or a copy per record would cost more than what is read from it. */
import { Buffer } from "node:buffer";
import { RECORD_PREFIX_BYTES } from "../../ffi/ring.ts";

/** Bytes that a ring pads records to. */
const ALIGNMENT = 8;

/** Stands on one record after the other; at first before the first. */
export class RecordCursor {
  readonly words: Uint32Array;
  readonly #batch: Uint8Array<ArrayBuffer>;
  #next = 0;
  /** Bytes of the record. */
  length = 0;
  /** Index of the record's first word in `words`. */
  word = 0;

  /** `batch`: every record behind its length (u32) and 4 bytes of 0, padded to 8; its start aligned to 8. */
  constructor(batch: Uint8Array<ArrayBuffer>) {
    this.#batch = batch;
    this.words = new Uint32Array(batch.buffer, batch.byteOffset, batch.byteLength >> 2);
  }

  /** Steps onto the next record; false at the end. */
  next(): boolean {
    const start = this.#next;
    if (start >= this.#batch.byteLength) return false;
    this.length = this.words[start >> 2]!;
    this.word = (start + RECORD_PREFIX_BYTES) >> 2;
    this.#next = start + RECORD_PREFIX_BYTES + Math.ceil(this.length / ALIGNMENT) * ALIGNMENT;
    return true;
  }

  /** The record's bytes, in the batch's memory. */
  bytes(): Buffer {
    const { buffer, byteOffset } = this.#batch;
    return Buffer.from(buffer, byteOffset + (this.word << 2), this.length);
  }
}
