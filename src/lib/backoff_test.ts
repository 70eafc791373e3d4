import assert from "node:assert/strict";
import fc from "fast-check";
import { Backoff } from "./backoff.ts";

Deno.test("Backoff doubles up to its limit and starts again after reset()", () => {
  const backoff = new Backoff({ firstMs: 100, limitMs: 1_000, random: () => 0 });
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => backoff.next()), [
    100,
    200,
    400,
    800,
    1_000,
    1_000,
  ]);
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

Deno.test("Backoff never waits less than half of the first step, nor more than the limit", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    }),
    (randoms) => {
      const left = [...randoms];
      const backoff = new Backoff({
        firstMs: 100,
        limitMs: 30_000,
        random: () => left.shift() ?? 0,
      });
      for (const _ of randoms) {
        const waitMs = backoff.next();
        assert.ok(waitMs >= 50 && waitMs <= 30_000, `waits ${waitMs} ms`);
      }
    },
  ));
});
