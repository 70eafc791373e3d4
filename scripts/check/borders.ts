/** Who may import whom. Data flows one way, and so do the imports. */

/** In the order of the flow: a room imports from those before it. */
const FLOW = ["state", "sources", "compile", "kernel", "events", "alerts", "sinks", "http"];

/** Used by all; each of them uses only those before it. */
const GROUND = ["lib", "model", "config"];

/** Rooms that may use the shim; ffi/generated/ is numbers and layouts, open to all. */
const FFI_USERS = ["kernel", "events", "cli", "agent"];

/** These know every room. */
const TOP = ["cli", "agent"];

/** An import that goes against the flow. */
export interface Trespass {
  file: string;
  line: number;
  /** The imported file, relative to the repository. */
  target: string;
  reason: string;
}

/**
 * Finds imports across closed borders in one file.
 *
 * @param file relative to the repository: "src/alerts/alert.ts"
 */
export function trespassesIn(file: string, text: string): Trespass[] {
  const found: Trespass[] = [];
  // A static import or export, or a dynamic import of a literal: the last line of it has the specifier.
  const specifier = /(?:\bfrom|^import|\bimport\()\s*"(\.[^"]+)"/gm;
  for (const match of text.matchAll(specifier)) {
    const target = resolve(file, match[1]!);
    // What a room is given from ffi/, its tests may give it.
    const isTest = file.endsWith("_test.ts") && roomOf(target) === "ffi";
    const reason = isTest ? undefined : objection(roomOf(file), roomOf(target), target);
    const line = text.slice(0, match.index).split("\n").length;
    if (reason !== undefined) found.push({ file, line, target, reason });
  }
  return found;
}

/** The room of a file: the folder under src/, "agent" for src/agent.ts and main.ts, else the top folder. */
export function roomOf(file: string): string {
  const [top, room] = file.split("/");
  if (top === "main.ts") return "agent";
  if (top !== "src") return top!;
  return room!.endsWith(".ts") ? "agent" : room!;
}

function objection(from: string, to: string, target: string): string | undefined {
  if (from === to || from === "scripts" || from === "tests") return undefined;
  if (target === "deno.json") return undefined;
  if (target.startsWith("ffi/generated/")) return undefined;
  if (from === "ffi") return to === "lib" ? undefined : "ffi/ uses lib/ only";
  if (to === "ffi") {
    return FFI_USERS.includes(from) ? undefined : `only ${FFI_USERS.join(", ")} touch ffi/`;
  }
  if (GROUND.includes(from)) {
    const below = GROUND.slice(0, GROUND.indexOf(from));
    return below.includes(to)
      ? undefined
      : `${from}/ is used by all and uses only itself and what is below it`;
  }
  if (GROUND.includes(to)) return undefined;
  if (TOP.includes(from)) {
    return to === "scripts" || to === "tests" ? "not part of the product" : undefined;
  }
  if (!FLOW.includes(from)) {
    return `src/${from} is no known room: give it a place in scripts/check/borders.ts`;
  }
  const upstream = FLOW.slice(0, FLOW.indexOf(from));
  return upstream.includes(to) ? undefined : `${to}/ is not upstream of ${from}/`;
}

function resolve(file: string, specifier: string): string {
  const parts = file.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
