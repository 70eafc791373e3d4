/** The kernel's state that a plan changes, as an interface: the real one is pinned maps, tests have a fake. */

/** Tasks that carry a container's index, and whether its cgroup was removed. */
export interface ContainerUse {
  readonly tasks: number;
  readonly gone: boolean;
}

/** A policy image that the kernel holds and that no slot may name yet. Closing it after `putImage` leaves the slot's. */
export interface ImageHandle {
  close(): void;
}

/**
 * Each call is one change that takes effect before it returns, or throws and changes nothing.
 * @throws {BpfError} from every member
 */
export interface KernelMaps {
  /** Container indices whose word is not WORD_FREE. */
  words(): Map<number, bigint>;
  /** One atomic store. */
  setWord(index: number, word: bigint): void;
  use(index: number): ContainerUse;
  /** No tasks, not gone, no decisions. */
  resetUse(index: number): void;
  /** cgroup id → container index. */
  cgroups(): Map<bigint, number>;
  indexOf(cgroupId: bigint): number | undefined;
  setIndex(cgroupId: bigint, index: number): void;
  deleteIndex(cgroupId: bigint): void;
  /**
   * Slots that hold an image. Given those that words name, the search ends soon behind the last: before 6.8 each look at a
   * map of maps waits until all readers of the kernel have gone on, 20 ms. One that is overlooked is overwritten one day.
   */
  slots(named?: ReadonlySet<number>): number[];
  /** Makes, fills and freezes an image for a slot that is free. `bytes`: whole entries. */
  createImage(slot: number, bytes: Uint8Array): ImageHandle;
  putImage(slot: number, image: ImageHandle): void;
  /**
   * Returns when every program of the kernel has ended that ran when it was called, tens of milliseconds later. `slot`: one that
   * holds an image, which stays there.
   */
  awaitReaders(slot: number): void;
  clearImage(slot: number): void;
  /** Gives every task that has none the identity of its cgroup. */
  identify(): void;
}
