/**
 * The part of protobuf that container runtimes' messages need: strings, bytes, 32-bit numbers, maps of strings, nested and
 * repeated messages. A message is declared once, as a table of its fields, and gets its TypeScript type, its reader and its
 * writer from it. Unknown fields are skipped, so newer servers can say more.
 *
 * Own code, because nothing small was strict: `pbf` reads past the end of a message without an error, and
 * `@bufbuild/protobuf` adds 1.9 MB to an executable that needs these 150 lines.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */

/** The bytes are not the message that they should be. */
export class ProtobufError extends Error {
  override readonly name = "ProtobufError";
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** One field of a message: its number, and how its value is read and written. */
interface Field<T> {
  readonly number: number;
  readonly wireType: typeof VARINT | typeof LENGTH_DELIMITED;
  /** The value of a field that the message does not have. Fresh each time. */
  readonly absent: () => T;
  /** The field's value after one more occurrence; `value` is a number for a varint, else the bytes. */
  readonly read: (before: T, value: number | Uint8Array) => T;
  /** What to write, one entry an occurrence; none for an absent value. */
  readonly write: (value: T) => (number | Uint8Array)[];
}

/** Reads and writes one kind of message. */
export interface Message<T> {
  /** @throws {ProtobufError} when `bytes` end early or are not protobuf. */
  decode(bytes: Uint8Array): T;
  encode(value: T): Uint8Array;
}

/** The type of what a `Message` reads. */
export type MessageValue<M> = M extends Message<infer T> ? T : never;

// deno-lint-ignore no-explicit-any -- a table of fields of any types; `message` infers each.
type Shape = Readonly<Record<string, Field<any>>>;
type ValueOf<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never;
};

/** A message with these fields. */
export function message<S extends Shape>(shape: S): Message<ValueOf<S>> {
  const names = new Map(Object.entries(shape).map(([name, field]) => [field.number, name]));
  return {
    decode(bytes) {
      const value: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(shape)) value[name] = field.absent();
      for (const { number, wireType, content } of readFields(bytes)) {
        const name = names.get(number);
        const field = name === undefined ? undefined : shape[name];
        if (name === undefined || field === undefined) continue;
        if (wireType !== field.wireType) {
          throw new ProtobufError(
            `Cannot decode field ${number} (${name}): expected wire type ${field.wireType}: current is ${wireType}`,
          );
        }
        value[name] = field.read(value[name], content);
      }
      return value as ValueOf<S>;
    },
    encode(value) {
      const out: number[] = [];
      for (const [name, field] of Object.entries(shape)) {
        for (const content of field.write(value[name])) writeField(out, field, content);
      }
      return Uint8Array.from(out);
    },
  };
}

/** Text. Bytes that are not UTF-8 become U+FFFD: a label with such bytes must not hide its container. */
export function text(number: number): Field<string> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => "",
    read: (_, content) => textOf(content as Uint8Array),
    write: (value) => value === "" ? [] : [encoder.encode(value)],
  };
}

/** Bytes; a view into the decoded message, not a copy. */
export function bytes(number: number): Field<Uint8Array> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => new Uint8Array(),
    read: (_, content) => content as Uint8Array,
    write: (value) => value.length === 0 ? [] : [value],
  };
}

/** uint32 and enumerations. Like every protobuf reader, takes the low 32 bits of a longer number. */
export function uint32(number: number): Field<number> {
  return {
    number,
    wireType: VARINT,
    absent: () => 0,
    read: (_, content) => content as number,
    write: (value) => value === 0 ? [] : [value],
  };
}

/** A message within a message; undefined where it is absent. */
export function nested<T>(number: number, inner: Message<T>): Field<T | undefined> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => undefined,
    read: (_, content) => inner.decode(content as Uint8Array),
    write: (value) => value === undefined ? [] : [inner.encode(value)],
  };
}

/** Any number of messages, in their order. */
export function repeated<T>(number: number, inner: Message<T>): Field<readonly T[]> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => [],
    read: (before, content) => {
      (before as T[]).push(inner.decode(content as Uint8Array));
      return before;
    },
    write: (value) => value.map((each) => inner.encode(each)),
  };
}

/** Any number of texts, in their order. */
export function texts(number: number): Field<readonly string[]> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => [],
    read: (before, content) => {
      (before as string[]).push(textOf(content as Uint8Array));
      return before;
    },
    write: (value) => value.map((each) => encoder.encode(each)),
  };
}

const mapEntry = message({ key: text(1), value: text(2) });

/** A map of texts. A `Map`, so that a key such as `__proto__` is a key like any other. */
export function textMap(number: number): Field<ReadonlyMap<string, string>> {
  return {
    number,
    wireType: LENGTH_DELIMITED,
    absent: () => new Map(),
    read: (before, content) => {
      const { key, value } = mapEntry.decode(content as Uint8Array);
      return (before as Map<string, string>).set(key, value);
    },
    write: (map) => [...map].map(([key, value]) => mapEntry.encode({ key, value })),
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function textOf(content: Uint8Array): string {
  return decoder.decode(content);
}

interface RawField {
  readonly number: number;
  readonly wireType: number;
  readonly content: number | Uint8Array;
}

function* readFields(bytes: Uint8Array): Generator<RawField> {
  const at = { offset: 0 };
  while (at.offset < bytes.length) {
    const tag = readVarint(bytes, at);
    const number = tag >>> 3;
    if (number === 0) {
      throw new ProtobufError(`Cannot decode message: field number 0 at byte ${at.offset}`);
    }
    const wireType = tag & 7;
    yield { number, wireType, content: readContent(bytes, at, wireType) };
  }
}

function readContent(
  bytes: Uint8Array,
  at: { offset: number },
  wireType: number,
): number | Uint8Array {
  switch (wireType) {
    case VARINT:
      return readVarint(bytes, at);
    case LENGTH_DELIMITED:
      return readBytes(bytes, at, readVarint(bytes, at));
    case FIXED64:
      return readBytes(bytes, at, 8);
    case FIXED32:
      return readBytes(bytes, at, 4);
    default:
      throw new ProtobufError(`Cannot decode message: wire type ${wireType} at byte ${at.offset}`);
  }
}

function readBytes(bytes: Uint8Array, at: { offset: number }, length: number): Uint8Array {
  const end = at.offset + length;
  if (end > bytes.length) {
    throw new ProtobufError(
      `Cannot decode message: ${length} bytes wanted at byte ${at.offset}: message has ${bytes.length} bytes`,
    );
  }
  const content = bytes.subarray(at.offset, end);
  at.offset = end;
  return content;
}

/** A varint's low 32 bits, unsigned. At most 10 bytes, as 64-bit numbers and negative enumerations take. */
function readVarint(bytes: Uint8Array, at: { offset: number }): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[at.offset++];
    if (byte === undefined) throw new ProtobufError(`Cannot decode message: ends within a number`);
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value >>> 0;
  }
  throw new ProtobufError(
    `Cannot decode message: number longer than 10 bytes at byte ${at.offset}`,
  );
}

function writeField(out: number[], field: Field<unknown>, content: number | Uint8Array): void {
  writeVarint(out, field.number << 3 | field.wireType);
  if (typeof content === "number") return writeVarint(out, content);
  writeVarint(out, content.length);
  for (const byte of content) out.push(byte);
}

function writeVarint(out: number[], value: number): void {
  let rest = value >>> 0;
  while (rest > 0x7f) {
    out.push(rest & 0x7f | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}
