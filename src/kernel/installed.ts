/** What the kernel holds, as the agent knows it: read whole when it opens, followed as it applies. */

import { CONTAINERS_KERNEL, WORD_PENDING } from "../../ffi/generated/agent_api.ts";
import { hostIndexOf, isHostIndex } from "./host_index.ts";
import type { KernelMaps } from "./kernel_maps.ts";
import { readWord } from "./word.ts";

/**
 * The kernel's own changes are few: it turns free words into pending ones, adds their cgroups, and removes a cgroup that
 * is gone.  `refresh` and `follow` bring those in; whatever is missed costs a store that changes nothing.
 */
export class Installed {
  /** Container index → word; absent: free. */
  readonly words: Map<number, bigint>;
  /** Slot → generation; 0: an image that no word named when it was found. */
  readonly slots: Map<number, number>;
  readonly cgroups: Map<bigint, number>;
  /** Indices whose cgroup is gone while tasks may still carry them. */
  readonly gone: Set<number>;
  /** False while tasks may run in a known cgroup without its identity: after opening, and after an index was given. */
  identified = false;

  private constructor(words: Map<number, bigint>, cgroups: Map<bigint, number>) {
    this.words = words;
    this.cgroups = cgroups;
    this.slots = new Map();
    this.gone = new Set();
  }

  /** Of maps that are new: there is nothing to read. */
  static empty(): Installed {
    return new Installed(new Map(), new Map());
  }

  /** The whole state. @throws {BpfError} */
  static read(maps: KernelMaps): Installed {
    const installed = new Installed(maps.words(), maps.cgroups());
    const named = [...installed.words.values()].flatMap((word) => readWord(word) ?? []);
    for (const slot of maps.slots(new Set(named.map(({ slot }) => slot)))) {
      installed.slots.set(slot, 0);
    }
    for (const { slot, generation } of named) installed.slots.set(slot, generation);
    const alive = new Set(installed.cgroups.values());
    for (const index of installed.words.keys()) {
      if (!alive.has(index) && !isHostIndex(index)) installed.gone.add(index);
    }
    return installed;
  }

  /** The index of a cgroup, or of HOST_IDS. */
  indexOf(cgroupId: bigint): number | undefined {
    return hostIndexOf(cgroupId) ?? this.cgroups.get(cgroupId);
  }

  /** Learns the indices that the kernel gave to these cgroups. */
  refresh(maps: KernelMaps, cgroupIds: Iterable<bigint>): void {
    for (const cgroupId of cgroupIds) {
      if (this.indexOf(cgroupId) !== undefined) continue;
      const index = maps.indexOf(cgroupId);
      if (index !== undefined) this.cgroups.set(cgroupId, index);
    }
  }

  /** The kernel said that a container's cgroup came or went. */
  follow(index: number, cgroupId: bigint, gone: boolean): void {
    if (gone) {
      this.cgroups.delete(cgroupId);
      this.gone.add(index);
    } else if (index !== 0) {
      this.cgroups.set(cgroupId, index);
      this.gone.delete(index);
      if (!this.words.has(index)) this.words.set(index, WORD_PENDING);
    }
  }

  /**
   * Indices without a cgroup that no task carries any more.  One of the kernel's range must be marked as gone as well: in
   * the middle of a cgroup_mkdir it has a word and no cgroup yet.
   */
  freeable(maps: KernelMaps): number[] {
    return [...this.gone].filter((index) => {
      const { tasks, gone } = maps.use(index);
      return tasks === 0 && (gone || index >= CONTAINERS_KERNEL);
    });
  }
}
