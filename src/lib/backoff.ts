export interface BackoffOptions {
  /** The first wait, in milliseconds. */
  readonly firstMs: number;
  /** No wait is longer than this. */
  readonly limitMs: number;
  /** A number in [0, 1); `Math.random` unless a test says otherwise. */
  readonly random?: () => number;
}

/**
 * Waits between attempts: each twice the one before up to a limit, of which a random half is taken off, so that the agents of
 * a cluster do not return to a restarted server in step.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Milliseconds to wait before the next attempt, between half and the whole of the current step. */
  next(): number {
    const { firstMs, limitMs, random = Math.random } = this.#options;
    const stepMs = Math.min(limitMs, firstMs * 2 ** this.#attempts);
    // Beyond this the step no longer grows, and 2 ** attempts would reach Infinity one day.
    if (stepMs < limitMs) this.#attempts++;
    return stepMs * (1 - random() / 2);
  }

  /** After a success: the next wait is the first one again. */
  reset(): void {
    this.#attempts = 0;
  }
}
