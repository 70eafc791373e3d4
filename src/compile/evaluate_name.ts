/** The specification of rules about DNS names, written as evaluate.ts is: one question, the rules tried one by one. */
import { OP_DNS, VERDICT_NONE, VERDICT_SOURCE } from "../../ffi/generated/agent_api.ts";
import type { DomainTarget } from "../model/domain.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { evaluateUnreachable, type Judgement, strictest } from "./evaluate.ts";
import { enforcedRules, postureVerdict, type RuleRef } from "./rules.ts";
import { spellings } from "./search_list.ts";

/** May this name be asked for? */
export interface NameQuestion {
  /** Without a dot at its end; in any case. */
  readonly name: string;
  /** Executable of the process that asks; undefined: not known, or one of several. */
  readonly caller: string | undefined;
}

/**
 * Answers for a container that exactly `policies` select. Rules that name the caller come before those that name no source;
 * among either the longest domain decides, whatever the actions are; on the same the strictest. Of a caller that is
 * not known the worst is thought.
 */
export function evaluateName(
  { name, caller }: NameQuestion,
  policies: readonly Policy[],
  posture: Posture,
): Judgement {
  const rules = enforcedRules(policies);
  if (caller !== undefined) return judge(name, caller, rules, posture);
  const sources = rules.filter(isAboutNames).flatMap(({ rule }) => rule.fromSource);
  return ["", ...[...new Set(sources)].sort()]
    .map((source) => judge(name, source, rules, posture))
    .reduce((worst, next) => severity(next.verdict) > severity(worst.verdict) ? next : worst);
}

function judge(
  name: string,
  caller: string,
  rules: readonly RuleRef[],
  posture: Posture,
): Judgement {
  const matching = rules.filter((ref) => matchedLabels(ref, name) !== undefined);
  const named = matching.filter(({ rule }) => rule.fromSource.includes(caller));
  const general = matching.filter(({ rule }) => rule.fromSource.length === 0);
  if (named.length > 0) return strictest(OP_DNS, longest(named, name), VERDICT_SOURCE);
  if (general.length > 0) return strictest(OP_DNS, longest(general, name), 0);
  return { verdict: postureVerdict(OP_DNS, rules, posture) };
}

export function isAboutNames({ rule }: RuleRef): boolean {
  return rule.target.kind === "domain";
}

/** How many labels of a name a rule names, at most; undefined: it names another. */
export function matchedLabels({ policy, rule }: RuleRef, name: string): number | undefined {
  if (rule.target.kind !== "domain") return undefined;
  const { domain, belowOnly } = rule.target as DomainTarget;
  const asked = name.toLowerCase();
  const matched = spellings(domain, policy).filter((spelling) =>
    asked.endsWith(`.${spelling}`) || belowOnly !== true && asked === spelling
  );
  return matched.length === 0
    ? undefined
    : Math.max(...matched.map((spelling) => spelling.split(".").length));
}

function longest(rules: readonly RuleRef[], name: string): readonly RuleRef[] {
  const labels = (ref: RuleRef) => matchedLabels(ref, name)!;
  const most = Math.max(...rules.map(labels));
  return rules.filter((ref) => labels(ref) === most);
}

/** From what passes unseen to what is refused by a rule; a rule for one program is no stricter for that. */
const SEVERITIES: readonly number[] = [0, 1, 2, 4, 5, 3];

export function severity(verdict: number): number {
  return SEVERITIES.indexOf(verdict & ~VERDICT_SOURCE);
}

/** Verdict for a query whose name can't be read: what could be refused is. */
export function evaluateUnreadable(rules: readonly RuleRef[], posture: Posture): number {
  const mine = rules.filter(isAboutNames);
  return mine.length === 0 ? VERDICT_NONE : evaluateUnreachable(OP_DNS, mine, posture);
}
