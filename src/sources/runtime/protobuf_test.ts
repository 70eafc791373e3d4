import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bytes,
  message,
  type MessageValue,
  nested,
  ProtobufError,
  repeated,
  text,
  textMap,
  texts,
  uint32,
} from "./protobuf.ts";

const Inner = message({ name: text(1), size: uint32(16) });
const Everything = message({
  text: text(1),
  bytes: bytes(2),
  number: uint32(3),
  inner: nested(4, Inner),
  inners: repeated(5, Inner),
  texts: texts(1000),
  map: textMap(536_870_911),
});
const absent = Everything.decode(new Uint8Array());

const anyText = () => fc.string({ unit: "grapheme" });
const anyNumber = () => fc.integer({ min: 0, max: 0xffff_ffff });
const anyInner = () => fc.record({ name: anyText(), size: anyNumber() }, { noNullPrototype: true });
const anyValue = (): fc.Arbitrary<MessageValue<typeof Everything>> =>
  fc.record({
    text: anyText(),
    bytes: fc.uint8Array(),
    number: anyNumber(),
    inner: fc.option(anyInner(), { nil: undefined }),
    inners: fc.array(anyInner()),
    texts: fc.array(anyText()),
    map: fc.array(fc.tuple(anyText(), anyText())).map((entries) => new Map(entries)),
  }, { noNullPrototype: true });

Deno.test("decode() gives back what encode() was given", () => {
  fc.assert(fc.property(anyValue(), (value) => {
    assert.deepEqual(Everything.decode(Everything.encode(value)), value);
  }));
});

Deno.test("decode() throws only ProtobufError, whatever the bytes", () => {
  const damaged = fc.tuple(anyValue(), fc.nat(), fc.nat(), fc.integer({ min: 0, max: 255 })).map(
    ([value, end, where, byte]) => {
      const whole = Everything.encode(value);
      const cut = whole.slice(0, end % (whole.length + 1));
      if (cut.length > 0) cut[where % cut.length] = byte;
      return cut;
    },
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), damaged), (anyBytes) => {
      try {
        Everything.decode(anyBytes);
      } catch (error) {
        assert.ok(error instanceof ProtobufError, `${error}`);
      }
    }),
    { numRuns: 2_000 },
  );
});

const hex = (digits: string) =>
  Uint8Array.from(digits.split(" ").map((byte) => Number.parseInt(byte, 16)));

Deno.test("decode() reads the bytes of protobuf's own documentation", () => {
  const Documented = message({ a: uint32(1), b: text(2), c: nested(3, message({ a: uint32(1) })) });
  assert.deepEqual(Documented.decode(hex("08 96 01")), { a: 150, b: "", c: undefined });
  assert.equal(Documented.decode(hex("12 07 74 65 73 74 69 6e 67")).b, "testing");
  assert.deepEqual(Documented.decode(hex("1a 03 08 96 01")).c, { a: 150 });
});

Deno.test("decode() skips unknown fields of every wire type", () => {
  const unknown = hex(
    "38 ff ff ff ff ff ff ff ff ff 01 39 01 02 03 04 05 06 07 08 3a 01 00 3d 01 02 03 04",
  );
  assert.deepEqual(Everything.decode(unknown), absent);
});

Deno.test("decode() keeps a byte order mark and a key named __proto__", () => {
  const value = { ...absent, text: "\ufeffweb", map: new Map([["__proto__", "x"]]) };
  assert.deepEqual(Everything.decode(Everything.encode(value)), value);
});

Deno.test("decode() replaces bytes that are not UTF-8, so that one label can not hide a container", () => {
  assert.equal(Everything.decode(hex("0a 03 61 ff 62")).text, "a\ufffdb");
});

for (
  const [what, digits, found] of [
    ["a message cut within a text", "0a 05 61", /5 bytes wanted at byte 2: message has 3 bytes/],
    ["a message cut within a number", "18 96", /ends within a number/],
    ["a number without end", "18 80 80 80 80 80 80 80 80 80 80 01", /longer than 10 bytes/],
    ["a group", "0b", /wire type 3/],
    ["field number 0", "00 00", /field number 0/],
    [
      "a known field of another type",
      "0d 00 00 00 00",
      /field 1 \(text\): expected wire type 2: current is 5/,
    ],
    ["a damaged message within", "22 02 0a 05", /5 bytes wanted/],
  ] as const
) {
  Deno.test(`decode() refuses ${what}`, () => {
    assert.throws(() => Everything.decode(hex(digits)), (error) => {
      assert.ok(error instanceof ProtobufError);
      assert.match(error.message, found);
      return true;
    });
  });
}
