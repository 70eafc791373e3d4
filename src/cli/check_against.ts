/** `ankylo check --against`: what policies would have done with operations that took place. */
import { type Fate, fateOf } from "../compile/dry_run.ts";
import type { Outcome } from "../compile/outcome.ts";
import type { Settings } from "../config/config.ts";
import type { RecordedOperation, RecordedOperations } from "../http/operations_view.ts";
import { formatDiagnostic, formatPosition, hasErrors } from "../model/diagnostic.ts";
import type { Policy } from "../model/policy.ts";
import { type Governance, type GovernanceDefaults, governanceOf } from "../model/governance.ts";
import { conditionText, ruleField, targetText } from "../model/rule.ts";
import { selects } from "../model/selector.ts";
import type { Workload } from "../model/workload.ts";
import { type PosturedGroup, postureOf } from "../compile/rules.ts";
import { notAsked } from "./not_asked.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";
import { readPolicyFiles } from "./policy_arguments.ts";
import { printable } from "./printable.ts";
import { readRecording, RecordingError } from "./recording.ts";

export interface AgainstOptions {
  /** See readRecording(). */
  readonly against: string;
  /** `10m`: only what was seen in that time before the recording's end; undefined: everything. */
  readonly since?: string;
  readonly json: boolean;
  /** What would be reported, or can't be judged, counts as well. */
  readonly strict: boolean;
  readonly settings: Pick<Settings, "socket" | "listen" | "http" | "governance">;
}

/** The specification can't be asked about an operation: a container chose a name that no rule could have. */
interface Unjudged {
  readonly outcome: "unjudged";
  readonly why: string;
}

/** What would have become of one operation. */
interface Met {
  readonly operation: RecordedOperation;
  readonly container: string;
  readonly fate: Fate | Unjudged;
}

/**
 * Asks the policies of the files, and no others, about each operation. Writes the answer to `io.out`.
 *
 * @returns `EXIT_OK` where nothing would have been refused; `EXIT_POLICY` else, and for files with errors; `EXIT_USAGE` for a
 *   recording that is none
 * @throws {AgentUnreachableError}
 */
export async function runCheckAgainst(
  paths: readonly string[],
  options: AgainstOptions,
  io: CommandIo,
): Promise<number> {
  const sinceMs = options.since === undefined ? Infinity : durationMs(options.since);
  if (sinceMs === undefined) {
    io.err(`Cannot use --since: must be a time such as 90s, 10m or 2h: found "${options.since}"\n`);
    return EXIT_USAGE;
  }
  const { policies, diagnostics } = await readPolicyFiles(paths);
  if (hasErrors(diagnostics)) {
    for (const finding of diagnostics) io.err(`${formatDiagnostic(finding)}\n`);
    return EXIT_POLICY;
  }
  try {
    const recording = await readRecording(options.against, options.settings);
    const met = meetAll(recording, sinceMs, policies, options.settings.governance);
    const silent = notAsked(policies);
    io.out(
      options.json ? jsonOf(recording, met, silent) : textOf(recording, met, silent, options.since),
    );
    const bad: readonly string[] = options.strict
      ? ["refused", "reported", "unjudged"]
      : ["refused"];
    return met.some(({ fate }) => bad.includes(fate.outcome)) ? EXIT_POLICY : EXIT_OK;
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    io.err(`${error.message}\n`);
    return EXIT_USAGE;
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** Undefined: not a time. */
function durationMs(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(digits) * UNITS_MS[unit]!;
}

function meetAll(
  { containers, operations, until }: RecordedOperations,
  sinceMs: number,
  policies: readonly Policy[],
  defaults: GovernanceDefaults,
): Met[] {
  const workloads = containers.map((container): Workload => ({
    ...container,
    ...{ pid: 0, cgroupPath: "", cgroupId: 0n },
  }));
  const governed = workloads.map((workload) => {
    const governance = governanceOf(workload, defaults);
    const selected = policies.filter((policy) => selects(policy, workload));
    return { ...governance, policies: governance.mode === "disabled" ? [] : selected };
  });
  const begin = Date.parse(until) - sinceMs;
  return operations.filter(({ last }) => Date.parse(last) >= begin).map((operation) => ({
    operation,
    container: workloads[operation.container]!.name,
    fate: fate(operation, governed[operation.container]!),
  }));
}

function fate(
  operation: RecordedOperation,
  { policies, posture, mode }: Governance & { readonly policies: readonly Policy[] },
): Fate | Unjudged {
  try {
    const found = fateOf(operation, policies, posture);
    const isSpared = mode === "audited" && found.outcome === "refused";
    return isSpared ? { ...found, outcome: "reported" } : found;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { outcome: "unjudged", why: error.message.split("\n")[0]! };
  }
}

/** Refused first, then what happened most often. */
function sorted(met: readonly Met[], outcome: Met["fate"]["outcome"]): Met[] {
  return met.filter(({ fate }) => fate.outcome === outcome)
    .sort((a, b) => b.operation.count - a.operation.count);
}

function textOf(
  recording: RecordedOperations,
  met: readonly Met[],
  silent: readonly string[],
  since?: string,
): string {
  const [refused, reported] = [sorted(met, "refused"), sorted(met, "reported")];
  const unjudged = sorted(met, "unjudged");
  const shown = [...refused, ...reported, ...unjudged];
  const containers = new Set(met.map(({ operation }) => operation.container)).size;
  const period = since === undefined
    ? `since ${recording.since}`
    : `in ${since} before ${recording.until}`;
  const lines = [
    ...shown.flatMap(metLines),
    ...shown.length > 0 ? [""] : [],
    `${met.length} different operations of ${containers} containers, seen ${period}: ` +
    `${refused.length} would have been refused, ${reported.length} reported, ` +
    `${met.length - shown.length} pass` +
    (unjudged.length > 0 ? `, ${unjudged.length} can't be judged` : ""),
    ...recording.dropped > 0
      ? [`${recording.dropped} operations had to make room for others: the recording is not whole`]
      : [],
    ...[...recording.notRecorded, ...silent].map((what) => `not known: ${what}`),
  ];
  return lines.map((line) => `${printable(line)}\n`).join("");
}

const WORDS: Readonly<Record<Outcome | "unjudged", string>> = {
  refused: "REFUSED ",
  reported: "reported",
  passes: "passes  ",
  unjudged: "unknown ",
};

function metLines({ operation, container, fate }: Met): string[] {
  const { access, object, from, parent, count, last, terminal } = operation;
  const child = parent === from || parent === "" ? "" : `, child of ${parent}`;
  const by = from === "" ? "" : ` by ${from}${child}`;
  const place = terminal ? " on a terminal" : "";
  const often = count === 1 ? "once" : `${count} times, last`;
  return [
    `${WORDS[fate.outcome]} ${container}: ${access} ${object}${by}${place}, ${often} ${last}`,
    `         ${whyText(fate)}`,
  ];
}

/** By which rule, with its place. */
function whyText(fate: Fate | Unjudged): string {
  if (fate.outcome === "unjudged") return `can't be judged: ${fate.why}`;
  return `${decidedBy(fate)}${fate.isOwnerExempt ? "; not to the owner of the file" : ""}`;
}

function decidedBy({ rule, group, byPosture }: Fate): string {
  if (rule !== undefined) {
    const { where, action, target } = rule.rule;
    return `${formatPosition(where)} ${ruleField(rule.rule)} of ${rule.policy.name}: ${action} ${
      targetText(target)
    }${conditionText(rule.rule)}`;
  }
  return byPosture
    ? `posture.${postureOf(group as PosturedGroup)}: the ${group} allow-list does not let it pass`
    : "no rule";
}

function jsonOf(
  { until, since, dropped, notRecorded }: RecordedOperations,
  met: readonly Met[],
  silent: readonly string[],
) {
  const operations = met.map(({ operation, container, fate }) => {
    if (fate.outcome === "unjudged") return { ...operation, container, ...fate };
    const { rule, outcome, group, byPosture, isOwnerExempt } = fate;
    const at = rule && {
      policy: rule.policy.name,
      rule: ruleField(rule.rule),
      where: formatPosition(rule.rule.where),
    };
    return { ...operation, container, outcome, group, byPosture, isOwnerExempt, ...at };
  });
  const answer = { until, since, dropped, notRecorded, notAsked: silent, operations };
  return `${JSON.stringify(answer, undefined, 2)}\n`;
}
