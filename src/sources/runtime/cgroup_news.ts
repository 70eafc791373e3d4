/** What the kernel tells of containers' cgroups, on its way to the watcher of a runtime. */

/** A container's cgroup was made or removed. */
export interface CgroupChange {
  /** From the root of the hierarchy, with a leading slash. */
  readonly path: string;
  readonly id: bigint;
  readonly gone: boolean;
}

/** More than a node makes at once; what is dropped is found a little later, by the runtime's own word. */
const WAITING_MAX = 1_024;

/** A bounded queue of one reader. */
export class CgroupNews {
  readonly #waiting: CgroupChange[] = [];
  #wake = Promise.withResolvers<"cgroups">();

  push(change: CgroupChange): void {
    if (this.#waiting.length === WAITING_MAX) this.#waiting.shift();
    this.#waiting.push(change);
    this.#wake.resolve("cgroups");
  }

  /** Settles when there is something to take. */
  get ready(): Promise<"cgroups"> {
    return this.#wake.promise;
  }

  /** All that came since the last call. */
  take(): CgroupChange[] {
    this.#wake = Promise.withResolvers();
    return this.#waiting.splice(0);
  }
}
