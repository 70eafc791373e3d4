import {
  AGENT_FORMAT,
  BUCKET_SLOTS,
  encodeImageHeader,
  IMAGE_AUDITS,
  IMAGE_BLOCKS,
  IMAGE_ENTRY_BYTES,
  IMAGE_HEADER_OFFSETS,
  IMAGE_HOLDS_CREDS,
  IMAGE_MAGIC,
  IMAGE_SLOT_SIZE,
  IMAGE_TRIE_SIZE,
  IMAGE_TRUSTS_NAMES,
  type ImageHeader,
  type ImageSlot,
  MOVES_PER_ENTRY,
  NEXT_LEXER,
  NODE_ROOT,
  NODE_SOURCES,
  REFERENCES_PER_ENTRY,
  ROWS_PER_ENTRY,
  writeImageLexer,
  writeImageNames,
  writeImageSlot,
  writeImageTrie,
} from "../../ffi/generated/agent_api.ts";
import { bucketOf, bucketSeeds, type PathHasher, slotKey } from "./hash.ts";
import type { Edge, Lexer, PathTrie } from "./path_trie.ts";
import { LEXER_HEAD, lexerSize } from "./trie_writer.ts";
import { NO_SYSCALLS, setBytes, type SyscallSets } from "./syscalls.ts";

/** 128 MiB: far above the 3.5 MB of 100,000 rules, and small enough for bucketOf() to be exact. */
export const IMAGE_ENTRIES_MAX = 2 ** 20;

/** Slots in use once all edges are placed. Above 92 % cuckoo hashing with these bucket sizes begins to fail. */
const FILL = 0.9;

/** Evictions before a table counts as too full. */
const EVICTIONS_MAX = 1000;

/** Rows and bits that do not lie in the trie. */
export interface ImageFacts {
  readonly unreachable: bigint;
  readonly anonymous: bigint;
  readonly opsLive: number;
  /** Whether names must stay what they are. */
  readonly blocks: boolean;
  /** Whether some capability is refused. */
  readonly holdsCredentials: boolean;
  /** Whether a program's name gives it something. */
  readonly trustsNames: boolean;
  /** Whether nothing is refused. */
  readonly audits: boolean;
  /** A bit for each preset in force, and for each that refuses. */
  readonly presets: number;
}

/**
 * Lays a trie out as the kernel reads it. The same trie and keys give the same bytes. The generation is still 0.
 * @throws {RangeError} when the image would have more than IMAGE_ENTRIES_MAX entries.
 * @throws {Error} when two names have the same hash; new keys help.
 */
export function encodeImage(
  trie: PathTrie,
  hasher: PathHasher,
  facts: ImageFacts,
  calls: SyscallSets = NO_SYSCALLS,
): Uint8Array<ArrayBuffer> {
  const edges = [trie.edges, calls.edges, trie.names?.edges ?? []]
    .flatMap((edges) => pathSlots(edges, hasher));
  const slots = [...edges, ...sourceSlots(trie, hasher)];
  refuseCollisions(slots);
  const buckets = fillBuckets(slots);
  const rowsEntry = 1 + buckets.length / BUCKET_SLOTS;
  const rowsEnd = rowsEntry + Math.ceil(trie.rows.length / ROWS_PER_ENTRY);
  const callsStart = rowsEnd + trie.references.length / REFERENCES_PER_ENTRY;
  const setsEntry = callsStart + calls.references.length / REFERENCES_PER_ENTRY;
  const lexersEntry = setsEntry + calls.sets.length;
  const namesEntry = lexersEntry + lexerEntries(trie.lexers);
  const entries = namesEntry + (trie.names === undefined ? 0 : 1);
  refuseTooMany(entries);

  const bytes = new Uint8Array(entries * IMAGE_ENTRY_BYTES);
  const referencesEntry = trie.references.length === 0 ? 0 : rowsEnd;
  const syscallsEntry = calls.references.length === 0 ? 0 : callsStart;
  const places = {
    ...{ rowsEntry, referencesEntry, rootNames: rootNames(trie, hasher) },
    ...{ syscallsEntry, callers: calls.callers, arguments: calls.arguments },
    lexersEntry: trie.lexers.length === 0 ? 0 : lexersEntry,
    namesEntry: trie.names === undefined ? 0 : namesEntry,
  };
  bytes.set(encodeHeader(trie, places, facts));
  const view = new DataView(bytes.buffer);
  buckets.forEach((slot, place) => {
    if (slot !== undefined) writeImageSlot(view, slotOffset(place), slot);
  });
  trie.rows.forEach(({ bits }, row) =>
    view.setBigUint64(rowsEntry * IMAGE_ENTRY_BYTES + row * 8, bits, true)
  );
  writeReferences(view, referencesEntry, trie.references);
  writeReferences(view, syscallsEntry, calls.references);
  calls.sets.forEach((set, index) =>
    bytes.set(setBytes(set), (setsEntry + index) * IMAGE_ENTRY_BYTES)
  );
  for (const lexer of trie.lexers) {
    writeLexer(view, (lexersEntry + lexer.place) * IMAGE_ENTRY_BYTES, lexer);
  }
  if (trie.names !== undefined) {
    const { root, unreadable } = trie.names;
    writeImageNames(view, namesEntry * IMAGE_ENTRY_BYTES, { trie: root, unreadable });
  }
  return bytes;
}

function refuseTooMany(entries: number): void {
  if (entries <= IMAGE_ENTRIES_MAX) return;
  throw new RangeError(
    `Cannot compile policies: the image has ${entries} entries, ${IMAGE_ENTRIES_MAX} is the limit: ` +
      "name fewer paths, or fewer executables in fromSource",
  );
}

function writeReferences(view: DataView, entry: number, references: readonly number[]): void {
  references.forEach((reference, number) =>
    view.setUint32(entry * IMAGE_ENTRY_BYTES + number * 4, reference, true)
  );
}

function lexerEntries(lexers: readonly Lexer[]): number {
  const last = lexers.at(-1);
  return last === undefined ? 0 : last.place + lexerSize(last.names);
}

function writeLexer(view: DataView, offset: number, { names, outcomes }: Lexer): void {
  const moves = LEXER_HEAD;
  const outcomesAt = moves + Math.ceil(names.moves.length / MOVES_PER_ENTRY);
  const { classCount: classes, start, sinks } = names;
  writeImageLexer(view, offset, { classes, start, sinks, moves, outcomes: outcomesAt });
  const at = (entry: number) => offset + entry * IMAGE_ENTRY_BYTES;
  names.classes.forEach((one, byte) => view.setUint8(at(1) + byte, one));
  names.moves.forEach((state, index) => view.setUint16(at(moves) + index * 2, state, true));
  outcomes.forEach((outcome, state) =>
    writeImageTrie(view, at(outcomesAt) + state * IMAGE_TRIE_SIZE, outcome)
  );
}

/** Puts the generation into an encoded image. */
export function stampGeneration(bytes: Uint8Array<ArrayBuffer>, generation: number): void {
  new DataView(bytes.buffer).setUint32(IMAGE_HEADER_OFFSETS.generation, generation, true);
}

function encodeHeader(
  trie: PathTrie,
  places:
    & Pick<ImageHeader, "rowsEntry" | "referencesEntry" | "rootNames">
    & Pick<ImageHeader, "syscallsEntry" | "callers" | "arguments" | "lexersEntry" | "namesEntry">,
  { blocks, holdsCredentials, trustsNames, audits, ...facts }: ImageFacts,
): Uint8Array {
  return encodeImageHeader({
    magic: IMAGE_MAGIC,
    format: AGENT_FORMAT,
    generation: 0,
    buckets: places.rowsEntry - 1,
    rows: trie.rows.length,
    sources: trie.sources,
    flags: (blocks ? IMAGE_BLOCKS : 0) | (trustsNames ? IMAGE_TRUSTS_NAMES : 0) |
      (holdsCredentials ? IMAGE_HOLDS_CREDS : 0) | (audits ? IMAGE_AUDITS : 0),
    rootNext: trie.root.next,
    rootEnd: trie.root.end,
    rootChild: trie.root.child,
    rootDesc: trie.root.desc,
    ...places,
    ...facts,
  });
}

/** Bit `component % 64` for each name that leads on from the root: most paths of a container have another. 0: all names do. */
function rootNames(trie: PathTrie, hasher: PathHasher): bigint {
  if ((trie.root.next & NEXT_LEXER) !== 0) return 0n;
  return trie.edges.filter(({ node }) => node === NODE_ROOT)
    .reduce((bits, { name }) => bits | 1n << (hasher.component(name) & 63n), 0n);
}

/** A slot on its way to a bucket. */
interface PlacedSlot extends ImageSlot {
  readonly seeds: readonly [number, number];
}

function pathSlots(edges: readonly Edge[], hasher: PathHasher): PlacedSlot[] {
  return edges.map((edge) => {
    const component = hasher.component(edge.name);
    return {
      key: slotKey(component, edge.node),
      next: edge.next,
      vEnd: edge.end,
      vChild: edge.child,
      vDesc: edge.desc,
      seeds: bucketSeeds(component, edge.node),
    };
  });
}

function sourceSlots(trie: PathTrie, hasher: PathHasher): PlacedSlot[] {
  return [...trie.sourceOf].map(([source, sourceClass]) => {
    const hash = hasher.path(source);
    return {
      key: slotKey(hash, NODE_SOURCES),
      next: sourceClass,
      vEnd: 0,
      vChild: 0,
      vDesc: 0,
      seeds: bucketSeeds(hash, NODE_SOURCES),
    };
  });
}

/** Names in policies must be told apart for certain, not only with probability 1 - 2^-64; and key 0 is an empty slot. */
function refuseCollisions(slots: readonly PlacedSlot[]): void {
  const keys = new Set(slots.map(({ key }) => key));
  if (keys.size < slots.length || keys.has(0n)) {
    throw new Error("Cannot compile policies: two names have the same hash: install new hash keys");
  }
}

/** Slots by place, BUCKET_SLOTS places for each bucket. */
function fillBuckets(slots: readonly PlacedSlot[]): (PlacedSlot | undefined)[] {
  let buckets = Math.max(1, Math.ceil(slots.length / (BUCKET_SLOTS * FILL)));
  for (;;) {
    const filled = tryFill(slots, buckets);
    if (filled !== undefined) return filled;
    buckets += Math.ceil(buckets / 50);
  }
}

/** Cuckoo insertion: a slot whose two buckets are full takes a place, and its victim looks on. */
function tryFill(
  slots: readonly PlacedSlot[],
  buckets: number,
): (PlacedSlot | undefined)[] | undefined {
  const places: (PlacedSlot | undefined)[] = Array(buckets * BUCKET_SLOTS).fill(undefined);
  const random = randomNumbers();
  for (const slot of slots) {
    let homeless: PlacedSlot | undefined = slot;
    for (let evictions = 0; homeless !== undefined; evictions++) {
      if (evictions > EVICTIONS_MAX) return undefined;
      homeless = settle(places, homeless, buckets, random);
    }
  }
  return places;
}

/** Puts a slot into one of its buckets, the first if it can; returns the slot that had to leave, if any. */
function settle(
  places: (PlacedSlot | undefined)[],
  slot: PlacedSlot,
  buckets: number,
  random: () => number,
): PlacedSlot | undefined {
  const starts = slot.seeds.map((seed) => bucketOf(seed, buckets) * BUCKET_SLOTS);
  for (const start of starts) {
    for (let place = start; place < start + BUCKET_SLOTS; place++) {
      if (places[place] === undefined) {
        places[place] = slot;
        return undefined;
      }
    }
  }
  const choice = random();
  const place = starts[choice % 2]! + (choice >>> 1) % BUCKET_SLOTS;
  const victim = places[place];
  places[place] = slot;
  return victim;
}

/** Numbers of 31 bits, the same every time, so that equal policies give equal bytes. Xorshift (Marsaglia, 2003). */
function randomNumbers(): () => number {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 1;
  };
}

function slotOffset(place: number): number {
  const entry = 1 + Math.floor(place / BUCKET_SLOTS);
  return entry * IMAGE_ENTRY_BYTES + (place % BUCKET_SLOTS) * IMAGE_SLOT_SIZE;
}
