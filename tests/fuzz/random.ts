/** Random numbers and damaged bytes that one seed repeats. */

/** Numbers that code tends to get wrong: lengths at a border, signs, and bytes that begin or end something. */
const SPECIAL_BYTES = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x3a, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
const INSERTED_BYTES_MAX = 64;
/** Longer inputs are cut: they make every try slow and find no more. */
const INPUT_BYTES_MAX = 64 << 10;

/** mulberry32: small, fast, and the same everywhere. */
export class Random {
  #state: number;

  /** @param seed 32 bits */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 .. 2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 .. bound-1; 0 for a bound of 0. */
  below(bound: number): number {
    return bound === 0 ? 0 : this.next() % bound;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

type Damage = (
  bytes: number[],
  random: Random,
  other: Uint8Array,
  tokens: readonly string[],
) => void;

const DAMAGES: readonly Damage[] = [
  (bytes, random) => {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  },
  (bytes, random) => bytes[random.below(bytes.length)] = random.pick(SPECIAL_BYTES),
  (bytes, random) => bytes[random.below(bytes.length)] = random.below(256),
  (bytes, random) => bytes.splice(random.below(bytes.length), 1 + random.below(INSERTED_BYTES_MAX)),
  (bytes, random) => bytes.length = random.below(bytes.length + 1),
  (bytes, random) => {
    const from = random.below(bytes.length);
    const piece = bytes.slice(from, from + 1 + random.below(INSERTED_BYTES_MAX));
    for (let i = random.below(4); i >= 0; i--) insert(bytes, random, piece);
  },
  (bytes, random, other) => {
    const from = random.below(other.length);
    insert(bytes, random, other.subarray(from, from + 1 + random.below(INSERTED_BYTES_MAX)));
  },
  (bytes, random, _other, tokens) => {
    if (tokens.length > 0) insert(bytes, random, new TextEncoder().encode(random.pick(tokens)));
  },
];

/** A copy of `input` with 1 to 8 things wrong. `other`: another input, of which pieces are taken. */
export function damaged(
  input: Uint8Array,
  other: Uint8Array,
  tokens: readonly string[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const bytes = [...input];
  for (let i = random.below(8); i >= 0; i--) random.pick(DAMAGES)(bytes, random, other, tokens);
  return Uint8Array.from(bytes.slice(0, INPUT_BYTES_MAX));
}

function insert(bytes: number[], random: Random, piece: Iterable<number>): void {
  bytes.splice(random.below(bytes.length + 1), 0, ...piece);
}
