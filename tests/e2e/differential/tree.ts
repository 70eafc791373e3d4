/** The files of a container as a model: what a list of operations finds, and what it leaves behind. */

import type { Random } from "../random.ts";
import type { Named } from "./specification.ts";

/** What the files behind one or more names have in common. */
export interface Inode {
  readonly kind: "directory" | "file" | "link" | "pipe" | "socket";
  owner: number;
  /** Whether it has a bit to be executed. */
  isExecutable: boolean;
  /** Whether it can be executed: it is a program, or a script of this program. */
  readonly program?: true | { readonly interpreter: string };
  /** Where a symbolic link leads. */
  readonly target?: string;
}

export interface Entry {
  readonly path: string;
  readonly inode: Inode;
}

/** A mount of its own; the rest lies on the container's overlay. */
export const MOUNT = "/t/m";
/** Where the tree is. */
export const ROOT = "/t";

export const OWNERS = [0, 1000, 2000] as const;
const NAMES = ["a", "b", "c", "ab", "a.b", "x1", "bin", "n"];
const DEPTH_MAX = 5;

/** A tree that follows from a random sequence. */
export class Tree {
  readonly #entries = new Map<string, Inode>();
  readonly #random: Random;
  #lines: string[] = [];

  constructor(random: Random) {
    this.#random = random;
    for (const path of [ROOT, MOUNT]) this.#entries.set(path, directory(0));
    for (let i = 0; i < 14; i++) this.#grow("d", (owner) => directory(owner));
    for (let i = 0; i < 20; i++) this.#grow("f", (owner) => file(owner));
    for (let i = 0; i < 6; i++) this.#grow("p", (owner) => ({ ...program(owner), program: true }));
    for (let i = 0; i < 2; i++) this.#growScript();
    const target = random.pick(this.entries.filter(({ inode }) => inode.kind === "file")).path;
    this.#grow("l", () => link(0, target), target);
  }

  /** For `differ build`. */
  get lines(): string {
    return this.#lines.join("");
  }

  get entries(): Entry[] {
    return [...this.#entries].map(([path, inode]) => ({ path, inode }));
  }

  #growScript(): void {
    const programs = this.entries.filter(({ inode }) => inode.program === true);
    const interpreter = this.#random.pick(programs).path;
    this.#grow("s", (owner) => ({ ...program(owner), program: { interpreter } }), interpreter);
  }

  #grow(letter: string, make: (owner: number) => Inode, word = ""): void {
    const path = this.freeName();
    if (path === undefined) return;
    const inode = make(this.#random.pick(OWNERS));
    this.#entries.set(path, inode);
    this.#lines.push(`${letter} ${path} ${letter === "l" ? word : `${inode.owner} ${word}`}\n`);
  }

  get(path: string): Inode | undefined {
    return this.#entries.get(path);
  }

  /** A name that is not there, in a directory that is; in `mount` where it is given. */
  freeName(mount?: boolean): string | undefined {
    const parents = this.entries.filter(({ path, inode }) =>
      inode.kind === "directory" && path.split("/").length <= DEPTH_MAX &&
      (mount === undefined || isOnMount(path) === mount)
    );
    for (let tries = 0; tries < 8; tries++) {
      const path = `${this.#random.pick(parents).path}/${this.#random.pick(NAMES)}`;
      if (!this.#entries.has(path)) return path;
    }
    return undefined;
  }

  isEmpty(path: string): boolean {
    return !this.entries.some((entry) => entry.path.startsWith(`${path}/`));
  }

  /** As hooks see what is, or would be, at a path. */
  named(path: string): Named {
    const inode = this.#entries.get(path);
    if (inode === undefined) return { path, owner: this.#entries.get(parentOf(path))!.owner };
    return {
      path,
      owner: inode.owner,
      isDirectory: inode.kind === "directory",
      isExecutable: inode.isExecutable,
    };
  }

  add(path: string, inode: Inode): void {
    this.#entries.set(path, inode);
  }

  remove(path: string): void {
    this.#entries.delete(path);
  }

  /** With all that lies below, over what is there. */
  move(from: string, to: string): void {
    const moved = this.#take(from);
    this.remove(to);
    this.#put(moved, to);
  }

  exchange(one: string, other: string): void {
    const [first, second] = [this.#take(one), this.#take(other)];
    this.#put(first, other);
    this.#put(second, one);
  }

  #take(path: string): (readonly [string, Inode])[] {
    const taken = [...this.#entries]
      .filter(([name]) => name === path || name.startsWith(`${path}/`))
      .map(([name, inode]) => [name.slice(path.length), inode] as const);
    for (const [rest] of taken) this.#entries.delete(path + rest);
    return taken;
  }

  #put(entries: readonly (readonly [string, Inode])[], path: string): void {
    for (const [rest, inode] of entries) this.#entries.set(path + rest, inode);
  }
}

export function directory(owner: number): Inode {
  return { kind: "directory", owner, isExecutable: true };
}

export function file(owner: number): Inode {
  return { kind: "file", owner, isExecutable: false };
}

export function link(owner: number, target: string): Inode {
  return { kind: "link", owner, isExecutable: true, target };
}

function program(owner: number): Inode {
  return { kind: "file", owner, isExecutable: true };
}

export function isOnMount(path: string): boolean {
  return path === MOUNT || path.startsWith(`${MOUNT}/`);
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
