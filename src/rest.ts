/** Tells when the agent has come to rest: the time to make ready for the next change, and to give memory back. */

import type { Clock } from "./lib/clock.ts";

/** What is done once the agent has been quiet for `afterMs`, counted from the stage before. */
export interface RestStage {
  readonly afterMs: number;
  readonly tidy: () => void;
}

/** Between two changes that belong together little is to be expected; what is given back is needed again by the next. */
const [READY_MS, RELEASE_MS] = [1_000, 9_000];

/** `prepare`: for the next policy; `release`: memory. */
export function restStages(prepare: () => void, release: () => void): RestStage[] {
  return [{ afterMs: READY_MS, tidy: prepare }, { afterMs: RELEASE_MS, tidy: release }];
}

/** Goes through the stages once after each time of work; work in between begins them anew. */
export class Rest {
  readonly #clock: Clock;
  readonly #stages: readonly RestStage[];
  #closed = false;
  #busy = false;
  /** Ends the wait that is under way. */
  #wake = new AbortController();
  #running: Promise<void> | undefined;

  constructor(clock: Clock, stages: readonly RestStage[]) {
    this.#clock = clock;
    this.#stages = stages;
  }

  /** The agent has worked just now. */
  disturb(): void {
    if (this.#closed) return;
    this.#busy = true;
    this.#wake.abort();
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let stage = 0; stage < this.#stages.length && !this.#closed;) {
      const { afterMs, tidy } = this.#stages[stage]!;
      this.#busy = false;
      this.#wake = new AbortController();
      await this.#clock.sleep(afterMs, this.#wake.signal);
      if (this.#closed) return;
      stage = this.#busy ? 0 : stage + 1;
      if (!this.#busy) tidy();
    }
  }
}
