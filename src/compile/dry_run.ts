/** What would have become of operations that took place, had other policies been in force: asked of the specification. */
import {
  IS_OWNER,
  NO_TERMINAL,
  OP_DNS,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Operation } from "../model/operation.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import type { JudgedGroup } from "../model/rule.ts";
import { evaluate, type Judgement } from "./evaluate.ts";
import { evaluateName } from "./evaluate_name.ts";
import { evaluateNumbered } from "./evaluate_numbered.ts";
import { ACCESSES, type Ask, PATH_ACCESSES, readAsk, SYSCALL_ACCESS } from "./explain.ts";
import { isWorse, type Outcome, outcomeOf } from "./outcome.ts";
import { groupOf, type RuleRef } from "./rules.ts";

/** What policies do with one operation. */
export interface Fate {
  readonly outcome: Outcome;
  /** Rules of this group decide. */
  readonly group: JudgedGroup;
  /** Undefined: the posture decides, or nothing. */
  readonly rule?: RuleRef;
  /** Whether an allow-list leaves it out. */
  readonly byPosture: boolean;
  /** The owner of the file fares better; who owns it is not known. */
  readonly isOwnerExempt: boolean;
}

/**
 * The worst that happens to the operation, of all that it asks for: a program is read before it is executed.
 *
 * @param policies that select the container, and no others
 * @throws {RangeError} the specification can't be asked: an unknown access, no path, or one that no rule could name
 */
export function fateOf(operation: Operation, policies: readonly Policy[], posture: Posture): Fate {
  const circumstances = operation.terminal ? 0 : NO_TERMINAL;
  const { access, object, from, parent } = operation;
  if (access === SYSCALL_ACCESS) {
    throw new RangeError("Cannot judge a system call: none is refused");
  }
  const ask = readAsk({
    ...{ access, object, circumstances },
    ...from !== "" && { from },
    ...parent !== "" && { parent },
  });
  const fates = ACCESSES[access]!.map((op) => fateIn(op, ask, policies, posture));
  return fates.reduce((worst, fate) => isWorse(fate.outcome, worst.outcome) ? fate : worst);
}

function fateIn(op: number, ask: Ask, policies: readonly Policy[], posture: Posture): Fate {
  const judge = (more: number) => judgement(op, ask, ask.circumstances | more, policies, posture);
  const other = judge(0);
  const owner = Object.hasOwn(PATH_ACCESSES, ask.access) ? judge(IS_OWNER) : other;
  const { verdict, rule } = other;
  const plain = verdict & ~VERDICT_SOURCE;
  return {
    outcome: outcomeOf(verdict),
    group: groupOf(op)!,
    ...rule !== undefined && { rule },
    byPosture: plain === VERDICT_POSTURE_AUDIT || plain === VERDICT_POSTURE_BLOCK,
    isOwnerExempt: isWorse(outcomeOf(verdict), outcomeOf(owner.verdict)),
  };
}

function judgement(
  op: number,
  { object, number, from, parent }: Ask,
  circumstances: number,
  policies: readonly Policy[],
  posture: Posture,
): Judgement {
  if (op === OP_DNS) return evaluateName({ name: object, caller: from }, policies, posture);
  if (number !== undefined) {
    return evaluateNumbered({ number, caller: from, circumstances }, policies, posture);
  }
  return evaluate({ op, path: object, caller: from, parent, circumstances }, policies, posture);
}
