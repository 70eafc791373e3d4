import {
  CIRCUMSTANCES,
  COMPONENTS_MAX,
  IS_OWNER,
  NO_TERMINAL,
  OP_ATTR,
  OP_CAPABILITY,
  OP_CLASSES,
  OP_CONNECT,
  OP_CREATE,
  OP_DELETE,
  OP_DNS,
  OP_EXEC,
  OP_LINK,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_MOUNT,
  OP_NETWORK,
  OP_PRESET,
  OP_READ,
  OP_RENAME,
  OP_WRITE,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import { type Policy, policyKey } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { globDefect, parseGlob } from "../model/glob.ts";
import {
  isPathTarget,
  type JudgedGroup,
  judgedGroup,
  type Rule,
  type RuleTarget,
} from "../model/rule.ts";
import { mayMatchBelow } from "./evaluate_glob.ts";
import { GlobStates, STATES_FOLLOWED_MAX, STATES_MAX, TooManyStatesError } from "./glob_states.ts";
import { componentsOf, NAME_BYTES_MAX, nameBytes } from "./hash.ts";

/** A rule and the policy it stands in: what an alert names. */
export interface RuleRef {
  readonly policy: Policy;
  readonly rule: Rule;
}

/** Op classes that process rules and their allow-lists govern. */
export const PROCESS_OPS: readonly number[] = [OP_EXEC, OP_MMAP_EXEC, OP_LOAD];

/** Op classes that file rules and their allow-lists govern. */
export const FILE_OPS: readonly number[] = [
  OP_READ,
  OP_WRITE,
  OP_CREATE,
  OP_DELETE,
  OP_RENAME,
  OP_LINK,
  OP_ATTR,
  OP_MOUNT,
  OP_CONNECT,
];

/** The group of rules that governs an op class; undefined for classes that no rule can name. */
export function groupOf(op: number): JudgedGroup | undefined {
  if (PROCESS_OPS.includes(op)) return "process";
  if (op === OP_NETWORK) return "network";
  if (op === OP_CAPABILITY) return "capabilities";
  if (op === OP_DNS) return "dns";
  if (op === OP_PRESET) return "presets";
  return FILE_OPS.includes(op) ? "file" : undefined;
}

/** Whether objects of an op class have paths. */
export function isPathOp(op: number): boolean {
  return op !== OP_NETWORK && op !== OP_CAPABILITY && op !== OP_PRESET;
}

/** Groups that may have an allow-list. */
export type PosturedGroup = Exclude<JudgedGroup, "presets">;

/** The posture that governs a group's allow-list, by its name. */
export function postureOf(group: PosturedGroup): keyof Posture {
  if (group === "dns") return "network";
  return group === "process" ? "file" : group;
}

/**
 * What a rule says about an op class when it is the one that decides; VERDICT_NONE when the class is not its business.
 *
 * OP_MMAP_EXEC is the business of exact paths and names only: a directory that must not be executed from may well hold libraries.
 * An exact Allow speaks too, since a program that one source may execute must not fail when it is mapped.
 *
 * @param circumstances of IS_OWNER and NO_TERMINAL: matter to rules with ownerOnly and `pts: false`
 */
export function verdictOf(rule: Rule, op: number, circumstances = 0): number {
  if (groupOf(op) !== judgedGroup(rule)) return VERDICT_NONE;
  if (op === OP_MMAP_EXEC && !isOneProgram(rule.target)) return VERDICT_NONE;
  // A guard rail is about starting programs: what else is done to their files the node's policies decide.
  if (rule.isRail === true && rule.group === "file" && op !== OP_READ) return VERDICT_NONE;
  if (rule.terminalOnly === true && (circumstances & NO_TERMINAL) !== 0) return VERDICT_ALLOW;
  if (rule.ownerOnly === true && (circumstances & IS_OWNER) === 0) return exclusiveVerdict(rule);
  if (rule.group === "file" && rule.readOnly) return readOnlyVerdict(rule, op);
  if (rule.ownerOnly === true) return VERDICT_ALLOW;
  return rule.terminalOnly === true ? exclusiveVerdict(rule) : plainVerdict(rule);
}

function isOneProgram({ kind }: RuleTarget): boolean {
  return kind === "path" || kind === "name";
}

/** The circumstances that matter to a rule. */
export function conditionsOf({ ownerOnly, terminalOnly }: Rule): number {
  return (ownerOnly === true ? IS_OWNER : 0) | (terminalOnly === true ? NO_TERMINAL : 0);
}

/** All that may be given, from none on. */
export const ALL_CIRCUMSTANCES: readonly number[] = Array.from(
  { length: CIRCUMSTANCES + 1 },
  (_, given) => given,
);

/** `verdictOf` for every op class; few different lists, since few fields matter. */
export function verdictsOf(rule: Rule, circumstances = 0): readonly number[] {
  const shape = `${shapeOf(rule)}/${circumstances}`;
  const known = verdictsByShape.get(shape) ??
    Array.from({ length: OP_CLASSES }, (_, op) => verdictOf(rule, op, circumstances));
  verdictsByShape.set(shape, known);
  return known;
}

const verdictsByShape = new Map<string, readonly number[]>();

/** Equal for rules that say the same about each op class, and of one group. */
function shapeOf(rule: Rule): string {
  const readOnly = rule.group === "file" && rule.readOnly;
  const rail = rule.isRail === true;
  return `${judgedGroup(rule)}/${rule.action}/${isOneProgram(rule.target)}/${readOnly}/${rail}/${
    conditionsOf(rule)
  }`;
}

/** One rule for each thing that rules say, whatever they say it about. */
export function differentRules(rules: readonly RuleRef[]): RuleRef[] {
  return [...new Map(rules.map((ref) => [shapeOf(ref.rule), ref])).values()];
}

function plainVerdict(rule: Rule): number {
  switch (rule.action) {
    case "Block":
      return VERDICT_BLOCK;
    case "Audit":
      return VERDICT_AUDIT;
    case "Allow":
      return VERDICT_ALLOW;
  }
}

/** Reading passes; the rest is refused or reported. */
function readOnlyVerdict(rule: Rule, op: number): number {
  return op === OP_READ ? VERDICT_ALLOW : exclusiveVerdict(rule);
}

/** What is not among the things, or people, that a rule lets pass. An Allow refuses it whatever the posture, as upstream. */
function exclusiveVerdict(rule: Rule): number {
  return rule.action === "Allow" ? VERDICT_POSTURE_BLOCK : plainVerdict(rule);
}

/**
 * Order among rules on the identical selector, strictest last. A Block stands above the refusal of an
 * Allow + readOnly (or another condition), so that the alert names the Block rule and the ancestor guard sees it.
 */
export const STRICTNESS: readonly number[] = [
  VERDICT_NONE,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_BLOCK,
];

/** True when verdict `a` of a rule is stricter than verdict `b` of another rule on the identical selector. */
export function isStricter(a: number, b: number): boolean {
  return STRICTNESS.indexOf(a) > STRICTNESS.indexOf(b);
}

/**
 * Verdict of an op class for objects that no rule matches. Only an Allow rule of the class's group makes an allow-list,
 * and OP_MMAP_EXEC is never under one: an allow-list of programs would have to name every library.
 */
export function postureVerdict(op: number, rules: readonly RuleRef[], posture: Posture): number {
  const group = groupOf(op);
  if (group === undefined || group === "presets" || op === OP_MMAP_EXEC) return VERDICT_NONE;
  const allowList = rules.some(({ rule }) =>
    judgedGroup(rule) === group && rule.action === "Allow" && rule.isRail !== true
  );
  if (!allowList) return VERDICT_NONE;
  return posture[postureOf(group)] === "block" ? VERDICT_POSTURE_BLOCK : VERDICT_POSTURE_AUDIT;
}

/** Every rule that the engine enforces, by policy name, then as written: the order in which equals are named. */
export function enforcedRules(policies: readonly Policy[]): RuleRef[] {
  return [...policies].sort(byName).flatMap((policy) =>
    policy.rules
      .filter((rule) => whyNotEnforced(policy, rule) === undefined)
      .map((rule) => ({ policy, rule }))
  );
}

/** The first rule about something, or for a pattern about what may be, at or below `directory`: what the guard of ancestors protects. */
export function ruleBelow(directory: string, rules: readonly RuleRef[]): RuleRef | undefined {
  const prefix = directory.endsWith("/") ? directory : directory + "/";
  return rules.find(({ rule: { target } }) =>
    target.kind === "name"
      ? directory.endsWith(`/${target.name}`)
      : target.kind === "pattern"
      ? mayMatchBelow(target.pattern, directory)
      : isPathTarget(target) && (target.path + "/").startsWith(prefix)
  );
}

function byName(a: Policy, b: Policy): number {
  return compareText(a.name, b.name) || compareText(policyKey(a), policyKey(b));
}

/** By UTF-16 code units: no locale may change what is compiled. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Why the engine does not enforce a rule, in the words that follow "not enforced: "; undefined when it does. */
export function whyNotEnforced(policy: Policy, rule: Rule): string | undefined {
  const known = reasons.get(rule);
  if (known?.policy === policy) return known.reason;
  const reason = findReason(policy, rule);
  reasons.set(rule, { policy, reason });
  return reason;
}

/** Rules never change, and each is asked about whenever anything is compiled. */
const reasons = new WeakMap<Rule, { policy: Policy; reason: string | undefined }>();

function findReason(policy: Policy, rule: Rule): string | undefined {
  const reason = policy.notEnforced ?? rule.notEnforced;
  if (reason !== undefined) return reason;
  if (rule.target.kind === "pattern") {
    const defect = patternDefects(policy).get(rule.target.pattern);
    if (defect !== undefined) return `pattern "${rule.target.pattern}" ${defect}`;
  }
  if (rule.target.kind === "other") return `the engine does not judge ${rule.group}.${rule.list}`;
  if (rule.target.kind === "name" && nameBytes(rule.target.name) > NAME_BYTES_MAX) {
    return `it has ${nameBytes(rule.target.name)} bytes: file systems allow ${NAME_BYTES_MAX}`;
  }
  const named = isPathTarget(rule.target) ? [rule.target.path] : [];
  for (const path of [...named, ...rule.fromSource]) {
    const wrong = whyNotComparable(path);
    if (wrong !== undefined) return `path "${path}" ${wrong}`;
  }
  return undefined;
}

/** Why patterns of the policy can't be compiled, each by itself; and those, as written, for which no work is left. */
function patternDefects(policy: Policy): ReadonlyMap<string, string> {
  const known = defectsOf.get(policy);
  if (known !== undefined) return known;
  const patterns = policy.rules.flatMap(({ target }) =>
    target.kind === "pattern" ? [target.pattern] : []
  );
  const defects = new Map<string, string>();
  let work = 0;
  for (const pattern of new Set(patterns)) {
    if (work > WORK_MAX) {
      defects.set(pattern, 'is one too many: use fewer patterns with "*" in this policy');
      continue;
    }
    const { defect, followed } = tryPattern(pattern);
    if (defect !== undefined) defects.set(pattern, defect);
    work += followed;
  }
  defectsOf.set(policy, defects);
  return defects;
}

/** Of STATES_FOLLOWED_MAX, which is an image's. */
const WORK_MAX = STATES_FOLLOWED_MAX / 4;

const defectsOf = new WeakMap<Policy, ReadonlyMap<string, string>>();

function tryPattern(pattern: string): { defect?: string; followed: number } {
  const defect = globDefect(pattern);
  if (defect !== undefined) return { defect, followed: 0 };
  const states = new GlobStates([parseGlob(pattern)], PATTERN_STATES_MAX);
  try {
    states.planAll();
    return { followed: states.statesFollowed };
  } catch (error) {
    if (!(error instanceof TooManyStatesError)) throw error;
    const tooLarge = `needs more than ${PATTERN_STATES_MAX} states: use fewer "*" and "?"`;
    return { defect: tooLarge, followed: states.statesFollowed };
  }
}

/** A quarter of what all patterns of an image have. */
const PATTERN_STATES_MAX = STATES_MAX / 4;

/** Why the kernel could never meet a path as written. */
function whyNotComparable(path: string): string | undefined {
  if (!path.startsWith("/")) return 'does not start with "/"';
  const names = componentsOf(path);
  if (names.length > COMPONENTS_MAX) {
    return `has ${names.length} names: the kernel compares ${COMPONENTS_MAX}`;
  }
  if (names.includes(".") || names.includes("..")) return 'contains "." or ".."';
  const long = names.find((name) =>
    name.length * 3 > NAME_BYTES_MAX && nameBytes(name) > NAME_BYTES_MAX
  );
  if (long === undefined) return undefined;
  return `has a name of ${nameBytes(long)} bytes: file systems allow ${NAME_BYTES_MAX}`;
}
