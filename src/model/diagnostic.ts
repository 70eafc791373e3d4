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
