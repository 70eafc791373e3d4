/** Prometheus metrics. Everything is read from the agent's state when it is scraped, so nothing is counted twice. */
import { Counter, Gauge, Registry } from "prom-client";
import type { AgentState, DecisionCounts } from "./state.ts";
import { countRules, countWorkloads } from "./views.ts";

/** Help for the kernel's counters; one that is not here still gets a metric. */
const KERNEL_HELP: Readonly<Record<string, string>> = {
  denied: "Operations that the kernel refused",
  audited: "Operations that passed and were reported",
  sent: "Decisions with an alert of their own",
  limited: "Decisions without an alert of their own: their kind had used up its rate",
  alerts_lost: "Decisions without an alert of their own: the alert ring had no room for them",
  notices_lost: "Containers and held processes that the alert ring had no room to tell of",
  events_lost: "Telemetry records that found the event ring full",
  second_opens: "Opens by overlayfs itself, not judged because the user's open was",
  unreachable: "Objects that have no path in the container",
  gave_up: "Paths that never stood still long enough to be read",
  walk_retries: "Path walks begun anew because a rename or mount came between",
  image_missing: "Judgements without a readable policy image, refused",
  identity_failed: "Forks and acts refused because the task's identity could not be made or read",
  staged: "Tasks that entered a container from outside",
  armed: "Tasks that became the container's own by their exec",
  pending: "Programs that began a container which no runtime had described, and passed",
  pending_refused: "Programs that would have begun such a container, and were refused",
  held: "Processes stopped at their program until their container is described",
  index_exhausted: "Containers that came when no index was free",
  recursion_misses: "Runs that the kernel left out because the program was running on that CPU",
  misses_made_up: "The same of programs that another one makes up for",
  empty_slot: "Operations refused because a hook's program was not there",
  host_unjudged:
    "Acts of the node's own tasks that passed because no policy image or no identity could be had",
  queries_unread:
    "DNS queries of containers with rules about names that could not be read: refused where a rule could refuse them",
  senders_unknown:
    "DNS queries of such containers whose program is not known: judged by the strictest rule",
  syscalls_unread:
    "System calls whose path argument could not be read, so that rules about paths said nothing",
};

type Row = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Text in Prometheus' exposition format. */
export function metricsOf(state: AgentState): { contentType: string; text(): Promise<string> } {
  const registry = new Registry();
  addAgent(registry, state);
  addPolicies(registry, state);
  addDecisions(registry, state);
  addStreams(registry, state);
  addKernel(registry, state);
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

function addAgent(registry: Registry, state: AgentState): void {
  const { version, buildId, startedAt } = state.about;
  const release = state.kernel()?.kernel ?? "";
  gauge(registry, "info", "What runs here", [[{ version, build: buildId, kernel: release }, 1]]);
  gauge(registry, "ready", "1: the policies are in force", [[
    {},
    +(state.notReady().length === 0),
  ]]);
  gauge(registry, "start_time_seconds", "Start of the agent, Unix time", [
    [{}, startedAt.getTime() / 1000],
  ]);
  gauge(registry, "generation", "States applied to the kernel", [[{}, state.generation()]]);
  const hooks = state.kernel()?.hooks ?? [];
  const on = (state: string) => +(state === "attached" || state === "adopted");
  gauge(
    registry,
    "hook_attached",
    "1: the kernel calls the program",
    hooks.map((hook) => [{ hook: hook.name }, on(hook.state)]),
  );
  gauge(
    registry,
    "source_connected",
    "1: the agent hears from the source",
    state.sources().map(({ name, connected }) => [{ source: name }, +connected]),
  );
  const limits = Object.entries(state.limits());
  gauge(registry, "limit_used", "What is used", limits.map(([name, u]) => [{ name }, u.used]));
  gauge(registry, "limit_max", "What there is", limits.map(([name, u]) => [{ name }, u.max]));
}

function addPolicies(registry: Registry, state: AgentState): void {
  const rules = countRules(state.rules());
  const workloads = countWorkloads(state.workloads());
  const errors = state.diagnostics().filter(({ severity }) => severity === "error").length;
  gauge(registry, "policies", "Loaded policies", [[{}, state.policies().length]]);
  gauge(registry, "policy_errors", "Errors in policy files", [[{}, errors]]);
  gauge(registry, "rules", "Rules of loaded policies", [
    [{ state: "enforced" }, rules.enforced],
    [{ state: "audited" }, rules.audited],
    [{ state: "not_enforced" }, rules.notEnforced],
  ]);
  gauge(registry, "workloads", "Known containers", [[{}, workloads.count]]);
  gauge(registry, "workloads_policed", "Containers that a policy is enforced on", [
    [{}, workloads.policed],
  ]);
}

/** Containers with series of their own: those with the most decisions. Each has three. */
const CONTAINERS_SHOWN = 100;

/** Of containers with decisions only, so that a node's quiet ones cost no series. */
function addDecisions(registry: Registry, state: AgentState): void {
  const total = ({ sent, limited, lost }: DecisionCounts) => sent + limited + lost;
  const rows = state.workloads()
    .flatMap(({ workload, decisions }) => decisions ? [{ workload, decisions }] : [])
    .filter(({ decisions }) => total(decisions) > 0)
    .toSorted((a, b) => total(b.decisions) - total(a.decisions))
    .slice(0, CONTAINERS_SHOWN)
    .flatMap(({ workload: { name, id }, decisions }) =>
      (["sent", "limited", "lost"] as const).map((outcome): Row => [
        { container: name, id: id.slice(0, 12), outcome },
        decisions[outcome],
      ])
    );
  const help = "Decisions of a container: with an alert (sent), told by number (limited, lost)";
  if (rows.length > 0) counter(registry, "container_decisions_total", help, rows);
}

function addStreams(registry: Registry, state: AgentState): void {
  const streams = { alerts: state.alerts.counts, events: state.events.counts };
  const rows = (field: keyof typeof streams.alerts) =>
    Object.entries(streams).map(([stream, counts]): Row => [{ stream }, counts[field]]);
  counter(registry, "published_total", "Records given to subscribers", rows("published"));
  gauge(registry, "subscribers", "Open event streams", rows("subscribers"));
  counter(
    registry,
    "subscriber_lost_total",
    "Records that subscribers were too slow for",
    rows("dropped"),
  );
  counter(registry, "subscribers_refused_total", "Streams refused: too many", rows("refused"));
  const { malformed, unexplained } = state.pipeline();
  const { entries, evicted, unknown } = state.processes();
  counter(registry, "records_malformed_total", "Kernel records that made no sense", [
    [{}, malformed],
  ]);
  counter(registry, "alerts_unexplained_total", "Alerts whose exec record never came", [
    [{}, unexplained],
  ]);
  const { waiting, released, timedOut, staging } = state.pending();
  gauge(registry, "held_processes", "Processes that wait until their container is described", [
    [{}, waiting],
  ]);
  counter(registry, "held_released_total", "Held processes whose container was described", [
    [{}, released],
  ]);
  counter(registry, "held_timed_out_total", "Held processes whose container was not, in time", [
    [{}, timedOut],
  ]);
  gauge(
    registry,
    "staging_tasks",
    "Tasks taken for a container's runtime for over 5 s: not judged",
    [
      [{}, staging],
    ],
  );
  gauge(registry, "process_tree_entries", "Images held in the process tree", [[{}, entries]]);
  counter(registry, "process_tree_evicted_total", "Images dropped at a limit", [[{}, evicted]]);
  counter(registry, "process_tree_unknown_total", "Look-ups without an answer", [[{}, unknown]]);
}

function addKernel(registry: Registry, state: AgentState): void {
  for (const [name, value] of Object.entries(state.counters())) {
    const help = KERNEL_HELP[name] ?? "Counter of the kernel programs";
    counter(registry, `kernel_${name}_total`, help, [[{}, Number(value)]]);
  }
}

function gauge(registry: Registry, name: string, help: string, rows: readonly Row[]): void {
  const metric = new Gauge({
    name: `ankylo_${name}`,
    help,
    labelNames: Object.keys(rows[0]?.[0] ?? {}),
    registers: [registry],
  });
  for (const [labels, value] of rows) metric.set(labels, value);
}

function counter(registry: Registry, name: string, help: string, rows: readonly Row[]): void {
  const metric = new Counter({
    name: `ankylo_${name}`,
    help,
    labelNames: Object.keys(rows[0]?.[0] ?? {}),
    registers: [registry],
  });
  for (const [labels, value] of rows) metric.inc(labels, value);
}
