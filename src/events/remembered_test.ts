import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Memory } from "./batch.ts";
import { Remembered } from "./remembered.ts";

function memoryOf(bytes: Uint8Array): Memory {
  const buffer = new ArrayBuffer(Math.ceil(bytes.length / 8) * 8);
  new Uint8Array(buffer).set(bytes);
  const [view, words] = [new DataView(buffer), new Uint32Array(buffer)];
  return { view, words, bytes: Buffer.from(buffer) };
}

const latin1 = (bytes: Buffer, start: number, end: number) => bytes.toString("latin1", start, end);

Deno.test("what is remembered is what would be read, whichever bytes share a slot", () => {
  // One slot: every other text drives the one before out. Few letters: many are equal but for one.
  const remembered = new Remembered(1, latin1);
  const text = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 300 });
  fc.assert(fc.property(text, fc.nat(8), fc.nat(12), (text, start, length) => {
    const memory = memoryOf(new TextEncoder().encode(text));
    const end = Math.min(start + (text.length > 256 ? text.length : length), text.length);
    if (start > end) return;
    assert.equal(remembered.read(memory, start, end), text.slice(start, end));
    assert.equal(remembered.read(memory, start, end), text.slice(start, end));
  }));
});

Deno.test("the same bytes are read once", () => {
  let reads = 0;
  const remembered = new Remembered(16, () => ++reads);
  const memory = memoryOf(new TextEncoder().encode("sh\0bin\0usr\0sh\0bin\0"));
  assert.deepEqual([0, 0, 0].map((start) => remembered.read(memory, start, 7)), [1, 1, 1]);
  // At another place, where no word begins, they may be read once more.
  assert.equal(remembered.read(memory, 11, 18), remembered.read(memory, 11, 18));
  assert.notEqual(remembered.read(memory, 0, 6), 1);
});
