/** What the agent holds open in the kernel. */

import { checked } from "./errors.ts";
import type { Shim } from "./load.ts";

/** Tells of a handle that the collector found open. The default writes to stderr. */
export type LeakReporter = (what: string) => void;

let reportLeak: LeakReporter = (what) => console.error(`Leak: ${what} was never closed`);

/**
 * Replaces the reporter of leaks, and returns the one before.
 *
 * A leak is only reported: closing it then would take a link, and with it enforcement, away at a random moment.
 */
export function setLeakReporter(reporter: LeakReporter): LeakReporter {
  const before = reportLeak;
  reportLeak = reporter;
  return before;
}

const finalizers = new FinalizationRegistry<string>((what) => reportLeak(what));

/** A number that stands for something open. Closing is idempotent; any other use of a closed one throws. */
export abstract class Handle implements Disposable {
  readonly #number: number;
  #open = true;

  /** @param what as messages name it: `map "images"` */
  protected constructor(protected readonly shim: Shim, number: number, readonly what: string) {
    this.#number = number;
    finalizers.register(this, what, this);
  }

  /** The handle or descriptor. @throws {TypeError} after close, naming `operation` */
  protected number(operation: string): number {
    if (this.#open) return this.#number;
    throw new TypeError(`${operation}: ${this.what} is closed`);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    finalizers.unregister(this);
    this.release(this.#number);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  protected abstract release(number: number): void;
}

/** A file descriptor. */
export abstract class Descriptor extends Handle {
  /** The descriptor, for other calls of the shim. */
  fd(operation: string): number {
    return this.number(operation);
  }

  protected override release(number: number): void {
    checked(this.shim.symbols.ankylo_close(number), "Close", this.what);
  }
}
