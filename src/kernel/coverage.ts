/** What a kernel's missing hooks mean for rules; pure. */

import type { RuleStatus } from "../compile/compile.ts";
import { judgedGroup, type Rule, ruleField } from "../model/rule.ts";
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
  const lost = lostHooks(hooks);
  return lost.length === 0 ? [...rules] : rules.map((status) => coverRule(status, lost));
}

/** Rules that one line names; the rest is a number, and /v1/policies has them all. */
const NAMED_MAX = 8;

/**
 * What is not enforced though this kernel has the place for it, because a program was refused or taken away: a sentence for
 * each hook, with the rules that it concerns. One that no rule is about, nor the agent's safety, is left out.
 */
export function lossLines(rules: readonly RuleStatus[], hooks: readonly HookState[]): string[] {
  const unplanned = lostHooks(hooks).filter(({ state }) => state !== "missing");
  return unplanned.flatMap((hook) => {
    const concerned = rules.filter((status) => isConcerned(status, hook));
    if (concerned.length === 0 && hook.need !== "protection") return [];
    const reason = hook.reason === undefined ? "" : ` (${hook.reason})`;
    const loss = `not enforced: ${hook.how} ${hook.by}${reason}, so ${hook.loss}`;
    return [concerned.length === 0 ? loss : `${loss}: this concerns ${rulesText(concerned)}`];
  });
}

function rulesText(rules: readonly RuleStatus[]): string {
  const named = rules.slice(0, NAMED_MAX)
    .map(({ policy, rule }) => `${policy.name} ${ruleField(rule)}`);
  const rest = rules.length - named.length;
  return `${named.join(", ")}${rest > 0 ? ` and ${rest} more rules` : ""}`;
}

function isConcerned({ state, rule }: RuleStatus, hook: DecidingHook): boolean {
  const isBlind = state === "not enforced" || !isAbout(hook, rule);
  return !isBlind && (hook.need === "rules" || rule.action === "Block");
}

/** Whether the hook's program decides about such rules. */
function isAbout({ groups, presets }: DecidingHook, rule: Rule): boolean {
  if (rule.target.kind === "preset" && presets !== undefined) {
    return presets.includes(rule.target.preset);
  }
  return groups.some((name) => name === judgedGroup(rule));
}

/** A hook without its program, and how that came. */
interface LostHook extends DecidingHook {
  readonly how: string;
  /** The hook whose program is not there: its own, or the one that stands in for it on this kernel. */
  readonly by: string;
  readonly state: keyof typeof LOSS_TEXTS;
  readonly reason?: string;
}

const LOSS_TEXTS = {
  missing: "this kernel has no hook",
  refused: "the kernel refused the program of hook",
  removed: "someone removed the program of hook",
} as const;

function lostHooks(hooks: readonly HookState[]): LostHook[] {
  return DECIDING_HOOKS.flatMap((hook) => lossOf(hook, hooks) ?? []);
}

function lossOf(hook: DecidingHook, hooks: readonly HookState[]): LostHook | undefined {
  const found = hooks.find(({ name }) => name === hook.name);
  // Nobody needed it yet: no policy with such rules selects anything.
  if (found === undefined && !isAlways(hook)) return undefined;
  const state = found?.state ?? "missing";
  if (state === "attached" || state === "adopted") return undefined;
  const { reason } = found ?? {};
  const loss = { ...hook, state, how: LOSS_TEXTS[state], ...reason !== undefined && { reason } };
  if (hook.need !== "variant" || state !== "missing") return { ...loss, by: hook.name };
  // A variant that this kernel never had is no loss, unless what stands in for it is one.
  const standIn = DECIDING_HOOKS.find(({ name }) => name === hook.standIn);
  const deeper = standIn && lossOf(standIn, hooks);
  return deeper && { ...deeper, ...hook };
}

function coverRule(status: RuleStatus, lost: readonly LostHook[]): RuleStatus {
  if (status.state === "not enforced") return status;
  const mine = lost.filter((hook) => isAbout(hook, status.rule));
  const needed = mine.find(({ need }) => need === "rules");
  if (needed !== undefined) {
    return notEnforced(status, `${needed.how} ${needed.by}, so ${needed.loss}`);
  }
  if (mine.length === 0 || status.rule.action !== "Block") return status;
  const ways = mine.map(({ by, loss, how }) => `${loss} (${how} ${by})`);
  const reasons = [status.reason, ...ways].filter((reason) => reason !== undefined);
  return { ...status, reason: reasons.join("; ") };
}

function notEnforced(status: RuleStatus, reason: string): RuleStatus {
  if (status.state === "not enforced") return status;
  return { policy: status.policy, rule: status.rule, state: "not enforced", reason };
}
