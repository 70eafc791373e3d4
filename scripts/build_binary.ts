/**
 * Builds `.output/ankylo`: the agent as one executable file, with kernel programs, shim and Deno inside.
 *
 * `deno compile` makes it where its runtime base can be had, which it downloads from dl.deno.land; elsewhere
 * scripts/launcher.c does, in front of the Deno that runs this build. `ankylo version` says which.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { PROGRAM_FILES, type Programs, type ProgramsName } from "../ffi/product.ts";
import { buildBpf } from "./build_bpf.ts";
import { buildShim, shimLibrary } from "./build_shim.ts";
import { repositoryDir, writeIfStale } from "./stale.ts";
import { CommandError, run } from "./vm/command.ts";

export const binary = ".output/ankylo";

/** Another build of the same sources, for tests of upgrades: its kernel programs have another build id. */
export const secondBinary = ".output/ankylo-second";

const BUILD_DIR = ".output/build";
const LAUNCHER = `${BUILD_DIR}/launcher`;
const COMPRESSED_DENO = `${BUILD_DIR}/deno.zst`;
/** Says that this version's runtime base could not be had, and since when. */
const NO_BASE_STAMP = `${BUILD_DIR}/no-runtime-base`;
const RETRY_AFTER_MS = 24 * 3_600_000;
/** Enough for 40 MB over a slow line, and an end where packets are swallowed. */
const COMPILE_TIMEOUT_MS = 120_000;

/** As in scripts/launcher.c. */
const MAGIC = "ANKYLO01";
const PART_BYTES = 40;

/** What the agent may do. scripts/launcher.c has the same, but for --allow-ffi: there the shim has a name of its own. */
const PERMISSIONS = ["net", "read", "write", "env", "sys", "ffi"].map((name) => `--allow-${name}`);

/** The ways in which a bundle learns where its shim is. */
const SHIM_IMPORTS = {
  "deno compile": `import shim from "../shim/libankylo_shim.so" with { type: "bytes" };`,
  "launcher": [
    `const shim = Deno.env.get("_ANKYLO_SHIM");`,
    `if (shim === undefined) throw new Error("Start ankylo: run the executable, not its parts");`,
    `const executable = Deno.env.get("_ANKYLO_EXECUTABLE");`,
    `for (const name of ["_ANKYLO_SHIM", "_ANKYLO_EXECUTABLE"]) Deno.env.delete(name);`,
  ].join("\n"),
} as const;

/** What it then says of them. */
const SHIM_FIELDS = {
  "deno compile": "shim",
  "launcher": "shim, ...(executable === undefined ? {} : { executable })",
} as const;

type Packaging = keyof typeof SHIM_IMPORTS;

interface Target {
  readonly binary: string;
  /** Put behind the end of the object, where nothing reads but the digest that tells builds apart. */
  readonly mark: string;
}

/** Builds everything that is stale, and the executable. */
async function buildBinary(): Promise<void> {
  await buildBpf();
  await buildTarget({ binary, mark: "" });
}

/** Builds the other executable, from what `buildBinary` left, unless it is newer. Returns its path. */
export async function buildSecondBinary(): Promise<string> {
  const [first, second] = await Promise.all([binary, secondBinary].map(modified));
  if (second! < first!) await buildTarget({ binary: secondBinary, mark: "second build" });
  return repositoryDir + secondBinary;
}

/** Time of the last change in ms, 0 for a file that does not exist. */
async function modified(path: string): Promise<number> {
  try {
    return (await Deno.stat(repositoryDir + path)).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function buildTarget(target: Target): Promise<void> {
  await Deno.mkdir(repositoryDir + BUILD_DIR, { recursive: true });
  await buildShim();
  const packaging = await compileWithDeno(target) ? "deno compile" : "launcher";
  if (packaging === "launcher") await packWithLauncher(target);
  const { size } = await Deno.stat(repositoryDir + target.binary);
  console.error(`build: ${target.binary}: ${(size / 1e6).toFixed(1)} MB, by ${packaging}`);
}

/**
 * Bundles main.ts with all it imports; what the packaging adds is evaluated first. Not minified: esbuild then takes a `using` that
 * is named once for a mere value, and what it holds is never closed.
 */
async function bundle(packaging: Packaging, { mark, binary }: Target): Promise<Uint8Array> {
  const name = `${packaging.replace(" ", "_")}_${binary.split("/").at(-1)}`;
  const [entry, product, output] = ["entry", "product", "bundle"].map((kind) => `${kind}_${name}`);
  await writeBuildFile(`${product}.ts`, [
    `import { setProduct } from "../../ffi/product.ts";`,
    `const programs = ${JSON.stringify(await packedPrograms(mark))};`,
    SHIM_IMPORTS[packaging],
    `setProduct({ packaging: "${packaging}", programs, ${SHIM_FIELDS[packaging]} });`,
  ]);
  await writeBuildFile(`${entry}.ts`, [`import "./${product}.ts";`, `import "../../main.ts";`]);
  const path = `${repositoryDir}${BUILD_DIR}/${output}.js`;
  const argv = [Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "-o", path];
  await run([...argv, `${BUILD_DIR}/${entry}.ts`], { cwd: repositoryDir });
  const text = inAscii(withoutCachePaths(await Deno.readTextFile(path)));
  await Deno.writeTextFile(path, text);
  return new TextEncoder().encode(text);
}

/**
 * The kernel programs as `Product` has them. What a start on 5.17 and later wants besides the main programs is as it is: to
 * decompress it costs more than to read past it.
 */
async function packedPrograms(mark: string): Promise<Record<ProgramsName, Programs<string>>> {
  const { "5.17": now, "5.10": old } = PROGRAM_FILES;
  return {
    "5.17": { main: await packed(now.main, mark), onDemand: await plain(now.onDemand) },
    "5.10": { main: await packed(old.main, mark), onDemand: await packed(old.onDemand, "") },
  };
}

async function packed(file: string, mark: string): Promise<string> {
  const programs = await Deno.readFile(`${repositoryDir}.output/${file}`);
  const marked = Buffer.concat([programs, Buffer.from(mark)]);
  return gzipSync(marked, { level: 9 }).toString("base64");
}

async function plain(file: string): Promise<string> {
  return (await Deno.readFile(`${repositoryDir}.output/${file}`)).toBase64();
}

/** Packages are named after where Deno's cache is on this machine: without that, two machines build the same. */
function withoutCachePaths(bundle: string): string {
  return bundle.replace(/(?:\.\.\/)+[^\s"]*?\/npm\/[^\s"/]+\//g, "npm/");
}

/** One character of another kind, in a comment too, and V8 holds all of the bundle in two bytes a character. */
function inAscii(bundle: string): string {
  const escape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return bundle.replace(/[\u0080-\uffff]/g, escape);
}

async function writeBuildFile(name: string, lines: readonly string[]): Promise<void> {
  await Deno.writeTextFile(`${repositoryDir}${BUILD_DIR}/${name}`, lines.join("\n") + "\n");
}

/* ---- deno compile ---- */

/** Returns whether it worked; a missing runtime base is remembered for a day. */
async function compileWithDeno(target: Target): Promise<boolean> {
  if (await knownToFail()) return false;
  await bundle("deno compile", target);
  const partial = `${repositoryDir}${target.binary}.compiled`;
  const argv = [
    Deno.execPath(),
    "compile",
    "--no-config",
    "--no-check",
    ...PERMISSIONS,
    "-o",
    partial,
  ];
  const bundled = `${BUILD_DIR}/bundle_deno_compile_${target.binary.split("/").at(-1)}.js`;
  const command = [...argv, bundled];
  try {
    await runWithin(COMPILE_TIMEOUT_MS, command);
    // A file that does not start would be found out only on a node.
    await run([partial, "version"]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await rememberFailure(error);
    return false;
  }
  await Deno.rename(partial, repositoryDir + target.binary);
  return true;
}

async function runWithin(timeoutMs: number, argv: readonly string[]): Promise<void> {
  await run(["timeout", `${timeoutMs / 1000}`, ...argv], { cwd: repositoryDir });
}

async function knownToFail(): Promise<boolean> {
  const stamp = repositoryDir + NO_BASE_STAMP;
  try {
    const { mtime } = await Deno.stat(stamp);
    const version = (await Deno.readTextFile(stamp)).split("\n")[0];
    return version === Deno.version.deno && Date.now() - mtime!.getTime() < RETRY_AFTER_MS;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function rememberFailure(error: CommandError): Promise<void> {
  const reason = error.stderr.split("\n").find((line) => line.includes("error sending request")) ??
    error.message;
  console.error(`build: deno compile is not possible here, ignoring: ${reason.trim()}`);
  const text = `${Deno.version.deno}\n${error.stderr}\n`;
  await Deno.writeTextFile(repositoryDir + NO_BASE_STAMP, text);
}

/* ---- our own launcher ---- */

async function packWithLauncher(target: Target): Promise<void> {
  const launcher = await Deno.readFile(await buildLauncher());
  await compressDeno();
  const deno = await Deno.readFile(Deno.execPath());
  const shim = await Deno.readFile(repositoryDir + shimLibrary);
  const main = await bundle("launcher", target);
  const bytes = assemble(launcher, [
    { content: deno, packed: await Deno.readFile(repositoryDir + COMPRESSED_DENO) },
    { content: shim, packed: shim },
    { content: main, packed: main },
  ]);
  const partial = `${repositoryDir}${target.binary}.${Deno.pid}`;
  await Deno.writeFile(partial, bytes, { mode: 0o755 });
  await Deno.rename(partial, repositoryDir + target.binary);
}

/** Compiles the launcher when it is stale. Returns its path. */
export async function buildLauncher(): Promise<string> {
  const source = "scripts/launcher.c";
  const compiler = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s"];
  await writeIfStale(LAUNCHER, { files: [source], texts: compiler }, async () => {
    const output = await Deno.makeTempFile();
    try {
      await run([...compiler, "-o", output, source, "-lzstd"], { cwd: repositoryDir });
      return await Deno.readFile(output);
    } finally {
      await Deno.remove(output);
    }
  });
  return repositoryDir + LAUNCHER;
}

/** Level 3 takes a second for 40 MB; 19 takes 80 s for 33 MB. */
async function compressDeno(): Promise<void> {
  const level = ["-3", "-T0"];
  await writeIfStale(COMPRESSED_DENO, { files: [Deno.execPath()], texts: level }, async () => {
    const output = await Deno.makeTempFile();
    try {
      await run(["zstd", "--quiet", "--force", "--check", ...level, Deno.execPath(), "-o", output]);
      return await Deno.readFile(output);
    } finally {
      await Deno.remove(output);
    }
  });
}

/** What the launcher unpacks: the runtime, the shim, the bundle. */
export interface Part {
  content: Uint8Array;
  /** The content, or something shorter that zstd makes the content of. */
  packed: Uint8Array;
}

/** The launcher, the parts, and the trailer by which it finds them. */
export function assemble(launcher: Uint8Array, parts: readonly Part[]): Uint8Array {
  const trailer = new Uint8Array(parts.length * PART_BYTES + MAGIC.length);
  const view = new DataView(trailer.buffer);
  const encoder = new TextEncoder();
  let offset = launcher.length;
  for (const [i, { content, packed }] of parts.entries()) {
    const id = createHash("sha256").update(content).digest("hex").slice(0, 16);
    view.setBigUint64(i * PART_BYTES, BigInt(offset), true);
    view.setBigUint64(i * PART_BYTES + 8, BigInt(packed.length), true);
    view.setBigUint64(i * PART_BYTES + 16, BigInt(content.length), true);
    trailer.set(encoder.encode(id), i * PART_BYTES + 24);
    offset += packed.length;
  }
  trailer.set(encoder.encode(MAGIC), parts.length * PART_BYTES);
  const pieces = [launcher, ...parts.map(({ packed }) => packed), trailer];
  return new Uint8Array(Buffer.concat(pieces));
}

if (import.meta.main) await buildBinary();
