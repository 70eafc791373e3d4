/** Whether the kernel's side reads paths rightly here: compared with paths that the agent knows, before anything is decided. */

import { type BpfObject, type Shim, u32Bytes } from "../../ffi/bpf.ts";
import {
  decodeKnownPath,
  encodeKnownPath,
  KNOWN_PATH_SIZE,
  type KnownPath,
} from "../../ffi/generated/agent_api.ts";
import { KernelFiles, PathDescriptor } from "../../ffi/procfs.ts";
import { componentsOf, type HashKeys, PathHasher } from "../compile/hash.ts";

/** Paths are not what the kernel's side reads: rules would be about other files than they name. */
export class SelfTestError extends Error {
  override name = "SelfTestError";
}

/** Around these lengths kernels change how they store a name: in the dentry itself up to 31 or 39 bytes, else elsewhere. */
const NAME_LENGTHS = [1, 31, 32, 33, 39, 40, 41, 64, 255];
/** Names below them. */
const DEPTH = 20;
const NAMES = [...NAME_LENGTHS.map((length) => "n".repeat(length)), ...Array(DEPTH).fill("d")];
/** enum walk_end of bpf/include/path.bpf.h. */
const REACHED = 0;

/** What is asked of the loaded programs: the kernel, or what a test has stand for it. */
export type SelfTested = Pick<BpfObject, "maps" | "map" | "program">;

/**
 * Has the loaded programs read paths of directories that are made in `directory` and removed again; `keys` are those that
 * they were loaded with.
 * @throws {SelfTestError} one is read wrongly: the message says which, and how
 */
export function testWalker(shim: Shim, elf: SelfTested, keys: HashKeys, directory: string): void {
  const files = new KernelFiles(shim);
  const below = (parent: string) =>
    NAMES.map((_, i) => [parent, ...NAMES.slice(0, i + 1)].join("/"));
  const made = [directory, ...below(directory)];
  try {
    files.makeDir(made.at(-1)!);
    const hasher = new PathHasher(keys);
    // The agent's root is not the namespace's when it was started in a chroot, of which rules and walker know nothing.
    const above = readPath(shim, elf, "/").components;
    const named = ownPath(shim, files, directory);
    const paths = ["/", named, ...below(named)];
    // What was made is opened where it was made: under its full name there may be nothing, or something else.
    const wrong = ["/", ...made].flatMap((path, i) =>
      difference(paths[i]!, readPath(shim, elf, path), hasher, above) ?? []
    );
    if (wrong.length > 0) throw new SelfTestError(`Test path walker: ${wrong[0]}`);
  } finally {
    for (const path of made.toReversed()) if (files.exists(path)) files.removeDir(path);
  }
}

/** Without symbolic links. Deno's realPath() may not look at /sys. */
function ownPath(shim: Shim, files: KernelFiles, path: string): string {
  using open = PathDescriptor.open(shim, path);
  return files.readLink(`/proc/self/fd/${open.fd("Read path of")}`);
}

function readPath(shim: Shim, elf: SelfTested, path: string): KnownPath {
  using open = PathDescriptor.open(shim, path);
  const context = encodeKnownPath({
    ...{ fd: open.fd("Read path of"), walked: 0, end: 0, components: 0, pathHash: 0n },
  });
  return decodeKnownPath(new DataView(runSelfTest(elf, context).buffer, 0, KNOWN_PATH_SIZE));
}

/** On 5.10 it is an iterator, which gets by a map what others get as their context. */
function runSelfTest(elf: SelfTested, context: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  using program = elf.program("self_test");
  if (!elf.maps().includes("known_paths")) {
    program.run(context);
    return context;
  }
  using paths = elf.map("known_paths");
  paths.update(u32Bytes(0), context);
  program.runIterator();
  return paths.lookup(u32Bytes(0))!;
}

/**
 * What is wrong with the kernel's reading of a path; undefined: nothing. `above`: how many names lie above the agent's root
 * directory, by the same reading.
 */
export function difference(
  path: string,
  found: KnownPath,
  hasher: PathHasher,
  above: number,
): string | undefined {
  const names = componentsOf(path).length;
  const what = `a path of ${names} names, "${path.slice(0, 40)}…",`;
  if (found.walked === 0) return `${what} was not among the agent's open files`;
  if (found.end !== REACHED) return `${what} was not followed to the root`;
  if (found.components !== names + above) return `${what} was read as ${found.components} names`;
  if (above === 0 && found.pathHash !== hasher.path(path)) {
    return `${what} was read with other names`;
  }
  return undefined;
}
