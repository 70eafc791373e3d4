/** What a request asks for: its media types and its parameters, refused with a hint where they make no sense. */
import type { Context } from "hono";
import { closest } from "../lib/suggest.ts";
import { shorten } from "../model/validate.ts";
import { ProblemError } from "./problem.ts";

/** @throws {ProblemError} 406 when the client's `Accept` excludes `type`. */
export function requireAccept(c: Context, type: string): void {
  const header = c.req.header("accept");
  if (header === undefined || accepts(header, type)) return;
  throw new ProblemError({
    status: 406,
    title: "Not acceptable",
    detail: `${shorten(c.req.path)} is served as ${type}, and Accept is "${shorten(header)}"`,
    hint: `send "Accept: ${type}", or none`,
  });
}

/** The most specific range that fits decides; a quality of 0 excludes. @see RFC 9110 §12.5.1 */
export function accepts(header: string, type: string): boolean {
  const ranges = new Map(
    header.split(",").map((part) => {
      const [range = "", ...parameters] = part.split(";").map((word) => word.trim().toLowerCase());
      const quality = parameters.find((word) => word.startsWith("q="))?.slice(2);
      return [range, quality === undefined || Number(quality) > 0] as const;
    }),
  );
  const group = `${type.split("/", 1)[0]}/*`;
  return ranges.get(type) ?? ranges.get(group) ?? ranges.get("*/*") ?? false;
}

/**
 * The query's parameters: each may stand several times and hold several values with commas between.
 * @throws {ProblemError} 400 at one that is not in `known`, and at an empty one.
 */
export function readParameters(c: Context, known: readonly string[]): Record<string, string[]> {
  const parameters = c.req.queries();
  for (const [name, values] of Object.entries(parameters)) {
    if (!known.includes(name)) throw unknownParameter(c.req.path, name, known);
    const list = values.flatMap((value) => value.split(",")).map((value) => value.trim());
    if (list.includes("")) throw badParameter(`${name}: must not be empty`);
    parameters[name] = list;
  }
  return parameters;
}

/**
 * The query's parameters where each has one value, in which commas are letters.
 * @throws {ProblemError} 400 at one that is not in `known`, at an empty one and at one that stands twice.
 */
export function readTexts<Name extends string>(
  c: Context,
  known: readonly Name[],
): Partial<Record<Name, string>> {
  const texts: Partial<Record<string, string>> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (!known.some((word) => word === name)) throw unknownParameter(c.req.path, name, known);
    if (values.length > 1) {
      throw badParameter(`${name}: must stand once: it stands ${values.length} times`);
    }
    if (values[0] === "") throw badParameter(`${name}: must not be empty`);
    texts[name] = values[0]!;
  }
  return texts as Partial<Record<Name, string>>;
}

/** Each value as `known` spells it, letter case aside. @throws {ProblemError} 400 at any other. */
export function oneOfEach(name: string, values: readonly string[], known: readonly string[]) {
  return values.map((value) => {
    const found = known.find((word) => word.toLowerCase() === value.toLowerCase());
    if (found !== undefined) return found;
    throw badParameter(
      `${name}: must be one of ${known.join(", ")}: current value is "${shorten(value)}"`,
      didYouMean(value, known),
    );
  });
}

export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const near = closest(word, known);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

export function badParameter(detail: string, hint?: string): ProblemError {
  return new ProblemError({
    status: 400,
    title: "Bad parameter",
    detail,
    ...(hint === undefined ? {} : { hint }),
  });
}

function unknownParameter(path: string, name: string, known: readonly string[]): ProblemError {
  const takes = known.length === 0 ? "takes no parameters" : `takes ${known.join(", ")}`;
  return badParameter(
    `${shorten(path)} has no parameter "${shorten(name)}": it ${takes}`,
    didYouMean(name, known),
  );
}
