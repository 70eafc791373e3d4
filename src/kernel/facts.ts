/** Facts about the running kernel, read through the shim. */

import { BpfError, type Shim } from "../../ffi/bpf.ts";
import { kernelHasSymbol, kernelHasType } from "../../ffi/features.ts";
import { KernelFiles } from "../../ffi/procfs.ts";
import { ENOENT, EOPNOTSUPP } from "../lib/errno.ts";
import { LSM_HOOKS } from "./hooks.ts";
import { KERNEL_FUNCTIONS, KERNEL_SYMBOLS, type KernelFacts } from "./probe.ts";

const LSM_LIST = "/sys/kernel/security/lsm";
const BTF_FILE = "/sys/kernel/btf/vmlinux";

/** Everything that `probe` needs. @throws {BpfError} when /proc can't be read */
export function readFacts(shim: Shim): KernelFacts {
  const symbols = new Set(KERNEL_SYMBOLS.filter((symbol) => kernelHasSymbol(shim, symbol)));
  return { ...readQuickFacts(shim), symbols };
}

/** The same without the symbols, for which a kernel makes and a reader searches some 10 MB of text. */
export function readQuickFacts(shim: Shim): KernelFacts {
  const files = new KernelFiles(shim);
  const btf = files.exists(BTF_FILE);
  const has = (name: string) => btf && hasFunction(shim, name);
  return {
    release: files.kernelRelease(),
    lsms: readLsms(files),
    btf,
    hooks: new Set(LSM_HOOKS.filter((hook) => has(`bpf_lsm_${hook}`))),
    functions: new Set(KERNEL_FUNCTIONS.filter(has)),
    symbols: undefined,
    cgroups: files.cgroupHierarchy(),
    bpffs: /^nodev\tbpf$/m.test(files.readText("/proc/filesystems")),
    root: Deno.uid() === 0,
  };
}

function readLsms(files: KernelFiles): string[] | undefined {
  try {
    return files.readText(LSM_LIST).trim().split(",").filter((name) => name !== "");
  } catch (error) {
    if (error instanceof BpfError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

function hasFunction(shim: Shim, name: string): boolean {
  try {
    return kernelHasType(shim, name);
  } catch (error) {
    if (error instanceof BpfError && error.errno === EOPNOTSUPP) return false;
    throw error;
  }
}
