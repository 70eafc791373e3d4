/** The launcher, with a shell script in the place of Deno. */

import assert from "node:assert/strict";
import { assemble, buildLauncher } from "./build_binary.ts";
import { captureBytes } from "./vm/command.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Says how it was called. */
const RUNTIME = encode(
  `#!/bin/sh\necho "runtime $0"\necho "shim $_ANKYLO_SHIM"\nprintf 'argument %s\\n' "$@"\nexit 7\n# ` +
    `${"padding ".repeat(100)}\n`,
);

interface Outcome {
  status: number;
  lines: string[];
  stderr: string;
}

class Fixture {
  private constructor(readonly dir: string, readonly binary: string) {}

  static async make(dir: string, bundle = "bundle"): Promise<Fixture> {
    const launcher = await Deno.readFile(await buildLauncher());
    const packed = await captureBytes(["zstd", "--check", "-c"], { input: RUNTIME });
    const [shim, main] = [encode("shim"), encode(bundle)];
    const bytes = assemble(launcher, [
      { content: RUNTIME, packed },
      { content: shim, packed: shim },
      { content: main, packed: main },
    ]);
    const binary = `${dir}/ankylo`;
    await Deno.writeFile(binary, bytes, { mode: 0o755 });
    return new Fixture(dir, binary);
  }

  get cache(): string {
    return `${this.dir}/cache/runtime`;
  }

  async run(args: string[]): Promise<Outcome> {
    const { code, stdout, stderr } = await new Deno.Command(this.binary, {
      args,
      env: { ANKYLO_CACHE: `${this.dir}/cache` },
    }).output();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    return { status: code, lines, stderr: new TextDecoder().decode(stderr) };
  }

  async names(): Promise<string[]> {
    const entries = await Array.fromAsync(Deno.readDir(this.cache));
    return entries.map((entry) => entry.name).sort();
  }
}

async function withFixture(test: (fixture: Fixture) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "ankylo-launcher-" });
  try {
    await test(await Fixture.make(dir));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("the launcher unpacks its parts and passes arguments and status on", async () => {
  await withFixture(async (fixture) => {
    const { status, lines } = await fixture.run(["run", "--", "-x", "two words"]);
    assert.equal(status, 7);
    const shim = lines[1]!.replace("shim ", "");
    assert.match(shim, new RegExp(`^${fixture.cache}/ankylo-shim-[0-9a-f]{16}\\.so$`));
    assert.equal(await Deno.readTextFile(shim), "shim");
    assert.ok(lines.includes(`argument --allow-ffi=${shim}`));
    assert.ok(!lines.some((line) => line.startsWith("argument --allow-run")));
    assert.deepEqual(lines.slice(-4), ["run", "--", "-x", "two words"].map((a) => `argument ${a}`));
    const bundle = lines.at(-5)!.replace("argument ", "");
    assert.equal(await Deno.readTextFile(bundle), "bundle");
  });
});

Deno.test("the launcher unpacks again what is not as it left it", async () => {
  await withFixture(async (fixture) => {
    await fixture.run([]);
    const runtime = `${fixture.cache}/${(await fixture.names())[0]}`;
    const before = await Deno.stat(runtime);
    await fixture.run([]);
    assert.equal((await Deno.stat(runtime)).ino, before.ino);
    await Deno.truncate(runtime, 10);
    assert.equal((await fixture.run([])).status, 7);
    assert.deepEqual(await Deno.readFile(runtime), RUNTIME);
    await Deno.chmod(runtime, 0o777);
    assert.equal((await fixture.run([])).status, 7);
    assert.equal((await Deno.stat(runtime)).mode! & 0o777, 0o700);
  });
});

Deno.test("the launcher keeps one version of each part", async () => {
  await withFixture(async (fixture) => {
    await fixture.run([]);
    const before = await fixture.names();
    const newer = await Fixture.make(fixture.dir, "newer bundle");
    await newer.run([]);
    const after = await newer.names();
    assert.equal(after.length, 3);
    assert.deepEqual(before.filter((name) => !after.includes(name)).length, 1);
  });
});

Deno.test("the launcher does not use a directory that others can enter", async () => {
  await withFixture(async (fixture) => {
    await Deno.mkdir(fixture.cache, { recursive: true, mode: 0o755 });
    const { status, lines } = await fixture.run([]);
    assert.equal(status, 7);
    assert.match(lines[1]!, /^shim \/proc\/self\/fd\//);
    assert.deepEqual(await fixture.names(), []);
  });
});

Deno.test("the launcher runs from memory where it can write nowhere", async () => {
  await withFixture(async (fixture) => {
    await Deno.chmod(fixture.dir, 0o755);
    const { code, stdout } = await new Deno.Command("setpriv", {
      args: ["--reuid=65534", "--regid=65534", "--clear-groups", fixture.binary, "run"],
      env: { ANKYLO_CACHE: "/proc" },
    }).output();
    assert.equal(code, 7);
    assert.match(new TextDecoder().decode(stdout), /^shim \/proc\/self\/fd\/\d+$/m);
  });
});

Deno.test("the launcher says that it was cut short", async () => {
  await withFixture(async (fixture) => {
    const { size } = await Deno.stat(fixture.binary);
    await Deno.truncate(fixture.binary, size - 1);
    const { status, stderr } = await fixture.run([]);
    assert.equal(status, 126);
    assert.match(stderr, /^ankylo: Read this executable: its end is missing/);
  });
});
