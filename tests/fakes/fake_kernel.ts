/** A kernel in memory: the maps that a plan changes, and what the kernel itself does to them. */

import {
  CONTAINERS_KERNEL,
  CONTAINERS_MAX,
  IMAGES_MAX,
  WORD_FREE,
  WORD_PENDING,
  WORD_UNPOLICED,
} from "../../ffi/generated/agent_api.ts";
import type { ContainerUse, ImageHandle, KernelMaps } from "../../src/kernel/kernel_maps.ts";
import { readWord } from "../../src/kernel/word.ts";

/** Thrown in place of a change, as if the agent had died or the kernel had refused. */
export class FakeFailure extends Error {}

class FakeImage implements ImageHandle {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes.slice();
  }
  close(): void {}
}

/** What governs a container: its image's bytes, or the state that its word names. */
export type Governed = Uint8Array | "free" | "pending" | "unpoliced";

export class FakeKernel implements KernelMaps {
  readonly #words = new Map<number, bigint>();
  readonly #use = new Map<number, { tasks: number; gone: boolean }>();
  readonly #cgroups = new Map<bigint, number>();
  readonly #slots = new Map<number, FakeImage>();
  /** Live cgroups → tasks in them, those without identity apart. */
  readonly #live = new Map<bigint, { known: number; unknown: number }>();
  /** Changes that still succeed; each counts one down. */
  changesLeft = Infinity;
  /** Runs after each change: the instants at which a container's tasks could look. */
  onChange: () => void = () => {};

  // ---- what the agent does ----

  words(): Map<number, bigint> {
    return new Map(this.#words);
  }

  setWord(index: number, word: bigint): void {
    if (index < 1 || index >= CONTAINERS_MAX) throw new RangeError(`index ${index}`);
    this.#change(() => {
      if (word === WORD_FREE) this.#words.delete(index);
      else this.#words.set(index, word);
    });
  }

  use(index: number): ContainerUse {
    return { ...(this.#use.get(index) ?? { tasks: 0, gone: false }) };
  }

  resetUse(index: number): void {
    this.#change(() => this.#use.delete(index));
  }

  cgroups(): Map<bigint, number> {
    return new Map(this.#cgroups);
  }

  indexOf(cgroupId: bigint): number | undefined {
    return this.#cgroups.get(cgroupId);
  }

  setIndex(cgroupId: bigint, index: number): void {
    this.#change(() => this.#cgroups.set(cgroupId, index));
  }

  deleteIndex(cgroupId: bigint): void {
    this.#change(() => this.#cgroups.delete(cgroupId));
  }

  slots(): number[] {
    return [...this.#slots.keys()];
  }

  createImage(_slot: number, bytes: Uint8Array): ImageHandle {
    let image: FakeImage | undefined;
    this.#change(() => image = new FakeImage(bytes));
    return image!;
  }

  putImage(slot: number, image: ImageHandle): void {
    if (slot < 0 || slot >= IMAGES_MAX) throw new RangeError(`slot ${slot}`);
    this.#change(() => this.#slots.set(slot, image as FakeImage));
  }

  awaitReaders(slot: number): void {
    this.#change(() => {
      if (!this.#slots.has(slot)) throw new RangeError(`slot ${slot} is empty`);
    });
  }

  clearImage(slot: number): void {
    this.#change(() => this.#slots.delete(slot));
  }

  identify(): void {
    this.#change(() => {
      for (const [cgroupId, tasks] of this.#live) {
        const index = this.#cgroups.get(cgroupId);
        if (index === undefined) continue;
        this.#addTasks(index, tasks.unknown);
        this.#live.set(cgroupId, { known: tasks.known + tasks.unknown, unknown: 0 });
      }
    });
  }

  // ---- what the kernel and containers do ----

  /** A container's cgroup with tasks; `seen`: the programs were attached and gave it an index. Returns that, or 0. */
  makeContainer(cgroupId: bigint, tasks: number, seen: boolean): number {
    const index = seen ? this.#claim() : 0;
    if (index !== 0) this.#cgroups.set(cgroupId, index);
    this.#addTasks(index, seen ? tasks : 0);
    this.#live.set(cgroupId, seen ? { known: tasks, unknown: 0 } : { known: 0, unknown: tasks });
    return index;
  }

  /** Its cgroup goes; `lingering` tasks live on elsewhere. Returns its index, or 0. */
  removeContainer(cgroupId: bigint, lingering: number): number {
    const index = this.#cgroups.get(cgroupId) ?? 0;
    if (index !== 0) this.#use.set(index, { tasks: lingering, gone: true });
    this.#cgroups.delete(cgroupId);
    this.#live.delete(cgroupId);
    return index;
  }

  /** The last task that carried an index exits. */
  endTasks(index: number): void {
    this.#use.set(index, { ...this.use(index), tasks: 0 });
  }

  // ---- what a test looks at ----

  /** @throws {Error} when a word names no image or another generation: the kernel would refuse everything */
  governs(index: number): Governed {
    const word = this.#words.get(index);
    if (word === undefined) return "free";
    if (word === WORD_PENDING) return "pending";
    if (word === WORD_UNPOLICED) return "unpoliced";
    const { slot, generation } = readWord(word)!;
    const image = this.#slots.get(slot);
    if (image === undefined) throw new Error(`container ${index}: slot ${slot} is empty`);
    const found = new DataView(image.bytes.buffer).getUint32(8, true);
    if (found !== generation) throw new Error(`container ${index}: ${found}, not ${generation}`);
    return image.bytes;
  }

  /** Tasks of a cgroup that no policy can govern yet. */
  unknownTasks(cgroupId: bigint): number {
    return this.#live.get(cgroupId)?.unknown ?? 0;
  }

  #claim(): number {
    for (let index = 1; index < CONTAINERS_KERNEL; index++) {
      if (this.#words.has(index)) continue;
      this.#words.set(index, WORD_PENDING);
      this.#use.set(index, { tasks: 0, gone: false });
      return index;
    }
    return 0;
  }

  #addTasks(index: number, tasks: number): void {
    if (index === 0) return;
    const use = this.use(index);
    this.#use.set(index, { ...use, tasks: use.tasks + tasks });
  }

  #change(change: () => void): void {
    if (this.changesLeft === 0) throw new FakeFailure("fake: no changes left");
    this.changesLeft--;
    change();
    this.onChange();
  }
}
