/** Records on their way to subscribers, encoded one behind the other into one buffer. */
import type { RecordFacets } from "../alerts/pipeline.ts";

/** A record as its bytes on the wire. They may be shared: nobody writes to them again. */
export interface Frame {
  readonly seq: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly facets: RecordFacets;
}

/** Frames and, for who wants them all, their bytes in one piece. */
export interface Frames {
  readonly list: readonly Frame[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const encoder = new TextEncoder();

/**
 * One buffer for many records, because an `encode` per record (its own ArrayBuffer each) costs ten times an `encodeInto`
 * (3.1 against 0.3 µs for an alert).
 */
export class FrameBatch {
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #spans: { seq: number; start: number; facets: RecordFacets }[] = [];
  #used = 0;

  constructor(capacityBytes: number) {
    this.#buffer = new Uint8Array(capacityBytes);
  }

  get isEmpty(): boolean {
    return this.#spans.length === 0;
  }

  /** False when `text` does not fit behind what is there: take that first. */
  add(seq: number, text: string, facets: RecordFacets): boolean {
    const { read, written } = encoder.encodeInto(text, this.#buffer.subarray(this.#used));
    if (read < text.length) return false;
    this.#spans.push({ seq, start: this.#used, facets });
    this.#used += written;
    return true;
  }

  /** What was added, as bytes of their own, and begins anew. */
  take(): Frames {
    const bytes = this.#buffer.slice(0, this.#used);
    const spans = this.#spans;
    const list = spans.map(({ seq, start, facets }, i) => ({
      seq,
      facets,
      bytes: bytes.subarray(start, spans[i + 1]?.start),
    }));
    this.#spans = [];
    this.#used = 0;
    return { list, bytes };
  }
}

/** One record that is larger than any batch. */
export function singleFrame(seq: number, text: string, facets: RecordFacets): Frames {
  const bytes = encoder.encode(text);
  return { list: [{ seq, bytes, facets }], bytes };
}

/** The bytes of `frames` in one piece. */
export function concatFrames(frames: readonly Frame[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.bytes.length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame.bytes, at);
    at += frame.bytes.length;
  }
  return bytes;
}
