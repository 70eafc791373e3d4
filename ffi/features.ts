/** What the running kernel has: looked up, never guessed from its version. */

import { ENOENT, EOPNOTSUPP } from "../src/lib/errno.ts";
import { BpfError, checked } from "./errors.ts";
import { cString, type Shim } from "./load.ts";

/** enum BTF_KIND_*. @see include/uapi/linux/btf.h */
export const BTF_KIND = { STRUCT: 4, ENUM: 6, FUNC: 12 } as const;

/**
 * Whether the kernel's BTF has a type or function of that name. `bpf_lsm_NAME` is there for every LSM hook that a program
 * can be attached to.
 *
 * @throws {BpfError} EOPNOTSUPP: the kernel has no BTF at all, and can then load none of the agent's programs
 */
export function kernelHasType(shim: Shim, name: string, kind: number = BTF_KIND.FUNC): boolean {
  const id = shim.symbols.ankylo_kernel_type(cString(name), kind);
  if (id === -ENOENT) return false;
  if (id === -EOPNOTSUPP) {
    throw new BpfError("Look up kernel type", name, id, "the kernel has no BTF");
  }
  return checked(id, "Look up kernel type", name) > 0;
}

/** Whether the kernel or a loaded module has a symbol of that name, static functions too. */
export function kernelHasSymbol(shim: Shim, name: string): boolean {
  const result = shim.symbols.ankylo_kernel_symbol(cString(name));
  return checked(result, "Look up kernel symbol", name) === 1;
}
