/** A moment of fuzzing with every run of the tests: `ANKYLO_FUZZ_SECONDS` for longer, `ANKYLO_FUZZ_SEED` to repeat. */

import assert from "node:assert/strict";
import { fuzz, TARGETS } from "./fuzz.ts";
import { damaged, Random } from "./random.ts";
import type { Target } from "./target.ts";

const SECONDS = Number(Deno.env.get("ANKYLO_FUZZ_SECONDS") ?? "1");
const SEED = Number(Deno.env.get("ANKYLO_FUZZ_SEED") ?? new Random(Date.now()).next());

for (const make of TARGETS) {
  const target = make();
  Deno.test(`fuzz() of ${target.name} finds no fault, seed ${SEED}`, async () => {
    try {
      const { tries } = await fuzz(target, SEED, SECONDS);
      assert.ok(tries > 0);
    } finally {
      await target.close();
    }
  });
}

Deno.test("damaged() gives the same bytes for the same seed, and others for another", () => {
  const input = new TextEncoder().encode("key: [a, b, c]\n");
  const series = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => damaged(input, input, ["- "], random).join());
  };
  assert.deepEqual(series(7), series(7));
  assert.notDeepEqual(series(7), series(8));
});

Deno.test("fuzz() finds a fault that a damaged input shows, and names the seed", async () => {
  const target: Target = {
    name: "sample",
    seeds: () => Promise.resolve([new TextEncoder().encode("abcdef")]),
    tokens: [],
    run: (input) => {
      if (input.includes(0xff)) throw new TypeError("a fault");
      return "fine";
    },
    close: () => Promise.resolve(),
  };
  await assert.rejects(fuzz(target, 5, 60), /fuzz sample: seed 5 found a fault/);
});
