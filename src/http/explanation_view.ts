/** An answer of `explain` as JSON, the same from the agent and from `ankylo explain` by itself. */
import {
  IS_OWNER,
  NO_TERMINAL,
  OP_SYSCALL,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import {
  ACCESSES,
  type Answer,
  type Explanation,
  GUARDED_ACCESSES,
  type Loser,
  PATH_ACCESSES,
} from "../compile/explain.ts";
import { type Outcome, outcomeOf, worstOf } from "../compile/outcome.ts";
import { groupOf, type RuleRef } from "../compile/rules.ts";
import { formatPosition } from "../model/diagnostic.ts";
import { behindUsualLink } from "../model/lint.ts";
import { ruleField, targetText } from "../model/rule.ts";
import type { Workload } from "../model/workload.ts";

/** By op class: an access is named after the first that it asks for. */
const ACCESS_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ACCESSES).map(([name, [op]]) => [op!, name]),
);

const VERDICTS: Readonly<Record<number, string>> = {
  [VERDICT_NONE]: "none",
  [VERDICT_ALLOW]: "allow",
  [VERDICT_AUDIT]: "audit",
  [VERDICT_BLOCK]: "block",
  [VERDICT_POSTURE_AUDIT]: "posture-audit",
  [VERDICT_POSTURE_BLOCK]: "posture-block",
};

export type ExplanationView = ReturnType<typeof explanationView>;
export type DecisionView = ExplanationView["decisions"][number];
export type RuleView = ReturnType<typeof ruleView>;

/** `notInForce`: why the kernel does not decide so for this container; undefined: it does. */
export function explanationView(
  answer: Answer,
  { id, name, namespace, host }: Pick<Workload, "id" | "name" | "namespace" | "host">,
  notInForce?: string,
) {
  const passes = answer.mode === "audited";
  const decisions = answer.explanations.map((explanation) => decisionView(explanation, passes));
  const { guard, ask: { access, object, path, from, parent, circumstances } } = answer;
  const behindLink = access in PATH_ACCESSES ? behindUsualLink(object) : undefined;
  const isGuarded = guard !== undefined && GUARDED_ACCESSES.includes(access);
  const outcomes: readonly Outcome[] = isGuarded
    ? [passes ? "reported" : "refused"]
    : decisions.map(({ outcome }) => outcome);
  return {
    container: { id, name, namespace },
    ...(host !== undefined && { host }),
    access,
    object,
    ...(path !== undefined && { path }),
    ...{ from, parent },
    owner: (circumstances & IS_OWNER) !== 0,
    terminal: (circumstances & NO_TERMINAL) === 0,
    outcome: worstOf(outcomes),
    mode: answer.mode,
    decisions,
    others: answer.others.map(loserView),
    guard: guard === undefined ? null : ruleView(guard),
    ...(behindLink !== undefined && { behindLink }),
    generation: answer.generation ?? null,
    ...(notInForce !== undefined && { notInForce }),
  };
}

function decisionView(explanation: Explanation, passes: boolean) {
  const { op, verdict, winner, runnersUp, allowList } = explanation;
  const outcome = outcomeOf(verdict);
  return {
    access: ACCESS_NAMES.get(op)!,
    group: op === OP_SYSCALL ? "syscalls" as const : groupOf(op)!,
    verdict: VERDICTS[verdict]!,
    outcome: passes && outcome === "refused" ? "reported" : outcome,
    winner: winner === undefined ? null : ruleView(winner),
    runnersUp: runnersUp.map(loserView),
    allowList: allowList.map(ruleView),
  };
}

function loserView({ ref, why }: Loser) {
  return { ...ruleView(ref), why };
}

function ruleView({ policy, rule }: RuleRef) {
  return {
    kind: policy.kind,
    namespace: policy.namespace,
    policy: policy.name,
    rule: ruleField(rule),
    where: formatPosition(rule.where),
    action: rule.action,
    target: targetText(rule.target),
    readOnly: rule.readOnly,
    ownerOnly: rule.ownerOnly ?? false,
    terminalOnly: rule.terminalOnly ?? false,
    fromSource: rule.fromSource,
    severity: rule.severity,
    message: rule.message,
  };
}
