/** Facts about the running kernel, read through the shim. */

import { BpfError, type Shim } from "../../ffi/bpf.ts";
import { kernelFunctions, kernelSymbol } from "../../ffi/features.ts";
import { KernelFiles } from "../../ffi/procfs.ts";
import { ENOENT } from "../lib/errno.ts";
import { CGROUP_HOOKS, LSM_HOOKS, TRACEPOINTS } from "./hooks.ts";
import { KERNEL_FUNCTIONS, KERNEL_SYMBOLS, type KernelFacts, programsFor } from "./probe.ts";

const LSM_LIST = "/sys/kernel/security/lsm";
/** The kernel has a function `bpf_lsm_NAME` for every LSM hook that a program can be attached to. */
const LSM_PREFIX = "bpf_lsm_";
/** OWNERS_AT_INODE of bpf/include/portable.bpf.h says why, bpf/on_demand.bpf.c of the tracepoint. */
const NOT_ON_5_10: readonly string[] = ["path_chown", ...TRACEPOINTS];

/** Programs about names, which the verifier before bpf_cgrp_storage_get, of 6.2, refuses. */
const NOT_BEFORE_6_2: readonly string[] = CGROUP_HOOKS;

/** Everything that `probe` needs. @throws {BpfError} when /proc can't be read */
export function readFacts(shim: Shim): KernelFacts {
  const symbols = new Set(KERNEL_SYMBOLS.filter((symbol) => kernelSymbol(shim, symbol)));
  return { ...readQuickFacts(shim), symbols };
}

/** The same without the symbols, for which an old kernel makes and a reader searches some 10 MB of text. */
export function readQuickFacts(shim: Shim): KernelFacts {
  const files = new KernelFiles(shim);
  const found = kernelFunctions(shim, [LSM_PREFIX, ...KERNEL_FUNCTIONS]);
  const functions = new Set(KERNEL_FUNCTIONS.filter((name) => found?.has(name)));
  const refused = new Set([
    ...programsFor({ functions }) === "5.10" ? NOT_ON_5_10 : [],
    ...functions.has("bpf_cgrp_storage_get") ? [] : NOT_BEFORE_6_2,
  ]);
  const cgroups = files.cgroupHierarchy();
  const hooks = [
    ...LSM_HOOKS.filter((hook) => found?.has(`${LSM_PREFIX}${hook}`)),
    ...TRACEPOINTS,
    ...cgroups?.controller === "unified" ? CGROUP_HOOKS : [],
  ];
  return {
    release: files.kernelRelease(),
    lsms: readLsms(files),
    btf: found !== undefined,
    hooks: new Set(hooks.filter((hook) => !refused.has(hook))),
    functions,
    symbols: undefined,
    cgroups,
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
