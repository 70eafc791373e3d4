/** Rings, read in batches: one call of the shim waits, lets records gather, and copies all that fit. */

import { BpfError, checked } from "./errors.ts";
import { Handle } from "./handle.ts";
import type { Shim } from "./load.ts";
import type { BpfMap } from "./map.ts";

/**
 * Bytes of one batch; two are in turn, so that the ring is drained into one while the other is decoded. At a million
 * records of 256 bytes a second this is 4 ms.
 */
const BATCH_BYTES = 1 << 20;

/** How long records may gather after the first: it saves a third of the CPU time at a million records a second. */
const COALESCE_US = 500;

/** A record's length, and 4 bytes of 0. */
export const RECORD_PREFIX_BYTES = 8;

export interface RingOptions {
  readonly batchBytes?: number;
  /** How long records may gather that come after a rest. */
  readonly coalesceUs?: number;
  /** The same, if it is longer, for records that follow others within that time; asked before each read. Default 0. */
  readonly flowUs?: () => number;
}

/** Records in the order of the ring. Valid until the next batch is asked for: then its memory is written again. */
export interface Batch {
  /** Every record behind its length (u32) and 4 bytes of 0, padded to a multiple of 8. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** Views of the records. Copy what has to last. */
  records(): Generator<DataView<ArrayBuffer>>;
}

/** A call of the shim that fills `buffer`. */
interface Read {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly length: Promise<number>;
}

/** Reads one ring. At most one `for await` at a time; the ring may have no other reader. */
export class RingReader extends Handle implements AsyncIterable<Batch>, AsyncDisposable {
  readonly #buffers: readonly Uint8Array<ArrayBuffer>[];
  readonly #coalesceUs: number;
  readonly #flowUs: () => number;
  /** Under way, or done and not handed over yet. */
  #read: Read | undefined;
  #closing: Promise<void> | undefined;

  private constructor(shim: Shim, handle: number, what: string, options: RingOptions) {
    super(shim, handle, what);
    const { batchBytes = BATCH_BYTES, coalesceUs = COALESCE_US, flowUs = () => 0 } = options;
    this.#buffers = [new Uint8Array(batchBytes), new Uint8Array(batchBytes)];
    this.#coalesceUs = coalesceUs;
    this.#flowUs = flowUs;
  }

  /** Maps the ring's pages; the map may be closed afterwards. @throws {BpfError} EINVAL: not a ring */
  static open(shim: Shim, map: BpfMap, options: RingOptions = {}): RingReader {
    const handle = shim.symbols.ankylo_ring_open(map.fd("Open ring"));
    checked(handle, "Open ring", map.what);
    return new RingReader(shim, handle, `ring of ${map.what}`, options);
  }

  /**
   * Batches, for ever; ends when the reader is closed, behind what had been read by then.
   *
   * The next read is under way while a batch is being used.
   * @throws {BpfError} ENOBUFS: a record exceeds `batchBytes`
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
    // What has left the ring is handed over, also when the reader is closed meanwhile.
    while (this.#closing === undefined || this.#read !== undefined) {
      const { buffer, length: promise } = this.#read ??= this.#begin(this.#buffers[0]!);
      const length = await promise;
      this.#read = undefined;
      if (length < 0) throw new BpfError("Read", this.what, length);
      // Nothing without a time-out or a wake-up: someone hurries.
      if (length === 0) continue;
      if (this.#closing === undefined) {
        this.#read = this.#begin(this.#buffers.find((other) => other !== buffer)!);
      }
      yield batchOf(buffer.subarray(0, length));
    }
  }

  /** Takes batches until the reader is closed. @throws {BpfError} as the iteration */
  async forEach(take: (batch: Batch) => void): Promise<void> {
    for await (const batch of this) take(batch);
  }

  /** Ends the iteration, waits for the read that is under way, and frees the ring. Idempotent. */
  override close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends a gathering that is under way: what there is comes at once. */
  hurry(): void {
    checked(this.shim.symbols.ankylo_ring_wake(this.number("Hurry")), "Wake", this.what);
  }

  protected override release(handle: number): void {
    checked(this.shim.symbols.ankylo_ring_close(handle), "Close", this.what);
  }

  #begin(buffer: Uint8Array<ArrayBuffer>): Read {
    const handle = this.number("Read");
    const { symbols: { ankylo_ring_read: read } } = this.shim;
    const length = read(handle, buffer, buffer.length, -1, this.#coalesceUs, this.#flowUs());
    return { buffer, length };
  }

  async #end(): Promise<void> {
    checked(this.shim.symbols.ankylo_ring_wake(this.number("Close")), "Wake", this.what);
    await this.#read?.length;
    super.close();
  }
}

function batchOf(buffer: Uint8Array<ArrayBuffer>): Batch {
  return { buffer, records: () => recordsIn(buffer) };
}

function* recordsIn(batch: Uint8Array<ArrayBuffer>): Generator<DataView<ArrayBuffer>> {
  const { buffer, byteOffset, byteLength } = batch;
  const lengths = new DataView(buffer, byteOffset, byteLength);
  for (let offset = 0; offset < byteLength;) {
    const length = lengths.getUint32(offset, true);
    yield new DataView(buffer, byteOffset + offset + RECORD_PREFIX_BYTES, length);
    offset += RECORD_PREFIX_BYTES + Math.ceil(length / 8) * 8;
  }
}
