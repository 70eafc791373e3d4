import assert from "node:assert/strict";
import fc from "fast-check";
import { readState, removeState, type SavedState, StateError, writeState } from "./state_file.ts";

const STATE: SavedState = {
  machine: "m1",
  savedAtMs: 1_700_000_000_000,
  folder: "/etc/ankylo/policies",
  policies: new Map([["a.yaml", "kind: KubeArmorPolicy\n# ü\n"]]),
  workloads: [{
    ...{ id: "web", name: "web", runtimeNamespace: "default", namespace: "container_namespace" },
    ...{ podName: "web", image: "busybox", labels: { app: "web" }, pid: 7 },
    ...{ cgroupPath: "/default/web", cgroupId: 2n ** 60n + 1n },
  }],
};

async function inDir(use: (dir: string) => Promise<void>) {
  const base = await Deno.makeTempDir();
  try {
    await use(`${base}/state`);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

const isRefused = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StateError, `${error}`);
  assert.match(error.message, message);
  return true;
};

Deno.test("readState() gives what writeState() saved, which only the agent can read or write", async () => {
  await inDir(async (dir) => {
    assert.equal(await readState(dir, "m1"), undefined);
    await writeState(dir, { ...STATE, policies: new Map() });
    await writeState(dir, STATE);
    assert.deepEqual(await readState(dir, "m1"), STATE);
    assert.equal((await Deno.stat(dir)).mode! & 0o777, 0o700);
    assert.equal((await Deno.stat(`${dir}/state`)).mode! & 0o777, 0o600);
    assert.deepEqual((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name), ["state"]);
    assert.equal(await removeState(dir), true);
    await assert.rejects(Deno.stat(dir), Deno.errors.NotFound);
    assert.equal(await removeState(dir), false);
  });
});

Deno.test("readState() refuses a state of another machine, another format, or with any byte changed", async () => {
  await inDir(async (dir) => {
    await writeState(dir, STATE);
    const bytes = await Deno.readFile(`${dir}/state`);
    await assert.rejects(readState(dir, "m2"), isRefused(/another machine/));
    const at = fc.nat(bytes.length - 1);
    await fc.assert(
      fc.asyncProperty(at, fc.integer({ min: 1, max: 255 }), async (place, change) => {
        const changed = bytes.slice();
        changed[place]! ^= change;
        await Deno.writeFile(`${dir}/state`, changed);
        await assert.rejects(readState(dir, "m1"), isRefused(/damaged|format/));
      }),
      { numRuns: 50 },
    );
    await Deno.writeFile(`${dir}/state`, bytes.slice(0, -1));
    await assert.rejects(readState(dir, "m1"), isRefused(/damaged/));
    await Deno.writeFile(`${dir}/state`, new Uint8Array());
    await assert.rejects(readState(dir, "m1"), isRefused(/format/));
  });
});

Deno.test("readState() refuses what others may have written", async () => {
  await inDir(async (dir) => {
    await writeState(dir, STATE);
    await Deno.chmod(`${dir}/state`, 0o620);
    await assert.rejects(readState(dir, "m1"), isRefused(/others may write.*mode 620/));
    await Deno.chmod(`${dir}/state`, 0o600);
    await Deno.chmod(dir, 0o777);
    await assert.rejects(readState(dir, "m1"), isRefused(/others may write.*mode 777/));
    await assert.rejects(writeState(dir, STATE), isRefused(/others may write/));
    await Deno.chmod(dir, 0o700);
    await Deno.rename(`${dir}/state`, `${dir}/elsewhere`);
    await Deno.symlink(`${dir}/elsewhere`, `${dir}/state`);
    await assert.rejects(readState(dir, "m1"), isRefused(/not a regular file/));
  });
});
