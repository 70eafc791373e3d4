/** Operations that the agent has seen, as JSON: what `ankylo check --against` reads from it, or from a file. */
import { SEEN_MAX, type SeenOperation } from "../alerts/seen.ts";
import type { Operation } from "../model/operation.ts";
import { type Workload, workloadKey } from "../model/workload.ts";
import type { AgentState } from "./state.ts";

/** What no telemetry tells of; the agent says so to whoever relies on the rest. */
const NOT_RECORDED: readonly string[] = [
  "files, sockets and capabilities are recorded where a policy in force refused or reported them, and not " +
  "where nothing asked: an Allow rule under posture audit has all others reported",
  "system calls, DNS queries, what only presets are about and what has no path are not recorded",
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
  readonly max: number;
  readonly notRecorded: readonly string[];
  readonly containers: readonly RecordedContainer[];
  readonly operations: readonly RecordedOperation[];
}

export function operationsView(
  { seen, about }: Pick<AgentState, "seen" | "about">,
  now: Date,
): RecordedOperations {
  const indices = new Map<string, number>();
  const containers: RecordedContainer[] = [];
  const indexOf = (workload: Workload) => {
    const key = workloadKey(workload);
    const known = indices.get(key);
    if (known !== undefined) return known;
    indices.set(key, containers.length);
    return containers.push(containerView(workload)) - 1;
  };
  const { entries, dropped } = seen();
  const operations = entries.map((entry) => operationView(entry, indexOf(entry.workload)));
  return {
    until: now.toISOString(),
    since: about.startedAt.toISOString(),
    dropped,
    max: SEEN_MAX,
    notRecorded: NOT_RECORDED,
    containers,
    operations,
  };
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
