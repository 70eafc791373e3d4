import assert from "node:assert/strict";
import { BpfError, openShim } from "./bpf.ts";
import { type DirectoryEvent, DirectoryWatch } from "./watch.ts";

/** Runs in a temporary directory that is watched, with all that is told of in order. */
async function watching(
  body: (
    watched: {
      dir: string;
      watch: DirectoryWatch;
      until: (kind: DirectoryEvent["kind"], name: string) => Promise<string[]>;
    },
  ) => Promise<void>,
): Promise<void> {
  using shim = openShim();
  const dir = await Deno.makeTempDir({ prefix: "ankylo-watch-" });
  try {
    await using watch = DirectoryWatch.open(shim);
    watch.watch([dir]);
    const events = watch[Symbol.asyncIterator]();
    const until = async (kind: DirectoryEvent["kind"], name: string) => {
      const seen: string[] = [];
      for (;;) {
        const { value, done } = await events.next();
        assert.ok(!done);
        seen.push(...value.map((event) => `${event.kind} ${event.name}`));
        if (value.some((event) => event.kind === kind && event.name === name)) return seen;
      }
    };
    await body({ dir, watch, until });
  } finally {
    await Deno.remove(dir, { recursive: true }).catch(() => {});
  }
}

Deno.test("DirectoryWatch tells of a file that is being written and of its end, a rename, a deletion, a mode", () =>
  watching(async ({ dir, until }) => {
    await Deno.writeTextFile(`${dir}/a`, "text");
    const written = await until("written", "a");
    assert.deepEqual([...new Set(written)], ["writing a", "written a"]);
    await Deno.rename(`${dir}/a`, `${dir}/b`);
    assert.deepEqual(await until("written", "b"), ["written a", "written b"]);
    await Deno.chmod(`${dir}/b`, 0o600);
    assert.deepEqual(await until("other", "b"), ["other b"]);
    await Deno.mkdir(`${dir}/c`);
    assert.deepEqual(await until("other", "c"), ["other c"]);
    await Deno.remove(`${dir}/b`);
    assert.deepEqual(await until("written", "b"), ["written b"]);
  }));

Deno.test("DirectoryWatch tells nothing of reading", () =>
  watching(async ({ dir, until }) => {
    await Deno.writeTextFile(`${dir}/a`, "text");
    await until("written", "a");
    await Deno.readTextFile(`${dir}/a`);
    await Array.fromAsync(Deno.readDir(dir));
    await Deno.mkdir(`${dir}/end`);
    assert.deepEqual(await until("other", "end"), ["other end"]);
  }));

Deno.test("DirectoryWatch watches what has the path now, and no longer what had it", () =>
  watching(async ({ dir, watch, until }) => {
    for (const name of ["now", "next"]) await Deno.mkdir(`${dir}/${name}`);
    watch.watch([`${dir}/now`]);
    await Deno.rename(`${dir}/now`, `${dir}/former`);
    await Deno.rename(`${dir}/next`, `${dir}/now`);
    await until("lost", "");
    watch.watch([`${dir}/now`]);
    await Deno.writeTextFile(`${dir}/former/a`, "");
    await Deno.writeTextFile(`${dir}/now/b`, "");
    assert.deepEqual([...new Set(await until("written", "b"))], ["writing b", "written b"]);
  }));

Deno.test("DirectoryWatch can be closed while it waits, also when no directory is left", () =>
  watching(async ({ dir, watch, until }) => {
    await Deno.remove(dir);
    await until("lost", "");
    const next = until("written", "never");
    await watch.close();
    await assert.rejects(next, assert.AssertionError);
    await watch.close();
  }));

Deno.test("DirectoryWatch.watch() names what can't be watched, and goes on with what it had", () =>
  watching(async ({ dir, watch, until }) => {
    assert.throws(
      () => watch.watch([`${dir}/none`]),
      (error) => error instanceof BpfError && /Watch ".*\/none": ENOENT/.test(error.message),
    );
    await Deno.writeTextFile(`${dir}/a`, "");
    await until("written", "a");
  }));
