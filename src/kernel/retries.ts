/** When what the kernel refused once is tried again: memory or descriptors may have been short, and no longer are. */

import { Backoff } from "../lib/backoff.ts";

/** The first is soon enough for whoever mends it; a program that is refused for good costs one load in half an hour. */
const RETRY = { firstMs: 10_000, limitMs: 1_800_000 };

export class Retries<T> {
  readonly #random: () => number;
  /** What failed, and from when on it may be tried again, in ms. */
  readonly #failed = new Map<T, { readonly backoff: Backoff; readonly dueMs: number }>();
  #needed: readonly T[] | undefined;

  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Whether it may be tried at `nowMs`: it has not failed, or some time ago. */
  isDue(what: T, nowMs: number): boolean {
    return nowMs >= (this.#failed.get(what)?.dueMs ?? 0);
  }

  /** Whether something that failed, and is needed, may be tried at `nowMs`. */
  isAnyDue(nowMs: number): boolean {
    return [...this.#failed].some(([what, { dueMs }]) =>
      nowMs >= dueMs && (this.#needed?.includes(what) ?? true)
    );
  }

  /**
   * What is needed from now on; at first, all that fails. Waits outlast a time in which nobody needs it: containers that come
   * and go would else have it tried each time.
   */
  need(needed: readonly T[]): void {
    this.#needed = [...needed];
  }

  /** What came of an attempt at `nowMs`. */
  note(what: T, succeeded: boolean, nowMs: number): void {
    if (succeeded) return void this.#failed.delete(what);
    const backoff = this.#failed.get(what)?.backoff ??
      new Backoff({ ...RETRY, random: this.#random });
    this.#failed.set(what, { backoff, dueMs: nowMs + backoff.next() });
  }
}
