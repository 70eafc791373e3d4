/**
 * Files of /proc, /sys and bpffs. Deno's own functions open these only under --allow-all, so the shim does it.
 *
 * All calls are synchronous: these files have no disk behind them.
 */

import { EEXIST, ENOENT, ESRCH } from "../src/lib/errno.ts";
import { BpfError, checked } from "./errors.ts";
import { Descriptor } from "./handle.ts";
import { cString, type Shim } from "./load.ts";
import { BpfMap } from "./map.ts";
import { BpfLink, programExists } from "./program.ts";

/** First try of `readFile`; it is doubled until the file fits. */
const READ_BYTES = 16 << 10;
/** More than any file of /proc has, but the symbol list, which `kernelSymbol` searches. */
const READ_BYTES_MAX = 64 << 20;
const LINK_BYTES_MAX = 4096;
const NAMES_BYTES = 16 << 10;
/** Between two looks whether programs are gone, and when to give up: half a second was seen in an emulated machine. */
const DETACH_POLL_MS = 2;
const DETACH_MS = 30_000;

/** USER_HZ is 100 on every architecture that matters here (include/asm-generic/param.h). */
const NS_PER_TICK = 10_000_000n;

const decoder = new TextDecoder();

/** The facts of stat(2). */
export interface FileInfo {
  readonly inode: bigint;
  readonly device: bigint;
  readonly mode: number;
  readonly sizeBytes: bigint;
}

/** A kernel's files, as the shim sees them: those of the mount namespace of the agent. */
/** A file or directory by its name alone: it keeps what has that name now from going away, and is no way to read it. */
export class PathDescriptor extends Descriptor {
  /** Follows symbolic links. @throws {BpfError} ENOENT, EACCES */
  static open(shim: Shim, path: string): PathDescriptor {
    const fd = checked(shim.symbols.ankylo_path_open(cString(path)), "Open", path);
    return new PathDescriptor(shim, fd, `file "${path}"`);
  }
}

export class KernelFiles {
  readonly #shim: Shim;

  constructor(shim: Shim) {
    this.#shim = shim;
  }

  /** The whole file. @throws {BpfError} ENOENT, EACCES; ESRCH for a process that has ended */
  readFile(path: string): Uint8Array<ArrayBuffer> {
    const name = cString(path);
    for (let size = READ_BYTES; size <= READ_BYTES_MAX; size *= 2) {
      const bytes = new Uint8Array(size);
      const length = this.#shim.symbols.ankylo_file_read(name, bytes, size);
      if (checked(length, "Read", path) < size) return bytes.subarray(0, length);
    }
    throw new RangeError(`Read "${path}": file must have less than ${READ_BYTES_MAX} bytes`);
  }

  /** The whole file as text; what is not UTF-8 becomes U+FFFD. @throws {BpfError} as `readFile` */
  readText(path: string): string {
    return decoder.decode(this.readFile(path));
  }

  /** @throws {BpfError} ENOENT; EINVAL: not a symbolic link; EACCES */
  readLink(path: string): string {
    const target = new Uint8Array(LINK_BYTES_MAX);
    const { symbols } = this.#shim;
    const length = symbols.ankylo_link_read(cString(path), target, target.length);
    return decoder.decode(target.subarray(0, checked(length, "Read link", path)));
  }

  /** @param follow whether a symbolic link's target is meant. @throws {BpfError} ENOENT, EACCES */
  stat(path: string, follow = true): FileInfo {
    const numbers = new BigUint64Array(4);
    const result = this.#shim.symbols.ankylo_file_stat(cString(path), follow ? 1 : 0, numbers);
    checked(result, "Stat", path);
    const [inode, device, mode, sizeBytes] = numbers;
    return { inode: inode!, device: device!, mode: Number(mode), sizeBytes: sizeBytes! };
  }

  /**
   * The inode number of what a path leads to: a namespace's id for /proc/PID/ns/mnt, a cgroup's id for its directory.
   *
   * @throws {BpfError} ENOENT, EACCES
   */
  inodeOf(path: string): bigint {
    return this.stat(path).inode;
  }

  exists(path: string): boolean {
    try {
      this.stat(path, false);
      return true;
    } catch (error) {
      if (isErrno(error, ENOENT)) return false;
      throw error;
    }
  }

  /** Names in a directory, in no order. @throws {BpfError} ENOENT, ENOTDIR, EACCES */
  listDir(path: string): string[] {
    const { symbols } = this.#shim;
    for (let size = NAMES_BYTES;; size *= 2) {
      const names = new Uint8Array(size);
      const needed = checked(symbols.ankylo_dir_list(cString(path), names, size), "List", path);
      if (needed <= size) return decoder.decode(names.subarray(0, needed)).split("\0").slice(0, -1);
    }
  }

  /** Makes a directory of mode 0700, and those above it; one that exists is left as it is. */
  makeDir(path: string): void {
    const parts = path.split("/");
    for (let end = 2; end <= parts.length; end++) {
      const dir = parts.slice(0, end).join("/");
      const result = this.#shim.symbols.ankylo_dir_make(cString(dir), 0o700);
      if (result !== -EEXIST) checked(result, "Make directory", dir);
    }
  }

  /** Removes an empty directory. @throws {BpfError} ENOENT, ENOTEMPTY */
  removeDir(path: string): void {
    checked(this.#shim.symbols.ankylo_dir_remove(cString(path)), "Remove directory", path);
  }

  /** Removes a file, or a pin, and with the last pin of a link what it attached. @throws {BpfError} ENOENT */
  remove(path: string): void {
    checked(this.#shim.symbols.ankylo_file_remove(cString(path)), "Remove", path);
  }

  /**
   * Removes pins of links, and returns when the programs that they attached are gone. The kernel detaches them by a worker,
   * some time after the pin went (`bpf_link_put` in kernel/bpf/syscall.c).
   *
   * @param maps pins of maps that stay as they are until then: the kernel empties an array of programs as soon as no pin
   * and no descriptor holds it
   * @throws {BpfError} ENOENT
   * @throws {Error} something else keeps a program: the pins are removed nevertheless
   */
  removeLinks(links: readonly string[], maps: readonly string[]): void {
    using held = new DisposableStack();
    for (const path of maps) held.use(BpfMap.fromPin(this.#shim, path));
    const programs = links.map((path) => programOf(this.#shim, path));
    for (const path of links) this.remove(path);
    const pause = new Int32Array(new SharedArrayBuffer(4));
    const untilMs = performance.now() + DETACH_MS;
    while (programs.some((id) => programExists(this.#shim, id))) {
      if (performance.now() > untilMs) {
        throw new Error(`Remove links: their programs are still there after ${DETACH_MS} ms`);
      }
      Atomics.wait(pause, 0, 0, DETACH_POLL_MS);
    }
  }

  /** Gives a file or pin another name, in one step replacing what has it. @throws {BpfError} ENOENT */
  rename(from: string, to: string): void {
    const result = this.#shim.symbols.ankylo_file_rename(cString(from), cString(to));
    checked(result, "Rename", `${from}" to "${to}`);
  }

  /** Whether a bpffs is mounted exactly there. */
  isBpffs(path: string): boolean {
    const result = this.#shim.symbols.ankylo_bpffs_mounted(cString(path));
    if (result === -ENOENT) return false;
    return checked(result, "Look for bpffs at", path) === 1;
  }

  /**
   * Makes the directory if need be and mounts a bpffs of mode 0700 there, unless there is one.
   *
   * @returns whether it was mounted now
   * @throws {BpfError} EPERM; ENODEV: the kernel has none
   */
  mountBpffs(path: string): boolean {
    if (this.isBpffs(path)) return false;
    this.makeDir(path);
    checked(this.#shim.symbols.ankylo_bpffs_mount(cString(path)), "Mount bpffs at", path);
    return true;
  }

  /** Unmounts what is mounted there; pins in a private bpffs go with it. @throws {BpfError} EINVAL: nothing is; EBUSY */
  unmount(path: string): void {
    checked(this.#shim.symbols.ankylo_unmount(cString(path)), "Unmount", path);
  }

  /** The hierarchy in which runtimes make containers' cgroups, or undefined when none is mounted. */
  cgroupHierarchy(): CgroupHierarchy | undefined {
    const mounts = this.readText("/proc/self/mountinfo");
    return cgroupHierarchyIn(mounts, this.readText("/proc/self/cgroup"));
  }

  /** `uname -r`. */
  kernelRelease(): string {
    return this.readText("/proc/sys/kernel/osrelease").trim();
  }

  /**
   * Continues a process that is stopped, if it is the one that began then.
   *
   * @param startNs CLOCK_BOOTTIME at which it began
   * @returns false when it has ended
   */
  continueProcess(pid: number, startNs: bigint): boolean {
    const { symbols } = this.#shim;
    const pidfd = symbols.ankylo_pidfd_open(pid);
    if (pidfd === -ESRCH) return false;
    checked(pidfd, "Open process", `${pid}`);
    try {
      // The descriptor came first: the process that the number names now is the one that gets the signal.
      if (this.processStartTicks(pid) !== startNs / NS_PER_TICK) return false;
      const result = symbols.ankylo_pidfd_continue(pidfd);
      if (result === -ESRCH) return false;
      checked(result, "Continue process", `${pid}`);
      return true;
    } catch (error) {
      if (isErrno(error, ENOENT) || isErrno(error, ESRCH)) return false;
      throw error;
    } finally {
      symbols.ankylo_close(pidfd);
    }
  }

  /** When a process began, in clock ticks since boot: with its pid its identity. @throws {BpfError} ENOENT, ESRCH */
  processStartTicks(pid: number): bigint {
    return startTicksIn(this.readText(`/proc/${pid}/stat`));
  }
}

/** Controllers of cgroup v1 by which containers are told apart, the best first: a runtime joins all that are mounted. */
export const CGROUP_CONTROLLERS = ["pids", "memory", "cpu"] as const;

/** A tree of cgroups. */
export interface CgroupHierarchy {
  /** `unified`: cgroup2; else one of the controllers that this hierarchy of cgroup v1 has. */
  readonly controller: "unified" | typeof CGROUP_CONTROLLERS[number];
  /** The kernel's number; 0: cgroup2. */
  readonly id: number;
  /** Mount point of its root. */
  readonly root: string;
}

/**
 * Where runtimes make cgroups, from the texts of /proc/PID/mountinfo and /proc/PID/cgroup. With cgroup2 at /sys/fs/cgroup they
 * use that; else the controllers' own hierarchies if there are any, also when cgroup2 is mounted beside them (hybrid).
 *
 * @see runc libcontainer/cgroups/utils.go: IsCgroup2UnifiedMode
 */
export function cgroupHierarchyIn(
  mountinfo: string,
  membership: string,
): CgroupHierarchy | undefined {
  const mounts = cgroupMountsIn(mountinfo);
  const unified = (at?: string) =>
    mounts.find(({ type, root }) => type === "cgroup2" && root === (at ?? root));
  const usual = unified("/sys/fs/cgroup");
  if (usual !== undefined) return { controller: "unified", id: 0, root: usual.root };
  for (const controller of CGROUP_CONTROLLERS) {
    const mount = mounts.find(({ type, options }) =>
      type === "cgroup" && options.includes(controller)
    );
    const id = hierarchyIdIn(membership, controller);
    if (mount !== undefined && id !== undefined) return { controller, id, root: mount.root };
  }
  const elsewhere = unified();
  return elsewhere && { controller: "unified", id: 0, root: elsewhere.root };
}

/**
 * Mounts of whole hierarchies.
 *
 * @see proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source, super block's options
 */
function cgroupMountsIn(mountinfo: string) {
  return mountinfo.split("\n").flatMap((line) => {
    const [mount, filesystem] = line.split(" - ");
    const [, , , top, mountPoint] = (mount ?? "").split(" ");
    const [type = "", , options = ""] = (filesystem ?? "").split(" ");
    if (top !== "/" || mountPoint === undefined || !type.startsWith("cgroup")) return [];
    const root = mountPoint.replace(/\\([0-7]{3})/g, (_, octal: string) => octalChar(octal));
    return [{ type, root, options: options.split(",") }];
  });
}

/** @see cgroups(7): hierarchy, controllers, path */
function hierarchyIdIn(membership: string, controller: string): number | undefined {
  for (const line of membership.split("\n")) {
    const [id, controllers = ""] = line.split(":");
    if (controllers.split(",").includes(controller)) return Number(id);
  }
  return undefined;
}

/** Field 22 of /proc/PID/stat. The second, the name in parentheses, may hold anything, a ")" too. */
export function startTicksIn(stat: string): bigint {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields[22 - 3];
  if (ticks === undefined || !/^\d+$/.test(ticks)) {
    throw new SyntaxError(`Read start time of a process: no field 22 in "${stat}"`);
  }
  return BigInt(ticks);
}

function programOf(shim: Shim, path: string): number {
  using link = BpfLink.fromPin(shim, path);
  return link.info().programId;
}

function octalChar(octal: string): string {
  return String.fromCharCode(parseInt(octal, 8));
}

function isErrno(error: unknown, errno: number): boolean {
  return error instanceof BpfError && error.errno === errno;
}
