/**
 * A policy document as a tree of values that know where they stand, independent of the YAML library: aliases and merge
 * keys are resolved, and its size is bounded.
 */
import type { Position } from "./diagnostic.ts";

export interface ScalarTree {
  readonly kind: "scalar";
  readonly where: Position;
  readonly value: string | number | boolean | null;
  /** What the file says, for hints: the number 755 may have been written `0755`. */
  readonly text: string;
  /** Written without quotes, so that other YAML readers may give it another type. */
  readonly plain: boolean;
}

export interface ListTree {
  readonly kind: "list";
  readonly where: Position;
  readonly items: readonly Tree[];
}

export interface MapEntry {
  readonly keyWhere: Position;
  readonly value: Tree;
}

export interface MapTree {
  readonly kind: "map";
  readonly where: Position;
  readonly entries: ReadonlyMap<string, MapEntry>;
}

export type Tree = ScalarTree | ListTree | MapTree;

const TRUE_WORDS = ["true", "yes", "on", "y"];
const FALSE_WORDS = ["false", "no", "off", "n"];

/** The boolean that kubectl, which reads YAML 1.1, makes of an unquoted word that is a text in YAML 1.2; else undefined. */
export function oldBoolean(tree: ScalarTree): boolean | undefined {
  if (!tree.plain || typeof tree.value !== "string") return undefined;
  const word = tree.value.toLowerCase();
  if (TRUE_WORDS.includes(word)) return true;
  return FALSE_WORDS.includes(word) ? false : undefined;
}

/** The value at `name`, or undefined when the tree is no mapping, has no such key or nothing stands behind it. */
export function child(tree: Tree | undefined, name: string): Tree | undefined {
  if (tree?.kind !== "map") return undefined;
  const value = tree.entries.get(name)?.value;
  return value === undefined || isNull(value) ? undefined : value;
}

/** Whether nothing (or `null`) was written as the value. */
export function isNull(tree: Tree): boolean {
  return tree.kind === "scalar" && tree.value === null;
}

/** The items at `name`, without those that are empty; none when it is no list. */
export function childItems(tree: Tree | undefined, name: string): readonly Tree[] {
  const list = child(tree, name);
  return list?.kind === "list" ? list.items : [];
}

/** The text at `name`, or "" when there is none. */
export function childText(tree: Tree | undefined, name: string): string {
  const value = child(tree, name);
  return value?.kind === "scalar" && typeof value.value === "string" ? value.value : "";
}

/** The number at `name`, or 0. */
export function childNumber(tree: Tree | undefined, name: string): number {
  const value = child(tree, name);
  return value?.kind === "scalar" && typeof value.value === "number" ? value.value : 0;
}

/** The boolean at `name`, YAML 1.1 words included, or undefined. */
export function childBoolean(tree: Tree | undefined, name: string): boolean | undefined {
  const value = child(tree, name);
  if (value?.kind !== "scalar") return undefined;
  if (typeof value.value === "boolean") return value.value;
  return oldBoolean(value);
}

/** The texts in the list at `name`. */
export function childTexts(tree: Tree | undefined, name: string): string[] {
  return childItems(tree, name).flatMap((item) =>
    item.kind === "scalar" && typeof item.value === "string" ? [item.value] : []
  );
}

/** The mapping at `name` from text to text; other values are left out. */
export function childTextMap(tree: Tree | undefined, name: string): Record<string, string> {
  const map = child(tree, name);
  // Without a prototype, so that a label named "__proto__" is a label.
  const texts: Record<string, string> = Object.create(null);
  if (map?.kind !== "map") return texts;
  for (const [key, { value }] of map.entries) {
    if (value.kind === "scalar" && typeof value.value === "string") texts[key] = value.value;
  }
  return texts;
}
