/** What the code says of each field of a policy: whether a policy that uses it is enforced, and what it lacks. */

import { compile } from "../src/compile/compile.ts";
import { randomKeys } from "../src/compile/hash.ts";
import { formatDiagnostic } from "../src/model/diagnostic.ts";
import { examplePolicy, type Field } from "../src/model/fields.ts";
import { parsePolicies } from "../src/model/parse.ts";
import type { Policy, PolicyKind } from "../src/model/policy.ts";
import { DEFAULT_GOVERNANCE } from "../src/model/governance.ts";

/** What becomes of a rule with the field. */
export interface FieldState {
  readonly state: "enforced" | "audited" | "not enforced";
  /** Empty where there is nothing to say. */
  readonly reason: string;
}

/** The example of a field, read. @throws {Error} check has something to say about it */
export function readExample(kind: PolicyKind, path: string): Policy {
  const { policies, diagnostics } = parsePolicies(JSON.stringify(examplePolicy(kind, path)), path);
  const [policy] = policies;
  if (policy !== undefined && diagnostics.length === 0) return policy;
  const words = diagnostics.map(formatDiagnostic).join("\n");
  throw new Error(`Show field "${path}" of ${kind}: its example is no good policy:\n${words}`);
}

/** What becomes of a whole kind; undefined: its rules are enforced, each for itself. */
export function kindReason(kind: PolicyKind, fields: readonly Field[]): string | undefined {
  const any = fields.find(({ kinds }) => kinds.includes(kind))!;
  return readExample(kind, any.path).notEnforced;
}

/** What becomes of the field in one kind. */
export function stateIn(kind: PolicyKind, path: string): FieldState {
  const policy = readExample(kind, path);
  const { rules } = compile([policy], [], DEFAULT_GOVERNANCE, KEYS);
  const worst = rules.find(({ state }) => state === "not enforced") ?? rules[0]!;
  return { state: worst.state, reason: worst.reason ?? "" };
}

const KEYS = randomKeys();

/** What becomes of the field in the kind that does most with it. */
export function stateOf({ path, kinds }: Field): FieldState {
  const states = kinds.map((kind) => stateIn(kind, path));
  return states.find(({ state }) => state !== "not enforced") ?? states[0]!;
}
