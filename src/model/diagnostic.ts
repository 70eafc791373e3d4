/** A place in a policy file. Line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Severity = "error" | "warning";

/** One finding about a policy file: what, where, found against wanted, and what to do. */
export interface Diagnostic {
  readonly severity: Severity;
  readonly where: Position;
  /** Dotted path in the document, for example `spec.file.matchPaths[0].path`; empty for the document itself. */
  readonly field: string;
  readonly message: string;
  readonly hint?: string;
}

/** Where findings go. Returned rather than thrown, because checking a policy reports all of them. */
export type Report = (finding: Diagnostic) => void;

/** `file:line:column`, as editors and compilers write it. */
export function formatPosition(where: Position): string {
  return `${where.file}:${where.line}:${where.column}`;
}

/** One or two lines without a line break at the end: `file:line:column: field: message`, then `  hint: …`. */
export function formatDiagnostic(finding: Diagnostic): string {
  const parts = [formatPosition(finding.where)];
  if (finding.severity === "warning") parts.push("warning");
  if (finding.field !== "") parts.push(finding.field);
  parts.push(finding.message);
  const line = parts.join(": ");
  return finding.hint === undefined ? line : `${line}\n  hint: ${finding.hint}`;
}

/** Whether one of the findings is an error. */
export function hasErrors(findings: readonly Diagnostic[]): boolean {
  return findings.some((finding) => finding.severity === "error");
}

/** Orders findings by file, line and column; findings at one place keep their order. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  if (a.where.file !== b.where.file) return a.where.file < b.where.file ? -1 : 1;
  return a.where.line - b.where.line || a.where.column - b.where.column;
}
