import assert from "node:assert/strict";
import { withoutLines } from "./line_info.ts";

/** A section whose parts lie in the compiler's order, of these bytes. */
function section(functions: number[], lines: number[], relocations: number[]): Uint8Array {
  const bytes = new Uint8Array(32 + functions.length + lines.length + relocations.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  view.setUint32(4, 32, true);
  let offset = 0;
  [functions, lines, relocations].forEach((part, index) => {
    view.setUint32(8 + 8 * index, offset, true);
    view.setUint32(12 + 8 * index, part.length, true);
    bytes.set(part, 32 + offset);
    offset += part.length;
  });
  return bytes;
}

Deno.test("functions and relocations stay, and lines are gone", () => {
  const [functions, relocations] = [[1, 2, 3, 4], [9, 8, 7, 6, 5, 4, 3, 2]];
  const kept = withoutLines(section(functions, [11, 12, 13, 14, 15, 16], relocations));
  assert.deepEqual(kept, section(functions, [], relocations));
});

Deno.test("a section without lines stays as it is", () => {
  const whole = section([1, 2, 3, 4], [], [5, 6, 7, 8]);
  assert.deepEqual(withoutLines(whole), whole);
});

Deno.test("what has another magic or a shorter header is refused", () => {
  const foreign = section([], [], []);
  foreign[0] = 0;
  const old = section([], [], []);
  new DataView(old.buffer).setUint32(4, 24, true);
  for (const bytes of [foreign, old]) assert.throws(() => withoutLines(bytes), /BTF's magic/);
});
