import type { Position } from "./diagnostic.ts";
import type { DomainTarget } from "./domain.ts";
import type { Protocol } from "./grammars.ts";
import type { PresetName } from "./presets.ts";

export type Action = "Allow" | "Audit" | "Block";

export type RuleGroup =
  | "process"
  | "file"
  | "network"
  | "capabilities"
  | "syscalls"
  | "device"
  | "presets"
  | "apparmor";

export type PathTarget =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "directory"; readonly path: string; readonly recursive: boolean };

/** Every path that an AppArmor glob matches: see `parseGlob()`. */
export interface PatternTarget {
  readonly kind: "pattern";
  readonly pattern: string;
}

/** Programs by their last name, wherever they lie. */
export interface NameTarget {
  readonly kind: "name";
  readonly name: string;
}

/** Any of these system calls. */
export interface SyscallTarget {
  readonly kind: "syscall";
  readonly syscalls: readonly string[];
  /** Only where a path among the arguments is this one, or lies in this directory. */
  readonly object?: PathTarget;
  /** Only from these programs, or from those in these directories; empty: from all. */
  readonly sources: readonly PathTarget[];
}

/** What one rule names. Paths are absolute, without a trailing slash, `/` for the root; directories likewise. */
export type RuleTarget =
  | PathTarget
  | PatternTarget
  | NameTarget
  /** A word of `matchProtocols`, in lower case. */
  | { readonly kind: "protocol"; readonly protocol: Protocol }
  /** In lower case, without `cap_`. */
  | { readonly kind: "capability"; readonly capability: string }
  | SyscallTarget
  | { readonly kind: "preset"; readonly preset: PresetName }
  | DomainTarget
  /** Anything that the engine does not enforce yet; `text` is what the user wrote, for reports. */
  | { readonly kind: "other"; readonly list: string; readonly text: string };

/**
 * One item of a `match…` list, with action, severity, tags and message inherited item > group > spec.
 * A value with commas has become one rule per element.
 */
export interface Rule {
  readonly group: RuleGroup;
  /** The list it stands in, for example `matchPaths`. */
  readonly list: string;
  /** Index in that list, from 0. */
  readonly index: number;
  readonly target: RuleTarget;
  readonly action: Action;
  readonly readOnly: boolean;
  /** Whether the owner of the file is exempt (of a name that is not there yet, of its directory). */
  readonly ownerOnly?: true;
  /** `pts: false`: it is about processes with a controlling terminal only, which an Allow refuses. */
  readonly terminalOnly?: true;
  /** Of the agent's own making: lets a program pass, and makes no allow-list. */
  readonly isRail?: true;
  /** Absolute paths of executables; empty: every source. Those of system calls, which may be directories, are in the target. */
  readonly fromSource: readonly string[];
  /** 1..10, or 0 when the user gave none. */
  readonly severity: number;
  readonly tags: readonly string[];
  readonly message: string;
  readonly where: Position;
  /** Set when this engine does not enforce the rule: why, in the words that status shows after "not enforced: ". */
  readonly notEnforced?: string;
}

/** Groups of rules that the engine judges, each with an allow-list of its own. */
export type JudgedGroup = "process" | "file" | "network" | "dns" | "capabilities" | "presets";

/** The group in which a rule is judged: names have an allow-list beside that of sockets. */
export function judgedGroup({ group, target }: Pick<Rule, "group" | "target">): RuleGroup | "dns" {
  return target.kind === "domain" ? "dns" : group;
}

/** Where the rule stands in its document, for example `spec.file.matchPaths[0]`. */
export function ruleField(rule: Rule): string {
  if (rule.group === "apparmor") return "spec.apparmor";
  const grouped = rule.list.startsWith("match");
  return `spec.${grouped ? `${rule.group}.` : ""}${rule.list}[${rule.index}]`;
}

/** Whether a target is about files by their paths. */
export function namesFiles(target: RuleTarget): target is PathTarget | PatternTarget | NameTarget {
  return isPathTarget(target) || isMatchedTarget(target);
}

/** Whether a target is about all files whose paths look so. */
export function isMatchedTarget(target: RuleTarget): target is PatternTarget | NameTarget {
  return target.kind === "pattern" || target.kind === "name";
}

/** Whether a target is one place in the file system. */
export function isPathTarget(target: RuleTarget): target is PathTarget {
  return target.kind === "path" || target.kind === "directory";
}

/** What the rule names, in one line: `/bin/sh`, `/tmp/ (recursive)`, `tcp`. */
export function targetText(target: RuleTarget): string {
  if (target.kind === "path") return target.path;
  if (target.kind === "pattern") return target.pattern;
  if (target.kind === "name") return target.name;
  if (target.kind === "protocol") return target.protocol;
  if (target.kind === "capability") return target.capability;
  if (target.kind === "preset") return target.preset;
  if (target.kind === "other") return target.text;
  if (target.kind === "domain") return `${target.belowOnly === true ? "*." : ""}${target.domain}`;
  if (target.kind === "syscall") return syscallText(target);
  const folder = target.path === "/" ? "/" : `${target.path}/`;
  return target.recursive ? `${folder} (recursive)` : folder;
}

function syscallText({ syscalls, object }: SyscallTarget): string {
  const calls = syscalls.join(",");
  return object === undefined ? calls : `${calls} ${targetText(object)}`;
}

/** What the rule says beside its target: ` (read only)`, ` (owner only)`; mostly nothing. */
export function conditionText(
  { readOnly, ownerOnly, terminalOnly }: {
    readonly readOnly: boolean;
    readonly ownerOnly?: boolean;
    readonly terminalOnly?: boolean;
  },
): string {
  const words = [
    ...(readOnly ? [" (read only)"] : []),
    ...(ownerOnly === true ? [" (owner only)"] : []),
    ...(terminalOnly === true ? [" (on a terminal)"] : []),
  ];
  return words.join("");
}
