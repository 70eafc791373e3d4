/** From the text of a policy file to policies and findings. */
import {
  compareDiagnostics,
  type Diagnostic,
  formatPosition,
  hasErrors,
  type Report,
} from "./diagnostic.ts";
import { DIAGNOSTICS_MAX } from "./limits.ts";
import { type Policy, policyKey } from "./policy.ts";
import { readPolicies } from "./policy_reader.ts";
import { printable } from "./validate.ts";
import { readDocuments } from "./yaml_documents.ts";

export interface Parsed {
  readonly policies: readonly Policy[];
  /** In the order of their places. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads every document of a YAML or JSON text. Never throws for what the text says: a document with an error gives
 * diagnostics and no policy, the others are read all the same. The first of two policies with one name stays.
 *
 * @param file name for the positions
 */
export function parsePolicies(text: string, file: string): Parsed {
  const findings: Diagnostic[] = [];
  const report: Report = (finding) => {
    findings.push(printableFinding(finding));
  };
  const policies = readDocuments(text, file, report).flatMap((tree) => readPolicies(tree, report));
  const unique = withoutDuplicates(policies, report);
  return { policies: unique, diagnostics: limited(findings.sort(compareDiagnostics)) };
}

/** Whoever wrote the file shall not move the cursor of a terminal that shows what is wrong with it. */
function printableFinding(finding: Diagnostic): Diagnostic {
  return {
    ...finding,
    field: printable(finding.field),
    message: printable(finding.message),
    ...(finding.hint !== undefined && { hint: printable(finding.hint) }),
  };
}

/** Whether a file may replace its last good version. */
export function isGood(parsed: Parsed): boolean {
  return !hasErrors(parsed.diagnostics);
}

/** The policies without those whose key came before; each of those is reported with both places. */
export function withoutDuplicates(policies: readonly Policy[], report: Report): Policy[] {
  const first = new Map<string, Policy>();
  for (const policy of policies) {
    const other = first.get(policyKey(policy));
    if (other === undefined) first.set(policyKey(policy), policy);
    else report(duplicate(policy, other));
  }
  return [...first.values()];
}

function duplicate(policy: Policy, first: Policy): Diagnostic {
  const namespace = policy.namespace === "" ? "" : ` in namespace "${policy.namespace}"`;
  return {
    severity: "error",
    where: policy.where,
    field: "metadata.name",
    message: `Cannot add policy: ${policy.kind} "${policy.name}"${namespace} exists already at ${
      formatPosition(first.where)
    }: keeping that one`,
    hint: "give each policy its own name",
  };
}

function limited(findings: readonly Diagnostic[]): readonly Diagnostic[] {
  if (findings.length <= DIAGNOSTICS_MAX) return findings;
  const kept = errorsFirst(findings).slice(0, DIAGNOSTICS_MAX).sort(compareDiagnostics);
  const last = kept[kept.length - 1]!;
  const severity = hasErrors(findings) ? "error" : "warning";
  const message = `Found ${findings.length - kept.length} more: showing the first ${kept.length}`;
  return [...kept, { severity, where: last.where, field: "", message }];
}

function errorsFirst(findings: readonly Diagnostic[]): Diagnostic[] {
  const errors = findings.filter((finding) => finding.severity === "error");
  return [...errors, ...findings.filter((finding) => finding.severity !== "error")];
}
