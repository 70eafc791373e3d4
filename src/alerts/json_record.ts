/** Finished records on their way to sinks: as text, or as what writes itself where the bytes are wanted. */

/** Writes the same JSON into as many buffers as there are sinks. Valid only during the call that hands it over. */
export interface JsonRecord {
  /** Never fewer bytes than `writeTo` writes. */
  readonly bytesMax: number;
  /** Writes one JSON object, without a newline, at `at`; there must be room for `bytesMax`. Returns where it ends. */
  writeTo(into: Uint8Array, at: number): number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A text as bytes: at most three for each UTF-16 unit. */
export function textRecord(json: string): JsonRecord {
  return {
    bytesMax: 3 * json.length,
    writeTo: (into, at) => at + encoder.encodeInto(json, into.subarray(at)).written,
  };
}

/** The record's JSON as text. */
export function jsonText(record: JsonRecord): string {
  const bytes = new Uint8Array(record.bytesMax);
  return decoder.decode(bytes.subarray(0, record.writeTo(bytes, 0)));
}

/** Writes a whole number, 0 to 2^53, in decimal digits. Returns where it ends. */
export function writeNumber(into: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return writeDigits(into, at, value, digits);
}

/** The same with leading zeros. */
export function writeDigits(into: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const tens = Math.floor(rest / 10);
    into[i] = ZERO + rest - 10 * tens;
    rest = tens;
  }
  return at + digits;
}

const ZERO = 0x30;
