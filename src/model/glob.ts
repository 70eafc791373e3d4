/** AppArmor's globs, as `matchPatterns` has them: from text to parts. What they match is in compile/evaluate_glob.ts. */
import { COMPONENTS_MAX, PATH_BYTES_MAX } from "./limits.ts";

/** One step through a path, over bytes of UTF-8. */
export type GlobPart =
  | { readonly kind: "byte"; readonly byte: number }
  /** `?`, `[..]`, `[^..]`: one of these bytes. Never a slash. */
  | { readonly kind: "set"; readonly bytes: ReadonlySet<number> }
  /** `*`: any bytes but slashes, or none. */
  | { readonly kind: "star" }
  /** `**`: any bytes, or none. */
  | { readonly kind: "globstar" }
  /** `{a,b}` */
  | { readonly kind: "choice"; readonly branches: readonly Glob[] };

export type Glob = readonly GlobPart[];

/** What is wrong with a glob, in words that follow `pattern "…"`. */
export class GlobError extends SyntaxError {
  override name = "GlobError";
}

const SLASH = 0x2f;
const NAME_BYTES: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte)
  .filter((byte) => byte !== 0 && byte !== SLASH);
const ANY_BYTE: ReadonlySet<number> = new Set(NAME_BYTES);
const encoder = new TextEncoder();

/** Choices in choices. Whatever walks a glob calls itself for each. */
const CHOICES_DEEP_MAX = 32;

/**
 * The parts of a glob: `*` and `?` and classes stop at slashes, `**` does not; `\` takes away the next character's meaning.
 *
 * @throws {GlobError} what no glob is, and what no path can match; places are characters from 1
 */
export function parseGlob(pattern: string): Glob {
  const known = parsed.get(pattern);
  if (known !== undefined) return known;
  if (encoder.encode(pattern).length > PATH_BYTES_MAX) {
    throw new GlobError(`has more than ${PATH_BYTES_MAX} bytes`);
  }
  const glob = new GlobParser(pattern).parse();
  refuseUnmatched(pattern, glob);
  if (parsedCharacters + pattern.length > PARSED_CHARACTERS_MAX) {
    parsed.clear();
    parsedCharacters = 0;
  }
  parsed.set(pattern, glob);
  parsedCharacters += pattern.length;
  return glob;
}

/** The same patterns are asked about again and again. Some kilobytes are kept for each character, at worst. */
const parsed = new Map<string, Glob>();
let parsedCharacters = 0;
const PARSED_CHARACTERS_MAX = 1 << 16;

/** What matches paths that end with this name, in any directory. */
export function globOfName(name: string): Glob {
  const slash = { kind: "byte", byte: SLASH } as const;
  const directories = { kind: "choice", branches: [[], [{ kind: "globstar" }, slash]] } as const;
  const bytes = [...encoder.encode(name)].map((byte) => ({ kind: "byte", byte }) as const);
  return [slash, directories, ...bytes];
}

/** Why a glob can't be used, in words that follow `pattern "…"`; undefined: it can. */
export function globDefect(pattern: string): string | undefined {
  try {
    parseGlob(pattern);
    return undefined;
  } catch (error) {
    if (error instanceof GlobError) return error.message;
    throw error;
  }
}

class GlobParser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#characters = [...pattern];
  }

  parse(): Glob {
    const glob = this.#sequence(false);
    if (this.#at < this.#characters.length) throw this.#error('has a "}" without "{"', this.#at);
    return glob;
  }

  /** Up to the end, or in a choice up to its next comma or its end. */
  #sequence(inChoice: boolean): Glob {
    const parts: GlobPart[] = [];
    while (this.#at < this.#characters.length) {
      const character = this.#characters[this.#at]!;
      if (character === "}" || (inChoice && character === ",")) break;
      parts.push(...this.#part(character));
    }
    return parts;
  }

  #part(character: string): GlobPart[] {
    const start = this.#at++;
    switch (character) {
      case "*":
        while (this.#characters[this.#at] === "*") this.#at++;
        return [{ kind: this.#at - start > 1 ? "globstar" : "star" }];
      case "?":
        return [{ kind: "set", bytes: ANY_BYTE }];
      case "[":
        return [{ kind: "set", bytes: this.#class(start) }];
      case "{":
        return [{ kind: "choice", branches: this.#branches(start) }];
      case "\\":
        return literal(this.#escaped(start));
      case "@":
        if (this.#characters[this.#at] !== "{") return literal(character);
        throw this.#error("has an AppArmor variable, which nothing here sets,", start);
      default:
        return literal(character);
    }
  }

  #escaped(start: number): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw this.#error('ends with "\\"', start);
    return character;
  }

  #branches(start: number): Glob[] {
    const branches: Glob[] = [];
    if (++this.#depth > CHOICES_DEEP_MAX) {
      throw this.#error(`has choices more than ${CHOICES_DEEP_MAX} deep`, start);
    }
    for (;;) {
      branches.push(this.#sequence(true));
      const end = this.#characters[this.#at++];
      if (end === "}") {
        this.#depth--;
        return branches;
      }
      if (end === undefined) throw this.#error('has a "{" without "}"', start);
    }
  }

  /** Bytes of a class; its "[" is read. */
  #class(start: number): ReadonlySet<number> {
    const isNegated = this.#characters[this.#at] === "^";
    if (isNegated) this.#at++;
    const bytes = new Set<number>();
    while (this.#characters[this.#at] !== "]") {
      const first = this.#classByte(start);
      const isRange = this.#characters[this.#at] === "-" && this.#characters[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const last = isRange ? this.#classByte(start) : first;
      if (last < first) throw this.#error("has a range that runs backwards", this.#at - 1);
      for (let byte = first; byte <= last; byte++) bytes.add(byte);
    }
    this.#at++;
    if (bytes.size === 0) throw this.#error("has an empty class", start);
    const chosen = NAME_BYTES.filter((byte) => bytes.has(byte) !== isNegated);
    if (chosen.length === 0) throw this.#error("has a class that no character is in", start);
    return new Set(chosen);
  }

  #classByte(start: number): number {
    const at = this.#at++;
    const character = this.#characters[at];
    if (character === undefined) throw this.#error('has a "[" without "]"', start);
    const meant = character === "\\" ? this.#escaped(at) : character;
    const [byte, ...more] = encoder.encode(meant);
    if (more.length > 0) {
      throw this.#error(`has "${meant}" in a class, which takes ASCII only,`, at);
    }
    return byte!;
  }

  #error(what: string, index: number): GlobError {
    return new GlobError(`${what} at character ${index + 1}`);
  }
}

function literal(character: string): GlobPart[] {
  return [...encoder.encode(character)].map((byte) => ({ kind: "byte", byte }));
}

/** What could never match a real path, or would need more names than the kernel compares. */
function refuseUnmatched(pattern: string, glob: Glob): void {
  if (/\p{Cc}/u.test(pattern)) throw new GlobError("has control characters");
  const start = startOf(glob);
  if (!start.isSlash || start.canBeEmpty) throw new GlobError('does not start with "/"');
  if (/^\/*$/.test(pattern)) throw new GlobError("names nothing but the root");
  if (pattern.includes("//")) throw new GlobError('has "//", which no path has');
  if (/\/\.\.?(\/|$)/.test(pattern)) throw new GlobError('has "." or "..", which no real path has');
  if (pattern.endsWith("/")) {
    throw new GlobError('ends with "/": the kernel\'s names of directories do not');
  }
  const slashes = slashesOf(glob);
  if (slashes > COMPONENTS_MAX) {
    throw new GlobError(`has ${slashes} slashes: the kernel compares ${COMPONENTS_MAX} names`);
  }
}

/** Of the branches of a choice those count that have most. */
function slashesOf(glob: Glob): number {
  return glob.reduce((slashes, part) => {
    if (part.kind === "choice") return slashes + Math.max(...part.branches.map(slashesOf));
    return slashes + Number(part.kind === "byte" && part.byte === SLASH);
  }, 0);
}

/** What a glob's matches begin with: `isSlash`: a slash, all that are not empty. */
function startOf(glob: Glob): { isSlash: boolean; canBeEmpty: boolean } {
  let isSlash = true;
  for (const part of glob) {
    if (part.kind === "byte") return { isSlash: isSlash && part.byte === SLASH, canBeEmpty: false };
    if (part.kind !== "choice") return { isSlash: false, canBeEmpty: false };
    const starts = part.branches.map(startOf);
    isSlash &&= starts.every((start) => start.isSlash);
    if (!starts.some((start) => start.canBeEmpty)) return { isSlash, canBeEmpty: false };
  }
  return { isSlash, canBeEmpty: true };
}

/** The directories that every match lies in: the names before the first wildcard, "" for the root. */
export function fixedDirectory(pattern: string): string {
  const fixed = /^[^*?[{\\]*/.exec(pattern)![0];
  return fixed.slice(0, fixed.lastIndexOf("/"));
}
