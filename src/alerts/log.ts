/** Telemetry as KubeArmor's ContainerLog: an exec as KubeArmor tells it, and an exit, which KubeArmor has not. */
import type { Actor } from "../events/enrich.ts";
import type { ExecEvent, ExitEvent } from "../events/event.ts";
import { isHostIndex } from "../kernel/host_index.ts";
import type { Workload } from "../model/workload.ts";
import {
  commandLine,
  cwdText,
  dataFields,
  execEvent,
  orAbsent,
  pidFields,
  type Reporter,
  timeFields,
  userFields,
  workloadFields,
} from "./record.ts";

export interface LogInput {
  /** From 1, one more for each log record of this agent. */
  readonly seq: number;
  readonly event: ExecEvent | ExitEvent;
  /** Time of the event, ns since the Unix epoch. */
  readonly unixNs: bigint;
  /** The image that acts: of an exec the new one. */
  readonly actor: Actor;
  readonly workload: Workload | undefined;
}

export type ContainerLog = ReturnType<typeof buildLog>;

/** The record in the order of its JSON. Undefined fields are not in the JSON. */
export function buildLog(input: LogInput, reporter: Reporter) {
  const { event, actor } = input;
  return {
    ...timeFields(input.unixNs, reporter),
    ...workloadFields(input.workload),
    ParentProcessName: orAbsent(actor.parentExe),
    ProcessName: orAbsent(actor.exe),
    ...pidFields(event),
    Type: isHostIndex(event.container) ? "HostLog" : "ContainerLog",
    Source: orAbsent(actor.parentExe),
    Operation: "Process",
    Resource: orAbsent(commandLine(actor.exe, actor.args, event.truncated)),
    ...dataFields(dataWords(event)),
    Result: "Passed",
    Cwd: cwdText(actor.cwd),
    TTY: orAbsent(event.tty),
    ExecEvent: execEvent(event.exec, actor.exe),
    NodeID: orAbsent(reporter.nodeId),
    ...userFields(event, reporter),
    Ankylo: {
      Seq: input.seq,
      Event: event.type,
      Staging: event.staging ? true : undefined,
      Truncated: event.truncated ? true : undefined,
    },
  };
}

const SIGNAL_MASK = 0x7f;

function dataWords(event: ExecEvent | ExitEvent): (readonly [string, string])[] {
  if (event.type === "exec") return [["syscall", "SYS_EXECVE"]];
  // wait(2): the signal that killed the process in the low seven bits, else its exit code in the second byte.
  const signal = event.status & SIGNAL_MASK;
  const ended = signal === 0 ? ["code", (event.status >> 8) & 0xff] : ["signal", signal];
  return [["tracepoint", "SCHED_PROCESS_EXIT"], [String(ended[0]), String(ended[1])]];
}
