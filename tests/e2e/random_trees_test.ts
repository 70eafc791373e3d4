import assert from "node:assert/strict";
import { compileImage } from "../../src/compile/compile_image.ts";
import { matchesGlob } from "../../src/compile/evaluate_glob.ts";
import { KEYS } from "../../src/compile/test_policies.ts";
import { parsePolicies } from "../../src/model/parse.ts";
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

Deno.test("randomTree() has patterns, which match something and nearly always fit into an image", () => {
  let [patterns, matching, leftOut] = [0, 0, 0];
  for (let seed = 1; seed <= 10; seed++) {
    const tree = randomTree(seed, "tree", 10, BLOCK);
    const { policies } = parsePolicies(tree.policies, "random.yaml");
    leftOut += compileImage(policies, BLOCK, KEYS)!.leftOut.length;
    const paths = tree.build.split("\n").map((line) => textOf(line.split(" ")[1] ?? ""));
    for (const { target } of policies.flatMap(({ rules }) => rules)) {
      if (target.kind !== "pattern") continue;
      patterns++;
      if (paths.some((path) => matchesGlob(target.pattern, path))) matching++;
    }
  }
  // What a bind mount or an overlay shows is not among what is built.
  assert.ok(patterns > 5 && matching > patterns / 2, `${matching} of ${patterns} match`);
  assert.ok(leftOut < patterns / 5, `${leftOut} of ${patterns}`);
});

function textOf(hex: string): string {
  return new TextDecoder().decode(Uint8Array.fromHex(hex));
}
