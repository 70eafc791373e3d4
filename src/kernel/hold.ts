/**
 * Processes that the kernel holds at their first program until their container is described, and lets go by a signal: the
 * kernel then asks anew, and judges the program by what is known by now.
 */

import type { Clock } from "../lib/clock.ts";

/** A process that waits. Number and start name it for ever. */
export interface HeldProcess {
  /** Container index. */
  readonly container: number;
  /** In the host's pid namespace. */
  readonly pid: number;
  /** CLOCK_BOOTTIME. */
  readonly startNs: bigint;
}

/** What the kernel knows of containers, and how processes go on. */
export interface HoldTarget {
  /** Whether nobody has described the container, and its time is not over. */
  isPending(container: number): boolean;
  /** The time is over: what applies is the mode for undescribed containers. False: which is to go on waiting. */
  giveUp(container: number): boolean;
  /** Continues the process. False: it has ended. */
  resume(process: HeldProcess): boolean;
}

export interface HoldOptions {
  readonly target: HoldTarget;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** A container was not described in time. */
  readonly onTimeout: (container: number) => void;
}

export interface HoldCounts {
  /** Processes that wait now. */
  readonly waiting: number;
  /** That went on because their container was described. */
  readonly released: number;
  /** Whose container was not described in time. */
  readonly timedOut: number;
}

export class HeldProcesses {
  readonly #options: HoldOptions;
  readonly #closed = new AbortController();
  /** By pid. */
  readonly #waiting = new Map<number, HeldProcess>();
  #released = 0;
  #timedOut = 0;

  constructor(options: HoldOptions) {
    this.#options = options;
  }

  get counts(): HoldCounts {
    return { waiting: this.#waiting.size, released: this.#released, timedOut: this.#timedOut };
  }

  /** The kernel said so; it may say so again of one that is known. */
  take(process: HeldProcess): void {
    if (this.#waiting.get(process.pid)?.startNs === process.startNs) return;
    if (this.#closed.signal.aborted || !this.#options.target.isPending(process.container)) {
      this.#resume(process);
      return;
    }
    this.#waiting.set(process.pid, process);
    void this.#watch(process);
  }

  /** Lets go whose container is described by now. */
  release(): void {
    for (const process of this.#waiting.values()) {
      if (!this.#options.target.isPending(process.container)) this.#resume(process);
    }
  }

  /** Lets all go, those too that come later. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const process of this.#waiting.values()) this.#resume(process);
  }

  async #watch(process: HeldProcess): Promise<void> {
    const { clock, timeoutMs, target, onTimeout } = this.#options;
    await clock.sleep(timeoutMs, this.#closed.signal);
    if (this.#waiting.get(process.pid) !== process) return;
    this.#timedOut++;
    onTimeout(process.container);
    if (!target.giveUp(process.container)) return;
    this.#waiting.delete(process.pid);
    target.resume(process);
  }

  #resume(process: HeldProcess): void {
    this.#waiting.delete(process.pid);
    if (this.#options.target.resume(process)) this.#released++;
  }
}
