/** The 8-byte word of a container: slot | ops_live << 16 | generation << 32. @see bpf/agent_api.h */

import {
  IMAGES_MAX,
  WORD_FREE,
  WORD_PASSED,
  WORD_PENDING,
  WORD_REFUSED,
  WORD_UNPOLICED,
} from "../../ffi/generated/agent_api.ts";

/** What a word names. */
export interface PolicedWord {
  readonly slot: number;
  /** A bit per op class that may be refused or reported. */
  readonly opsLive: number;
  /** 1 .. 2^32-1. */
  readonly generation: number;
}

/** The word of a container with an image. @throws {RangeError} when a part does not fit */
export function policedWord({ slot, opsLive, generation }: PolicedWord): bigint {
  if (slot < 0 || slot >= IMAGES_MAX) throw new RangeError(`Cannot make a word: slot ${slot}`);
  if (opsLive < 0 || opsLive > 0xffff) throw new RangeError(`Cannot make a word: ops ${opsLive}`);
  if (generation < 1 || generation > 0xffffffff) {
    throw new RangeError(`Cannot make a word: generation ${generation}`);
  }
  return BigInt(slot) | BigInt(opsLive) << 16n | BigInt(generation) << 32n;
}

/** Words without an image. */
const UNPOLICED = [WORD_FREE, WORD_PENDING, WORD_UNPOLICED, WORD_PASSED, WORD_REFUSED];

/** What a word names, or undefined for a container without a policy, or that nobody has described. */
export function readWord(word: bigint): PolicedWord | undefined {
  if (UNPOLICED.includes(word)) return undefined;
  return {
    slot: Number(word & 0xffffn),
    opsLive: Number(word >> 16n & 0xffffn),
    generation: Number(word >> 32n),
  };
}
