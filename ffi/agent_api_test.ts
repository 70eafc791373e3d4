import assert from "node:assert/strict";
import fc from "fast-check";
import * as api from "./generated/agent_api.ts";

type Decode = (view: DataView, offset?: number) => unknown;
type Encode = (value: unknown) => Uint8Array<ArrayBuffer>;

/** Every structure, by the names of its functions. */
const STRUCTS = Object.keys(api).filter((name) => name.startsWith("decode")).map((name) => {
  const type = name.slice("decode".length);
  const constant = type.replace(/(?<!^)([A-Z])/g, "_$1").toUpperCase();
  const exports = api as Record<string, unknown>;
  return {
    type,
    decode: exports[name] as Decode,
    encode: exports[`encode${type}`] as Encode,
    size: exports[`${constant}_SIZE`] as number,
  };
});

for (const { type, decode, encode, size } of STRUCTS) {
  Deno.test(`decode${type}(encode${type}(x)) is x, for any bytes and at any offset`, () => {
    const property = fc.property(
      fc.uint8Array({ minLength: size, maxLength: size }),
      fc.nat(64),
      (bytes, offset) => {
        const padded = new Uint8Array(offset + size);
        padded.set(bytes, offset);
        const value = decode(new DataView(padded.buffer), offset);
        const again = encode(value);
        assert.equal(again.length, size);
        assert.deepEqual(decode(new DataView(again.buffer)), value);
      },
    );
    fc.assert(property, { numRuns: 50 });
  });
}

Deno.test("numbers are little-endian and where C puts them", () => {
  const bytes = api.encodeExecRef({ timeNs: 0x0807060504030201n, pid: 0x0c0b0a09 });
  assert.deepEqual([...bytes], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0]);
});

Deno.test("what is decoded does not change with the buffer", () => {
  const bytes = new Uint8Array(api.EVENT_HEADER_SIZE).fill(1);
  const { tty } = api.decodeEventHeader(new DataView(bytes.buffer));
  bytes.fill(2);
  assert.deepEqual(tty, new Uint8Array(16).fill(1));
});

Deno.test("an array of another length is refused", () => {
  const value = { row: new BigUint64Array(15) };
  assert.throws(() => api.encodeImageRows(value), {
    name: "RangeError",
    message: "Encode row: length must be 16: current value is 15",
  });
});

Deno.test("64-bit macros are bigints, others numbers, and enums know their names", () => {
  assert.equal(api.WORD_PENDING, 0xffffn);
  assert.equal(api.NEXT_LEXER, 0x80000000);
  assert.equal(api.VERDICT_NAMES[api.VERDICT_BLOCK], "VERDICT_BLOCK");
});
