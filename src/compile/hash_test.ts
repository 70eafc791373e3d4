import assert from "node:assert/strict";
import fc from "fast-check";
import { HASH_KEYS } from "../../ffi/generated/agent_api.ts";
import { bucketOf, bucketSeeds, componentsOf, PathHasher, slotKey } from "./hash.ts";
import { KEYS, keysFrom } from "./test_policies.ts";

/** The kernel's hashes are tested against the same file. Written anew with UPDATE_GOLDEN=1, when the format changes. */
const GOLDEN = new URL("../../tests/golden/hash_vectors.json", import.meta.url);

const NAMES = [
  ..."a .x bin ..data secret libc.so.6".split(" "),
  ...[3, 4, 5, 31, 32, 33, 39, 40, 41, 64, 252, 253, 254, 255].map((bytes) => "n".repeat(bytes)),
  "ä",
  "größe",
  "é".repeat(16),
  "文件".repeat(10),
  "🦔",
  "with blank",
];
const PATHS = [
  "/",
  "/a",
  "/bin/sh",
  "/usr/bin/cat",
  `/${Array(30).fill("d").join("/")}/x`,
  "/ä/文件",
];
const EDGES: [name: string, node: number, buckets: number][] = [
  ["a", 1, 1],
  ["a", 1, 7],
  ["a", 2, 7],
  ["secret", 3, 2223],
  ["secret", 0xff_ffff, 1_048_575],
];

const hex = (value: bigint) => `0x${value.toString(16).padStart(16, "0")}`;

function vectors() {
  const hasher = new PathHasher(KEYS);
  return {
    about: "Keys: splitmix64 from seed 1, all of a, then all of b. Hashes: bpf/agent_api.h.",
    keys: { a: [...KEYS.a].map(hex), b: [...KEYS.b].map(hex) },
    components: NAMES.map((name) => ({ name, hash: hex(hasher.component(name)) })),
    paths: PATHS.map((path) => ({ path, hash: hex(hasher.path(path)) })),
    edges: EDGES.map(([name, node, buckets]) => {
      const component = hasher.component(name);
      const [first, second] = bucketSeeds(component, node).map((seed) => bucketOf(seed, buckets));
      return { name, node, buckets, key: hex(slotKey(component, node)), first, second };
    }),
  };
}

Deno.test("hashes equal the golden vectors", () => {
  const text = JSON.stringify(vectors(), null, 2) + "\n";
  if (Deno.env.get("UPDATE_GOLDEN") === "1") Deno.writeTextFileSync(GOLDEN, text);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(GOLDEN)), vectors());
});

Deno.test("component() tells padded names apart by their length", () => {
  const hasher = new PathHasher(KEYS);
  const hashes = ["a", "a\0", "a\0\0", "a\0\0\0"].map((name) => hasher.component(name));
  assert.equal(new Set(hashes).size, hashes.length);
});

Deno.test("component() and path() depend on the keys, and on nothing else", () => {
  const one = new PathHasher(KEYS);
  const same = new PathHasher(keysFrom(1n));
  const other = new PathHasher(keysFrom(2n));
  assert.equal(one.component("bin"), same.component("bin"));
  assert.equal(one.path("/bin/sh"), same.path("/bin/sh"));
  assert.notEqual(one.component("bin"), other.component("bin"));
  assert.notEqual(one.path("/bin/sh"), other.path("/bin/sh"));
});

Deno.test("path() depends on the order of names", () => {
  const hasher = new PathHasher(KEYS);
  assert.notEqual(hasher.path("/a/b"), hasher.path("/b/a"));
  assert.notEqual(hasher.path("/a"), hasher.path("/a/a"));
});

Deno.test("bucketOf() stays inside the table", () => {
  const seed = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(fc.property(seed, fc.integer({ min: 1, max: 2 ** 20 }), (seed, buckets) => {
    assert.equal(BigInt(bucketOf(seed, buckets)), (BigInt(seed) * BigInt(buckets)) >> 32n);
  }));
});

Deno.test("componentsOf() is empty for the root", () => {
  assert.deepEqual(componentsOf("/"), []);
  assert.deepEqual(componentsOf("/usr/bin"), ["usr", "bin"]);
});

Deno.test("component() refuses a name that no file can have", () => {
  const hasher = new PathHasher(KEYS);
  assert.throws(() => hasher.component("ä".repeat(128)), {
    name: "RangeError",
    message: "Cannot hash a name of 256 bytes: 255 is the limit",
  });
});

Deno.test("PathHasher refuses keys of another length", () => {
  assert.throws(
    () => new PathHasher({ a: new BigUint64Array(HASH_KEYS), b: new BigUint64Array(4) }),
    {
      name: "RangeError",
      message: "Cannot hash with 4 keys: 68 are needed in each half",
    },
  );
});
