/** The agent's state as a screen that a newcomer understands. */

import type { policiesView, policyView, statusView, workloadsView } from "../http/views.ts";
import { conditionText } from "../model/rule.ts";
import { printable } from "./printable.ts";

/** What the HTTP API gives, as `ankylo status` reads it. */
export interface AgentPicture {
  readonly status: ReturnType<typeof statusView>;
  readonly policies: readonly ReturnType<typeof policyView>[];
  readonly diagnostics: ReturnType<typeof policiesView>["diagnostics"];
  readonly workloads: ReturnType<typeof workloadsView>["workloads"];
}

/** Counters that are worth a look when they are not 0, with what they mean. */
const WORRIES: Readonly<Record<string, string>> = {
  alerts_lost: "alerts lost because the agent was too slow (the decisions stood)",
  events_lost: "telemetry records lost because the agent was too slow",
  unreachable: "operations on objects without a path in the container",
  gave_up: "paths that never stood still long enough to be read",
  image_missing: "operations refused because no policy image could be read",
  identity_failed: "forks and acts refused because an identity could not be made or read",
  pending: "programs passed that began a container which nobody had described",
  pending_refused: "programs refused that would have begun such a container",
  index_exhausted: "containers that found no free index",
  recursion_misses:
    "operations that the kernel did not ask about: a program was running on that CPU",
  empty_slot: "operations refused because a hook's program was missing",
};

/** The whole screen, ending with a newline. */
export function statusScreen(picture: AgentPicture): string {
  const lines = [
    ...headLines(picture),
    "",
    ...sourceLines(picture),
    "",
    ...policyLines(picture),
    ...diagnosticLines(picture),
    "",
    ...workloadLines(picture),
    "",
    ...counterLines(picture),
  ];
  return `${lines.map(printable).join("\n")}\n`;
}

function headLines({ status }: AgentPicture): string[] {
  const { kernel } = status;
  const up = durationText(status.uptimeSeconds);
  const head = `Ankylo ${status.version} on ${status.host}, up ${up}`;
  const missing = status.notReady.map((line) => `  - ${line}`);
  if (kernel === null) {
    const reasons = missing.length > 0 ? missing : ["  - the programs are not in the kernel yet"];
    return [head, "NOT ENFORCING", ...reasons];
  }
  const on = kernel.hooks.filter(({ state }) => state === "attached" || state === "adopted");
  const off = kernel.hooks.filter((hook) => !on.includes(hook))
    .map(({ name, state, reason }) => `  - hook ${name} ${state}${reason ? `: ${reason}` : ""}`);
  const modes = {
    installed: "installed by this agent",
    adopted: "taken over from the agent before, without a gap",
    renewed: "exchanged for this agent's where they were, without a gap",
    replaced: "replaced those of an older agent, without a gap",
  };
  return [
    head,
    `Kernel ${kernel.release}, security modules ${kernel.lsm.join(",")}`,
    status.ready ? "ENFORCING" : "ENFORCING, BUT NOT ALL OF IT",
    `  ${on.length} of ${kernel.hooks.length} programs attached, ${modes[kernel.mode]}`,
    ...missing,
    ...off,
  ];
}

function sourceLines({ status }: AgentPicture): string[] {
  const rows = status.sources.map(({ name, connected, detail }) => [
    name,
    connected ? "connected" : "NOT CONNECTED",
    detail,
  ]);
  return ["Sources", ...table(rows)];
}

function policyLines({ status, policies }: AgentPicture): string[] {
  const { enforced, audited, notEnforced } = status.rules;
  const total = `${enforced} rules enforced, ${audited} audited, ${notEnforced} not enforced`;
  const head = `Policies: ${policies.length} (${total})`;
  if (policies.length === 0) return [head, "  none: put policy files into the policy directory"];
  return [head, ...policies.flatMap(onePolicy)];
}

function noneOf({ kind }: AgentPicture["policies"][number]): string {
  return kind === "KubeArmorHostPolicy"
    ? "not in force on this node"
    : "selects no running container";
}

function onePolicy(policy: AgentPicture["policies"][number]): string[] {
  const selected = policy.workloads.map(({ id, name }) => name ?? id);
  const selects = selected.length === 0 ? noneOf(policy) : selected.join(", ");
  const rows = policy.rules.map((rule) => [
    rule.action,
    rule.rule.replace(/^spec\./, "").split(".")[0]!,
    `${rule.target}${conditionText(rule)}${sourceText(rule.fromSource)}`,
    rule.reason === undefined ? rule.state : `${rule.state}: ${rule.reason}`,
  ]);
  const why = "reason" in policy ? `: ${policy.reason}` : "";
  return [
    `  ${policy.name}  ${policy.state}${why}  → ${selects}  (${policy.where})`,
    ...table(rows).map((line) => `  ${line}`),
  ];
}

function sourceText(fromSource: readonly string[]): string {
  return fromSource.length === 0 ? "" : ` by ${fromSource.join(", ")}`;
}

function diagnosticLines({ diagnostics }: AgentPicture): string[] {
  if (diagnostics.length === 0) return [];
  const lines = diagnostics.map(({ severity, file, line, column, message }) =>
    `  ${severity}  ${file}:${line}:${column}: ${message}`
  );
  return ["Findings in policy files", ...lines];
}

function workloadLines({ workloads }: AgentPicture): string[] {
  const rows = workloads.map(({ name, namespace, image, policies }) => [
    name,
    namespace,
    image,
    policies.length === 0 ? "no policy" : policies.join(", "),
  ]);
  return [`Workloads: ${workloads.length}`, ...table(rows)];
}

function counterLines({ status }: AgentPicture): string[] {
  const { counters, alerts } = status;
  const { denied = 0, audited = 0 } = counters;
  const worries = Object.entries(WORRIES).filter(([name]) => (counters[name] ?? 0) > 0)
    .map(([name, meaning]) => `  ${counters[name]} ${meaning}`);
  const dropped = alerts.dropped > 0 ? [`  ${alerts.dropped} alerts dropped for slow readers`] : [];
  return [
    `Since the programs were attached: ${denied} denied, ${audited} audited`,
    ...worries,
    ...dropped,
  ];
}

/** Columns of equal width, indented. */
function table(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from(
    { length: columns },
    (_, i) => Math.max(...rows.map((row) => row[i]!.length)),
  );
  return rows.map((row) =>
    `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")}`.trimEnd()
  );
}

function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
