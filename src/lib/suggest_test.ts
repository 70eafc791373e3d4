import assert from "node:assert/strict";
import fc from "fast-check";
import { closest, editDistance } from "./suggest.ts";

Deno.test("editDistance() counts insert, delete, replace and swap as one each", () => {
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("posture", "postur"), 1);
  assert.equal(editDistance("listen", "lisetn"), 1);
  assert.equal(editDistance("kitten", "sitting"), 3);
});

Deno.test("editDistance() is symmetric, and 0 for equal words only", () => {
  fc.assert(fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
    assert.equal(editDistance(a, b), editDistance(b, a));
    assert.equal(editDistance(a, b) === 0, a === b);
  }));
});

Deno.test("closest() finds a typo and keeps silent about a stranger", () => {
  const words = ["policies", "listen", "socket", "posture.file"];
  assert.equal(closest("polcies", words), "policies");
  assert.equal(closest("Listen", words), "listen");
  assert.equal(closest("posture.fiel", words), "posture.file");
  assert.equal(closest("banana", words), undefined);
});

Deno.test("closest() reads no candidate that is too long or too short to be near", () => {
  for (const length of [2, 300]) {
    const unread = {
      length,
      toLowerCase: () => unread,
      get 0(): never {
        throw new Error("compared letter by letter");
      },
    };
    assert.equal(closest("policies", [unread as unknown as string]), undefined);
  }
});

Deno.test("closest() names the first of the nearest", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "C"), maxLength: 9 });
  fc.assert(fc.property(text, fc.array(text, { maxLength: 6 }), (word, candidates) => {
    const distances = candidates.map((candidate) =>
      editDistance(word.toLowerCase(), candidate.toLowerCase())
    );
    const nearest = Math.min(...distances);
    const isNear = nearest <= Math.max(1, Math.floor(word.length / 3));
    const wanted = isNear ? candidates[distances.indexOf(nearest)] : undefined;
    assert.equal(closest(word, candidates), wanted);
  }));
});
