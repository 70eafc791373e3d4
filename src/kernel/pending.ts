/** New containers that nobody has described: what the kernel is told of the agent, and what the agent does for those held. */

import type { Clock } from "../lib/clock.ts";
import type { Enforcer } from "./enforcer.ts";
import type { PendingMode } from "./engine_maps.ts";
import { type HeldProcess, HeldProcesses, type HoldCounts } from "./hold.ts";

/** What is needed of the Enforcer. */
export type PendingKernel = Pick<
  Enforcer,
  "enforces" | "isPending" | "giveUp" | "resume" | "beat" | "survey"
>;

export interface PendingOptions {
  /** Undefined: nothing is enforced, so nothing is held. */
  readonly enforcer: PendingKernel | undefined;
  readonly mode: PendingMode;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Whether a container that comes now will be described: the kernel holds its first program only then. */
  readonly describes: () => boolean;
  /** Runs what may fail without harm. Returns undefined when it failed. */
  readonly attempt: <T>(work: () => T) => T | undefined;
  readonly onTimeout: (container: number) => void;
  /** More tasks than before have been in a container for a while and are still taken for its runtime. */
  readonly onStaging: (tasks: number) => void;
}

export interface PendingCounts extends HoldCounts {
  /** Tasks that entered a container more than 5 s ago and are still taken for its runtime: not judged. */
  readonly staging: number;
}

/** How often the kernel is told that the agent describes containers: five times as often as it wants to hear it. */
const BEAT_MS = 1_000;

/** For letting go of held processes when the agent stops: they need a few milliseconds. */
const LET_GO_MS = 2_000;

export class PendingContainers {
  readonly #options: PendingOptions;
  readonly #held: HeldProcesses;
  #staging = 0;
  #stopped = false;

  constructor(options: PendingOptions) {
    const { clock, timeoutMs, onTimeout } = options;
    this.#options = options;
    this.#held = new HeldProcesses({
      target: {
        isPending: (container) => options.enforcer?.isPending(container) ?? false,
        giveUp: (container) => this.#giveUp(container),
        resume: (process) => options.attempt(() => options.enforcer?.resume(process)) ?? false,
      },
      clock,
      timeoutMs,
      onTimeout,
    });
  }

  get counts(): PendingCounts {
    return { ...this.#held.counts, staging: this.#staging };
  }

  /** The kernel holds a process. */
  take(process: HeldProcess): void {
    this.#held.take(process);
  }

  /** Containers may have been described, or nobody may describe them any more: both sides hear of it at once. */
  update(): void {
    const { enforcer, mode, describes, attempt } = this.#options;
    this.#held.release();
    attempt(() => enforcer?.beat(!this.#stopped && describes(), mode));
  }

  /** Until the signal aborts. */
  async keepBeating(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.update();
      await this.#options.clock.sleep(BEAT_MS, signal);
    }
  }

  /** Looks at all tasks. What the kernel holds and the agent does not know of, it tells anew. */
  survey(): void {
    const { enforcer, onStaging } = this.#options;
    if (!enforcer?.enforces) return;
    const { staging } = enforcer.survey();
    if (staging > this.#staging) onStaging(staging);
    this.#staging = staging;
  }

  /** Nobody is held by an agent that goes, unless the settings say that the next one lets them go. Rings are still read. */
  async letGo(): Promise<void> {
    const { enforcer, mode, clock, attempt } = this.#options;
    this.#stopped = true;
    this.update();
    if (enforcer === undefined || mode === "hold") return;
    this.#held.close();
    const endMs = clock.nowMs() + LET_GO_MS;
    // What is still in the ring, or was lost, the survey tells anew; a record takes a moment to come.
    while (clock.nowMs() < endMs) {
      if (!attempt(() => enforcer.survey().held)) return;
      await clock.sleep(10);
    }
  }

  #giveUp(container: number): boolean {
    const { enforcer, mode, attempt } = this.#options;
    if (mode === "hold") return false;
    attempt(() => enforcer?.giveUp(container, mode));
    return true;
  }
}
