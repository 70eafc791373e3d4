/** What a kernel's missing hooks mean for rules; pure. */

import type { RuleStatus } from "../compile/compile.ts";
import { DECIDING_HOOKS, type DecidingHook, isAlways } from "./hooks.ts";
import type { HookState } from "./records.ts";

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
    const state = hooks.find(({ name }) => name === hook.name)?.state;
    const works = state === "attached" || state === "adopted";
    // A variant that this kernel never had is no loss.
    const isNone = hook.need === "variant" && (state === undefined || state === "missing");
    // Nobody needed it yet: no policy with such rules selects anything.
    const isUnloaded = !isAlways(hook) && state === undefined;
    return works || isNone || isUnloaded ? [] : [{ ...hook, how: LOSS_TEXTS[state ?? "missing"] }];
  });
  return lost.length === 0 ? [...rules] : rules.map((status) => coverRule(status, lost));
}

/** A hook without its program, and how that came. */
interface LostHook extends DecidingHook {
  readonly how: string;
}

const LOSS_TEXTS = {
  missing: "this kernel has no hook",
  refused: "the kernel refused the program of hook",
  removed: "someone removed the program of hook",
} as const;

function coverRule(status: RuleStatus, lost: readonly LostHook[]): RuleStatus {
  if (status.state === "not enforced") return status;
  const mine = lost.filter(({ groups }) => groups.some((group) => group === status.rule.group));
  const needed = mine.find(({ need }) => need === "rules");
  if (needed !== undefined) {
    return notEnforced(status, `${needed.how} ${needed.name}, so ${needed.loss}`);
  }
  if (mine.length === 0 || status.rule.action !== "Block") return status;
  const ways = mine.map(({ name, loss, how }) => `${loss} (${how} ${name})`);
  const reasons = [status.reason, ...ways].filter((reason) => reason !== undefined);
  return { ...status, reason: reasons.join("; ") };
}

function notEnforced(status: RuleStatus, reason: string): RuleStatus {
  if (status.state === "not enforced") return status;
  return { policy: status.policy, rule: status.rule, state: "not enforced", reason };
}
