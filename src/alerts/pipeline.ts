/**
 * From ring records to published JSON: decode, remember who runs what, attribute, number, publish.
 *
 * Alerts and telemetry come through two rings, so that a flood of the one never delays the other; therefore an alert may
 * arrive before the exec that says who acted. Such an alert is held until the exec is here, HOLD_MS at the most, and all
 * behind it wait too: alerts keep the kernel's order. The decision itself was taken long before.
 */
import { EVENT_DECISION } from "../../ffi/generated/agent_api.ts";
import { RecordCursor } from "../events/batch.ts";
import { EventDecoder, exitedPid } from "../events/decode.ts";
import { actorOf } from "../events/enrich.ts";
import type {
  ContainerEvent,
  DecisionEvent,
  DecisionKind,
  ExecEvent,
  ExitEvent,
  HeldEvent,
  SuppressedEvent,
} from "../events/event.ts";
import { isUnknown, type ProcessTree } from "../events/process_tree.ts";
import type { Clock } from "../lib/clock.ts";
import type { Workload } from "../model/workload.ts";
import { buildAlert } from "./alert.ts";
import { AlertTemplate, FilledAlert } from "./alert_template.ts";
import { type JsonRecord, textRecord } from "./json_record.ts";
import { buildLog } from "./log.ts";
import { attribute, type RuleTable } from "./match.ts";
import type { Reporter } from "./record.ts";
import { type AlertContext, AlertRepeats, bootTimeOf, suppressedOf } from "./repeats.ts";
import { type SeenLately, SeenOperations, touch } from "./seen.ts";

/** An exec's record is in its ring before the alert is; what has not been read by then was lost. */
const HOLD_MS = 50;
/** Held alerts; beyond that the oldest go out with what is known. */
const HELD_MAX = 4_096;
/** Kinds of decisions whose latest is remembered, for a summary to tell what the kernel does not keep. */
const KINDS_MAX = 4_096;

const TYPE_MASK = 0xffff;

/** What subscribers may filter by. */
export interface RecordFacets {
  /** Name of the policy, or `DefaultPosture`; empty for telemetry. */
  readonly policy: string;
  /** Name and id of the container; empty when no runtime has described it. */
  readonly containers: readonly string[];
  /** `Block`, `Audit` or `Audit (Block)`; empty for telemetry. */
  readonly action: string;
  /** `Process`, `File`, `Network`, `Capabilities` or `Syscall`. */
  readonly operation: string;
}

/** Takes a finished record, which is used up when the call returns. `seq`: contiguous. */
export type Publish = (seq: number, record: JsonRecord, facets: RecordFacets) => void;

export interface PipelineOptions {
  readonly reporter: Reporter;
  readonly tree: ProcessTree;
  readonly clock: Clock;
  /** By container index; undefined when no runtime has described it. */
  readonly workloadOf: (container: number) => Workload | undefined;
  /** By generation; undefined when the agent no longer holds it. */
  readonly imageOf: (generation: number) => RuleTable | undefined;
  /** CLOCK_BOOTTIME in ns to ns since the Unix epoch. */
  readonly unixNs: (bootNs: bigint) => bigint;
  /** Numbers that agents before have given out; default 0. */
  readonly lastAlert?: number;
  readonly lastLog?: number;
  readonly onAlert: Publish;
  /** Whether anyone reads logs. Those that no one reads are numbered only. */
  readonly wantsLogs?: () => boolean;
  readonly onLog: Publish;
  /** Logs up to this number were not made. */
  readonly onLogSkipped?: (seq: number) => void;
  readonly onContainer: (event: ContainerEvent) => void;
  /** An alert waits for a record of the other ring: reading that may be hurried. */
  readonly onHeld?: () => void;
  /** A process waits with its exec. */
  readonly onProcessHeld: (event: HeldEvent) => void;
}

export interface PipelineCounts {
  /** The last alert's number. */
  readonly alerts: number;
  /** The last log's number. */
  readonly logs: number;
  readonly malformed: number;
  /** Alerts that went out although their exec never came. */
  readonly unexplained: number;
}

export class EventPipeline {
  readonly #options: PipelineOptions;
  readonly #decoder = new EventDecoder();
  readonly #closed = new AbortController();
  readonly #repeats = new AlertRepeats();
  readonly #seen = new SeenOperations();
  readonly #filled = new FilledAlert();
  #held: { event: DecisionEvent; untilMs: number }[] = [];
  /** The latest decision of each kind, the kind that was told last at the end. */
  readonly #kinds = new Map<DecisionKind, DecisionEvent>();
  #timerRuns = false;
  #alerts: number;
  #logs: number;
  #unexplained = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#alerts = options.lastAlert ?? 0;
    this.#logs = options.lastLog ?? 0;
  }

  get counts(): PipelineCounts {
    return {
      alerts: this.#alerts,
      logs: this.#logs,
      malformed: this.#decoder.counts.malformed,
      unexplained: this.#unexplained,
    };
  }

  /** Different operations that containers did, as far as they are recorded. */
  get seen(): SeenLately {
    const { dropped, tooLong } = this.#seen;
    return { entries: this.#seen.entries(), dropped, tooLong };
  }

  /** One batch of `ring_alerts`, in the form of ffi/ring.ts. Keeps nothing of its memory. */
  takeAlerts(batch: Uint8Array<ArrayBuffer>): void {
    const record = new RecordCursor(batch);
    const epochNs = this.#options.unixNs(0n);
    const epoch = { micros: Number(epochNs / 1_000n), ns: Number(epochNs % 1_000n) };
    while (record.next()) {
      if (this.#held.length === 0 && this.#repeat(record, epoch)) continue;
      const event = this.#decoder.decode(record);
      if (event?.type === "decision") this.#onDecision(event, record);
      else if (event?.type === "suppressed") this.#onSuppressed(event);
      else if (event?.type === "container") this.#options.onContainer(event);
      else if (event?.type === "held") this.#options.onProcessHeld(event);
    }
    this.#release();
  }

  /** One batch of `ring_events`, in the form of ffi/ring.ts. Keeps nothing of its memory. */
  takeEvents(batch: Uint8Array<ArrayBuffer>): void {
    const record = new RecordCursor(batch);
    const isRead = this.#options.wantsLogs?.() !== false;
    const before = this.#logs;
    while (record.next()) {
      const ended = isRead ? undefined : exitedPid(record);
      if (ended !== undefined) {
        this.#logs++;
        this.#options.tree.onExit(ended);
        continue;
      }
      const event = this.#decoder.decode(record);
      if (event?.type === "exec") this.#onExec(event, isRead);
      else if (event?.type === "exit") this.#onExit(event);
    }
    if (!isRead && this.#logs > before) this.#options.onLogSkipped?.(this.#logs);
    this.#release();
  }

  /** Publishes what is held, with what is known. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const { event } of this.#held.splice(0)) this.#publishAlert(event);
  }

  #onExec(event: ExecEvent, isRead: boolean): void {
    const { tree } = this.#options;
    const before = tree.current(event.pid)?.exe;
    const parent = tree.onExec(event).parentExe ?? "";
    // A process that was found ran before: telling of it now would be an exec that did not happen.
    if (event.found) return;
    this.#rememberExec(event, before ?? parent, parent);
    if (isRead) this.#publishLog(event);
    else this.#logs++;
  }

  #rememberExec(event: ExecEvent, from: string, parent: string): void {
    const { workloadOf, unixNs } = this.#options;
    const workload = workloadOf(event.container);
    if (workload === undefined || event.staging) return;
    const micros = Number(unixNs(event.timeNs) / 1_000n);
    this.#seen.addExec(event, workload, { from, parent }, micros);
  }

  #onExit(event: ExitEvent): void {
    this.#publishLog(event);
    this.#options.tree.onExit(event.pid);
  }

  /** Publishes the alert of a record that repeats an earlier one; false when it does not. */
  #repeat(record: RecordCursor, epoch: { micros: number; ns: number }): boolean {
    if ((record.words[record.word]! & TYPE_MASK) !== EVENT_DECISION) return false;
    const repeat = this.#repeats.find(record, this.#isCurrent);
    if (repeat === undefined) return false;
    const boot = bootTimeOf(record);
    const carry = boot.ns + epoch.ns >= 1_000 ? 1 : 0;
    const micros = boot.micros + epoch.micros + carry;
    if (repeat.seen !== undefined) touch(repeat.seen, micros);
    this.#send(repeat.template, micros, suppressedOf(record));
    return true;
  }

  readonly #isCurrent = (context: AlertContext): boolean =>
    this.#options.workloadOf(context.container) === context.workload &&
    this.#options.imageOf(context.generation) === context.table &&
    this.#options.tree.holds(context.process);

  #onDecision(event: DecisionEvent, record: RecordCursor): void {
    if (this.#held.length === 0 && this.#isExplained(event)) {
      return this.#publishAlert(event, { record });
    }
    this.#held.push({ event, untilMs: this.#options.clock.nowMs() + HOLD_MS });
  }

  #isExplained(event: DecisionEvent): boolean {
    return isUnknown(event.exec) || this.#options.tree.knows(event.exec);
  }

  /** The kernel knows the kind alone: the rest is the latest decision's of that kind, where it is remembered. */
  #onSuppressed({ decision }: SuppressedEvent): void {
    this.#release();
    const { timeNs, suppressed } = decision;
    const latest = this.#kinds.get(decision.kind) ?? decision;
    this.#publishAlert({ ...latest, timeNs, suppressed }, { isSummary: true });
  }

  #remember(event: DecisionEvent): void {
    this.#kinds.delete(event.kind);
    this.#kinds.set(event.kind, event);
    if (this.#kinds.size <= KINDS_MAX) return;
    const [oldest] = this.#kinds.keys();
    this.#kinds.delete(oldest!);
  }

  /** Publishes from the front as far as the actors are known or the wait is over. */
  #release(): void {
    if (this.#held.length === 0) return;
    const nowMs = this.#options.clock.nowMs();
    let ready = 0;
    for (const { event, untilMs } of this.#held) {
      const known = this.#isExplained(event);
      const waited = untilMs <= nowMs || this.#held.length - ready > HELD_MAX;
      if (!known && !waited) break;
      if (!known) this.#unexplained++;
      ready++;
      this.#publishAlert(event);
    }
    this.#held.splice(0, ready);
    if (this.#held.length === 0) return;
    // Each time: the exec that the next one waits for may be younger than what was hurried for the last.
    this.#options.onHeld?.();
    this.#releaseLater(this.#held[0]!.untilMs - nowMs);
  }

  async #releaseLater(ms: number): Promise<void> {
    if (this.#timerRuns) return;
    this.#timerRuns = true;
    await this.#options.clock.sleep(ms, this.#closed.signal);
    this.#timerRuns = false;
    if (!this.#closed.signal.aborted) this.#release();
  }

  /** `record`: what the event was decoded from, if that is still there. */
  #publishAlert(
    event: DecisionEvent,
    { record, isSummary = false }: { record?: RecordCursor; isSummary?: boolean } = {},
  ): void {
    const { tree, reporter, workloadOf, imageOf } = this.#options;
    const { container, generation } = event;
    const [workload, table] = [workloadOf(container), imageOf(generation)];
    const unixNs = this.#options.unixNs(event.timeNs);
    const process = tree.actor(event);
    const micros = Number(unixNs / 1_000n);
    const actor = actorOf(event, process, tree);
    const seen = isSummary ? undefined : this.#seen.addDecision(event, workload, actor, micros);
    const alert = buildAlert({
      seq: 0,
      event,
      unixNs,
      actor,
      workload,
      rule: attribute(event, table),
      isSummary,
    }, reporter);
    const template = new AlertTemplate(alert, {
      policy: alert.PolicyName,
      containers: containerNames(workload),
      action: alert.Action,
      operation: alert.Operation,
    });
    this.#remember(event);
    if (record !== undefined && process !== undefined) {
      const context = { process, container, workload, generation, table, seen };
      this.#repeats.add(record, context, template);
    }
    this.#send(template, micros, event.suppressed);
  }

  #send(template: AlertTemplate, micros: number, suppressed: number): void {
    const seq = ++this.#alerts;
    const alert = this.#filled.fill(template, micros, seq, suppressed);
    this.#options.onAlert(seq, alert, template.facets);
  }

  #publishLog(event: ExecEvent | ExitEvent): void {
    const { tree, reporter, workloadOf, unixNs, onLog } = this.#options;
    const seq = ++this.#logs;
    const workload = workloadOf(event.container);
    const actor = actorOf(event, tree.actor(event), tree);
    const log = buildLog({ seq, event, unixNs: unixNs(event.timeNs), actor, workload }, reporter);
    const containers = containerNames(workload);
    const facets = { policy: "", containers, action: "", operation: "Process" };
    onLog(seq, textRecord(JSON.stringify(log)), facets);
  }
}

function containerNames(workload: Workload | undefined): string[] {
  return workload === undefined ? [] : [workload.name, workload.id];
}
