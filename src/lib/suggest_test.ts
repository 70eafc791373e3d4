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
