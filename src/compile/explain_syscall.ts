/** Which rule tells of a system call, and which would have. */
import { OP_SYSCALL, VERDICT_AUDIT, VERDICT_NONE } from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Rule, SyscallTarget } from "../model/rule.ts";
import type { CompiledImage } from "./compile_image.ts";
import { matches } from "./evaluate.ts";
import type { Answer, Ask, Loser } from "./explain.ts";
import type { ImageReader } from "./lookup.ts";
import { whyNotEnforced } from "./rules.ts";
import { syscallRules } from "./syscalls.ts";

/**
 * From the image, as the kernel reads it. `ask.object` is the call's name, `ask.path` a path among its arguments.
 * @throws {Error} when the image and its rules disagree: a fault of the compiler's
 */
export function explainSyscall(
  ask: Ask,
  image: CompiledImage | undefined,
  policies: readonly Policy[],
  reader: ImageReader | undefined,
): Pick<Answer, "explanations" | "others"> {
  const question = {
    ...{
      syscall: ask.object,
      caller: callerOf(ask),
      paths: ask.path === undefined ? [] : [ask.path],
    },
  };
  const row = reader?.syscallRule(question);
  const told = row === undefined ? undefined : image!.explain(row, OP_SYSCALL);
  const [winner, ...losers] = syscallRules(image?.rules ?? []).calls
    .filter(({ rule }) => whySilent(ask, rule) === undefined);
  if (winner?.rule !== told?.rule) {
    throw new Error(`The image tells of ${ask.object} by another rule than its rules say`);
  }
  const verdict = winner === undefined ? VERDICT_NONE : VERDICT_AUDIT;
  const runnersUp = losers.map((ref) => ({ ref, why: MORE_SPECIFIC }));
  return {
    explanations: [{
      ...{ op: OP_SYSCALL, verdict, runnersUp, allowList: [] },
      ...winner !== undefined && { winner },
    }],
    others: policies.flatMap((policy) =>
      policy.rules.flatMap((rule) => othersOf(ask, policy, rule))
    ),
  };
}

/** A program that no rule names lies somewhere below the root all the same. */
function callerOf({ from }: Ask): string {
  return from || "/";
}

const MORE_SPECIFIC =
  "a rule that names programs is told before others, then one with a path, then one with a directory";

function othersOf(ask: Ask, policy: Policy, rule: Rule): Loser[] {
  if (!isNamed(ask, rule)) return [];
  const missing = whyNotEnforced(policy, rule);
  const why = missing === undefined ? whySilent(ask, rule) : `not enforced: ${missing}`;
  return why === undefined ? [] : [{ ref: { policy, rule }, why }];
}

function isNamed(ask: Ask, { target }: Rule): boolean {
  return target.kind === "syscall" && target.syscalls.includes(ask.object);
}

/** Why a rule does not tell of the call; undefined: it does. */
function whySilent(ask: Ask, rule: Rule): string | undefined {
  if (!isNamed(ask, rule)) return "names other system calls";
  const { sources, object } = rule.target as SyscallTarget;
  if (sources.length > 0 && !sources.some((source) => matches(source, callerOf(ask)))) {
    return "holds for other programs only";
  }
  if (object === undefined || ask.path !== undefined && matches(object, ask.path)) return undefined;
  return ask.path === undefined ? "asks for a path: add --path" : "names another path";
}
