/** Takes a plan's steps in the kernel, one after the other. */

import { CONTAINERS_KERNEL, WORD_FREE } from "../../ffi/generated/agent_api.ts";
import { isHostIndex } from "./host_index.ts";
import type { Installed } from "./installed.ts";
import type { KernelMaps } from "./kernel_maps.ts";
import type { Step } from "./plan.ts";

/** The kernel refused a step; those before it stand, and `installed` says so. */
export class ApplyError extends Error {
  override name = "ApplyError";
  readonly step: Step;

  constructor(step: Step, cause: unknown) {
    super(`Cannot apply policies: step "${stepText(step)}" failed, keeping what is installed`, {
      cause,
    });
    this.step = step;
  }
}

/** A step in words. */
export function stepText(step: Step): string {
  switch (step.kind) {
    case "publish":
      return `publish generation ${step.image.generation} in slot ${step.slot}`;
    case "word":
      return `point container ${step.index} to 0x${step.word.toString(16)}`;
    case "index":
      return `give cgroup ${step.cgroupId} index ${step.index}`;
    case "identify":
      return "identify running tasks";
    case "free":
      return `free container ${step.index}`;
    case "await":
      return "wait for programs that read old words";
    case "clear":
      return `clear slot ${step.slot}`;
  }
}

/**
 * Takes the steps in order and keeps `installed` with them.
 * @throws {ApplyError} at the first step that the kernel refuses
 */
export function apply(steps: readonly Step[], maps: KernelMaps, installed: Installed): void {
  for (const step of steps) {
    try {
      take(step, maps, installed);
    } catch (error) {
      throw new ApplyError(step, error);
    }
  }
}

function take(step: Step, maps: KernelMaps, installed: Installed): void {
  switch (step.kind) {
    case "publish":
      publish(step, maps, installed);
      break;
    case "word":
      maps.setWord(step.index, step.word);
      noteWord(step, installed);
      break;
    case "index":
      maps.setIndex(step.cgroupId, step.index);
      installed.cgroups.set(step.cgroupId, step.index);
      installed.identified = false;
      installed.gone.delete(step.index);
      break;
    case "identify":
      maps.identify();
      installed.identified = true;
      break;
    case "free":
      // The use first: as soon as the word is free the kernel may give the index to a new container and count its tasks.
      maps.resetUse(step.index);
      maps.setWord(step.index, WORD_FREE);
      installed.words.delete(step.index);
      installed.gone.delete(step.index);
      break;
    case "await":
      maps.awaitReaders(step.slot);
      break;
    case "clear":
      maps.clearImage(step.slot);
      installed.slots.delete(step.slot);
      break;
  }
}

type StepOf<Kind extends Step["kind"]> = Extract<Step, { readonly kind: Kind }>;

function publish({ slot, image }: StepOf<"publish">, maps: KernelMaps, installed: Installed): void {
  const map = maps.createImage(slot, image.bytes);
  try {
    maps.putImage(slot, map);
  } finally {
    map.close();
  }
  installed.slots.set(slot, image.generation);
}

function noteWord({ index, word }: StepOf<"word">, { words, gone }: Installed): void {
  if (isHostIndex(index) && word === WORD_FREE) {
    words.delete(index);
    return;
  }
  // An index of the agent's range has no cgroup yet; should none come, it is free again.
  const isAgents = index >= CONTAINERS_KERNEL && !isHostIndex(index);
  if (isAgents && !words.has(index)) gone.add(index);
  words.set(index, word);
}
