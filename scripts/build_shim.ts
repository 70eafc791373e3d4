/**
 * Compiles `.output/shim/libankylo_shim.so`: ffi/*.c with libbpf, libelf and zlib inside, so that a node needs nothing
 * but glibc 2.33.
 */

import { filesUnder, repositoryDir, writeIfStale } from "./stale.ts";
import { run } from "./vm/command.ts";

export const shimLibrary = ".output/shim/libankylo_shim.so";

const LIBRARIES = `/usr/lib/${Deno.build.arch}-linux-gnu`;

const COMPILE = [
  ...["gcc", "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-fstack-protector-strong"],
  ...["-Wall", "-Wextra", "-Werror", "-D_FORTIFY_SOURCE=2"],
];

/**
 * `text` and `defs` make the linker refuse what would only fail on a node: relocations in code, and names that no library
 * has. Only the functions of shim.h are exported.
 */
const LINK = [
  ...["gcc", "-shared", "-Wl,-z,text", "-Wl,-z,defs", "-Wl,-z,relro", "-Wl,-z,now"],
  ...["-Wl,--exclude-libs,ALL", "-Wl,--build-id=none", "-s"],
];

/** Compiles it when it is stale. @throws {CommandError} with the compiler's words */
export async function buildShim(): Promise<void> {
  const sources = (await filesUnder("ffi", [".c"])).filter((path) => !path.endsWith(".bpf.c"));
  const archives = ["libbpf.a", "libelf.a", "libz.a"].map((name) => `${LIBRARIES}/${name}`);
  const files = [...sources, "ffi/shim.h", "ffi/shim_attach.h", ...archives];
  await writeIfStale(shimLibrary, { files, texts: [...COMPILE, ...LINK] }, async () => {
    const dir = await Deno.makeTempDir({ prefix: "ankylo-shim-" });
    try {
      await adaptLibraries(dir);
      const objects = await Promise.all(sources.map((source) => compile(source, dir)));
      const libraries = [`${dir}/libbpf.a`, `${dir}/libelf.a`, `${LIBRARIES}/libz.a`];
      await run([...LINK, "-o", `${dir}/shim.so`, ...objects, ...libraries]);
      return await Deno.readFile(`${dir}/shim.so`);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

/** Copies Debian's archives without what cannot be part of a shared library: see ffi/libelf_errors.c. */
async function adaptLibraries(dir: string): Promise<void> {
  await run(["cp", `${LIBRARIES}/libelf.a`, dir]);
  await run(["ar", "d", `${dir}/libelf.a`, "elf_error.o"]);
  const rename = ["--redefine-sym", "stderr=ankylo_stderr"];
  await run(["objcopy", ...rename, `${LIBRARIES}/libbpf.a`, `${dir}/libbpf.a`]);
}

async function compile(source: string, dir: string): Promise<string> {
  const object = `${dir}/${source.slice(source.lastIndexOf("/") + 1)}.o`;
  await run([...COMPILE, "-c", source, "-o", object], { cwd: repositoryDir });
  return object;
}

if (import.meta.main) await buildShim();
