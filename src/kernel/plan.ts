/**
 * From what should be to what the kernel holds: an ordered list of steps; pure.
 *
 * Every step leaves each container with either its old image or its new one, complete, so an agent may die between any
 * two: the next one plans again from what it finds.  The order that gives this: images before the words that name them;
 * a word before the cgroup that leads to it; old images last, when no word names them and no program runs any more that
 * may have read a word that did.
 */

import {
  CONTAINERS_KERNEL,
  HOST_CONTAINER,
  IMAGES_MAX,
  WORD_FREE,
  WORD_UNPOLICED,
} from "../../ffi/generated/agent_api.ts";
import { hostIndexOf, isHostIndex } from "./host_index.ts";
import type { Installed } from "./installed.ts";
import { policedWord, readWord } from "./word.ts";

/** A compiled image as far as this room cares. Equal generation means equal bytes. */
export interface PolicyImage {
  readonly generation: number;
  readonly opsLive: number;
  readonly bytes: Uint8Array;
}

/** What should be: cgroup id of each described container, or HOST_IDS, → its image; undefined: no policy selects it. */
export type DesiredContainers = ReadonlyMap<bigint, PolicyImage | undefined>;

export type Step =
  /** The image into a slot that no word names. */
  | { readonly kind: "publish"; readonly slot: number; readonly image: PolicyImage }
  | { readonly kind: "word"; readonly index: number; readonly word: bigint }
  /** A cgroup that was there before the agent gets an index of the agent's range. */
  | { readonly kind: "index"; readonly cgroupId: bigint; readonly index: number }
  /** Tasks of such cgroups get their identity. */
  | { readonly kind: "identify" }
  | { readonly kind: "free"; readonly index: number }
  /** Programs that run now may use an image whose word they read before. `slot`: one that holds an image. */
  | { readonly kind: "await"; readonly slot: number }
  | { readonly kind: "clear"; readonly slot: number };

/** Containers or images beyond what the kernel's maps hold. */
export class CapacityError extends Error {
  override name = "CapacityError";
}

/**
 * Steps from `installed` to `desired`. Containers that `desired` does not name keep what they have. `freeable`: indices
 * whose container is gone and that no task carries.
 * @throws {CapacityError} more images than IMAGES_MAX, or more containers than the agent's range holds
 */
export function plan(
  desired: DesiredContainers,
  installed: Installed,
  freeable: Iterable<number> = [],
): Step[] {
  const free = [...freeable];
  const slots = placeImages(desired, installed.slots);
  const indices = placeContainers(desired, installed);
  const words = [...indices].map(([cgroupId, index]) => {
    const image = desired.get(cgroupId);
    if (image !== undefined) {
      return { index, word: policedWord({ ...image, slot: slots.get(image.generation)! }) };
    }
    // As long as it is free, the kernel does not look after host tasks.
    return { index, word: isHostIndex(index) ? WORD_FREE : WORD_UNPOLICED };
  });
  const added = [...indices].filter(([cgroupId]) =>
    hostIndexOf(cgroupId) === undefined && !installed.cgroups.has(cgroupId)
  );
  const changed = words.filter(({ index, word }) =>
    (installed.words.get(index) ?? WORD_FREE) !== word
  );
  const isHostNew = changed.some(({ index }) => isHostIndex(index) && !installed.words.has(index));
  const after = new Map(installed.words);
  for (const { index, word } of words) after.set(index, word);
  for (const index of free) after.delete(index);
  return [
    ...publishSteps(desired, installed.slots, slots),
    ...changed.map((word) => ({ kind: "word", ...word }) as const),
    ...added.map(([cgroupId, index]) => ({ kind: "index", cgroupId, index }) as const),
    ...(added.length > 0 || isHostNew || !installed.identified
      ? [{ kind: "identify" } as const]
      : []),
    ...free.map((index) => ({ kind: "free", index }) as const),
    ...clearSteps(after, installed.slots),
  ];
}

/** Generation → slot: where it lies, or a free slot. */
function placeImages(
  desired: DesiredContainers,
  occupied: ReadonlyMap<number, number>,
): Map<number, number> {
  const slots = new Map([...occupied].map(([slot, generation]) => [generation, slot]));
  let next = 0;
  for (const image of desired.values()) {
    if (image === undefined || slots.has(image.generation)) continue;
    next = freeSlot(occupied, next);
    if (next >= IMAGES_MAX) {
      throw new CapacityError(
        `Cannot place policy images: more than ${IMAGES_MAX} different ones are needed or still in use`,
      );
    }
    slots.set(image.generation, next++);
  }
  return slots;
}

/** The first free slot from `first` on; IMAGES_MAX or more: there is none. */
export function freeSlot(occupied: ReadonlyMap<number, number>, first = 0): number {
  let slot = first;
  while (occupied.has(slot)) slot++;
  return slot;
}

/** cgroup id → index for every desired container: the one it has, or a free one of the agent's range. */
function placeContainers(
  desired: DesiredContainers,
  installed: Installed,
): Map<bigint, number> {
  // An index that this plan frees still has its word, so it is not given out in the same plan.
  const taken = new Set([...installed.words.keys(), ...installed.cgroups.values()]);
  const indices = new Map<bigint, number>();
  let next = CONTAINERS_KERNEL;
  for (const cgroupId of desired.keys()) {
    let index = hostIndexOf(cgroupId) ?? installed.cgroups.get(cgroupId);
    if (index === undefined) {
      while (taken.has(next)) next++;
      if (next >= HOST_CONTAINER) {
        const size = HOST_CONTAINER - CONTAINERS_KERNEL;
        throw new CapacityError(`Cannot place containers: more than ${size} ran before the agent`);
      }
      index = next++;
    }
    indices.set(cgroupId, index);
  }
  return indices;
}

function publishSteps(
  desired: DesiredContainers,
  occupied: ReadonlyMap<number, number>,
  slots: ReadonlyMap<number, number>,
): Step[] {
  const images = new Map<number, PolicyImage>();
  for (const image of desired.values()) {
    if (image !== undefined) images.set(image.generation, image);
  }
  return [...images.values()].map((image) =>
    ({ kind: "publish", slot: slots.get(image.generation)!, image }) as const
  ).filter(({ slot }) => !occupied.has(slot));
}

/** Clears the slots that hold an image now and that no word will name. */
function clearSteps(
  words: ReadonlyMap<number, bigint>,
  occupied: ReadonlyMap<number, number>,
): Step[] {
  const named = new Set([...words.values()].map((word) => readWord(word)?.slot));
  const unnamed = [...occupied.keys()].filter((slot) => !named.has(slot));
  if (unnamed.length === 0) return [];
  return [
    { kind: "await", slot: unnamed[0]! },
    ...unnamed.map((slot) => ({ kind: "clear", slot }) as const),
  ];
}
