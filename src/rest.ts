/** Tells when the agent has come to rest: the time to give memory back and to make ready for the next change. */

import type { Clock } from "./lib/clock.ts";

/** Quiet time after which little more is expected. */
const REST_MS = 1_000;

/**
 * Calls `tidy` once after each time of work. A start and a change of policies leave tens of megabytes that nothing needs
 * any more, and the allocator keeps what is freed. In between nothing is given back, since it is about to be used.
 */
export class Rest {
  readonly #clock: Clock;
  readonly #tidy: () => void;
  readonly #closed = new AbortController();
  #busy = false;
  #running: Promise<void> | undefined;

  constructor(clock: Clock, tidy: () => void) {
    this.#clock = clock;
    this.#tidy = tidy;
  }

  /** The agent has worked just now. */
  disturb(): void {
    this.#busy = true;
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    while (this.#busy && !signal.aborted) {
      this.#busy = false;
      await this.#clock.sleep(REST_MS, signal);
    }
    if (!signal.aborted) this.#tidy();
  }
}
