/** What readers of rules share: an item of a list, what was read of it, and its paths. */
import type { Report } from "./diagnostic.ts";
import { normalisePath } from "./paths.ts";
import type { RuleTarget } from "./rule.ts";
import { child, type Tree } from "./tree.ts";

/** One item of a list, with its place. */
export interface Item {
  readonly tree: Tree;
  /** `spec.file.matchPaths[0]` */
  readonly field: string;
  readonly report: Report;
}

/** The targets of one item (several for a list with commas) and the features that this engine lacks for it. */
export interface Reading {
  readonly targets: readonly RuleTarget[];
  readonly lacks: readonly string[];
  /** Why it can't be enforced by any engine. */
  readonly why?: string;
}

/** The path in one field, normalised; undefined where there is none, or after an error. */
export function readPathField(
  { tree, field, report }: Item,
  name: string,
  kind: "path" | "directory",
): string | undefined {
  const value = child(tree, name);
  if (value?.kind !== "scalar" || typeof value.value !== "string") return undefined;
  return normalisePath(value, kind, `${field}.${name}`, report);
}
