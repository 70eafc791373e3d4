/** Time as the agent sees it, so that a test can own it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Settles after `ms` milliseconds, or at once when `signal` aborts; it never rejects. The caller looks at the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener("abort", wake, { once: true });
    }),
};

/** A clock that stands still until `advance` is called; for tests. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #sleepers: { untilMs: number; wake: () => void }[] = [];
  #arrivals: { count: number; resolve: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = {
        untilMs: this.#nowMs + ms,
        wake: () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
          signal?.removeEventListener("abort", sleeper.wake);
          resolve();
        },
      };
      signal?.addEventListener("abort", sleeper.wake, { once: true });
      this.#sleepers.push(sleeper);
      for (const arrival of this.#arrivals.splice(0)) this.#announce(arrival);
    });
  }

  /** Moves time and wakes whoever slept long enough, the earliest first. */
  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#sleepers.filter((sleeper) => sleeper.untilMs <= this.#nowMs);
    for (const sleeper of due.sort((a, b) => a.untilMs - b.untilMs)) sleeper.wake();
  }

  /** Settles once at least `count` callers sleep. */
  sleeping(count = 1): Promise<void> {
    return new Promise((resolve) => this.#announce({ count, resolve }));
  }

  #announce(arrival: { count: number; resolve: () => void }): void {
    if (this.#sleepers.length >= arrival.count) arrival.resolve();
    else this.#arrivals.push(arrival);
  }
}
