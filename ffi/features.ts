/** What the running kernel has: looked up, never guessed from its version. */

import { EOPNOTSUPP } from "../src/lib/errno.ts";
import { checked } from "./errors.ts";
import { cString, type Shim } from "./load.ts";

/** More than the names of all LSM hooks take. */
const NAMES_BYTES = 32 << 10;

/**
 * Names of the functions in the kernel's BTF that begin with one of `prefixes`. Undefined: the kernel has no BTF at all, and
 * can load none of the agent's programs.
 */
export function kernelFunctions(
  shim: Shim,
  prefixes: readonly string[],
): ReadonlySet<string> | undefined {
  const list = new TextEncoder().encode(prefixes.map((prefix) => `${prefix}\0`).join(""));
  for (let size = NAMES_BYTES;; size *= 2) {
    const names = new Uint8Array(size);
    const needed = shim.symbols.ankylo_kernel_functions(list, list.length, names, size);
    if (needed === -EOPNOTSUPP) return undefined;
    if (checked(needed, "List kernel functions", prefixes.join()) > size) continue;
    return new Set(new TextDecoder().decode(names.subarray(0, needed)).split("\0").slice(0, -1));
  }
}

/** Address of a kernel symbol, a static one too, or undefined when there is none of that name. Needs root. */
export function kernelSymbol(shim: Shim, name: string): bigint | undefined {
  const address = new BigUint64Array(1);
  const result = shim.symbols.ankylo_kernel_symbol(cString(name), address);
  return checked(result, "Look up kernel symbol", name) === 1 ? address[0]! : undefined;
}
