/** `ankylo check FILES…`: what is wrong with policies and what becomes of each rule, without a kernel. */
import {
  compareDiagnostics,
  type Diagnostic,
  formatDiagnostic,
  hasErrors,
} from "../model/diagnostic.ts";
import { lintPolicy } from "../model/lint.ts";
import type { Policy } from "../model/policy.ts";
import { type Rule, ruleField, targetText } from "../model/rule.ts";
import { EXIT_OK, EXIT_POLICY } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";
import { type PolicyFiles, readPolicyFiles } from "./policy_arguments.ts";

export interface CheckOptions {
  /** One JSON object instead of lines. */
  readonly json: boolean;
}

/**
 * Checks files, and in folders every file that the agent would read. Writes the findings and a summary to `io.out`.
 *
 * @returns `EXIT_OK`, with warnings too; `EXIT_POLICY` when there are errors
 */
export async function runCheck(
  paths: readonly string[],
  options: CheckOptions,
  io: CommandIo,
): Promise<number> {
  const checked = await checkFiles(paths);
  io.out(options.json ? checkJson(checked) : checkText(checked));
  return hasErrors(checked.diagnostics) ? EXIT_POLICY : EXIT_OK;
}

async function checkFiles(paths: readonly string[]): Promise<PolicyFiles> {
  const { files, policies, diagnostics } = await readPolicyFiles(paths);
  const findings = [
    ...diagnostics,
    ...policies.flatMap(lintPolicy),
    ...policies.flatMap(notEnforcedFindings),
  ];
  return { files, policies, diagnostics: findings.sort(compareDiagnostics) };
}

function notEnforcedFindings(policy: Policy): Diagnostic[] {
  if (policy.notEnforced !== undefined) {
    return [notEnforced(policy.where, "", `policy "${policy.name}"`, policy.notEnforced)];
  }
  return policy.rules.flatMap((rule) =>
    rule.notEnforced === undefined
      ? []
      : [notEnforced(rule.where, ruleField(rule), ruleText(rule), rule.notEnforced)]
  );
}

function notEnforced(
  where: Diagnostic["where"],
  field: string,
  subject: string,
  reason: string,
): Diagnostic {
  return { severity: "warning", where, field, message: `${subject} is not enforced: ${reason}` };
}

function ruleText(rule: Rule): string {
  return `${rule.action} ${targetText(rule.target)}`;
}

// ---- output ------------------------------------------------------------------------------------------------------------

interface Summary {
  readonly files: number;
  readonly policies: number;
  readonly rules: number;
  readonly enforced: number;
  readonly errors: number;
  readonly warnings: number;
}

function summaryOf({ files, policies, diagnostics }: PolicyFiles): Summary {
  const rules = policies.flatMap(({ rules }) => rules);
  const errors = diagnostics.filter((finding) => finding.severity === "error").length;
  return {
    files: files.length,
    policies: policies.length,
    rules: rules.length,
    enforced: policies.flatMap(enforcedRules).length,
    errors,
    warnings: diagnostics.length - errors,
  };
}

function enforcedRules(policy: Policy): Rule[] {
  if (policy.notEnforced !== undefined) return [];
  return policy.rules.filter((rule) => rule.notEnforced === undefined);
}

function checkText(checked: PolicyFiles): string {
  const { files, policies, rules, enforced, errors, warnings } = summaryOf(checked);
  const findings = checked.diagnostics.map(formatDiagnostic);
  const summary =
    `${count(files, "file")}, ${count(policies, "valid policy", "valid policies")}, ` +
    `${count(rules, "rule")} (${enforced} enforced): ` +
    `${count(errors, "error")}, ${count(warnings, "warning")}`;
  return [
    ...findings,
    ...(findings.length > 0 ? [""] : []),
    ...policyLines(checked.policies),
    summary,
  ]
    .map((line) => `${line}\n`).join("");
}

/** One line each: its name and what its rules become. */
function policyLines(policies: readonly Policy[]): string[] {
  const names = policies.map((policy) =>
    policy.namespace === "" ? policy.name : `${policy.namespace}/${policy.name}`
  );
  const width = Math.max(0, ...names.map((name) => name.length));
  return policies.map((policy, index) => {
    const left = policy.rules.length - enforcedRules(policy).length;
    const actions = ["Allow", "Audit", "Block"].flatMap((action) => {
      const found = enforcedRules(policy).filter((rule) => rule.action === action).length;
      return found === 0 ? [] : [`${found} ${action}`];
    });
    const parts = [...actions, ...(left > 0 ? [`${left} not enforced`] : [])];
    return `${names[index]!.padEnd(width)}  ${parts.join(", ") || "no rules"}`;
  });
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

function checkJson(checked: PolicyFiles): string {
  const policies = checked.policies.map((policy) => ({
    kind: policy.kind,
    namespace: policy.namespace,
    name: policy.name,
    where: policy.where,
    ...(policy.notEnforced !== undefined && { notEnforced: policy.notEnforced }),
    rules: policy.rules.map((rule) => ({
      field: ruleField(rule),
      action: rule.action,
      target: targetText(rule.target),
      where: rule.where,
      ...(rule.notEnforced !== undefined && { notEnforced: rule.notEnforced }),
    })),
  }));
  const { diagnostics, files } = checked;
  const value = { summary: summaryOf(checked), files, policies, diagnostics };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
