/** The table of the bench: what is measured, what it should cost, and what KubeArmor was measured at. */

/** How a row's number is written. */
export type Unit = "instructions" | "ratio" | "ms" | "MB" | "count" | "per second" | "percent";

/** One line of the table. */
export interface Row {
  /** Of the measured value, as guests print it. */
  readonly id: string;
  readonly what: string;
  readonly unit: Unit;
  /** Value without an agent: the row is then judged by the ratio of the two. */
  readonly noAgent?: string;
  /** What is wanted: at most this, or at least where `atLeast` says so. */
  readonly goal?: number;
  readonly atLeast?: boolean;
  /** KubeArmor's own agent (July 2026, BPF-LSM, 24 rules) in the same kind of VM; telemetry off / default. */
  readonly kubeArmor?: string;
  /**
   * Whether the budget is enforced. Instructions repeat to a thousandth; wall time on a shared machine does not, and what
   * a busy machine makes slow is no regression.
   */
  readonly checked: boolean;
}

/** A row of instructions in the kernel, which are the same wherever they are counted. */
function instructions(id: string, what: string, goal: number, kubeArmor?: string): Row {
  return { id, what, unit: "instructions", goal, checked: true, ...kubeArmor && { kubeArmor } };
}

function ratio(id: string, noAgent: string, what: string, goal: number, kubeArmor: string): Row {
  return { id, noAgent, what, unit: "ratio", goal, kubeArmor, checked: true };
}

export const ROWS: readonly Row[] = [
  instructions("file_open.3.ten", "file_open program, depth 3, 10 rules", 1_100, "20,482"),
  instructions("file_open.10.ten", "… depth 10, 10 rules", 2_000, "25,600"),
  instructions("file_open.30.ten", "… depth 30, 10 rules", 4_700, "31,759"),
  instructions("file_open.3.many", "… depth 3, 10,000 rules", 1_100),
  instructions("file_open.10.many", "… depth 10, 10,000 rules", 2_000),
  instructions("file_open.30.many", "… depth 30, 10,000 rules", 4_700),
  instructions("file_open.host", "… task of the host", 190, "857"),
  instructions("file_open.free", "… task of a container without a policy", 190, "857"),
  instructions("bprm_check.ten", "bprm_check program, 10 rules", 3_000, "20,204"),
  ratio("open.off", "open.none", "open+close in a container", 1.25, "64,699 / 152,918"),
  ratio("open.on", "open.none", "… with process telemetry", 1.25, "64,699 / 152,918"),
  ratio("exec.off", "exec.none", "fork+exec+wait", 1.03, "731,565 / 1,489,086"),
  ratio(
    "exec.on",
    "exec.whole",
    "… with process telemetry, agent's work included",
    1.10,
    "731,565 / 1,489,086",
  ),
  { id: "exec.on.agent", what: "… of that the agent", unit: "instructions", checked: false },
  ratio(
    "change.off",
    "change.none",
    "create+write+close+stat+rename+unlink",
    1.25,
    "281,625 / 540,870",
  ),
  instructions(
    "denied.agent",
    "agent's work per denied open, alert delivered",
    30_000,
    "310,000",
  ),
  instructions("start", "agent start to enforcing, nothing in the kernel", 2_000_000_000, "16.5 G"),
  instructions("start.first", "… the first of a version, which unpacks itself", 2_600_000_000),
  instructions("start.again", "restart to ready, the programs in the kernel", 1_000_000_000),
  {
    id: "policy.change",
    what: "policy change to first denial, asked for every ms",
    ...{ unit: "ms", goal: 20, kubeArmor: "19–72 ms", checked: false },
  },
  {
    id: "policy.change.busy",
    what: "… asked for without a pause, on the agent's own processor",
    ...{ unit: "ms", goal: 20, kubeArmor: "19–72 ms", checked: false },
  },
  {
    id: "policy.change.agent",
    what: "… agent's work until then",
    ...{ unit: "instructions", checked: true },
  },
  {
    id: "rss.idle",
    what: "resident memory, at rest",
    ...{ unit: "MB", goal: 80, kubeArmor: "290 MB", checked: true },
  },
  { id: "rss.idle.own", what: "… of it the process's own, anonymous", unit: "MB", checked: true },
  {
    id: "rss.many",
    what: "… 50 containers with a policy each",
    ...{ unit: "MB", goal: 90, kubeArmor: "284 MB", checked: true },
  },
  { id: "rss.many.own", what: "… of it the process's own, anonymous", unit: "MB", checked: true },
  {
    id: "burst.told",
    what: "10,000 denials in a burst: alerts, or counted as not sent",
    ...{ unit: "count", goal: 10_000, atLeast: true, checked: true },
    kubeArmor: "10,000, or 0 with its default throttle",
  },
  {
    id: "burst.alerts",
    what: "… of these alerts",
    ...{ unit: "count", goal: 1, atLeast: true, checked: true },
  },
  {
    id: "decode.rate",
    what: "records decoded, on one core",
    ...{ unit: "per second", goal: 1_000_000, atLeast: true, checked: false },
  },
  { id: "decode.lost", what: "… of these lost", unit: "percent", goal: 0, checked: false },
  { id: "alert.latency_ms", what: "refusal to alert", unit: "ms", checked: false },
  {
    id: "sse.core_percent",
    what: "100 SSE subscribers × 2,000 alerts/s, of one core",
    ...{ unit: "percent", goal: 30, checked: false },
  },
  {
    id: "scale.containers.ms",
    what: "1,000 containers with 100 rules each, none alike: compiling",
    ...{ unit: "ms", checked: false },
  },
  { id: "scale.containers.mb", what: "… their images in the kernel", unit: "MB", checked: true },
  {
    id: "scale.rules.ms",
    what: "one container with 100,000 rules: compiling",
    unit: "ms",
    checked: false,
  },
  { id: "scale.rules.mb", what: "… its image in the kernel", unit: "MB", checked: true },
  { id: "binary", what: "size of the single file", unit: "MB", checked: true },
];
