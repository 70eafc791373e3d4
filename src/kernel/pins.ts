/**
 * What keeps enforcement in the kernel while no agent runs: pins in a private bpffs.
 *
 *   BPFFS/v3/maps/containers       every map of the installation; settings_ro and hooks_ro say whose it is
 *   BPFFS/v3/programs/…            what is run, not attached
 *   BPFFS/v3/links/hook_file_open  one a stub: while it is there, the stub is attached
 *   BPFFS/v3/changing              there while the programs are exchanged for another build's
 *
 * A new installation has a higher number and stands beside the old one until it enforces. Names have no dot, which
 * bpffs refuses.
 */

import type { KernelFiles } from "../../ffi/procfs.ts";
import { placeOfStub, slotOf } from "./hooks.ts";

/** Where /sys/fs/bpf is no bpffs yet, nothing can be made below it. */
const BPFFS_USUAL = "/sys/fs/bpf";

type PinKind = "maps" | "programs" | "links";
const PIN_KINDS: readonly PinKind[] = ["maps", "programs", "links"];

/** The pin directory, with all installations in it. */
export class PinDirectory {
  readonly #files: KernelFiles;
  readonly path: string;

  private constructor(files: KernelFiles, path: string) {
    this.#files = files;
    this.path = path;
  }

  /** Mounts the bpffs unless there is one. @throws {BpfError} EPERM; ENODEV: the kernel has none */
  static open(files: KernelFiles, path: string): PinDirectory {
    if (path.startsWith(`${BPFFS_USUAL}/`)) files.mountBpffs(BPFFS_USUAL);
    files.mountBpffs(path);
    return new PinDirectory(files, path);
  }

  /** The directory if it is mounted. */
  static find(files: KernelFiles, path: string): PinDirectory | undefined {
    return files.isBpffs(path) ? new PinDirectory(files, path) : undefined;
  }

  /** Installations by number, the newest first. */
  installations(): InstallationPins[] {
    return this.#files.listDir(this.path).flatMap((name) => /^v(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number).sort((a, b) => b - a)
      .map((number) => new InstallationPins(this.#files, this.path, number));
  }

  /** An empty installation with a number above all others. */
  create(): InstallationPins {
    const number = (this.installations()[0]?.number ?? 0) + 1;
    const pins = new InstallationPins(this.#files, this.path, number);
    pins.make();
    return pins;
  }

  /** Removes every installation and the mount. Returns what was removed, for people. */
  removeAll(): string[] {
    const removed = this.installations().flatMap((pins) => pins.remove());
    this.#files.unmount(this.path);
    this.#files.removeDir(this.path);
    return [...removed, `bpffs ${this.path}`];
  }
}

/** The pins of one installation. */
export class InstallationPins {
  readonly #files: KernelFiles;
  readonly number: number;
  /** A place for directories that are removed again, in the same file system. */
  readonly scratch: string;
  readonly #dir: string;

  constructor(files: KernelFiles, root: string, number: number) {
    this.#files = files;
    this.scratch = `${root}/scratch`;
    this.number = number;
    this.#dir = `${root}/v${number}`;
  }

  make(): void {
    for (const kind of PIN_KINDS) this.#files.makeDir(`${this.#dir}/${kind}`);
  }

  path(kind: PinKind, name: string): string {
    return `${this.#dir}/${kind}/${name}`;
  }

  has(kind: PinKind, name: string): boolean {
    return this.#files.exists(this.path(kind, name));
  }

  links(): string[] {
    return this.#list("links");
  }

  /** Pins something in the place of what has that name, in one step. */
  replace(kind: PinKind, name: string, pin: (path: string) => void): void {
    const next = `${this.path(kind, name)}_next`;
    // Of an agent that was killed at this point.
    if (this.#files.exists(next)) this.#files.remove(next);
    pin(next);
    this.#files.rename(next, this.path(kind, name));
  }

  /** Whether an exchange of the programs has begun and not ended. */
  get isChanging(): boolean {
    return this.#files.exists(this.#changing);
  }

  beginChange(): void {
    this.#files.makeDir(this.#changing);
  }

  endChange(): void {
    this.#files.removeDir(this.#changing);
  }

  get #changing(): string {
    return `${this.#dir}/changing`;
  }

  /** Has the kernel detach these of the links that are there, a moment later. */
  removeLinks(stubs: readonly string[]): void {
    for (const name of this.#linksInOrder()) {
      if (stubs.includes(name)) this.#files.remove(this.path("links", name));
    }
  }

  /** Removes links with their slots: of a build that had more hooks. */
  removePlaces(stubs: readonly string[]): void {
    this.#removeStubs(stubs);
    for (const slot of stubs.map((stub) => slotOf(placeOfStub(stub)))) {
      if (this.has("maps", slot)) this.#files.remove(this.path("maps", slot));
    }
  }

  /** Deciding hooks first: one that is attached when identities go judges nobody. */
  #linksInOrder(): string[] {
    return this.links().sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  }

  /** The slots last until the stubs are really detached: one with an empty slot refuses a container's tasks everything. */
  #removeStubs(stubs: readonly string[]): void {
    const slots = this.#list("maps").filter((name) => name.startsWith("slot_"));
    this.#files.removeLinks(
      stubs.map((name) => this.path("links", name)),
      slots.map((name) => this.path("maps", name)),
    );
  }

  /** Removes all of it, links first. Returns what was removed, for people. */
  remove(): string[] {
    const links = this.#linksInOrder();
    this.#removeStubs(links);
    const rest = (["programs", "maps"] as const).map((kind) => {
      const names = this.#list(kind);
      for (const name of names) this.#files.remove(this.path(kind, name));
      return names.length;
    });
    for (const kind of PIN_KINDS) {
      if (this.#files.exists(`${this.#dir}/${kind}`)) this.#files.removeDir(`${this.#dir}/${kind}`);
    }
    if (this.isChanging) this.endChange();
    this.#files.removeDir(this.#dir);
    return [
      ...links.map((name) => `attached program ${name}`),
      `${rest[0]} programs, ${rest[1]} maps`,
    ];
  }

  #list(kind: PinKind): string[] {
    const dir = `${this.#dir}/${kind}`;
    return this.#files.exists(dir) ? this.#files.listDir(dir) : [];
  }
}

function rank(stub: string): number {
  return /^hook_(identity|monitor)_/.test(stub) ? 1 : 0;
}
