/** What the agent remembers of its last run: kept on disk, used until policies and containers are known anew. */

import type { HostProcfs } from "./kernel/host_procfs.ts";
import type { Clock } from "./lib/clock.ts";
import { errorText, type Log } from "./lib/log.ts";
import { type Workload, workloadKey } from "./model/workload.ts";
import { readState, type SavedState, StateError, writeState } from "./state/state_file.ts";
import { StateKeeper } from "./state/state_keeper.ts";

export interface MemoryOptions {
  /** Of the state file; undefined: nothing is kept. */
  readonly dir: string | undefined;
  /** The folder of policy files. */
  readonly folder: string;
  readonly machine: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is in force now. */
export interface Present {
  readonly texts: ReadonlyMap<string, string>;
  readonly workloads: readonly Workload[];
}

export class Memory {
  readonly #options: MemoryOptions;
  readonly #keeper: StateKeeper;
  readonly #found: SavedState | undefined;
  /** Why what lies there is not used. */
  readonly #ignored: string | undefined;
  /** By key: workloads of the last run of which the runtime has said nothing yet. */
  readonly #unseen: Map<string, Workload>;
  /** Of those, the ones whose cgroup is there. */
  readonly #recalled = new Set<string>();
  #kept: readonly string[] = [];

  private constructor(options: MemoryOptions, found: SavedState | undefined, ignored?: string) {
    this.#options = options;
    this.#found = found;
    this.#ignored = ignored;
    this.#unseen = new Map((found?.workloads ?? []).map((load) => [workloadKey(load), load]));
    const { clock, log, dir } = options;
    this.#keeper = new StateKeeper({
      clock,
      write: (state) => writeState(dir!, state),
      onFailure: (error) =>
        log.error("Cannot save what is in force: the next start will not know it", { dir, error }),
    });
  }

  /** Reads what was saved. What can't be used is told and ignored; throws nothing. */
  static async open(options: MemoryOptions): Promise<Memory> {
    const { dir, machine, log } = options;
    if (dir === undefined) return new Memory(options, undefined);
    try {
      return new Memory(options, await readState(dir, machine));
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      log.error("Ignoring what the last run saved", { reason: error.message });
      return new Memory(options, undefined, errorText(error));
    }
  }

  /** Texts of policy files by name, when the folder is the same. */
  get policies(): ReadonlyMap<string, string> {
    return this.#found?.folder === this.#options.folder ? this.#found.policies : new Map();
  }

  /** The workloads whose cgroup is there, with the id that it has now. */
  recall(procfs: HostProcfs): Workload[] {
    const root = procfs.cgroupTree?.root;
    if (root === undefined) return [];
    const recalled = [...this.#unseen.values()].flatMap((workload) => {
      const cgroupId = procfs.inode(`${root}${workload.cgroupPath}`);
      return cgroupId === undefined ? [] : [this.#recall(workload, cgroupId)];
    });
    const containers = recalled.map(({ name }) => name).join(",");
    if (containers !== "") {
      this.#options.log.info("Containers of the last run are there still", { containers });
    }
    return recalled;
  }

  /** The workload that had a cgroup of this path, which has just come. */
  recallAt(cgroupPath: string, cgroupId: bigint): Workload | undefined {
    const workload = [...this.#unseen.values()].find((load) => load.cgroupPath === cgroupPath);
    return workload && this.#recall(workload, cgroupId);
  }

  #recall(workload: Workload, cgroupId: bigint): Workload {
    this.#recalled.add(workloadKey(workload));
    return { ...workload, cgroupId };
  }

  /** The runtime has described it. */
  forget(workload: Pick<Workload, "runtimeNamespace" | "id">): void {
    this.#unseen.delete(workloadKey(workload));
    this.#recalled.delete(workloadKey(workload));
  }

  /** The runtime has described all that run. Returns those of the last run that do not any more. */
  forgetAll(): Workload[] {
    const gone = [...this.#unseen.values()];
    for (const workload of gone) this.forget(workload);
    return gone;
  }

  /** Names of the policy files whose version of the last run is in force. */
  setKept(names: readonly string[]): void {
    this.#kept = names;
  }

  /** Saves what is in force, soon. */
  save(present: () => Present): void {
    const { dir, folder, machine, clock } = this.#options;
    if (dir === undefined) return;
    this.#keeper.save(() => {
      const { texts, workloads } = present();
      const keys = new Set(workloads.map(workloadKey));
      const unseen = [...this.#unseen].filter(([key]) => !keys.has(key)).map(([, load]) => load);
      const all = [...workloads, ...unseen];
      return { machine, savedAtMs: clock.nowMs(), folder, policies: texts, workloads: all };
    });
  }

  /** For the status: whether it can be used, and what of it is in force. */
  get status(): { connected: boolean; detail: string } {
    const { dir } = this.#options;
    if (dir === undefined) return { connected: false, detail: "turned off" };
    if (this.#keeper.failure !== undefined) {
      return { connected: false, detail: this.#keeper.failure };
    }
    const found = this.#found === undefined
      ? "nothing was saved before"
      : `saved ${new Date(this.#found.savedAtMs).toISOString()} by the agent before`;
    const recalled = [...this.#recalled];
    const used = [
      ...this.#kept.length > 0 ? [`policies of ${this.#kept.join(", ")}`] : [],
      ...recalled.length > 0 ? [`containers ${recalled.join(", ")}`] : [],
    ];
    const inForce = used.length > 0 ? `; in force from it: ${used.join("; ")}` : "";
    const ignored = this.#ignored === undefined ? "" : `; ignored at the start: ${this.#ignored}`;
    return { connected: true, detail: `${dir}: ${found}${inForce}${ignored}` };
  }

  /** Settles when the latest is saved. */
  close(): Promise<void> {
    return this.#keeper.close();
  }
}
