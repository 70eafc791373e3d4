/**
 * From ring records to published JSON: decode, remember who runs what, attribute, number, publish.
 *
 * Alerts and telemetry come through two rings, so that a flood of the one never delays the other; therefore an alert may
 * arrive before the exec that says who acted. Such an alert is held until the exec is here, HOLD_MS at the most, and all
 * behind it wait too: alerts keep the kernel's order. The decision itself was taken long before.
 */
import { EventDecoder } from "../events/decode.ts";
import { actorOf } from "../events/enrich.ts";
import type { ContainerEvent, DecisionEvent, ExecEvent, ExitEvent } from "../events/event.ts";
import { isUnknown, type ProcessTree } from "../events/process_tree.ts";
import type { Clock } from "../lib/clock.ts";
import type { Workload } from "../model/workload.ts";
import { buildAlert } from "./alert.ts";
import { buildLog } from "./log.ts";
import { attribute, type RuleTable } from "./match.ts";
import type { Reporter } from "./record.ts";

/** Both rings are drained every few milliseconds; what has not come by then was lost. */
const HOLD_MS = 25;
/** Held alerts; beyond that the oldest go out with what is known. */
const HELD_MAX = 4_096;

/** What subscribers may filter by. */
export interface RecordFacets {
  /** Name of the policy, or `DefaultPosture`; empty for telemetry. */
  readonly policy: string;
  /** Name and id of the container; empty when no runtime has described it. */
  readonly containers: readonly string[];
  /** `Block`, `Audit` or `Audit (Block)`; empty for telemetry. */
  readonly action: string;
  /** `Process` or `File`. */
  readonly operation: string;
}

/** Takes a finished record. `seq`: from 1, contiguous. */
export type Publish = (seq: number, json: string, facets: RecordFacets) => void;

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
  readonly onAlert: Publish;
  readonly onLog: Publish;
  readonly onContainer: (event: ContainerEvent) => void;
}

export interface PipelineCounts {
  readonly alerts: number;
  readonly logs: number;
  readonly malformed: number;
  /** Alerts that went out although their exec never came. */
  readonly unexplained: number;
}

export class EventPipeline {
  readonly #options: PipelineOptions;
  readonly #decoder = new EventDecoder();
  readonly #closed = new AbortController();
  #held: { event: DecisionEvent; untilMs: number }[] = [];
  #timerRuns = false;
  #alerts = 0;
  #logs = 0;
  #unexplained = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  get counts(): PipelineCounts {
    return {
      alerts: this.#alerts,
      logs: this.#logs,
      malformed: this.#decoder.counts.malformed,
      unexplained: this.#unexplained,
    };
  }

  /** One batch of `ring_alerts`. Keeps nothing of the records' buffer. */
  takeAlerts(records: Iterable<Uint8Array>): void {
    for (const record of records) {
      const event = this.#decoder.decode(record);
      if (event?.type === "decision") this.#hold(event);
      else if (event?.type === "container") this.#options.onContainer(event);
    }
    this.#release();
  }

  /** One batch of `ring_events`. Keeps nothing of the records' buffer. */
  takeEvents(records: Iterable<Uint8Array>): void {
    for (const record of records) {
      const event = this.#decoder.decode(record);
      if (event?.type === "exec") this.#onExec(event);
      else if (event?.type === "exit") this.#onExit(event);
    }
    this.#release();
  }

  /** Publishes what is held, with what is known. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const { event } of this.#held.splice(0)) this.#publishAlert(event);
  }

  #onExec(event: ExecEvent): void {
    this.#options.tree.onExec(event);
    // A process that was found ran before: telling of it now would be an exec that did not happen.
    if (!event.found) this.#publishLog(event);
  }

  #onExit(event: ExitEvent): void {
    this.#publishLog(event);
    this.#options.tree.onExit(event);
  }

  #hold(event: DecisionEvent): void {
    this.#held.push({ event, untilMs: this.#options.clock.nowMs() + HOLD_MS });
  }

  /** Publishes from the front as far as the actors are known or the wait is over. */
  #release(): void {
    const { clock, tree } = this.#options;
    const nowMs = clock.nowMs();
    let ready = 0;
    for (const { event, untilMs } of this.#held) {
      const known = isUnknown(event.exec) || tree.knows(event.exec);
      const waited = untilMs <= nowMs || this.#held.length - ready > HELD_MAX;
      if (!known && !waited) break;
      if (!known) this.#unexplained++;
      ready++;
      this.#publishAlert(event);
    }
    this.#held.splice(0, ready);
    if (this.#held.length > 0) this.#releaseLater(this.#held[0]!.untilMs - nowMs);
  }

  async #releaseLater(ms: number): Promise<void> {
    if (this.#timerRuns) return;
    this.#timerRuns = true;
    await this.#options.clock.sleep(ms, this.#closed.signal);
    this.#timerRuns = false;
    if (!this.#closed.signal.aborted) this.#release();
  }

  #publishAlert(event: DecisionEvent): void {
    const { tree, reporter, workloadOf, imageOf, unixNs, onAlert } = this.#options;
    const workload = workloadOf(event.container);
    const alert = buildAlert({
      seq: ++this.#alerts,
      event,
      unixNs: unixNs(event.timeNs),
      actor: actorOf(event, tree),
      workload,
      rule: attribute(event, imageOf(event.generation)),
    }, reporter);
    onAlert(this.#alerts, JSON.stringify(alert), {
      policy: alert.PolicyName,
      containers: containerNames(workload),
      action: alert.Action,
      operation: alert.Operation,
    });
  }

  #publishLog(event: ExecEvent | ExitEvent): void {
    const { tree, reporter, workloadOf, unixNs, onLog } = this.#options;
    const workload = workloadOf(event.container);
    const seq = ++this.#logs;
    const actor = actorOf(event, tree);
    const log = buildLog({ seq, event, unixNs: unixNs(event.timeNs), actor, workload }, reporter);
    const containers = containerNames(workload);
    onLog(seq, JSON.stringify(log), { policy: "", containers, action: "", operation: "Process" });
  }
}

function containerNames(workload: Workload | undefined): string[] {
  return workload === undefined ? [] : [workload.name, workload.id];
}
