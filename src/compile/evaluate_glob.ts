/** What a glob means: the specification that the compiler's automaton is compared with. */
import { type Glob, type GlobPart, parseGlob } from "../model/glob.ts";

const SLASH = 0x2f;
const encoder = new TextEncoder();

/**
 * Whether the glob matches the whole path, `/a/b` without a slash at its end. No pattern means the root.
 * @throws {GlobError} when the pattern is no glob
 */
export function matchesGlob(pattern: string, path: string): boolean {
  const bytes = encoder.encode(path);
  return path !== "/" && endsOf(parseGlob(pattern), bytes, new Set([0])).has(bytes.length);
}

/** Whether the glob matches the directory, or may match something below it. */
export function mayMatchBelow(pattern: string, directory: string): boolean {
  const before = encoder.encode(directory.endsWith("/") ? directory : directory + "/");
  return matchesGlob(pattern, directory) || coversAll(parseGlob(pattern), before, new Set([0]));
}

/** Whether some first parts of the glob match all the bytes that follow one of the places. */
function coversAll(glob: Glob, bytes: Uint8Array, starts: ReadonlySet<number>): boolean {
  let places = starts;
  for (const part of glob) {
    if (places.has(bytes.length)) return true;
    const isChoice = part.kind === "choice";
    if (isChoice && part.branches.some((branch) => coversAll(branch, bytes, places))) return true;
    places = endsOfPart(part, bytes, places);
  }
  return places.has(bytes.length);
}

/** Where a match may end that begins at one of the places. */
function endsOf(glob: Glob, bytes: Uint8Array, starts: ReadonlySet<number>): ReadonlySet<number> {
  return glob.reduce((places, part) => endsOfPart(part, bytes, places), starts);
}

function endsOfPart(
  part: GlobPart,
  bytes: Uint8Array,
  starts: ReadonlySet<number>,
): ReadonlySet<number> {
  switch (part.kind) {
    case "byte":
      return afterOne(starts, bytes, (byte) => byte === part.byte);
    case "set":
      return afterOne(starts, bytes, (byte) => part.bytes.has(byte));
    case "star":
      return afterAny(starts, bytes, (byte) => byte !== SLASH);
    case "globstar":
      return afterAny(starts, bytes, () => true);
    case "choice":
      return new Set(part.branches.flatMap((branch) => [...endsOf(branch, bytes, starts)]));
  }
}

function afterOne(
  starts: ReadonlySet<number>,
  bytes: Uint8Array,
  isMeant: (byte: number) => boolean,
): ReadonlySet<number> {
  return new Set(
    [...starts].filter((at) => at < bytes.length && isMeant(bytes[at]!)).map((at) => at + 1),
  );
}

/** As many as there are, and any fewer. */
function afterAny(
  starts: ReadonlySet<number>,
  bytes: Uint8Array,
  isMeant: (byte: number) => boolean,
): ReadonlySet<number> {
  const places = new Set(starts);
  for (const at of places) {
    // A set that grows while it is walked is walked to its end.
    if (at < bytes.length && isMeant(bytes[at]!)) places.add(at + 1);
  }
  return places;
}
