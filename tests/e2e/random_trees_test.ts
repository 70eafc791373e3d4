import assert from "node:assert/strict";
import { DEFAULT_POSTURE } from "../../src/model/posture.ts";
import { randomTree } from "./random_trees.ts";

const BLOCK = { ...DEFAULT_POSTURE, file: "block" } as const;

Deno.test("randomTree() follows from its seed, and asks for what is refused and for what is not", () => {
  let [refused, opened] = [0, 0];
  for (let seed = 1; seed <= 10; seed++) {
    const tree = randomTree(seed, "tree", 60, BLOCK);
    assert.deepEqual(randomTree(seed, "tree", 60, BLOCK), tree);
    refused += tree.questions.split(" x ").length - 1;
    opened += tree.questions.split(" . ").length - 1;
  }
  assert.equal(refused + opened, 10 * 60);
  assert.ok(refused > 100 && opened > 100, `${refused} refused, ${opened} opened`);
});
