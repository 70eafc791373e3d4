/**
 * The specification of precedence, written to be read: one question, the rules tried one by one, no data structure.
 * The compiled image must give the same answers; tests compare the two on every small policy.
 */
import {
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
  VERDICT_UNKNOWN_AUDIT,
  VERDICT_UNKNOWN_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { isPathTarget, judgedGroup, type Rule, type RuleTarget } from "../model/rule.ts";
import { matchesGlob } from "./evaluate_glob.ts";
import {
  enforcedRules,
  groupOf,
  isStricter,
  postureVerdict,
  type RuleRef,
  verdictOf,
} from "./rules.ts";

/** May this happen? Paths are absolute, as seen in the container's mount namespace. */
export interface Question {
  /** OP_*. */
  readonly op: number;
  /** The object. */
  readonly path: string;
  /** Executable of the acting process. */
  readonly caller: string;
  /** Executable of the image that the acting process was forked from. */
  readonly parent: string;
  /**
   * IS_OWNER: the acting process has the uid that owns the object (or the directory of a name that is not there yet).
   * NO_TERMINAL: it has no controlling terminal. By default neither.
   */
  readonly circumstances?: number;
}

export interface Judgement {
  /** VERDICT_*, with VERDICT_SOURCE when a rule with fromSource decided. */
  readonly verdict: number;
  /** The rule that decided; undefined for VERDICT_NONE and for the posture's verdicts. */
  readonly rule?: RuleRef;
}

/**
 * Answers for a container that exactly `policies` select.
 *
 * Programs are started by someone's parent or by oneself, depending on where one looks (upstream's two backends
 * disagree), so that for OP_EXEC, OP_MMAP_EXEC and OP_LOAD a fromSource may name either; the larger verdict stands.
 */
export function evaluate(
  question: Question,
  policies: readonly Policy[],
  posture: Posture,
): Judgement {
  return evaluateRules(question, enforcedRules(policies), posture);
}

/** The same for rules that are known to be all that is enforced, in the order of enforcedRules(). */
export function evaluateRules(
  question: Question,
  rules: readonly RuleRef[],
  posture: Posture,
): Judgement {
  const own = judge(question, question.caller, rules, posture);
  if (!isParentJudged(question.op)) return own;
  const inherited = judge(question, question.parent, rules, posture);
  return inherited.verdict > own.verdict ? inherited : own;
}

/** True for the op classes in which the parent's executable counts as a source, too. */
export function isParentJudged(op: number): boolean {
  return op === OP_EXEC || op === OP_MMAP_EXEC || op === OP_LOAD;
}

/** One source's verdict: the first stage with a matching rule decides, whatever the actions are. */
function judge(
  { op, path, circumstances }: Question,
  source: string,
  rules: readonly RuleRef[],
  posture: Posture,
): Judgement {
  const matching = rules.filter(({ rule }) => concerns(rule, op) && matches(rule.target, path));
  const named = matching.filter(({ rule }) => rule.fromSource.includes(source));
  const general = matching.filter(({ rule }) => rule.fromSource.length === 0);

  for (const stage of [exactPaths(named), names(named), patterns(named), directories(named)]) {
    if (stage.length > 0) return strictest(op, stage, VERDICT_SOURCE, circumstances);
  }
  for (
    const stage of [exactPaths(general), names(general), patterns(general), directories(general)]
  ) {
    if (stage.length > 0) return strictest(op, stage, 0, circumstances);
  }
  return { verdict: postureVerdict(op, rules, posture) };
}

/** A rule that says nothing about the class is no candidate, so that it can't hide one that does. */
function concerns(rule: Rule, op: number): boolean {
  return groupOf(op) === judgedGroup(rule) && verdictOf(rule, op) !== VERDICT_NONE;
}

/** A directory matches itself and its children, a recursive one everything below; a pattern the whole path, a name its end. */
export function matches(target: RuleTarget, path: string): boolean {
  switch (target.kind) {
    case "path":
      return path === target.path;
    case "pattern":
      return matchesGlob(target.pattern, path);
    case "name":
      return path.endsWith(`/${target.name}`);
    case "directory":
      return path === target.path || parentOf(path) === target.path ||
        (target.recursive && isBelow(path, target.path));
    default:
      return false;
  }
}

/** The directory that holds a path; undefined for "/". */
function parentOf(path: string): string | undefined {
  if (path === "/") return undefined;
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function isBelow(path: string, directory: string): boolean {
  return directory === "/" || path.startsWith(`${directory}/`);
}

function exactPaths(rules: readonly RuleRef[]): readonly RuleRef[] {
  return rules.filter(({ rule }) => rule.target.kind === "path");
}

function names(rules: readonly RuleRef[]): readonly RuleRef[] {
  return rules.filter(({ rule }) => rule.target.kind === "name");
}

/** None is more specific than another: all that match decide together. */
function patterns(rules: readonly RuleRef[]): readonly RuleRef[] {
  return rules.filter(({ rule }) => rule.target.kind === "pattern");
}

/** The rules on the deepest recursive directory; only without any, those on the deepest other one. */
function directories(rules: readonly RuleRef[]): readonly RuleRef[] {
  const recursive = rules.filter(({ rule }) => isDirectory(rule.target, true));
  const direct = rules.filter(({ rule }) => isDirectory(rule.target, false));
  return deepest(recursive.length > 0 ? recursive : direct);
}

function isDirectory(target: RuleTarget, recursive: boolean): boolean {
  return target.kind === "directory" && target.recursive === recursive;
}

/** All match one path, so that their directories lie on one line from the root and the longest text is the deepest. */
function deepest(rules: readonly RuleRef[]): readonly RuleRef[] {
  const length = ({ rule: { target } }: RuleRef) => isPathTarget(target) ? target.path.length : 0;
  const longest = Math.max(...rules.map(length));
  return rules.filter((ref) => length(ref) === longest);
}

/** Among rules on the identical selector, and among patterns, the strictest wins, the first of equals. */
export function strictest(
  op: number,
  rules: readonly RuleRef[],
  flag: number,
  circumstances = 0,
): Judgement {
  const verdictOn = ({ rule }: RuleRef) => verdictOf(rule, op, circumstances);
  const winner = rules.reduce((best, ref) =>
    isStricter(verdictOn(ref), verdictOn(best)) ? ref : best
  );
  const verdict = verdictOn(winner);
  // What an entry of an allow-list refuses by a condition of its own is reported as the posture's, as upstream does.
  return verdict === VERDICT_POSTURE_BLOCK
    ? { verdict: verdict | flag }
    : { verdict: verdict | flag, rule: winner };
}

/**
 * Verdict for an object whose path can't be established: what a rule or the posture could refuse is refused, what
 * they could report is reported, whatever the circumstances.
 */
export function evaluateUnreachable(
  op: number,
  rules: readonly RuleRef[],
  posture: Posture,
): number {
  const possible = new Set(rules.map(({ rule }) => verdictOf(rule, op)));
  possible.add(postureVerdict(op, rules, posture));
  if (possible.has(VERDICT_BLOCK) || possible.has(VERDICT_POSTURE_BLOCK)) {
    return VERDICT_UNKNOWN_BLOCK;
  }
  return possible.has(VERDICT_AUDIT) || possible.has(VERDICT_POSTURE_AUDIT)
    ? VERDICT_UNKNOWN_AUDIT
    : VERDICT_NONE;
}

/**
 * Verdict for an object that never had a path: memfd, pipe, socket, anonymous inode. Rules about files never match
 * it, and programs map such memory as they please; to execute it is to execute something of unknown path.
 */
export function evaluateAnonymous(
  op: number,
  rules: readonly RuleRef[],
  posture: Posture,
): number {
  return op === OP_EXEC ? evaluateUnreachable(op, rules, posture) : VERDICT_NONE;
}
