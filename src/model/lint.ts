/** Policies that are valid and probably do not do what they say. */
import { dirname } from "node:path";
import type { Diagnostic } from "./diagnostic.ts";
import { fixedDirectory } from "./glob.ts";
import type { Policy } from "./policy.ts";
import { conditionText, isPathTarget, type Rule, ruleField, targetText } from "./rule.ts";
import { neverSelects } from "./selector_sets.ts";

/** Directories that are links in most images, with what they point to: Debian, Ubuntu and Fedora merge /usr. */
const LINKS: readonly [link: string, real: string][] = [
  ["/bin", "/usr/bin"],
  ["/sbin", "/usr/sbin"],
  ["/lib", "/usr/lib"],
  ["/lib64", "/usr/lib64"],
  ["/var/run", "/run"],
  ["/var/lock", "/run/lock"],
];

/** Links on every Linux, to somewhere else for each process. */
const PROCESS_LINKS: readonly string[] = [
  "/proc/self",
  "/proc/thread-self",
  "/proc/mounts",
  "/proc/net",
  "/dev/fd",
  "/dev/stdin",
  "/dev/stdout",
  "/dev/stderr",
];

/** What a path is in a container's own file system. */
export interface RealPath {
  /** Without links; what is missing below the last directory that is there is kept. */
  readonly path: string;
  readonly kind: "file" | "directory" | "other" | "missing";
}

/** Undefined where it can't be told. */
export type Resolve = (path: string) => RealPath | undefined;

/**
 * Warnings about a selector that selects nothing, and about rules whose path leads through a link: the kernel compares
 * real paths, so that such a rule matches nothing. A policy that names or covers both places, or enforces nothing, is not
 * warned about.
 *
 * @param resolve asks a container's file system; without it links are guessed
 */
export function lintPolicy(policy: Policy, resolve?: Resolve): Diagnostic[] {
  if (policy.notEnforced !== undefined) return [];
  const rules = policy.rules.filter((rule) => rule.notEnforced === undefined);
  return [
    ...(neverSelects(policy) ? [selectorWarning(policy)] : []),
    ...targetWarnings(rules, resolve),
    ...rules.flatMap((rule) => sourceWarnings(rule, resolve)),
  ];
}

function selectorWarning({ where, name }: Policy): Diagnostic {
  return {
    severity: "warning",
    where,
    field: "spec.selector",
    message: `Found conditions that exclude each other: policy "${name}" selects no container`,
    hint: "all conditions must hold for one container; make several policies for several",
    code: "never-selects",
  };
}

// ---- paths -----------------------------------------------------------------------------------------------------------

function targetWarnings(rules: readonly Rule[], resolve: Resolve | undefined): Diagnostic[] {
  const named = new Set(rules.map(targetKey));
  const trees = treesOf(rules);
  return rules.flatMap((rule) => {
    const { target } = rule;
    if (target.kind === "pattern") return patternWarning(rule, target.pattern, named, resolve);
    if (!isPathTarget(target)) return [];
    const found = findLink(target.path, resolve);
    if (found === undefined) return fileTypeWarning(rule, resolve?.(target.path)?.kind);
    if (found.real === undefined) return [linkWarning(rule, ruleField(rule), target.path, found)];
    const real = { ...rule, target: { ...target, path: found.real } };
    if (named.has(targetKey(real)) || isCovered(rule, found.real, trees)) return [];
    const shown = { ...found, real: targetText(real.target) };
    return [linkWarning(rule, ruleField(rule), targetText(target), shown)];
  });
}

/** The directory before the first wildcard leads through a link. */
function patternWarning(
  rule: Rule,
  pattern: string,
  named: ReadonlySet<string>,
  resolve: Resolve | undefined,
): Diagnostic[] {
  const directory = fixedDirectory(pattern);
  const found = directory === "" ? undefined : findLink(directory, resolve);
  if (found === undefined) return [];
  const real = found.real && found.real + pattern.slice(directory.length);
  if (
    real !== undefined &&
    named.has(targetKey({ ...rule, target: { kind: "pattern", pattern: real } }))
  ) {
    return [];
  }
  return [linkWarning(rule, ruleField(rule), pattern, { ...found, real })];
}

/** A program of fromSource whose real path stands beside it is not warned about. */
function sourceWarnings(rule: Rule, resolve: Resolve | undefined): Diagnostic[] {
  return rule.fromSource.flatMap((source, index) => {
    const found = findLink(source, resolve);
    if (found === undefined || rule.fromSource.includes(found.real ?? "")) return [];
    return [linkWarning(rule, `${ruleField(rule)}.fromSource[${index}]`, source, found)];
  });
}

interface Link {
  /** Undefined: another one for each process. */
  readonly real: string | undefined;
  /** In the file system that was asked; else in many images. */
  readonly sure: boolean;
}

function findLink(path: string, resolve: Resolve | undefined): Link | undefined {
  if (PROCESS_LINKS.some((link) => isAtOrBelow(path, link))) {
    return { real: undefined, sure: true };
  }
  if (resolve !== undefined) {
    const real = resolve(path)?.path ?? path;
    return real === path ? undefined : { real, sure: true };
  }
  const real = behindUsualLink(path);
  return real === undefined ? undefined : { real, sure: false };
}

/** Where a path leads in the many images in which a directory above it is a link; undefined: nowhere else. */
export function behindUsualLink(path: string): string | undefined {
  const found = LINKS.find(([link]) => isAtOrBelow(path, link));
  return found && found[1] + path.slice(found[0].length);
}

/** Rules on recursive directories, by what `treeKey` says of them. */
type Trees = ReadonlyMap<string, readonly Rule[]>;

function treesOf(rules: readonly Rule[]): Trees {
  const trees = new Map<string, Rule[]>();
  for (const rule of rules) {
    const { target } = rule;
    if (target.kind !== "directory" || !target.recursive) continue;
    const key = treeKey(rule, target.path);
    trees.set(key, [...trees.get(key) ?? [], rule]);
  }
  return trees;
}

function treeKey({ group, fromSource }: Rule, path: string): string {
  return JSON.stringify([group, fromSource, path]);
}

/** Whether the deepest recursive directory that holds `path` says the same about it as the rule, if that named it. */
function isCovered(rule: Rule, path: string, trees: Trees): boolean {
  // Of programs only exact paths say that they may not be mapped either.
  if (rule.group === "process" && rule.target.kind === "path" && rule.action !== "Allow") {
    return false;
  }
  for (let directory = path;; directory = dirname(directory)) {
    const deciding = trees.get(treeKey(rule, directory));
    if (deciding !== undefined) {
      return deciding.some((other) =>
        other.action === rule.action && conditionText(other) === conditionText(rule)
      );
    }
    if (directory === "/") return false;
  }
}

function isAtOrBelow(path: string, directory: string): boolean {
  return `${path}/`.startsWith(`${directory}/`);
}

function targetKey(rule: Rule): string {
  return `${rule.group} ${targetText(rule.target)}`;
}

function linkWarning(rule: Rule, field: string, written: string, { real, sure }: Link): Diagnostic {
  const which = sure ? "a link" : "a link in many images";
  const there = sure ? "it never matches" : "matches nothing there";
  return {
    severity: "warning",
    where: rule.where,
    field,
    message: `Found a path that leads through ${which}: "${written}"${sure ? ":" : ""} ${there}`,
    hint: real === undefined
      ? "the kernel compares real paths, and this one is another for each process: name the directory that it leads to"
      : sure
      ? `the kernel compares real paths: write "${real}"`
      : guessedHint(rule, field, real),
    code: "link",
  };
}

/** Programs behind a link of a directory are often links again, which only a file system can tell. */
function guessedHint(rule: Rule, field: string, real: string): string {
  const isSource = field.includes(".fromSource[");
  const advice = isSource ? `add "${real}" to fromSource` : `add a rule for "${real}" too`;
  const isPath = isSource || rule.target.kind === "path";
  return `${advice}, or ignore this if your image has no such link` +
    (isPath ? "; it may be a link itself (sh is dash or busybox): --root tells" : "");
}

function fileTypeWarning(rule: Rule, kind: RealPath["kind"] | undefined): Diagnostic[] {
  const { target } = rule;
  const isWrong = (target.kind === "path" && kind === "directory") ||
    (target.kind === "directory" && kind === "file");
  if (!isWrong) return [];
  const [found, hint] = target.kind === "path"
    ? ["a directory", 'the rule is about the directory itself: use matchDirectories with "dir"']
    : ["a file", 'use matchPaths with "path"'];
  return [{
    severity: "warning",
    where: rule.where,
    field: ruleField(rule),
    message: `Found ${found} in ${rule.list}: "${targetText(target)}"`,
    hint,
    code: "file-type",
  }];
}
