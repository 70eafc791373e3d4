/** What a kernel's missing hooks mean for rules; pure. */

import type { RuleStatus } from "../compile/compile.ts";
import { DECIDING_HOOKS, type DecidingHook } from "./hooks.ts";
import type { HookState } from "./installation.ts";

/**
 * Statuses with what the kernel lacks taken into account: a rule without its hook is not enforced, and one without a guard
 * says how a container gets round it. `why`: set when nothing is enforced at all.
 */
export function coverRules(
  rules: readonly RuleStatus[],
  hooks: readonly HookState[],
  why?: string,
): RuleStatus[] {
  if (why !== undefined) return rules.map((status) => notEnforced(status, why));
  const lost = DECIDING_HOOKS.flatMap((hook) => {
    const state = hooks.find(({ name }) => name === hook.name);
    const works = state?.state === "attached" || state?.state === "adopted";
    return works || hook.need === "variant" ? [] : [hook];
  });
  return lost.length === 0 ? [...rules] : rules.map((status) => coverRule(status, lost));
}

function coverRule(status: RuleStatus, lost: readonly DecidingHook[]): RuleStatus {
  if (status.state === "not enforced") return status;
  const mine = lost.filter(({ groups }) => groups.some((group) => group === status.rule.group));
  const needed = mine.find(({ need }) => need === "rules");
  if (needed !== undefined) {
    return notEnforced(status, `this kernel has no hook ${needed.name}, so ${needed.loss}`);
  }
  if (mine.length === 0 || status.rule.action !== "Block") return status;
  const ways = mine.map(({ name, loss }) => `${loss} (no hook ${name})`);
  const reasons = [status.reason, ...ways].filter((reason) => reason !== undefined);
  return { ...status, reason: reasons.join("; ") };
}

function notEnforced(status: RuleStatus, reason: string): RuleStatus {
  if (status.state === "not enforced") return status;
  return { policy: status.policy, rule: status.rule, state: "not enforced", reason };
}
