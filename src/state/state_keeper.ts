/** Saves the latest state, one write at a time and not more often than the disk should bear. */

import type { Clock } from "../lib/clock.ts";
import type { SavedState } from "./state_file.ts";

/** Between two writes: containers that come and go in rows are saved together. */
const GAP_MS = 1_000;

export interface KeeperOptions {
  readonly clock: Clock;
  readonly write: (state: SavedState) => Promise<void>;
  /** Told once for each reason; the next state is tried again. */
  readonly onFailure: (error: Error) => void;
}

export class StateKeeper {
  readonly #options: KeeperOptions;
  readonly #closed = new AbortController();
  #next: (() => SavedState) | undefined;
  #running: Promise<void> | undefined;
  #failure: string | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Why the last state was not saved; undefined: it was. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Saves what `state` gives when its turn comes. */
  save(state: () => SavedState): void {
    if (this.#closed.signal.aborted) return;
    this.#next = state;
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  /** Settles when the latest state is saved. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#next !== undefined) {
      const state = this.#next;
      this.#next = undefined;
      await this.#write(state());
      await this.#options.clock.sleep(GAP_MS, this.#closed.signal);
    }
  }

  async #write(state: SavedState): Promise<void> {
    try {
      await this.#options.write(state);
      this.#failure = undefined;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.message !== this.#failure) this.#options.onFailure(error);
      this.#failure = error.message;
    }
  }
}
