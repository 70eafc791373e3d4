/** A container's file system that lies in a folder here: what its paths are, and what its first program needs. */
import { dirname, join } from "node:path";
import { type Entrypoint, LIBRARY_DIRECTORIES } from "../compile/lockout.ts";
import type { RealPath } from "../model/lint.ts";
import { type ElfNeeds, readElfNeeds } from "./elf.ts";

/** As many as the kernel follows. @see MAXSYMLINKS in include/linux/namei.h */
const LINKS_MAX = 40;

/** As many as the kernel follows from script to script. @see fs/exec.c, exec_binprm() */
const INTERPRETERS_MAX = 5;

/** Programs of a few megabytes are usual, of some hundred not unheard of. */
const PROGRAM_BYTES_MAX = 1 << 30;

export class RootTree {
  readonly #root: string;

  /** @throws {Error} when there is no such folder */
  constructor(root: string) {
    if (!Deno.statSync(root).isDirectory) throw new Error(`"${root}" is no folder`);
    this.#root = root;
  }

  /**
   * Follows links as the kernel does in the container: never out of the folder. Undefined after too many, and where nobody can
   * tell: in a directory that this user may not enter, and for a path that has become too long.
   */
  resolve(path: string): RealPath | undefined {
    try {
      return this.#resolve(path);
    } catch (error) {
      if (isOutOfReach(error)) return undefined;
      throw error;
    }
  }

  #resolve(path: string): RealPath | undefined {
    const left = namesOf(path).reverse();
    const real: string[] = [];
    let kind: RealPath["kind"] = "directory";
    for (let links = 0; left.length > 0;) {
      const name = left.pop()!;
      if (name === "..") real.pop();
      if (name === ".." || name === ".") continue;
      const place = join(this.#root, ...real, name);
      const info = kind === "directory" ? statOf(place) : undefined;
      if (info?.isSymlink !== true) {
        kind = kindOf(info);
        real.push(name);
        continue;
      }
      if (++links > LINKS_MAX) return undefined;
      const target = Deno.readLinkSync(place);
      if (target.startsWith("/")) real.length = 0;
      left.push(...namesOf(target).reverse());
    }
    return { path: `/${real.join("/")}`, kind };
  }

  /**
   * The programs that are executed one for the other, and the libraries of the last.
   * @throws {Error} when the program, its interpreter or a library is not there
   */
  entrypoint(path: string): Entrypoint {
    const programs: string[] = [];
    for (let next: string | undefined = path; next !== undefined;) {
      const real = this.#file(next, programs.length === 0 ? "entrypoint" : "interpreter");
      programs.push(real);
      if (programs.length > INTERPRETERS_MAX) {
        throw new Error(`"${path}" has too many interpreters`);
      }
      next = interpreterOf(this.#read(real));
    }
    return { programs, libraries: this.#libraries(programs.at(-1)!) };
  }

  #file(path: string, what: string): string {
    const real = this.#resolve(path);
    if (real?.kind === "file") return real.path;
    const found = real === undefined ? "it is a link to itself" : KIND_TEXTS[real.kind];
    throw new Error(`found no ${what} "${path}" in "${this.#root}": ${found}`);
  }

  #read(path: string): Uint8Array<ArrayBuffer> {
    const place = join(this.#root, path);
    const { size } = Deno.statSync(place);
    if (size > PROGRAM_BYTES_MAX) {
      throw new RangeError(`"${path}" has ${size} bytes, too many to read`);
    }
    return Deno.readFileSync(place);
  }

  /** The loader, and what the program and its libraries ask it for. */
  #libraries(program: string): string[] {
    const needs = readElfNeeds(this.#read(program));
    if (needs?.interpreter === undefined) return [];
    const found = new Set([this.#file(needs.interpreter, "dynamic loader")]);
    const asked: [name: string, directories: readonly string[]][] = libraryNames(needs, program);
    for (const [name, directories] of asked) {
      const library = this.#library(name, [...directories, ...this.#libraryDirectories()]);
      if (library === undefined || found.has(library)) continue;
      found.add(library);
      const more = readElfNeeds(this.#read(library));
      if (more !== undefined) asked.push(...libraryNames(more, library));
    }
    return [...found];
  }

  /** Undefined: the loader finds it by means of its own, or not at all. */
  #library(name: string, directories: readonly string[]): string | undefined {
    const paths = name.includes("/") ? [name] : directories.map((folder) => `${folder}/${name}`);
    return paths.map((path) => this.resolve(path)).find((real) => real?.kind === "file")?.path;
  }

  #found: string[] | undefined;

  /** With those of the machine's kind, such as /lib/x86_64-linux-gnu. */
  #libraryDirectories(): readonly string[] {
    return this.#found ??= LIBRARY_DIRECTORIES.flatMap((path) => {
      const real = this.resolve(path);
      if (real?.kind !== "directory") return [];
      const names = [...Deno.readDirSync(join(this.#root, real.path))]
        .filter(({ name, isDirectory }) => isDirectory && /-linux-/.test(name))
        .map(({ name }) => `${real.path}/${name}`).sort();
      return [real.path, ...names];
    });
  }
}

const KIND_TEXTS: Readonly<Record<RealPath["kind"], string>> = {
  missing: "nothing is there",
  directory: "it is a directory",
  file: "it is a file",
  other: "it is no regular file",
};

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}

function statOf(place: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(place);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

function isOutOfReach(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied ||
    error instanceof Error && "code" in error && error.code === "ENAMETOOLONG";
}

function kindOf(info: Deno.FileInfo | undefined): RealPath["kind"] {
  if (info === undefined) return "missing";
  return info.isFile ? "file" : info.isDirectory ? "directory" : "other";
}

/** Of a script, by its first line. @see fs/binfmt_script.c */
function interpreterOf(bytes: Uint8Array): string | undefined {
  const line = new TextDecoder().decode(bytes.subarray(0, 256)).split("\n", 1)[0]!;
  return /^#![ \t]*([^ \t]+)/.exec(line)?.[1];
}

function libraryNames(
  { needed, searched }: ElfNeeds,
  file: string,
): [name: string, directories: readonly string[]][] {
  const directories = searched.map((path) => path.replace(/\$\{?ORIGIN\}?/, () => dirname(file)));
  return needed.map((name) => [name, directories]);
}
