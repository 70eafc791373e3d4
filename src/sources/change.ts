/** Tells when something in a folder may have changed, also when the folder itself comes and goes. */
import { basename, dirname, join, resolve } from "node:path";
import { type Clock, systemClock } from "../lib/clock.ts";

export interface ChangeOptions {
  readonly signal: AbortSignal;
  readonly openWatch: () => FolderWatch;
  /** Quiet time while a file is being written, before it is read nevertheless. Default 50 ms. */
  readonly debounceMs?: number;
  /** Told at least this often, because some changes go unseen (see below). Default 30 s. */
  readonly relistMs?: number;
  readonly clock?: Clock;
}

/** One change in a watched folder. */
export interface FolderEvent {
  /** As it was given to `watch`; undefined: any of them. */
  readonly directory: string | undefined;
  /** Of what changed in it; empty: the folder itself. */
  readonly name: string;
  /**
   * `writing`: a file is new or was written to, and may be still; `written`: it is not any more, or came to its name or went
   * from it; `lost`: the folder itself went, or changes were not told.
   */
  readonly kind: "writing" | "written" | "other" | "lost";
}

/** The kernel's watch of folders: ffi/watch.ts. */
export interface FolderWatch extends AsyncIterable<readonly FolderEvent[]> {
  /** Watches what has these paths now, and nothing else any more. @throws {Error} why it can't */
  watch(folders: readonly string[]): void;
  close(): Promise<void>;
}

const DEBOUNCE_MS = 50;
const RELIST_MS = 30_000;

/** A file that is written without an end is read after this many quiet times nevertheless. */
const DEBOUNCES_MAX = 20;

/**
 * Watches a folder, which need not exist, without its subfolders.
 *
 * inotify watches an inode, not a name. So the folder above is watched too (the nearest that exists), everything is watched
 * anew whenever the folder itself came or went, and everything is told and watched anew every `relistMs`: files behind links
 * into other folders change unseen.
 */
export class FolderChanges {
  readonly #folder: string;
  readonly #matters: (name: string) => boolean;
  readonly #options: ChangeOptions;
  readonly #clock: Clock;
  readonly #debounceMs: number;
  readonly #relistMs: number;
  #watch: FolderWatch | undefined;
  #following: Promise<void> | undefined;
  #stale = true;
  #pending = false;
  /** Files that were written and have not been closed, as far as can be seen. */
  readonly #written = new Set<string>();
  #wake = () => {};
  #failure: string | undefined;

  /** `matters`: whether a file of that name is worth telling of. */
  constructor(folder: string, matters: (name: string) => boolean, options: ChangeOptions) {
    this.#folder = resolve(folder);
    this.#matters = matters;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#debounceMs = options.debounceMs ?? DEBOUNCE_MS;
    this.#relistMs = options.relistMs ?? RELIST_MS;
    options.signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** Why changes are only seen every `relistMs`, for example because the node has run out of inotify watches. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Begins to watch. Call it before reading the folder: what changes after this is told by the next `next`. */
  arm(): void {
    this.#pending = false;
    this.#written.clear();
    if (!this.#stale) return;
    this.#stale = false;
    this.#failure = undefined;
    try {
      this.#watch ??= this.#options.openWatch();
      this.#watchNearest(this.#watch);
      this.#following ??= this.#follow(this.#watch);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#fail(error);
    }
  }

  /** The folder may come or go between the look and the watch: then looks again. */
  #watchNearest(watch: FolderWatch): void {
    for (;;) {
      const seen = nearestExisting(this.#folder);
      let failure: unknown;
      try {
        // In this order: a folder that is exchanged between the two is told of.
        watch.watch([...new Set([dirname(seen), seen])]);
      } catch (error) {
        failure = error;
      }
      if (nearestExisting(this.#folder) !== seen) continue;
      if (failure !== undefined) throw failure;
      return;
    }
  }

  /** Settles at the next change, once no file is being written; after `withinMs` or `relistMs`; or when the signal aborts. */
  async next(withinMs = this.#relistMs): Promise<void> {
    if (await this.#changedWithin(Math.min(withinMs, this.#relistMs)) === false) {
      this.#stale = true;
      return;
    }
    for (let round = 0; this.#written.size > 0 && round < DEBOUNCES_MAX; round++) {
      this.#pending = false;
      if (await this.#changedWithin(this.#debounceMs) === false) return;
    }
  }

  /** Stops watching. Idempotent. */
  async close(): Promise<void> {
    await this.#watch?.close();
    await this.#following;
  }

  async #changedWithin(ms: number): Promise<boolean> {
    if (this.#options.signal.aborted) return false;
    const timer = new AbortController();
    const changed = new Promise<void>((resolve) => this.#wake = resolve);
    if (!this.#pending) await Promise.race([changed, this.#clock.sleep(ms, timer.signal)]);
    timer.abort();
    return this.#pending && !this.#options.signal.aborted;
  }

  /** A watch that fails later leaves the re-listing, which begins another. */
  async #follow(watch: FolderWatch): Promise<void> {
    try {
      for await (const events of watch) events.forEach((event) => this.#take(event));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#fail(error);
      this.#watch = this.#following = undefined;
      await watch.close();
    }
  }

  #take({ directory, name, kind }: FolderEvent): void {
    if (kind === "lost") {
      this.#stale = true;
    } else if (directory === this.#folder) {
      if (name !== "" && !this.#matters(name)) return;
      if (kind === "writing") this.#written.add(name);
      if (kind === "written") this.#written.delete(name);
    } else {
      // Beside the folder, or on the way to it: then what is watched may be gone, or there may be more to watch.
      if (!`${this.#folder}/`.startsWith(`${join(directory!, name)}/`)) return;
      this.#stale = true;
    }
    this.#pending = true;
    this.#wake();
  }

  #fail(error: Error): void {
    this.#failure = error.message;
    this.#stale = true;
  }
}

/** The folder, or the nearest above it that exists. */
function nearestExisting(folder: string): string {
  for (let path = folder;; path = dirname(path)) {
    try {
      Deno.statSync(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || basename(path) === "") throw error;
    }
  }
}
