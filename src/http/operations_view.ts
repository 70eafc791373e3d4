/** Operations that the agent has seen, as JSON: what `ankylo check --against` reads from it, or from a file. */
import { containerKey, SEEN_MAX, SEEN_PATH_MAX, type SeenOperation } from "../alerts/seen.ts";
import type { Operation } from "../model/operation.ts";
import type { Workload } from "../model/workload.ts";
import type { AgentState } from "./state.ts";

/** What no telemetry tells of; the agent says so to whoever relies on the rest. */
const NOT_RECORDED: readonly string[] = [
  "files, sockets, capabilities and DNS queries are recorded where a policy in force refused or reported them, " +
  "and not where nothing asked: an Allow rule under posture audit has all others reported",
  "system calls, what only presets are about and what has no path are not recorded",
  "a program on a mount that the container does not have is recorded by its path there",
];

/** One operation, with when it was seen. */
export interface RecordedOperation extends Operation {
  /** Index into `containers`. */
  readonly container: number;
  readonly count: number;
  /** RFC 3339. */
  readonly first: string;
  readonly last: string;
}

/** What a selector asks about a container, or the node itself. */
export type RecordedContainer = Pick<
  Workload,
  "id" | "name" | "runtimeNamespace" | "namespace" | "podName" | "image" | "labels" | "host"
>;

export interface RecordedOperations {
  /** When this was read, and since when the agent has watched; RFC 3339. */
  readonly until: string;
  readonly since: string;
  /** Operations that had to make room for others. */
  readonly dropped: number;
  /** Times at least that an operation was not recorded because a path of it is too long. */
  readonly tooLong: number;
  readonly max: number;
  readonly notRecorded: readonly string[];
  readonly containers: readonly RecordedContainer[];
  readonly operations: readonly RecordedOperation[];
}

export function operationsView(
  { seen, about }: Pick<AgentState, "seen" | "about">,
  now: Date,
): RecordedOperations {
  const { entries, dropped, tooLong } = seen();
  const latest = latestByContainer(entries);
  const indices = new Map([...latest.keys()].map((key, index) => [key, index]));
  const operations = entries.map((entry) =>
    operationView(entry, indices.get(containerKey(entry.workload))!)
  );
  const notRecorded = tooLong === 0 ? NOT_RECORDED : [
    ...NOT_RECORDED,
    `operations with a path of more than ${SEEN_PATH_MAX} characters are not recorded: ` +
    `there were ${tooLong} or more`,
  ];
  return {
    until: now.toISOString(),
    since: about.startedAt.toISOString(),
    dropped,
    tooLong,
    max: SEEN_MAX,
    notRecorded,
    containers: [...latest.values()].map(({ workload }) => containerView(workload)),
    operations,
  };
}

/** What each container did last: its description is the newest, as labels may change while it runs. */
function latestByContainer(entries: readonly SeenOperation[]): Map<string, SeenOperation> {
  const latest = new Map<string, SeenOperation>();
  for (const entry of entries) {
    const key = containerKey(entry.workload);
    const known = latest.get(key);
    if (known === undefined || entry.lastMicros > known.lastMicros) latest.set(key, entry);
  }
  return latest;
}

function containerView(workload: Workload): RecordedContainer {
  const { id, name, runtimeNamespace, namespace, podName, image, labels, host } = workload;
  const view = { id, name, runtimeNamespace, namespace, podName, image, labels };
  return host === undefined ? view : { ...view, host };
}

function operationView(entry: SeenOperation, container: number): RecordedOperation {
  const { access, object, from, parent, terminal, count, firstMicros, lastMicros } = entry;
  const time = (micros: number) => new Date(micros / 1_000).toISOString();
  const [first, last] = [time(firstMicros), time(lastMicros)];
  return { container, access, object, from, parent, terminal, count, first, last };
}
