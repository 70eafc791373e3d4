/** What happened in the VM, and whether it is what the scenario says. */

import { type AlertPattern, ERROR_TEXTS, type Expectation, type PlannedAct } from "./scenario.ts";

/** A record of the alert stream: the fields of KubeArmor's alerts. */
export type AlertRecord = Record<string, unknown>;

/** One run of a scenario. */
export interface Outcome {
  /** By number of the act. */
  acts: Map<number, ActOutcome>;
  /** In order of arrival. */
  alerts: AlertRecord[];
  /** What the agent wrote on its standard output and error. */
  agentLog: string;
  /** Why the scenario could not be run, if so. */
  fatal?: string;
}

/** What one act did. */
export interface ActOutcome {
  /** Exit status, or undefined when it never ended. */
  status: number | undefined;
  output: string;
  /** Number of alerts that had arrived before it, and when the wait for its own had ended. */
  alertsBefore: number;
  alertsAfter: number;
}

/** Reads the report of guest/driver.sh. Lines that are not reports are kept for the failure's message. */
export function parseOutcome(lines: readonly string[]): Outcome {
  const outcome: Outcome = { acts: new Map(), alerts: [], agentLog: "" };
  const noise: string[] = [];
  for (const line of lines) {
    const [, kind, rest] = /^@(\w+) (.*)$/s.exec(line) ?? [];
    const words = (rest ?? "").split(" ");
    if (kind === "act") {
      const status = words[1] === "lost" ? undefined : Number(words[1]);
      const output = unescape(words.slice(2).join(" ")) + "\n";
      outcome.acts.set(Number(words[0]), { status, output, alertsBefore: 0, alertsAfter: 0 });
    } else if (kind === "window") {
      const act = outcome.acts.get(Number(words[0]));
      if (act) {
        Object.assign(act, { alertsBefore: Number(words[1]), alertsAfter: Number(words[2]) });
      }
    } else if (kind === "at") continue;
    else if (kind === "alert") outcome.alerts.push(JSON.parse(rest!) as AlertRecord);
    else if (kind === "log") outcome.agentLog = decodeBase64(rest!);
    else if (kind === "fatal") outcome.fatal ??= rest!;
    else noise.push(line);
  }
  if (noise.length > 0) outcome.agentLog += `\n--- the VM also printed\n${noise.join("\n")}`;
  return outcome;
}

/** As report() of guest/driver.sh wrote it. */
function unescape(text: string): string {
  return text.replaceAll(/\\(n|\\)/g, (_, letter) => letter === "n" ? "\n" : "\\");
}

function decodeBase64(text: string): string {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

/**
 * Compares each act's alerts with what arrived; an alert counts for one expectation only.
 *
 * @returns by number of the act, the expectations that nothing met; and the alerts that nobody expected
 */
export function matchAlerts(
  acts: readonly PlannedAct[],
  outcome: Outcome,
): { missing: Map<number, AlertPattern[]>; unexpected: AlertRecord[] } {
  const free = outcome.alerts.map((alert, index) => ({ alert, index }));
  const missing = new Map<number, AlertPattern[]>();
  for (const act of acts) {
    const from = outcome.acts.get(act.id)?.alertsBefore ?? 0;
    for (const pattern of act.alerts) {
      const found = free.findIndex(({ alert, index }) => index >= from && matches(pattern, alert));
      if (found >= 0) free.splice(found, 1);
      else missing.set(act.id, [...missing.get(act.id) ?? [], pattern]);
    }
  }
  return { missing, unexpected: free.map(({ alert }) => alert) };
}

/** Whether the alert has every field of the pattern. */
export function matches(pattern: AlertPattern, alert: AlertRecord): boolean {
  return Object.entries(pattern).every(([field, wanted]) =>
    wanted instanceof RegExp ? wanted.test(String(alert[field] ?? "")) : alert[field] === wanted
  );
}

/** Says in what the act's outcome differs from what was expected; undefined when it does not. */
export function difference(expected: Expectation, act: ActOutcome): string | undefined {
  const found = `status ${act.status ?? "unknown: it never ended"}, output ${
    JSON.stringify(act.output.trim())
  }`;
  const failed = (wanted: string) => `expected ${wanted}: found ${found}`;
  if (act.status === undefined) return failed("an end");
  if (expected === "ok") return act.status === 0 ? undefined : failed("status 0");
  if (expected instanceof RegExp) {
    const met = act.status === 0 && expected.test(act.output);
    return met ? undefined : failed(`status 0 and output ${expected}`);
  }
  if (typeof expected === "function") {
    return act.status === 0 ? expected(act.output) : failed("status 0");
  }
  if (typeof expected === "object") {
    const { status, output } = expected;
    const met = (status === undefined || status === act.status) &&
      (output === undefined || output.test(act.output));
    return met ? undefined : failed(`status ${status ?? "any"} and output ${output ?? "any"}`);
  }
  const texts = expected === "refused"
    ? [ERROR_TEXTS.EACCES, ERROR_TEXTS.EPERM]
    : [ERROR_TEXTS[expected]];
  // containerd and runc, written in Go, spell the same texts in lower case.
  const said = texts.some((text) => act.output.toLowerCase().includes(text.toLowerCase()));
  return act.status !== 0 && said ? undefined : failed(`failure with ${expected}`);
}
