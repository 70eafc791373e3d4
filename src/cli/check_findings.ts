/** What `check` says beyond the schema, in words. */
import { type Conflict, findConflicts } from "../compile/conflicts.ts";
import { findHostLockouts, type HostLockout } from "../compile/host_lockout.ts";
import { type Entrypoint, findLockouts, type Lockout } from "../compile/lockout.ts";
import { type RuleRef, whyNotEnforced } from "../compile/rules.ts";
import { type Diagnostic, type DiagnosticCode, formatPosition } from "../model/diagnostic.ts";
import { lintPolicy, type Resolve } from "../model/lint.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import {
  conditionText,
  isMatchedTarget,
  isPathTarget,
  type Rule,
  ruleField,
  targetText,
} from "../model/rule.ts";

export interface FindingOptions {
  readonly posture: Posture;
  readonly hostPosture: Posture;
  /** Asks the container's file system. */
  readonly resolve: Resolve | undefined;
  readonly entrypoint: Entrypoint | undefined;
}

/** Warnings about policies that are valid, in no particular order. */
export function findingsAbout(
  policies: readonly Policy[],
  { posture, hostPosture, resolve, entrypoint }: FindingOptions,
): Diagnostic[] {
  return [
    ...policies.flatMap((policy) => lintPolicy(policy, resolve)),
    ...policies.flatMap(notEnforcedFindings),
    ...findConflicts(policies).map(conflictFinding),
    ...findHostLockouts(policies, hostPosture).map(hostLockoutFinding),
    ...findLockouts(policies, posture, entrypoint).map((lockout) =>
      lockoutFinding(lockout, entrypoint)
    ),
  ];
}

// ---- not enforced ----------------------------------------------------------------------------------------------------

function notEnforcedFindings(policy: Policy): Diagnostic[] {
  if (policy.notEnforced !== undefined) {
    return [notEnforced(policy.where, "", `policy "${policy.name}"`, policy.notEnforced)];
  }
  return policy.rules.flatMap((rule) => {
    const reason = rule.notEnforced ??
      // That a pattern is too large is known to the compiler alone.
      (isMatchedTarget(rule.target) ? whyNotEnforced(policy, rule) : undefined);
    return reason === undefined
      ? []
      : [notEnforced(rule.where, ruleField(rule), ruleText(rule), reason)];
  });
}

function notEnforced(
  where: Diagnostic["where"],
  field: string,
  subject: string,
  reason: string,
): Diagnostic {
  const message = `${subject} is not enforced: ${reason}`;
  return { severity: "warning", where, field, message, code: "not-enforced" };
}

// ---- conflicts -------------------------------------------------------------------------------------------------------

function conflictFinding({ kind, ref, by, sometimes, source }: Conflict): Diagnostic {
  const other = by.policy === ref.policy ? "" : ` of policy "${by.policy.name}"`;
  const where = `${formatPosition(by.rule.where)}${other}`;
  const when = sometimes ? `, where policy "${by.policy.name}" selects the container too` : "";
  const program = source === undefined ? "" : ` for ${source}`;
  const subject = `${ruleText(ref.rule)}${program}`;
  switch (kind) {
    case "duplicate":
      return warning(
        ref.rule,
        kind,
        `${subject} stands twice: ${where} says the same${differences(ref, by)}`,
        "remove one of them",
      );
    case "overruled":
      return warning(
        ref.rule,
        kind,
        `${subject} never decides${when}: ${ruleText(by.rule)} at ${where} is stricter`,
        "about the same thing Block decides before Audit, and Audit before Allow, in any order; " +
          `an exception needs ${
            isPathTarget(ref.rule.target) ? "a longer path or " : ""
          }"fromSource"`,
      );
    case "shadowed":
      return warning(
        ref.rule,
        kind,
        `${subject} never decides${when}: ${ruleText(by.rule)} at ${where} decides before it`,
        by.rule.target.kind === "pattern"
          ? "a pattern decides before every directory: name this one with a pattern, too, or that " +
            "one as a directory"
          : 'a recursive directory decides before one that is not: add "recursive: true" to this one' +
            // Without its last Allow rule an allow-list is none.
            (ref.rule.action === "Allow" ? "" : ", or remove it"),
      );
  }
}

/** The first is the one that alerts name. */
function differences(ref: RuleRef, by: RuleRef): string {
  const words = ({ rule: { severity, tags, message } }: RuleRef) =>
    JSON.stringify([severity, tags, message]);
  return words(ref) === words(by) ? "" : ", and alerts have its severity, tags and message";
}

// ---- lock-outs -------------------------------------------------------------------------------------------------------

function lockoutFinding({ ref, kind, group, path }: Lockout, entrypoint?: Entrypoint): Diagnostic {
  const [message, hint] = {
    blocked: [
      `${ruleText(ref.rule)} refuses ${need(group, path, entrypoint)}: it does not start`,
      "let the entrypoint pass, or select other containers",
    ],
    unlisted: [
      `The ${group} allow-list refuses ${
        need(group, path, entrypoint)
      }, which no rule of it names: ` +
      "with posture.file block it does not start",
      `add an Allow rule for "${path}", without fromSource`,
    ],
    sources: [
      `The ${group} allow-list has only rules with "fromSource": with posture.file block the ` +
      "container's first program, which its runtime starts, is refused",
      "add an Allow rule for the entrypoint, without fromSource" +
      (group === "file" ? ", and one for its dynamic loader" : ""),
    ],
    libraries: [
      "The file allow-list names no directory of libraries: with posture.file block no program " +
      "starts that is linked dynamically",
      'add Allow rules for example for "/usr/lib/" with "recursive: true"; --root and --entrypoint tell it exactly',
    ],
  }[kind] as [string, string];
  return warning(ref.rule, "lockout", message, hint);
}

function hostLockoutFinding({ ref, kind, path, without }: HostLockout): Diagnostic {
  const subject = kind === "blocked"
    ? ruleText(ref.rule)
    : `The ${ref.rule.group} allow-list, which does not name it,`;
  return warning(
    ref.rule,
    "lockout",
    `${subject} refuses "${path}" on the node: without it ${without}`,
    kind === "blocked"
      ? `name less, or add an Allow rule for "${path}"`
      : `add an Allow rule for "${path}": with posture.hostFile block the rest is refused`,
  );
}

function need(group: "process" | "file", path = "", entrypoint?: Entrypoint): string {
  if (entrypoint?.programs.includes(path) !== true) {
    return `the library "${path}" of the container's first program`;
  }
  const program = path === entrypoint.programs[0]
    ? `the container's first program "${path}"`
    : `"${path}", the interpreter of the container's first program`;
  return group === "file" ? `reading ${program}` : program;
}

function warning(rule: Rule, code: DiagnosticCode, message: string, hint: string): Diagnostic {
  return { severity: "warning", where: rule.where, field: ruleField(rule), message, hint, code };
}

function ruleText(rule: Rule): string {
  return `${rule.action} ${targetText(rule.target)}${conditionText(rule)}`;
}
