import { HASH_KEYS } from "../../ffi/generated/agent_api.ts";

/** Secret keys of the hashes below: HASH_KEYS random numbers of 64 bits each in `a` and in `b`. */
export interface HashKeys {
  readonly a: BigUint64Array;
  readonly b: BigUint64Array;
}

/** For images that no kernel holds. */
export function randomKeys(): HashKeys {
  const random = () => crypto.getRandomValues(new BigUint64Array(HASH_KEYS));
  return { a: random(), b: random() };
}

/** NAME_MAX: no file system gives a longer name, and the keys reach no further. */
export const NAME_BYTES_MAX = 255;

const MASK = 0xffff_ffff_ffff_ffffn;
const UPPER = 0xffff_ffff_0000_0000n;
const MULTIPLIER = HASH_KEYS - 2;
const START = HASH_KEYS - 1;
const encoder = new TextEncoder();

/** Names of an absolute path from the root to the leaf; none for "/". */
export function componentsOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}

/** Length of a name as the kernel sees it: bytes of UTF-8. */
export function nameBytes(name: string): number {
  return encoder.encode(name).length;
}

/**
 * Hashes names and paths exactly as the kernel does; every name once.
 *
 * The component hash is strongly universal: two names that the attacker chose without knowing the keys collide with
 * probability 2^-64.
 * @throws {RangeError} when the keys are not HASH_KEYS long.
 * @see bpf/agent_api.h, struct hash_keys
 */
export class PathHasher {
  readonly #keys: HashKeys;
  readonly #known = new Map<string, bigint>();

  /** The one for these keys, which still knows names that were hashed before. */
  static of(keys: HashKeys): PathHasher {
    const known = hashers.get(keys);
    const hasher = known === undefined || known.#known.size > NAMES_KEPT_MAX
      ? new PathHasher(keys)
      : known;
    hashers.set(keys, hasher);
    return hasher;
  }

  constructor(keys: HashKeys) {
    for (const part of [keys.a, keys.b]) {
      if (part.length !== HASH_KEYS) {
        throw new RangeError(
          `Cannot hash with ${part.length} keys: ${HASH_KEYS} are needed in each half`,
        );
      }
    }
    this.#keys = keys;
  }

  /**
   * 64-bit hash of one name, without slash.
   * @throws {RangeError} when the name has more than NAME_BYTES_MAX bytes.
   */
  component(name: string): bigint {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const bytes = encoder.encode(name);
    if (bytes.length > NAME_BYTES_MAX) {
      throw new RangeError(
        `Cannot hash a name of ${bytes.length} bytes: ${NAME_BYTES_MAX} is the limit`,
      );
    }
    const chunks = chunksOf(bytes);
    const hash = (multilinear(this.#keys.a, bytes.length, chunks) & UPPER) |
      (multilinear(this.#keys.b, bytes.length, chunks) >> 32n);
    this.#known.set(name, hash);
    return hash;
  }

  /** 64-bit hash of a whole path, folded from the leaf to the root as the kernel meets the names. */
  path(path: string): bigint {
    const multiplier = this.#keys.a[MULTIPLIER]! | 1n;
    let hash = this.#keys.a[START]!;
    for (const name of componentsOf(path).reverse()) {
      hash = ((hash ^ (hash >> 32n)) * multiplier + this.component(name)) & MASK;
    }
    return hash;
  }
}

const hashers = new WeakMap<HashKeys, PathHasher>();

/** Some hundred kilobytes. What more policies name is hashed again whenever they are compiled. */
const NAMES_KEPT_MAX = 4_096;

/** Little-endian numbers of 4 bytes, the last one padded with zeros. */
function chunksOf(bytes: Uint8Array): bigint[] {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Array.from(
    { length: padded.length / 4 },
    (_, i) => BigInt(view.getUint32(i * 4, true)),
  );
}

function multilinear(keys: BigUint64Array, length: number, chunks: readonly bigint[]): bigint {
  let sum = keys[0]! + keys[1]! * BigInt(length);
  chunks.forEach((chunk, i) => sum += keys[i + 2]! * chunk);
  return sum & MASK;
}

/** What an edge is stored under: its component's hash with the node it leaves, node < 2^24. */
export function slotKey(component: bigint, node: number): bigint {
  return component ^ (BigInt(node) << 40n);
}

/** The two halves, 32 bits each, that choose the edge's two buckets. */
export function bucketSeeds(component: bigint, node: number): [number, number] {
  const x = component ^ ((BigInt(node) * 0x9e37_79b9_7f4a_7c15n) & MASK);
  const y = ((x ^ (x >> 29n)) * 0xbf58_476d_1ce4_e5b9n) & MASK;
  return [Number(y >> 32n), Number(y & 0xffff_ffffn)];
}

/** Index of a bucket, 0 .. buckets-1. Exact while `buckets` < 2^21, since the product fits 53 bits. */
export function bucketOf(seed: number, buckets: number): number {
  return Math.floor((seed * buckets) / 2 ** 32);
}
