/**
 * Compiles the kernel programs: `bpf/*.bpf.c` into one object, `.output/bpf/ankylo.bpf.o`, and every test program into
 * one of its own under `.output/bpf/tests/`.
 */

import { generateTypes } from "./gen_types.ts";
import { generateVmlinuxHeader, vmlinuxHeader } from "./gen_vmlinux.ts";
import { filesUnder, repositoryDir, writeIfStale } from "./stale.ts";
import { run } from "./vm/command.ts";

/** What the agent loads. */
export const bpfObject = ".output/bpf/ankylo.bpf.o";
/** Where `NAME_test.bpf.c` and `bpf/tests/NAME.bpf.c` become `NAME_test.bpf.o` and `NAME.bpf.o`. */
export const bpfTestsDir = ".output/bpf/tests";

/** Only its types matter, to scripts/gen_types.ts. */
const TYPES_SOURCE = "bpf/agent_api.bpf.c";

const COMPILER = "clang-19";

/**
 * v3 is what 5.1 and later verify: 32-bit arithmetic without shifts, more room for the verifier's bounds. -g makes BTF,
 * which CO-RE relocations and typed maps need; the DWARF that comes with it is stripped.
 */
const FLAGS = [
  ...["-g", "-O2", "-std=gnu11", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"],
  ...[`-D__TARGET_ARCH_${Deno.build.arch === "aarch64" ? "arm64" : "x86"}`],
  ...["-Ibpf", "-Ibpf/include", "-I.output/bpf"],
];

/** Compiles what is stale. @throws {CommandError} with the compiler's words */
export async function buildBpf(): Promise<void> {
  await buildBpfTests();
  const sources = (await filesUnder("bpf", [".bpf.c"])).filter((path) => !isTest(path));
  await link(bpfObject, sources.filter((path) => path !== TYPES_SOURCE));
}

/** Compiles only the programs that tests load, and makes what both kinds need: types, vmlinux.h. */
export async function buildBpfTests(): Promise<void> {
  await generateTypes();
  await generateVmlinuxHeader();
  const sources = [...await filesUnder("bpf", [".bpf.c"]), ...await filesUnder("ffi", [".bpf.c"])];
  for (const source of sources.filter(isTest)) {
    await link(`${bpfTestsDir}/${baseName(source)}.o`, [source]);
  }
}

function isTest(path: string): boolean {
  return path.startsWith("bpf/tests/") || path.startsWith("ffi/");
}

/** Compiles each source by itself, so that a static name means the same as in user space, and links the objects. */
async function link(target: string, sources: readonly string[]): Promise<void> {
  const headers = [vmlinuxHeader, ...await filesUnder("bpf", [".h"])];
  const inputs = { files: [...sources, ...headers], texts: [COMPILER, ...FLAGS, ...sources] };
  await writeIfStale(target, inputs, async () => {
    const dir = await Deno.makeTempDir({ prefix: "ankylo-bpf-" });
    try {
      const objects = sources.map((source) => `${dir}/${baseName(source)}.o`);
      for (const [i, source] of sources.entries()) {
        const argv = [COMPILER, ...FLAGS, "-c", source, "-o", objects[i]!];
        await run(argv, { cwd: repositoryDir });
      }
      const linked = `${dir}/linked.o`;
      await run(["bpftool", "gen", "object", linked, ...objects]);
      await run(["llvm-strip-19", "-g", linked]);
      return await Deno.readFile(linked);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1, -".c".length);
}

if (import.meta.main) await buildBpf();
