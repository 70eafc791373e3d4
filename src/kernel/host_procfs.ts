/** What the agent reads of /proc and /sys about processes and containers, through the shim. */

import { BpfError, type Shim } from "../../ffi/bpf.ts";
import { KernelFiles } from "../../ffi/procfs.ts";
import type { CgroupTree } from "../sources/runtime/cgroup.ts";

/** A process may end between two reads, so whatever can't be read is undefined; nothing throws. */
export class HostProcfs {
  readonly #files: KernelFiles;

  constructor(shim: Shim) {
    this.#files = new KernelFiles(shim);
  }

  readText(path: string): string | undefined {
    return orUndefined(() => this.#files.readText(path));
  }

  /** The inode number of a file or directory. */
  inode(path: string): bigint | undefined {
    return orUndefined(() => this.#files.inodeOf(path));
  }

  /** The executable as the process's own mount namespace names it. */
  exe(pid: number): string | undefined {
    return orUndefined(() => this.#files.readLink(`/proc/${pid}/exe`));
  }

  /** argv, argv[0] first. */
  cmdline(pid: number): readonly string[] | undefined {
    const text = this.readText(`/proc/${pid}/cmdline`);
    return text === undefined ? undefined : text.replace(/\0$/, "").split("\0");
  }

  cwd(pid: number): string | undefined {
    return orUndefined(() => this.#files.readLink(`/proc/${pid}/cwd`));
  }

  /** Where runtimes make containers' cgroups. */
  get cgroupTree(): CgroupTree | undefined {
    const hierarchy = this.#files.cgroupHierarchy();
    if (hierarchy === undefined) return undefined;
    const { controller, root } = hierarchy;
    return { root, controller: controller === "unified" ? "" : controller };
  }
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof BpfError) return undefined;
    throw error;
  }
}
