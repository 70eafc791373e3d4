/**
 * What a scenario is: policies, containers, and acts of which each has a claim, an expected outcome, expected alerts,
 * and a control. Scenario files are the product's specification: they should read as one.
 *
 * ```ts
 * scenario({
 *   name: "process rules by path",
 *   policies: { "deny.yaml": `...` },
 *   containers: { web: {}, free: {} },
 *   acts: [
 *     {
 *       claim: "a blocked program is not executed",
 *       in: "web",
 *       run: "/bin/sleep 0",
 *       expect: "EACCES",
 *       alert: { PolicyName: "deny-sleep", Operation: "Process", Action: "Block" },
 *       control: "free",
 *     },
 *   ],
 * });
 * ```
 */

import type { KernelSeries } from "../../scripts/vm/vm.ts";

/** One boot of one VM with one agent. */
export interface Scenario {
  /** What is specified, in a few words. */
  name: string;
  /** Policy files by name, as they lie in /etc/ankylo/policies. */
  policies: Record<string, string>;
  /** Containers by name; all start from the busybox image. */
  containers: Record<string, ContainerSpec>;
  /** What is tried, in order. */
  acts: readonly Act[];
  /** More options of `ankylo run`. */
  agentOptions?: readonly string[];
  /**
   * "first": it runs already, containers start beside it, then the policies appear; saves half a minute. "last": when
   * the containers are there, and the policies too. By default "first".
   */
  agentStarts?: "first" | "last";
  /** Paths on this machine, copied to /job/files in the VM, which is /files in every container. */
  files?: readonly string[];
  /** Whether an alert that no act expects fails the scenario: by default it does. "unread": nobody follows the alerts. */
  otherAlerts?: "fail" | "ignore" | "unread";
  /** Kernels that it runs on; by default those whose line in KERNELS says "all", and any that is asked for by name. */
  kernels?: readonly KernelSeries[];
  /** "v2" by default: cgroup2 alone. "v1": a hierarchy for each controller; only where the agent starts "last". */
  cgroups?: "v1" | "v2";
  /** Guest memory, 1024 by default. */
  memMiB?: number;
}

/** A container. It sleeps; acts run in it. */
export interface ContainerSpec {
  /** Labels in containerd, which `selector.matchLabels` sees. */
  labels?: Record<string, string>;
  /** "runc" by default. */
  runtime?: "runc" | "crun";
  /** All capabilities and all devices. */
  privileged?: boolean;
  /** More options of `ctr run`. */
  options?: readonly string[];
  /** A shell script run in it as root before the policies are there, or for "after" as soon as it has started. */
  prepare?: string;
  /** Whether it starts before policies and agent are there both, which is the default, or after. */
  start?: "before" | "after";
}

/** Something that is tried. */
export interface Act {
  /** What must be true, as a sentence; the name of the test. */
  claim: string;
  /**
   * A container's name, or "host". On the host the functions of guest/driver.sh can be used, such as `stop_agent KILL`,
   * `start_agent` and `wait_until COMMAND`.
   */
  in: string;
  /** Uid in the container, 0 by default. */
  user?: number;
  /**
   * A string is typed into a shell that was entered as by `kubectl exec` and stays for the following acts; each runs in
   * a subshell. An array is a program with its arguments, entered anew, without any shell.
   */
  run: string | readonly string[];
  expect: Expectation;
  /** Alerts that the act must cause. */
  alert?: AlertPattern | readonly AlertPattern[];
  /** The same act where nothing forbids it; a name means that it must be "ok" in that container. */
  control?: string | { in: string; user?: number; run?: Act["run"]; expect?: Expectation };
}

/**
 * "ok": status 0. A name of an error: another status, and the output has the error's text. "refused": EACCES or EPERM.
 * A regular expression: status 0 and the output matches. A function: status 0, and it says what is wrong with the output, or
 * undefined.
 */
export type Expectation =
  | "ok"
  | "refused"
  | keyof typeof ERROR_TEXTS
  | RegExp
  | ((output: string) => string | undefined)
  | { status?: number; output?: RegExp };

/** Fields that an alert must have: equal, or matching the regular expression. */
export type AlertPattern = Record<string, string | number | RegExp>;

/** As the C library words them. */
export const ERROR_TEXTS = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  EEXIST: "File exists",
  EINVAL: "Invalid argument",
  ENOENT: "No such file or directory",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
  EXDEV: "Invalid cross-device link",
} as const;

/** An act together with its place in the plan: a control is an act of its own. */
export interface PlannedAct extends Act {
  id: number;
  user: number;
  alerts: readonly AlertPattern[];
}

/** Lists the acts with their controls, in the order in which they run. */
export function planActs(acts: readonly Act[]): PlannedAct[] {
  return acts.flatMap((act) => act.control === undefined ? [act] : [act, controlOf(act)])
    .map((act, id) => ({
      ...act,
      id,
      user: act.user ?? 0,
      alerts: act.alert === undefined ? [] : [act.alert].flat(),
    }));
}

function controlOf(act: Act): Act {
  const control = typeof act.control === "string" ? { in: act.control } : act.control!;
  return {
    claim: `control: ${act.claim}`,
    in: control.in,
    run: control.run ?? act.run,
    expect: control.expect ?? "ok",
    ...(control.user ?? act.user) === undefined ? {} : { user: control.user ?? act.user },
  } as Act;
}

/** Writes the script that runs the scenario in the guest, in the words of guest/driver.sh. */
export function planScript(scenario: Scenario, acts: readonly PlannedAct[]): string {
  const containers = Object.entries(scenario.containers);
  const starting = (when: "before" | "after") =>
    containerLines(containers.filter(([, spec]) => (spec.start ?? "before") === when));
  const lines = [
    ...scenario.otherAlerts === "unread" ? ["alerts_unread=1"] : [],
    ...scenario.cgroups === "v1" ? ["use_cgroup_v1"] : [],
    ...scenario.agentStarts !== "last"
      ? ["follow_agent", ...starting("before"), "install_policies"]
      : ["install_policies", ...starting("before"), "close_sessions"].concat(
        call("start_agent", ...scenario.agentOptions ?? []),
      ),
    ...Object.keys(scenario.policies).length === 0
      ? []
      : ["wait_until agent_read_policies; at 'policies read'"],
    ...starting("after"),
    call("await_agent", ...containers.map(([name]) => name)),
    ...acts.flatMap(actLines),
    "finish",
  ];
  return lines.join("\n") + "\n";
}

/** All start at once, and then are prepared at once. */
function containerLines(containers: readonly (readonly [string, ContainerSpec])[]): string[] {
  if (containers.length === 0) return [];
  const starts = containers.map(([name, spec]) => {
    const labels = Object.entries(spec.labels ?? {}).map(([key, value]) =>
      `--label=${key}=${value}`
    );
    const options = [...labels, ...spec.privileged ? ["--privileged"] : [], ...spec.options ?? []];
    return call("start_container", name, spec.runtime ?? "runc", ...options);
  });
  const prepared = containers.filter(([, { prepare }]) => prepare !== undefined);
  return [
    ...starts,
    "await_containers",
    ...prepared.map(([name, { prepare }]) => call("type_in", name, "0", prepare!)),
    ...prepared.length === 0 ? [] : [call("prepared", ...prepared.map(([name]) => name))],
  ];
}

function actLines(act: PlannedAct): string[] {
  const where = [`${act.id}`, act.in, `${act.user}`];
  const run = typeof act.run === "string"
    ? call("act", ...where, act.run)
    : act.in === "host"
    ? call("act", ...where, act.run.map(shellQuote).join(" "))
    : call("act_exec", ...where, ...act.run);
  const awaits = act.alerts.map((alert) => call("await_alert", ...fixedTexts(alert)));
  return [run, ...awaits, "end_window"];
}

/** Texts that the alert's JSON must contain: what a shell can look for, the host compares in full. */
function fixedTexts(pattern: AlertPattern): string[] {
  return Object.entries(pattern)
    .filter(([, value]) => !(value instanceof RegExp))
    .map(([field, value]) => `${JSON.stringify(field)}:${JSON.stringify(value)}`);
}

function call(name: string, ...words: string[]): string {
  return [name, ...words.map(shellQuote)].join(" ");
}

/** Quotes a word for any POSIX shell. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
