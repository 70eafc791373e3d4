import assert from "node:assert/strict";
import { KERNELS, parseKernelSeries } from "./kernels.ts";
import { qemuArguments, splitLines } from "./qemu.ts";
import { cached, digestOf } from "./store.ts";

/** Runs a test with an empty cache of its own. */
async function withCache(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const before = Deno.env.get("ANKYLO_CACHE");
  Deno.env.set("ANKYLO_CACHE", dir);
  try {
    await work(dir);
  } finally {
    if (before === undefined) Deno.env.delete("ANKYLO_CACHE");
    else Deno.env.set("ANKYLO_CACHE", before);
    await Deno.remove(dir, { recursive: true });
  }
}

const writeTime = (dir: string) => Deno.writeTextFile(`${dir}/file`, `${performance.now()}`);

Deno.test("cached() builds once for equal inputs, and again for others", () =>
  withCache(async () => {
    const first = await cached("thing", { a: 1 }, writeTime);
    const again = await cached("thing", { a: 1 }, () => assert.fail("built twice"));
    const other = await cached("thing", { a: 2 }, writeTime);
    assert.equal(again, first);
    assert.notEqual(other, first);
  }));

Deno.test("cached() builds once when two ask at the same time", () =>
  withCache(async () => {
    let builds = 0;
    const build = (dir: string) => (builds++, writeTime(dir));
    const [a, b] = await Promise.all([cached("thing", 1, build), cached("thing", 1, build)]);
    assert.equal(a, b);
    assert.equal(builds, 1);
  }));

Deno.test("cached() keeps nothing of a build that failed", () =>
  withCache(async (dir) => {
    const failing = async (target: string) => {
      await writeTime(target);
      throw new Error("no space");
    };
    await assert.rejects(cached("thing", 1, failing), /no space/);
    const left = await Array.fromAsync(Deno.readDir(`${dir}/vm`));
    assert.deepEqual(left.map((entry) => entry.name), ["thing.lock"]);
  }));

Deno.test("cached() removes what has not been used for a week when it builds something else", () =>
  withCache(async () => {
    const old = await cached("old", 1, writeTime);
    const recent = await cached("recent", 1, writeTime);
    const eightDaysAgo = new Date(Date.now() - 8 * 86_400_000);
    await Deno.utime(old, eightDaysAgo, eightDaysAgo);
    await cached("new", 1, writeTime);
    await assert.rejects(Deno.stat(old), Deno.errors.NotFound);
    await Deno.stat(recent);
  }));

Deno.test("cached() keeps no more entries of a name than it is told, those that were used last", () =>
  withCache(async () => {
    const build = (inputs: number) => cached("thing", inputs, writeTime, 2);
    const other = await cached("other-thing", 1, writeTime);
    const [first, second] = [await build(1), await build(2)];
    const anHourAgo = new Date(Date.now() - 3_600_000);
    for (const dir of [second, other]) await Deno.utime(dir, anHourAgo, anHourAgo);
    const third = await build(3);
    await assert.rejects(Deno.stat(second), Deno.errors.NotFound);
    for (const dir of [first, third, other]) await Deno.stat(dir);
  }));

Deno.test("digestOf() depends on content and order, not on names", async () => {
  const dir = await Deno.makeTempDir();
  const [a, b, c] = [`${dir}/a`, `${dir}/b`, `${dir}/c`];
  for (const [path, text] of [[a, "x"], [b, "y"], [c, "x"]] as const) {
    await Deno.writeTextFile(path, text);
  }
  assert.equal(await digestOf([a, b]), await digestOf([c, b]));
  assert.notEqual(await digestOf([a, b]), await digestOf([b, a]));
  await Deno.remove(dir, { recursive: true });
});

Deno.test("splitLines() gives the same lines wherever the bytes are cut", async () => {
  const text = "first\nsécond\n\nlast without newline";
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    assert.deepEqual(
      await Array.fromAsync(splitLines(ReadableStream.from(chunks))),
      text.split("\n"),
    );
  }
});

Deno.test("parseKernelSeries() knows every line of the table and nothing else", () => {
  for (const series of Object.keys(KERNELS)) assert.equal(parseKernelSeries(series), series);
  for (const text of ["", "6", "6.13", "toString"]) {
    assert.throws(() => parseKernelSeries(text), /series must be one of 5\.10, 6\.1, 6\.12/);
  }
});

Deno.test("qemuArguments() emulates unless told otherwise, and opens only ports of 127.0.0.1", () => {
  const machine = {
    kernel: {
      ...{ series: "6.12" as const, release: "r", vmlinux: "v", initrd: "i", modules: "m" },
      digest: "d",
    },
    rootImage: { path: "root", digest: "d" },
    ...{ memMiB: 512, cpus: 2, icount: false },
  };
  const disks = { job: "j", binary: "b", console: "c", ram: "ram" };
  const forwards = [{ hostPort: 8420, guestPort: 80 }];
  const args = qemuArguments(machine, disks, "restore", forwards).join(" ");
  assert.match(args, /-accel tcg,/);
  assert.match(args, /mem-path=ram,share=off/);
  assert.match(args, /restrict=on,ipv6=off,hostfwd=tcp:127\.0\.0\.1:8420-10\.0\.2\.15:80 /);
  const counting = qemuArguments({ ...machine, cpus: 1, icount: true }, disks, "save", []);
  assert.match(counting.join(" "), /-icount shift=0/);
});
