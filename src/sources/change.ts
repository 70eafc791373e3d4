/** Tells when something in a folder may have changed, also when the folder itself comes and goes. */
import { basename, dirname, resolve } from "node:path";
import { type Clock, systemClock } from "../lib/clock.ts";

export interface ChangeOptions {
  readonly signal: AbortSignal;
  /** Quiet time while a file is being written, before it is read nevertheless. Default 50 ms. */
  readonly debounceMs?: number;
  /** Told at least this often, because some changes go unseen (see below). Default 30 s. */
  readonly relistMs?: number;
  readonly clock?: Clock;
}

const DEBOUNCE_MS = 50;

/** The same when no file is being written: what is done together comes together. */
const SETTLED_MS = 2;
const RELIST_MS = 30_000;

/** A folder that never stands still is told of after this many quiet times nevertheless. */
const DEBOUNCES_MAX = 20;

/**
 * Watches a folder, which need not exist, without its subfolders.
 *
 * inotify watches an inode, and `Deno.watchFs` says nothing when that inode is gone for good. So the folder above is
 * watched too (the nearest that exists), everything is watched anew whenever the folder itself came or went, and
 * everything is told and watched anew every `relistMs`: files behind links into other folders change unseen.
 */
export class FolderChanges {
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  readonly #debounceMs: number;
  readonly #relistMs: number;
  #watcher: Deno.FsWatcher | undefined;
  #stale = true;
  #pending = false;
  /** Files that were written and have not been closed, as far as can be seen. */
  readonly #written = new Set<string>();
  #wake = () => {};
  #failure: string | undefined;

  constructor(folder: string, options: ChangeOptions) {
    this.#folder = resolve(folder);
    this.#signal = options.signal;
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
    this.close();
    try {
      // The folder may have come between the look and the watch; then the next look finds it.
      let seen: string;
      do {
        this.close();
        seen = nearestExisting(this.#folder);
        this.#watch([...new Set([seen, dirname(seen)])]);
      } while (nearestExisting(this.#folder) !== seen);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.close();
      this.#failure = error.message;
      this.#stale = true;
    }
  }

  /** Settles after the next change and the quiet time behind it, after `withinMs` or `relistMs`, or when the signal aborts. */
  async next(withinMs = this.#relistMs): Promise<void> {
    const waitMs = Math.min(withinMs, this.#relistMs);
    if (!this.#pending && await this.#changedWithin(waitMs) === false) {
      this.#stale = true;
      return;
    }
    for (let round = 0; round < DEBOUNCES_MAX; round++) {
      this.#pending = false;
      const settledMs = Math.min(SETTLED_MS, this.#debounceMs);
      const quietMs = this.#written.size > 0 ? this.#debounceMs : settledMs;
      if (await this.#changedWithin(quietMs) === false) return;
    }
  }

  /** Stops watching. Idempotent. */
  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #changedWithin(ms: number): Promise<boolean> {
    if (this.#signal.aborted) return false;
    const timer = new AbortController();
    const changed = new Promise<void>((resolve) => this.#wake = resolve);
    if (!this.#pending) await Promise.race([changed, this.#clock.sleep(ms, timer.signal)]);
    timer.abort();
    return this.#pending && !this.#signal.aborted;
  }

  /** One watcher for all: each would be told what another of this process sees. */
  #watch(paths: string[]): void {
    const watcher = this.#watcher = Deno.watchFs(paths, { recursive: false });
    // A watcher that fails later leaves the re-listing.
    this.#follow(watcher).catch((error) => {
      this.#failure = String(error);
      this.#stale = true;
    });
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    for await (const event of watcher) {
      if (event.paths.every((path) => this.#isAside(path))) continue;
      // Of accesses only the end of a write is told, and reading must never be taken for a change.
      const isEnd = event.kind === "access" && event.paths.some((path) => this.#written.has(path));
      if (event.kind === "access" && !isEnd) continue;
      this.#note(event);
      // The way to the folder itself, or the folder: what is watched may be gone, or there may be more to watch.
      const onTheWay = event.paths.some((changed) => `${this.#folder}/`.startsWith(`${changed}/`));
      if (onTheWay) this.#stale = true;
      if (onTheWay || event.paths.some((path) => this.#isInside(path))) this.#told();
    }
  }

  /** A file on its way to its name, as writers and editors make it: only the renaming matters. `..data` is a ConfigMap's. */
  #isAside(path: string): boolean {
    return this.#isInside(path) && /^\.[^.]/.test(path.slice(this.#folder.length + 1));
  }

  #isInside(path: string): boolean {
    return path.startsWith(`${this.#folder}/`);
  }

  #note({ kind, paths }: Deno.FsEvent): void {
    const isWritten = kind === "create" || kind === "modify";
    for (const path of paths) {
      // What is written beside the folder keeps nobody waiting.
      if (!this.#isInside(path)) continue;
      if (isWritten) this.#written.add(path);
      else this.#written.delete(path);
    }
  }

  #told(): void {
    this.#pending = true;
    this.#wake();
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
