/**
 * Tells the kernel what belongs to the agent: its process, its files, its maps and programs. What is known once stays
 * protected when the agent is gone, and the next agent says it anew.
 *
 * Files are given as open descriptors, and the kernel notes what it knows them by: numbers of stat(2) are not enough, as
 * btrfs and overlayfs tell others, and a mount hides the directory that it lies on.
 */

import {
  BpfError,
  type BpfLink,
  type BpfMap,
  type BpfObject,
  type BpfProgram,
  type Shim,
  u32Bytes,
} from "../../ffi/bpf.ts";
import {
  decodeProtectedId,
  decodeProtectedObject,
  decodeProtection,
  encodeProtectedId,
  encodeProtection,
  PROTECT_FILES,
  PROTECT_SECRET,
  PROTECT_TREE,
  PROTECTED_FDS_MAX,
  PROTECTED_LINK,
  PROTECTED_MAP,
  PROTECTED_PROGRAM,
  type Protection,
} from "../../ffi/generated/agent_api.ts";
import { KernelFiles, PathDescriptor } from "../../ffi/procfs.ts";
import { programExists } from "../../ffi/program.ts";
import { ENOENT } from "../lib/errno.ts";

/** What is protected beside the agent's process and what it has in the kernel. A path that does not exist is left out. */
export interface ProtectedPlaces {
  /** Files, and directories with all that is in them. */
  readonly own: readonly string[];
  /** Files that may not be read either. */
  readonly secrets: readonly string[];
  /** Against host tasks too. */
  readonly host: boolean;
}

/** The maps and the program that do the work. */
export interface ProtectionParts {
  readonly protection: BpfMap;
  readonly objects: BpfMap;
  readonly ids: BpfMap;
  /** Run to have the kernel note the agent. */
  readonly register: BpfProgram;
}

interface Place {
  readonly path: string;
  readonly flags: number;
}

export class Protector implements Disposable {
  readonly #shim: Shim;
  readonly #files: KernelFiles;
  readonly #parts: ProtectionParts;
  readonly #wanted: ProtectedPlaces;
  /** What stood at the places at the last registration, as text. */
  #found = "";
  /** Descriptors of what is registered: on overlayfs an inode is known as long as it is open. */
  #held = new DisposableStack();

  constructor(shim: Shim, parts: ProtectionParts, wanted: ProtectedPlaces) {
    this.#shim = shim;
    this.#files = new KernelFiles(shim);
    this.#parts = parts;
    this.#wanted = wanted;
  }

  /**
   * Registers, unless everything is where it was. Cheap enough for every few seconds.
   * @returns whether it registered
   * @throws {Error} the kernel could not take all: what is missing is not protected
   */
  refresh(): boolean {
    const places = this.#places();
    const found = places.map((place) => `${place.path} ${place.flags} ${this.#identity(place)}`)
      .join("\n");
    if (found === this.#found) return false;
    this.#register(places);
    this.#found = found;
    return true;
  }

  #places(): Place[] {
    const { own, secrets } = this.#wanted;
    const places = [
      ...secrets.map((path) => ({ path, flags: PROTECT_TREE | PROTECT_SECRET })),
      ...own.map((path) => ({ path, flags: PROTECT_TREE })),
      ...cgroupDirectories(
        this.#files.readText("/proc/self/cgroup"),
        this.#files.readText("/proc/self/mountinfo"),
      ).map((path) => ({ path, flags: PROTECT_FILES })),
    ];
    return places.filter(({ path }) => this.#files.exists(path));
  }

  #identity({ path }: Place): string {
    const { device, inode } = this.#files.stat(path);
    return `${device}:${inode}`;
  }

  #register(places: readonly Place[]): void {
    if (places.length > PROTECTED_FDS_MAX) {
      throw new RangeError(
        `Cannot protect ${places.length} places: at most ${PROTECTED_FDS_MAX} can be`,
      );
    }
    using opened = new DisposableStack();
    const fds = places.map(({ path, flags }) => ({
      fd: opened.use(PathDescriptor.open(this.#shim, path)).fd("Protect"),
      flags,
    }));
    const before = this.#read();
    const none = { fd: 0, flags: 0 };
    const padded = Array.from({ length: PROTECTED_FDS_MAX }, (_, i) => fds[i] ?? none);
    const epoch = (before.epoch + 1) >>> 0;
    const host = this.#wanted.host ? 1 : 0;
    const wanted = { ...before, epoch, host, failed: 0, fds: padded };
    this.#parts.protection.update(u32Bytes(0), encodeProtection(wanted));
    this.#parts.register.runIterator();
    this.#check(places.length);
    this.#forget(epoch);
    this.#held.dispose();
    this.#held = opened.move();
  }

  /** What is registered stays so in the kernel. */
  [Symbol.dispose](): void {
    this.#held.dispose();
  }

  #read(): Protection {
    return decodeProtection(new DataView(this.#parts.protection.lookup(u32Bytes(0))!.buffer));
  }

  #check(wanted: number): void {
    const { registered, failed } = this.#read();
    if (registered === wanted && failed === 0) return;
    throw new Error(
      `Cannot protect the agent's files: the kernel noted ${registered} of ${wanted} places, and ${failed} found no room`,
    );
  }

  /** Removes what earlier registrations found and this one did not. */
  #forget(epoch: number): void {
    const { objects } = this.#parts;
    for (const key of [...objects.keys()]) {
      const value = objects.lookup(key);
      if (value && decodeProtectedObject(new DataView(value.buffer)).epoch !== epoch) {
        objects.delete(key);
      }
    }
  }
}

/**
 * Notes the ids of an object's maps and programs, and forgets programs that are gone.
 * @throws {BpfError} E2BIG: no room
 */
export function protectObject(shim: Shim, ids: BpfMap, object: BpfObject): void {
  for (const key of [...ids.keys()]) {
    const { kind, id } = decodeProtectedId(new DataView(key.buffer));
    if (kind === PROTECTED_PROGRAM && !programExists(shim, id)) ids.delete(key);
  }
  for (const name of object.maps()) {
    using map = object.map(name);
    note(ids, PROTECTED_MAP, map.info.id);
  }
  for (const name of object.programs()) {
    using program = loadedProgram(object, name);
    if (program !== undefined) note(ids, PROTECTED_PROGRAM, program.info().id);
  }
}

export function protectLink(ids: BpfMap, link: BpfLink): void {
  note(ids, PROTECTED_LINK, link.info().id);
}

function note(ids: BpfMap, kind: number, id: number): void {
  ids.update(encodeProtectedId({ kind, id }), u32Bytes(1));
}

/** Undefined for a program that this kernel has no hook for. */
function loadedProgram(object: BpfObject, name: string): BpfProgram | undefined {
  try {
    return object.program(name);
  } catch (error) {
    if (error instanceof BpfError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

/**
 * The process's cgroup directory in each hierarchy that is mounted.
 * @param cgroup text of /proc/self/cgroup. @param mountinfo text of /proc/self/mountinfo
 * @see cgroups(7), proc(5)
 */
export function cgroupDirectories(cgroup: string, mountinfo: string): string[] {
  const mounts = mountinfo.split("\n").flatMap(readCgroupMount);
  return cgroup.split("\n").flatMap((line) => {
    const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    const mount = mounts.find((mount) =>
      id === "0" ? mount.type === "cgroup2" : mount.options.includes(controllers!)
    );
    return mount === undefined ? [] : [`${mount.path}${path === "/" ? "" : path}`];
  });
}

/** Of hierarchies of which the root is mounted; the options of a v1 mount name its controllers. */
function readCgroupMount(line: string) {
  const [mount, filesystem] = line.split(" - ");
  const [type, , options] = (filesystem ?? "").split(" ");
  const [, , , root, path] = (mount ?? "").split(" ");
  if (root !== "/" || path === undefined) return [];
  if (type === "cgroup2") return [{ type, path, options: "" }];
  return type === "cgroup" ? [{ type, path, options: options ?? "" }] : [];
}
