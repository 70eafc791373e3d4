/** What `check` found, as text and as JSON. */
import { whyNotEnforced } from "../compile/rules.ts";
import { type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import type { Policy } from "../model/policy.ts";
import { type Rule, ruleField, targetText } from "../model/rule.ts";
import type { PolicyFiles } from "./policy_arguments.ts";

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
  return policy.rules.filter((rule) => whyNotEnforced(policy, rule) === undefined);
}

/** The findings, a line for each policy, and a summary. */
export function checkText(checked: PolicyFiles): string {
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

export function checkJson(checked: PolicyFiles): string {
  const policies = checked.policies.map((policy) => ({
    kind: policy.kind,
    namespace: policy.namespace,
    name: policy.name,
    where: policy.where,
    ...(policy.notEnforced !== undefined && { notEnforced: policy.notEnforced }),
    rules: policy.rules.map((rule) => {
      const notEnforced = policy.notEnforced === undefined
        ? whyNotEnforced(policy, rule)
        : rule.notEnforced;
      return {
        field: ruleField(rule),
        action: rule.action,
        target: targetText(rule.target),
        where: rule.where,
        ...(notEnforced !== undefined && { notEnforced }),
      };
    }),
  }));
  const { files, diagnostics } = checked;
  const value = { summary: summaryOf(checked), files, policies, diagnostics };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** With `--strict` warnings are errors. */
export function strictFindings(findings: readonly Diagnostic[]): Diagnostic[] {
  return findings.map((finding) => ({ ...finding, severity: "error" as const }));
}
