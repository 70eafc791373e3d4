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
  /** Which check found it, for machines; absent: what the schema and the grammar of fields ask for. */
  readonly code?: DiagnosticCode;
}

/** Checks beyond schema and grammar, with what each finds. */
export const DIAGNOSTIC_CODES = {
  "not-enforced": "A policy or rule that is valid and not enforced",
  "link":
    "A path that leads through a symbolic link, which the kernel has followed when it compares",
  "file-type": "A path of a directory, or a directory that is a file",
  "never-selects": "A selector that no container can fulfil",
  "duplicate": "A rule that says what another says about the same",
  "overruled": "A rule on whose selector a stricter one stands",
  "shadowed": "A rule that a rule further up in the order of precedence covers",
  "lockout": "Rules that refuse the program that the container starts with",
} as const;

export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES;

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
