/**
 * Compiles the kernel programs: `bpf/ankylo.bpf.c`, which includes the rest, to `.output/bpf/ankylo.bpf.o` and, with what
 * 5.10 has, to `ankylo-5.10.bpf.o`; `bpf/on_demand.bpf.c` likewise; and every test program to one of its own under
 * `.output/bpf/tests/`.
 */

import { PROGRAM_FILES, type ProgramsName } from "../ffi/product.ts";
import { generateTypes } from "./gen_types.ts";
import { generateVmlinuxHeader, vmlinuxHeader } from "./gen_vmlinux.ts";
import { withoutLines } from "./line_info.ts";
import { filesUnder, repositoryDir, writeIfStale } from "./stale.ts";
import { run } from "./vm/command.ts";

/** What tells the sources which kernel they are compiled for. */
const DEFINITIONS: Readonly<Record<ProgramsName, readonly string[]>> = {
  "5.17": [],
  "5.10": ["-DKERNEL_5_10"],
};
/** Where `ffi/NAME.bpf.c` and `bpf/tests/NAME.bpf.c` become `NAME.bpf.o`. */
export const bpfTestsDir = ".output/bpf/tests";

const COMPILER = "clang-19";

/**
 * v3 is what 5.1 and later verify: 32-bit arithmetic without shifts. -g makes BTF, which CO-RE relocations and typed maps
 * need; the DWARF and the line numbers that come with it are stripped.
 */
const FLAGS = [
  ...["-g", "-O2", "-std=gnu11", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"],
  `-D__TARGET_ARCH_${Deno.build.arch === "aarch64" ? "arm64" : "x86"}`,
  ...["-Ibpf", "-Ibpf/include", "-I.output/bpf"],
];

/** Compiles what is stale. @throws {CommandError} with the compiler's words */
export async function buildBpf(): Promise<void> {
  await buildBpfTests();
  for (const name of ["5.17", "5.10"] as const) {
    const { main, onDemand } = PROGRAM_FILES[name];
    await compile("bpf/ankylo.bpf.c", `.output/${main}`, DEFINITIONS[name]);
    await compile("bpf/on_demand.bpf.c", `.output/${onDemand}`, DEFINITIONS[name]);
  }
}

/** Compiles only the programs that tests load, and makes what both kinds need: types, vmlinux.h. */
export async function buildBpfTests(): Promise<void> {
  await generateTypes();
  await generateVmlinuxHeader();
  const sources = [...await filesUnder("bpf", [".bpf.c"]), ...await filesUnder("ffi", [".bpf.c"])];
  for (const source of sources.filter(isTest)) {
    const name = source.slice(source.lastIndexOf("/") + 1, -".c".length);
    await compile(source, `${bpfTestsDir}/${name}.o`);
  }
}

function isTest(path: string): boolean {
  return path.startsWith("bpf/tests/") || path.startsWith("ffi/");
}

async function compile(
  source: string,
  target: string,
  more: readonly string[] = [],
): Promise<void> {
  const included = await filesUnder("bpf", [".h", ".bpf.c"]);
  const inputs = {
    files: [source, vmlinuxHeader, ...included],
    texts: [COMPILER, ...FLAGS, ...more, withoutLines.toString()],
  };
  await writeIfStale(target, inputs, async () => {
    const dir = await Deno.makeTempDir({ prefix: "ankylo-bpf-" });
    try {
      const object = `${dir}/object.o`;
      await run([COMPILER, ...FLAGS, ...more, "-c", source, "-o", object], { cwd: repositoryDir });
      await run(["llvm-strip-19", "-g", object]);
      await dropLines(object, dir);
      return await Deno.readFile(object);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

/** With the relocations of BTF, which only linkers read. */
async function dropLines(object: string, dir: string): Promise<void> {
  const copy = "llvm-objcopy-19";
  const [section, kept] = [`${dir}/section`, `${dir}/kept`];
  await run([copy, `--dump-section=.BTF.ext=${section}`, object]);
  await Deno.writeFile(kept, withoutLines(await Deno.readFile(section)));
  const unread = [".rel.BTF", ".rel.BTF.ext"].map((name) => `--remove-section=${name}`);
  await run([copy, `--update-section=.BTF.ext=${kept}`, ...unread, object]);
}

if (import.meta.main) await buildBpf();
