/** The specification of rules about system calls, written as evaluate.ts is: one question, the rules tried one by one. */
import type { SyscallTarget } from "../model/rule.ts";
import { matches } from "./evaluate.ts";
import type { RuleRef } from "./rules.ts";
import { syscallRules } from "./syscalls.ts";

/** A system call as it begins. */
export interface SyscallQuestion {
  readonly syscall: string;
  /** Executable of the acting process. */
  readonly caller: string;
  /** Path arguments, absolute and without links: one or two, or none. */
  readonly paths: readonly string[];
}

/** The rule that tells of it; undefined: none does. A path after the other, and of each the most specific rule. */
export function evaluateSyscall(
  { syscall, caller, paths }: SyscallQuestion,
  rules: readonly RuleRef[],
): RuleRef | undefined {
  const naming = syscallRules(rules).calls.filter((ref) => {
    const { syscalls, sources } = ref.rule.target as SyscallTarget;
    const isFromThere = sources.length === 0 || sources.some((source) => matches(source, caller));
    return syscalls.includes(syscall) && isFromThere;
  });
  const holds = (path: string | undefined) => ({ rule }: RuleRef) => {
    const { object } = rule.target as SyscallTarget;
    return object === undefined || path !== undefined && matches(object, path);
  };
  return (paths.length === 0 ? [undefined] : paths)
    .map((path) => naming.find(holds(path)))
    .find((ref) => ref !== undefined);
}
