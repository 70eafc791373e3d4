/** Reads rules about system calls: their names, the path that an argument must be, and the programs that they come from. */
import type { PathTarget, SyscallTarget } from "./rule.ts";
import { type Item, type Reading, readPathField } from "./rule_item.ts";
import { pathArguments } from "./syscall_paths.ts";
import { SYSCALL_NAMES } from "./syscall_names.ts";
import { child, childBoolean, childItems, childTexts, type Tree } from "./tree.ts";

/** An item of `syscalls.matchSyscalls`. */
export function readSyscalls(item: Item): Reading {
  const target = targetOf(item);
  if (isSourceless(item, target)) return reading(target, "its fromSource names nothing");
  return reading(target, target.syscalls.length === 0 && "it names no system call");
}

/** An item of `syscalls.matchPaths`. */
export function readSyscallPaths(item: Item): Reading {
  const target = targetOf(item);
  const object = placeOf(item, "path", isDirectory(item.tree) ? "directory" : "path");
  if (object === undefined) return reading(target, "it names no path");
  if (isSourceless(item, target)) return reading(target, "its fromSource names nothing");
  const bytes = new TextEncoder().encode(object.path).length;
  if (bytes > ARGUMENT_BYTES_MAX) {
    return reading(
      target,
      `of a path argument ${ARGUMENT_BYTES_MAX} bytes are read, it has ${bytes}`,
    );
  }
  const pathless = target.syscalls.filter((name) => pathArguments(name).length === 0);
  const all = pathless.length === target.syscalls.length;
  if (!all && pathless.length > 0) warnPathless(item, pathless);
  return reading({ ...target, object }, all && "none of its system calls takes a path");
}

/** Longer ones count as cut: see ARGUMENT_PATH_BYTES of bpf/agent_api.h. */
const ARGUMENT_BYTES_MAX = 254;

function isSourceless({ tree }: Item, { sources }: SyscallTarget): boolean {
  return childItems(tree, "fromSource").length > 0 && sources.length === 0;
}

function reading(target: SyscallTarget, why: string | false): Reading {
  return { targets: [target], lacks: [], ...(why !== false && { why }) };
}

function targetOf(item: Item): SyscallTarget {
  return { kind: "syscall", syscalls: namesOf(item.tree), sources: sourcesOf(item) };
}

function warnPathless({ tree, field, report }: Item, names: readonly string[]): void {
  report({
    severity: "warning",
    where: tree.where,
    field: `${field}.syscall`,
    message: `Found system calls without a path: "${names.join('", "')}": they never match here`,
    hint: "name them in matchSyscalls",
  });
}

/** The schema has refused other words. */
function namesOf(tree: Tree): string[] {
  return [...new Set(childTexts(tree, "syscall").filter((name) => SYSCALL_NAMES.includes(name)))];
}

/** A path with a slash at its end is a directory's. */
function isDirectory(tree: Tree): boolean {
  const value = child(tree, "path");
  return value?.kind === "scalar" && String(value.value).endsWith("/");
}

function sourcesOf({ tree, field, report }: Item): PathTarget[] {
  return childItems(tree, "fromSource").flatMap((tree, index) => {
    const item = { tree, field: `${field}.fromSource[${index}]`, report };
    return [placeOf(item, "path", "path"), placeOf(item, "dir", "directory")]
      .filter((place) => place !== undefined);
  });
}

function placeOf(item: Item, name: string, kind: PathTarget["kind"]): PathTarget | undefined {
  const path = readPathField(item, name, kind);
  if (path === undefined) return undefined;
  if (kind === "path") return { kind, path };
  return { kind, path, recursive: childBoolean(item.tree, "recursive") ?? false };
}
