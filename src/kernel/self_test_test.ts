import assert from "node:assert/strict";
import { openShim } from "../../ffi/bpf.ts";
import {
  decodeKnownPath,
  encodeKnownPath,
  HASH_KEYS,
  type KnownPath,
} from "../../ffi/generated/agent_api.ts";
import { componentsOf, PathHasher } from "../compile/hash.ts";
import { difference, type SelfTested, SelfTestError, testWalker } from "./self_test.ts";

const keys = (factor: bigint) =>
  BigUint64Array.from({ length: HASH_KEYS }, (_, i) => factor * BigInt(i + 1));
const KEYS = { a: keys(0x9e3779b97f4a7c15n), b: keys(0xbf58476d1ce4e5b9n) };
const hasher = new PathHasher(KEYS);

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

/** The kernel's side, which reads paths as `read` does; by a context, or as 5.10 by a map. */
function kernelThat(read: (path: string) => Omit<KnownPath, "fd" | "walked">, byMap: boolean) {
  let held = new Uint8Array();
  const answer = (context: Uint8Array<ArrayBuffer>) => {
    const { fd } = decodeKnownPath(new DataView(context.buffer));
    const path = Deno.readLinkSync(`/proc/self/fd/${fd}`);
    return encodeKnownPath({ fd, walked: 1, ...read(path) });
  };
  const program = {
    run: (context: Uint8Array<ArrayBuffer>) => context.set(answer(context)),
    runIterator: () => held = answer(held),
    [Symbol.dispose]: () => {},
  };
  const map = {
    update: (_: unknown, bytes: Uint8Array<ArrayBuffer>) => held = bytes.slice(),
    lookup: () => held,
    [Symbol.dispose]: () => {},
  };
  const maps = () => byMap ? ["known_paths"] : [];
  return { maps, map: () => map, program: () => program } as unknown as SelfTested;
}

const rightly = (path: string) => ({
  ...{ end: 0, components: componentsOf(path).length, pathHash: hasher.path(path) },
});

/** What is thrown; what was made to be read is gone again. */
function tested(read: Parameters<typeof kernelThat>[0], byMap: boolean): unknown {
  const dir = Deno.makeTempDirSync();
  using shim = openShim();
  try {
    testWalker(shim, kernelThat(read, byMap), KEYS, `${dir}/scratch`);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    Deno.removeSync(dir);
  }
}

for (const byMap of [false, true]) {
  const kernel = byMap ? "a kernel before 5.14" : "a kernel";
  Deno.test(`testWalker() is content with ${kernel} that reads every path rightly`, () => {
    assert.equal(tested(rightly, byMap), undefined);
  });

  Deno.test(`testWalker() fails on ${kernel} that reads a long name wrongly, and says which`, () => {
    const wrongly = (path: string) =>
      path.endsWith("n".repeat(64)) ? { ...rightly(path), pathHash: 1n } : rightly(path);
    const error = tested(wrongly, byMap);
    assert.ok(error instanceof SelfTestError);
    assert.match(
      error.message,
      /^Test path walker: a path of \d+ names, .* read with other names$/,
    );
  });
}
