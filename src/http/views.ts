/** The API's JSON, from the agent's state. Names are camelCase here; only alerts and logs speak KubeArmor's. */
import type { RuleStatus } from "../compile/compile.ts";
import type { Diagnostic, Position } from "../model/diagnostic.ts";
import type { Policy } from "../model/policy.ts";
import { ruleField, targetText } from "../model/rule.ts";
import type { AgentState, WorkloadStatus } from "./state.ts";

export function statusView(state: AgentState, now: Date) {
  const { about } = state;
  const notReady = state.notReady();
  return {
    version: about.version,
    buildId: about.buildId,
    host: about.hostName,
    cluster: about.clusterName,
    startedAt: about.startedAt.toISOString(),
    uptimeSeconds: Math.floor((now.getTime() - about.startedAt.getTime()) / 1000),
    ready: notReady.length === 0,
    notReady,
    generation: state.generation(),
    kernel: kernelView(state),
    sources: state.sources(),
    policies: { count: state.policies().length, ...findings(state.diagnostics()) },
    rules: countRules(state.rules()),
    workloads: countWorkloads(state.workloads()),
    counters: countersView(state.counters()),
    alerts: state.alerts.counts,
    events: state.events.counts,
    pipeline: state.pipeline(),
    processes: state.processes(),
    pending: state.pending(),
    limits: state.limits(),
  };
}

function kernelView(state: AgentState) {
  const report = state.kernel();
  if (report === undefined) return null;
  const { kernel, lsm, mode, hooks, missing } = report;
  return { release: kernel, lsm, mode, hooks, missing };
}

/** Exact up to 2^53 events, which no node reaches. */
function countersView(counters: Readonly<Record<string, bigint>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).map(([name, n]) => [name, Number(n)]));
}

export interface RuleCounts {
  readonly enforced: number;
  readonly audited: number;
  readonly notEnforced: number;
}

export function countRules(rules: readonly RuleStatus[]): RuleCounts {
  const count = (state: RuleStatus["state"]) => rules.filter((rule) => rule.state === state).length;
  return {
    enforced: count("enforced"),
    audited: count("audited"),
    notEnforced: count("not enforced"),
  };
}

export function countWorkloads(workloads: readonly WorkloadStatus[]) {
  const policed = workloads.filter(({ generation }) => generation !== undefined).length;
  return { count: workloads.length, policed };
}

function findings(diagnostics: readonly Diagnostic[]) {
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  return { errors, warnings: diagnostics.length - errors };
}

export function policiesView(state: AgentState) {
  return {
    policies: state.policies().map((policy) => policySummary(state, policy)),
    diagnostics: state.diagnostics().map(diagnosticView),
  };
}

function policySummary(state: AgentState, policy: Policy) {
  const rules = countRules(state.rules().filter((status) => status.policy === policy));
  return {
    kind: policy.kind,
    namespace: policy.namespace,
    name: policy.name,
    where: whereText(policy.where),
    state: policyState(rules),
    ...(policy.notEnforced === undefined ? {} : { reason: policy.notEnforced }),
    rules,
    workloads: state.selectedBy(policy).length,
  };
}

function policyState({ enforced, audited, notEnforced }: RuleCounts): string {
  if (enforced + audited === 0) return "not enforced";
  if (notEnforced > 0) return "partly enforced";
  return enforced > 0 ? "enforced" : "audited";
}

export function policyView(state: AgentState, policy: Policy) {
  const byId = new Map(state.workloads().map(({ workload }) => [workload.id, workload]));
  return {
    ...policySummary(state, policy),
    selector: policy.selector,
    workloads: state.selectedBy(policy).map((id) => ({ id, name: byId.get(id)?.name ?? null })),
    rules: state.rules().filter((status) => status.policy === policy).map(ruleView),
    diagnostics: state.diagnostics().filter(({ where }) => where.file === policy.where.file)
      .map(diagnosticView),
  };
}

function ruleView({ rule, state, reason }: RuleStatus) {
  return {
    rule: ruleField(rule),
    where: whereText(rule.where),
    target: targetText(rule.target),
    action: rule.action,
    readOnly: rule.readOnly,
    ownerOnly: rule.ownerOnly ?? false,
    terminalOnly: rule.terminalOnly ?? false,
    fromSource: rule.fromSource,
    severity: rule.severity,
    tags: rule.tags,
    message: rule.message,
    state,
    ...(reason === undefined ? {} : { reason }),
  };
}

function diagnosticView({ severity, where, field, message, hint }: Diagnostic) {
  const { file, line, column } = where;
  return { severity, file, line, column, field, message, ...(hint === undefined ? {} : { hint }) };
}

function whereText({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`;
}

export function workloadsView(state: AgentState) {
  return { workloads: state.workloads().map(workloadView) };
}

function workloadView(status: WorkloadStatus) {
  const { workload, container, generation, governance, ignoredLabels } = status;
  const { policies, tasks, decisions } = status;
  // A cgroup's id has 64 bits, more than a JSON number keeps.
  return {
    ...workload,
    cgroupId: String(workload.cgroupId),
    container: container ?? null,
    generation: generation ?? null,
    policyMode: governance.mode,
    posture: governance.posture,
    ignoredLabels,
    policies,
    tasks: tasks ?? null,
    decisions: decisions ?? null,
  };
}
