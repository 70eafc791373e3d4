/** Rules that would refuse a container's own first program. Nothing runs then, so that nobody is there to notice. */
import {
  CIRCUMSTANCES,
  OP_EXEC,
  OP_READ,
  VERDICT_BLOCK,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { isPathTarget } from "../model/rule.ts";
import { isContainerPolicy } from "../model/selector.ts";
import { covers } from "../model/selector_sets.ts";
import { evaluateRules } from "./evaluate.ts";
import { mayMatchBelow } from "./evaluate_glob.ts";
import { rankRules } from "./explain.ts";
import { enforcedRules, type RuleRef } from "./rules.ts";

/** What a container needs to start, real paths in its own file system. */
export interface Entrypoint {
  /** The program, and for a script its interpreter: each is opened and executed. */
  readonly programs: readonly string[];
  /** The dynamic loader first, which the kernel opens for the program; then the libraries, which the program opens. */
  readonly libraries: readonly string[];
}

export interface Lockout {
  /** What refuses; for an allow-list an Allow rule that makes it. */
  readonly ref: RuleRef;
  /**
   * `blocked`, `unlisted`: a Block rule names `path`, or no rule of an allow-list does. Without an entrypoint: `sources`: no
   * Allow rule of the allow-list holds for the runtime, which opens and executes the program; `libraries`: none names a
   * place of libraries.
   */
  readonly kind: "blocked" | "unlisted" | "sources" | "libraries";
  readonly group: "process" | "file";
  /** What is refused, where an entrypoint is known. */
  readonly path?: string;
}

/** The runtime's own program, which executes the first one, is nobody that a rule would name: its source is empty. */
const RUNTIME = "";

/** Where the loader and libraries lie in most images, and where loaders look without being told. */
export const LIBRARY_DIRECTORIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];

/**
 * Of each policy, together with those that select all its containers too, what refuses the first program. What two policies
 * have in common is told once.
 *
 * @param entrypoint undefined: only what holds for every container
 */
export function findLockouts(
  policies: readonly Policy[],
  posture: Posture,
  entrypoint?: Entrypoint,
): Lockout[] {
  const found = policies.filter(isContainerPolicy).flatMap((policy) => {
    const together = policies.filter((other) => other === policy || covers(other, policy));
    const rules = enforcedRules(together);
    return entrypoint === undefined
      ? guessLockouts(rules, posture)
      : entrypointLockouts(rules, posture, entrypoint);
  });
  const keys = new Map(found.map((lockout) => [keyOf(lockout), lockout]));
  return [...keys.values()];
}

function keyOf({ ref, kind, path }: Lockout): string {
  const { file, line, column } = ref.rule.where;
  return JSON.stringify([file, line, column, kind, path]);
}

function entrypointLockouts(
  rules: readonly RuleRef[],
  posture: Posture,
  { programs, libraries }: Entrypoint,
): Lockout[] {
  const program = programs.at(-1) ?? "";
  return [
    ...programs.map((path) => refusal(OP_EXEC, path, RUNTIME, rules, posture)),
    ...programs.map((path) => refusal(OP_READ, path, RUNTIME, rules, posture)),
    // The kernel opens the loader before the program takes the runtime's place.
    ...libraries.map((path, index) =>
      refusal(OP_READ, path, index === 0 ? RUNTIME : program, rules, posture)
    ),
  ].filter((lockout) => lockout !== undefined);
}

function refusal(
  op: number,
  path: string,
  source: string,
  rules: readonly RuleRef[],
  posture: Posture,
): Lockout | undefined {
  // Whose the files are is not known; most are the user's as whom the container starts, and most have no terminal.
  const question = { op, path, caller: source, parent: source, circumstances: CIRCUMSTANCES };
  const verdict = evaluateRules(question, rules, posture).verdict & ~VERDICT_SOURCE;
  const group = op === OP_EXEC ? "process" : "file";
  if (verdict === VERDICT_BLOCK) {
    return { ref: rankRules(question, rules)[0]!, kind: "blocked", group, path };
  }
  if (verdict !== VERDICT_POSTURE_BLOCK) return undefined;
  return { ref: allowsOf(group, rules)[0]!, kind: "unlisted", group, path };
}

function guessLockouts(rules: readonly RuleRef[], posture: Posture): Lockout[] {
  if (posture.file !== "block") return [];
  const lockouts: Lockout[] = [];
  for (const group of ["process", "file"] as const) {
    const allows = allowsOf(group, rules);
    if (allows.length > 0 && allows.every(({ rule }) => rule.fromSource.length > 0)) {
      lockouts.push({ ref: allows[0]!, kind: "sources", group });
    }
  }
  const files = allowsOf("file", rules);
  if (files.length > 0 && !LIBRARY_DIRECTORIES.some((path) => mentions(files, path))) {
    lockouts.push({ ref: files[0]!, kind: "libraries", group: "file" });
  }
  return lockouts;
}

function allowsOf(group: "process" | "file", rules: readonly RuleRef[]): RuleRef[] {
  return rules.filter(({ rule }) => rule.group === group && rule.action === "Allow");
}

/** Whether a rule is about something at, in or above the directory. */
function mentions(rules: readonly RuleRef[], directory: string): boolean {
  return rules.some(({ rule: { target } }) => {
    if (target.kind === "pattern") return mayMatchBelow(target.pattern, directory);
    if (!isPathTarget(target)) return false;
    const [inner, outer] = [`${target.path}/`.replace("//", "/"), `${directory}/`];
    return inner.startsWith(outer) ||
      (target.kind === "directory" && target.recursive && outer.startsWith(inner));
  });
}
