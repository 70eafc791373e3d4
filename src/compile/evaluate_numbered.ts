/**
 * The specification of precedence for what has no path, beside evaluate.ts and written in the same way: one question, the
 * rules tried one by one.
 */
import { VERDICT_SOURCE } from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { type Judgement, strictest } from "./evaluate.ts";
import { namesNumber, opOfNumber, specificity } from "./numbered.ts";
import { enforcedRules, postureVerdict, type RuleRef } from "./rules.ts";

/** May this kind of socket, or this capability, be used? */
export interface NumberedQuestion {
  /** SOCKET_*, or REFERENCE_CAPABILITIES plus a capability's number. */
  readonly number: number;
  /** Executable of the acting process. */
  readonly caller: string;
  /** NO_TERMINAL: the acting process has no controlling terminal. */
  readonly circumstances?: number;
}

/**
 * Answers for a container that exactly `policies` select. Rules that name the caller come before those that name no source;
 * among either the most specific word decides, whatever the actions are; on the same the strictest.
 */
export function evaluateNumbered(
  { number, caller, circumstances }: NumberedQuestion,
  policies: readonly Policy[],
  posture: Posture,
): Judgement {
  const rules = enforcedRules(policies);
  const matching = rules.filter(({ rule }) => namesNumber(rule.target, number));
  const named = matching.filter(({ rule }) => rule.fromSource.includes(caller));
  const general = matching.filter(({ rule }) => rule.fromSource.length === 0);
  const op = opOfNumber(number);

  if (named.length > 0) return strictest(op, mostSpecific(named), VERDICT_SOURCE, circumstances);
  if (general.length > 0) return strictest(op, mostSpecific(general), 0, circumstances);
  return { verdict: postureVerdict(op, rules, posture) };
}

function mostSpecific(rules: readonly RuleRef[]): readonly RuleRef[] {
  const most = Math.max(...rules.map(({ rule }) => specificity(rule.target)));
  return rules.filter(({ rule }) => specificity(rule.target) === most);
}
