import assert from "node:assert/strict";
import { HASH_KEYS, type KnownPath } from "../../ffi/generated/agent_api.ts";
import { PathHasher } from "../compile/hash.ts";
import { difference } from "./self_test.ts";

const keys = (factor: bigint) =>
  BigUint64Array.from({ length: HASH_KEYS }, (_, i) => factor * BigInt(i + 1));
const hasher = new PathHasher({ a: keys(0x9e3779b97f4a7c15n), b: keys(0xbf58476d1ce4e5b9n) });

const PATH = "/sys/fs/bpf/ankylo";
const RIGHT: KnownPath = {
  ...{ fd: 3, walked: 1, end: 0, components: 4, pathHash: hasher.path(PATH) },
};

Deno.test("difference() finds none where the kernel reads what the agent knows", () => {
  assert.equal(difference(PATH, RIGHT, hasher, 0), undefined);
});

Deno.test("difference() compares the number of names where the agent runs in a chroot", () => {
  assert.equal(difference(PATH, { ...RIGHT, components: 6, pathHash: 1n }, hasher, 2), undefined);
  assert.match(difference(PATH, RIGHT, hasher, 2)!, /was read as 4 names/);
});

const WRONG: readonly [Partial<KnownPath>, RegExp][] = [
  [{ walked: 0 }, /was not among the agent's open files/],
  [{ end: 1 }, /was not followed to the root/],
  [{ components: 3 }, /was read as 3 names/],
  [{ pathHash: hasher.path("/sys/fs/bpf/ankyla") }, /was read with other names/],
];

for (const [change, message] of WRONG) {
  Deno.test(`difference() says what is wrong: ${message.source}`, () => {
    const text = difference(PATH, { ...RIGHT, ...change }, hasher, 0);
    assert.match(text!, message);
    assert.match(text!, /a path of 4 names, "\/sys\/fs\/bpf\/ankylo/);
  });
}
