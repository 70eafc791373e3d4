/** What alerts and logs have in common: who, where, when, in KubeArmor's words. */
import type { ExecRef, TaskEvent } from "../events/event.ts";
import { isHostIndex } from "../kernel/host_index.ts";
import type { Workload } from "../model/workload.ts";

/** Who reports. The same in every record. */
export interface Reporter {
  readonly clusterName: string;
  readonly hostName: string;
  /** From the machine id; empty when there is none. */
  readonly nodeId: string;
  /** Of this agent; it stands in KubeArmorVersion. */
  readonly version: string;
  /** Of the node's own users, by uid; empty when there is none. */
  readonly userName: (uid: number) => string;
}

/** Arguments shown behind a program's path. KubeArmor's number. */
export const ARGUMENTS_MAX = 20;

/** As Go's `omitempty` does: an empty text is not in the JSON at all. */
export function orAbsent(text: string): string | undefined {
  return text === "" ? undefined : text;
}

export function timeFields(unixNs: bigint, reporter: Reporter) {
  return {
    Timestamp: Number(unixNs / NS_PER_SECOND),
    UpdatedTime: rfc3339Micros(unixNs),
    ClusterName: orAbsent(reporter.clusterName),
    HostName: orAbsent(reporter.hostName),
  };
}

const NS_PER_SECOND = 1_000_000_000n;
/** The last second's text: events come thousands to a second, and a Date's text costs as much as the rest of an alert. */
let [textSecond, secondText] = [-1n, ""];

/** RFC 3339 in UTC with six digits, as `2023-10-11T15:33:42.211351Z`. `unixNs`: since the epoch, not negative. */
export function rfc3339Micros(unixNs: bigint): string {
  const second = unixNs / NS_PER_SECOND;
  if (second !== textSecond) {
    secondText = new Date(Number(second) * 1000).toISOString().slice(0, -"000Z".length);
    textSecond = second;
  }
  const micros = Number(unixNs - second * NS_PER_SECOND) / 1_000;
  return `${secondText}${String(Math.floor(micros)).padStart(6, "0")}Z`;
}

type WorkloadFields = ReturnType<typeof buildWorkloadFields>;
const workloadFieldsCache = new WeakMap<Workload, WorkloadFields>();

/** Namespace, pod and container. They are the same for every event of a container, so they are built once. */
export function workloadFields(workload: Workload | undefined): Partial<WorkloadFields> {
  if (workload === undefined || workload.host !== undefined) return {};
  let fields = workloadFieldsCache.get(workload);
  if (fields === undefined) {
    workloadFieldsCache.set(workload, fields = buildWorkloadFields(workload));
  }
  return fields;
}

function buildWorkloadFields(workload: Workload) {
  return {
    NamespaceName: orAbsent(workload.namespace),
    PodName: orAbsent(workload.podName),
    Labels: orAbsent(labelsText(workload.labels)),
    ContainerID: orAbsent(workload.id),
    ContainerName: orAbsent(workload.name),
    ContainerImage: orAbsent(workload.image),
  };
}

/** `k=v,k=v`, sorted, so that equal labels give equal text. */
function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).sort().join(",");
}

/** Of records about the node itself only, as in KubeArmor. */
export function userFields(event: TaskEvent, reporter: Reporter) {
  return {
    UserName: isHostIndex(event.container) ? orAbsent(reporter.userName(event.uid)) : undefined,
  };
}

/** Process ids and user. They are in the JSON also when 0: uid 0 is root, which no reader should have to infer. */
export function pidFields(event: TaskEvent) {
  return {
    HostPPID: event.ppid,
    HostPID: event.pid,
    PPID: event.nsPpid,
    PID: event.nsPid,
    UID: event.uid,
  };
}

/** `lsm=FILE_RENAME newpath=/x` and `{"Lsm":"FILE_RENAME","Newpath":"/x"}`, from the same words. */
export function dataFields(words: readonly (readonly [key: string, value: string])[]) {
  return {
    Data: orAbsent(words.map(([key, value]) => `${key}=${value}`).join(" ")),
    EventData: Object.fromEntries(words.map(([key, value]) => [capital(key), value])),
  };
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** KubeArmor ends a working directory with a slash. */
export function cwdText(cwd: string): string | undefined {
  if (cwd === "") return undefined;
  return cwd.endsWith("/") ? cwd : cwd + "/";
}

/**
 * A program's path and its arguments behind argv[0], at most 20, then `...`. `cut`: the record had no room for more.
 */
export function commandLine(exe: string, args: readonly string[], cut = false): string {
  const shown = args.slice(1, 1 + ARGUMENTS_MAX);
  const more = args.length > 1 + ARGUMENTS_MAX || (cut && args.length >= ARGUMENTS_MAX);
  return [exe, ...shown, ...(more ? ["..."] : [])].filter((word) => word !== "").join(" ");
}

/** Unique for the life of the machine: ns since boot at exec, and the process. Undefined for an image never seen. */
export function execEvent(ref: ExecRef, exe: string) {
  if (ref.timeNs === 0n && ref.pid === 0) return undefined;
  const name = exe.slice(exe.lastIndexOf("/") + 1);
  return { ExecID: `${ref.timeNs}-${ref.pid}`, ExecutableName: orAbsent(name) };
}
