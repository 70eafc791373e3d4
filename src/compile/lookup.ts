import {
  BUCKET_SLOTS,
  COMPONENTS_MAX,
  decodeImageHeader,
  decodeImageLexer,
  decodeImageNames,
  decodeImageSlot,
  decodeImageTrie,
  IMAGE_ENTRY_BYTES,
  IMAGE_MAGIC,
  IMAGE_SLOT_SIZE,
  IMAGE_TRIE_SIZE,
  type ImageHeader,
  type ImageSlot,
  type ImageTrie,
  LABELS_MAX,
  NEXT_GUARD,
  NEXT_GUARD_END,
  NEXT_LEXER,
  NEXT_NODE,
  NODE_LEXER,
  NODE_SOURCES,
  OP_NETWORK,
  PRESETS_REFUSING,
  REFERENCES_PER_ENTRY,
  ROW_BY_SOURCE,
  ROW_INDEX,
  SYSCALLS,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
} from "../../ffi/generated/agent_api.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { isParentJudged, type Question } from "./evaluate.ts";
import type { NameQuestion } from "./evaluate_name.ts";
import type { NumberedQuestion } from "./evaluate_numbered.ts";
import type { SyscallQuestion } from "./evaluate_syscall.ts";
import { bucketOf, bucketSeeds, componentsOf, type PathHasher, slotKey } from "./hash.ts";
import { opOfNumber, presetOfNumber } from "./numbered.ts";
import { conditionsIn, verdictIn } from "./row_table.ts";

const encoder = new TextEncoder();

/** What the kernel decides. */
export interface Decision {
  /** VERDICT_*, with VERDICT_SOURCE when a rule with fromSource decided. */
  readonly verdict: number;
  /** Row index with the source class added, and the way to the row for the circumstances, as a decision record has it. */
  readonly row: number;
}

/** Where a walk ended. */
export interface Found {
  /** Row reference, ROW_BY_SOURCE included. */
  readonly reference: number;
  /** True when the path is a node of the trie with a Block row at it or below: it must not be moved or covered. */
  readonly guard: boolean;
}

/** Reads an image as the kernel does, step by step. Keeps the bytes, copies nothing. */
export class ImageReader {
  readonly header: ImageHeader;
  readonly #view: DataView;
  readonly #hasher: PathHasher;
  readonly #classes = new Map<string, number>();

  /** @throws {TypeError} when the bytes are no image. */
  constructor(bytes: Uint8Array, hasher: PathHasher) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#hasher = hasher;
    this.header = decodeImageHeader(this.#view);
    if (this.header.magic !== IMAGE_MAGIC) {
      throw new TypeError(
        `Cannot read policy image: magic is 0x${this.header.magic.toString(16)}, not 0x${
          IMAGE_MAGIC.toString(16)
        }`,
      );
    }
  }

  /** Source class of an executable, 0 when no rule names it. Remembered, as the kernel keeps it from exec on. */
  sourceClass(executable: string): number {
    if (this.header.sources === 0) return 0;
    const known = this.#classes.get(executable) ?? this.#findClass(executable);
    this.#classes.set(executable, known);
    return known;
  }

  #findClass(executable: string): number {
    const slot = this.#find(this.#hasher.path(executable), NODE_SOURCES);
    return slot === undefined ? 0 : slot.next & NEXT_NODE;
  }

  /** Steps from the root as far as edges lead, then chooses by the number of names that are left. */
  walk(path: string): Found {
    const names = componentsOf(path);
    const { rootNext, rootEnd, rootChild, rootDesc } = this.header;
    let at: Omit<ImageSlot, "key"> = {
      next: rootNext,
      vEnd: rootEnd,
      vChild: rootChild,
      vDesc: rootDesc,
    };
    let steps = 0;
    while (steps < Math.min(names.length, COMPONENTS_MAX)) {
      const node = at.next & NEXT_NODE;
      if (node === 0) break;
      const component = this.#hasher.component(names[steps]!);
      if (steps === 0 && !this.#mayLeadOn(component)) break;
      const step = this.#find(component, node) ?? this.#lex(at.next, names[steps]!);
      if (step === undefined) break;
      at = step;
      steps++;
    }
    const left = names.length - steps;
    return {
      reference: left === 0 ? at.vEnd : left === 1 ? at.vChild : at.vDesc,
      guard: left === 0 && (at.next & (NEXT_GUARD | NEXT_GUARD_END)) !== 0,
    };
  }

  /** What a node's lexer says of a name; undefined: it has none. */
  #lex(next: number, name: string): Omit<ImageSlot, "key"> | undefined {
    if ((next & NEXT_LEXER) === 0) return undefined;
    const place = (next & NEXT_NODE) - NODE_LEXER;
    const offset = (this.header.lexersEntry + place) * IMAGE_ENTRY_BYTES;
    const lexer = decodeImageLexer(this.#view, offset);
    const [classes, moves, outcomes] = [1, lexer.moves, lexer.outcomes]
      .map((entry) => offset + entry * IMAGE_ENTRY_BYTES) as [number, number, number];
    let state = lexer.start;
    for (const byte of encoder.encode(name)) {
      if (state < lexer.sinks) break;
      const move = state * lexer.classes + this.#view.getUint8(classes + byte);
      state = this.#view.getUint16(moves + move * 2, true);
    }
    const outcome = decodeImageTrie(this.#view, outcomes + state * IMAGE_TRIE_SIZE);
    return {
      next: outcome.next,
      ...{ vEnd: outcome.end, vChild: outcome.child, vDesc: outcome.desc },
    };
  }

  /** Whether the root may have an edge of that name. */
  #mayLeadOn(component: bigint): boolean {
    const { rootNames } = this.header;
    return rootNames === 0n || (rootNames >> (component & 63n) & 1n) === 1n;
  }

  /** Row reference of what has a number and no path, ROW_BY_SOURCE included; 0 where the image says nothing of such. */
  reference(number: number): number {
    const { referencesEntry } = this.header;
    if (referencesEntry === 0) return 0;
    return this.#view.getUint32(referencesEntry * IMAGE_ENTRY_BYTES + 4 * number, true);
  }

  /**
   * Row reference of a DNS name, ROW_BY_SOURCE included; 0 where the image has no rule about names. Reads labels as the kernel
   * does: the last one first, LABELS_MAX at most.
   */
  nameReference(name: string): number {
    const { namesEntry } = this.header;
    if (namesEntry === 0) return 0;
    const { trie } = decodeImageNames(this.#view, namesEntry * IMAGE_ENTRY_BYTES);
    const labels = name === "" ? [] : name.toLowerCase().split(".").reverse();
    let at = { next: trie.next, vEnd: trie.end, vDesc: trie.desc };
    let steps = 0;
    for (; steps < Math.min(labels.length, LABELS_MAX) && (at.next & NEXT_NODE) !== 0; steps++) {
      const slot = this.#find(this.#hasher.component(labels[steps]!), at.next & NEXT_NODE);
      if (slot === undefined) break;
      at = slot;
    }
    return steps === labels.length ? at.vEnd : at.vDesc;
  }

  /** VERDICT_* of a DNS query that can't be read. */
  get unreadable(): number {
    const { namesEntry } = this.header;
    if (namesEntry === 0) return 0;
    return decodeImageNames(this.#view, namesEntry * IMAGE_ENTRY_BYTES).unreadable;
  }

  /** The rule that tells of a system call, as the kernel finds it; undefined: none does. */
  syscallRule({ syscall, caller, paths }: SyscallQuestion): number | undefined {
    const { syscallsEntry, callers } = this.header;
    if (syscallsEntry === 0) return undefined;
    const number = SYSCALL_NAMES.indexOf(syscall);
    const named = this.#view.getUint32(syscallsEntry * IMAGE_ENTRY_BYTES + 4 * number, true);
    const [own, program] = [this.#set(named), this.#set(this.#setOf(callers, caller))];
    const sets = paths.length === 0
      ? [SET_ANY_PATH]
      : paths.map((path) => this.#setOf(this.header.arguments, path));
    return sets.map((set) => lowestBit(own & program & this.#set(set)))
      .find((rule) => rule !== undefined);
  }

  /** As walk(), in a trie of sets. */
  #setOf(trie: ImageTrie, path: string): number {
    const names = componentsOf(path);
    let at: Omit<ImageSlot, "key"> = {
      ...{ next: trie.next, vEnd: trie.end, vChild: trie.child, vDesc: trie.desc },
    };
    let steps = 0;
    for (; steps < names.length && (at.next & NEXT_NODE) !== 0; steps++) {
      const slot = this.#find(this.#hasher.component(names[steps]!), at.next & NEXT_NODE);
      if (slot === undefined) break;
      at = slot;
    }
    const left = names.length - steps;
    return left === 0 ? at.vEnd : left === 1 ? at.vChild : at.vDesc;
  }

  /** A bit for each rule. */
  #set(index: number): bigint {
    const entry = this.header.syscallsEntry + SYSCALLS / REFERENCES_PER_ENTRY + index;
    const words = Array.from(
      { length: IMAGE_ENTRY_BYTES / 8 },
      (_, word) => this.#view.getBigUint64(entry * IMAGE_ENTRY_BYTES + 8 * word, true),
    );
    return words.reduce((bits, word, place) => bits | word << BigInt(64 * place), 0n);
  }

  /** Bits of a row. */
  row(index: number): bigint {
    return this.#view.getBigUint64(this.header.rowsEntry * IMAGE_ENTRY_BYTES + index * 8, true);
  }

  /** Index of the row that holds for a source class. */
  rowIndex(reference: number, sourceClass: number): number {
    const index = reference & ROW_INDEX;
    return (reference & ROW_BY_SOURCE) === 0 ? index : index + sourceClass;
  }

  #find(component: bigint, node: number): ImageSlot | undefined {
    const key = slotKey(component, node);
    for (const seed of bucketSeeds(component, node)) {
      const entry = 1 + bucketOf(seed, this.header.buckets);
      for (let i = 0; i < BUCKET_SLOTS; i++) {
        const offset = entry * IMAGE_ENTRY_BYTES + i * IMAGE_SLOT_SIZE;
        if (this.#view.getBigUint64(offset, true) === key) {
          return decodeImageSlot(this.#view, offset);
        }
      }
    }
    return undefined;
  }
}

/** Set of rules that name no path: see bpf/syscalls.bpf.c. */
const SET_ANY_PATH = 2;

function lowestBit(bits: bigint): number | undefined {
  return bits === 0n ? undefined : (bits & -bits).toString(2).length - 1;
}

/** The kernel's answer to a question: the caller's verdict, or the parent's where that counts and is larger. */
export function lookup(image: ImageReader, question: Question): Decision {
  const { reference } = image.walk(question.path);
  const decideFor = (executable: string) =>
    decide(image, reference, executable, question.op, question.circumstances);
  const own = decideFor(question.caller);
  if (!isParentJudged(question.op)) return own;
  const inherited = decideFor(question.parent);
  return inherited.verdict > own.verdict ? inherited : own;
}

/** The kernel's answer about what has a number and no path. */
export function lookupNumber(image: ImageReader, question: NumberedQuestion): Decision {
  const preset = presetOfNumber(question.number);
  if (preset !== undefined) return lookupPreset(image, preset);
  const op = opOfNumber(question.number);
  const { number, caller, circumstances } = question;
  return decide(image, image.reference(number), caller, op, circumstances);
}

/** The same about what a preset is about. The row is its number. */
export function lookupPreset({ header }: ImageReader, preset: PresetName): Decision {
  const row = PRESET_NAMES.indexOf(preset);
  const inForce = header.presets;
  if ((inForce >>> PRESETS_REFUSING + row & 1) === 1) return { verdict: VERDICT_BLOCK, row };
  return { verdict: (inForce >>> row & 1) === 1 ? VERDICT_AUDIT : VERDICT_NONE, row };
}

/** The kernel's answer about a DNS name. */
export function lookupName(image: ImageReader, { name, caller }: NameQuestion): Decision {
  const reference = image.nameReference(name);
  const { sources } = image.header;
  const row = image.rowIndex(
    reference,
    caller === undefined ? sources + 1 : image.sourceClass(caller),
  );
  return { verdict: verdictIn(image.row(row), OP_NETWORK), row };
}

function decide(
  image: ImageReader,
  reference: number,
  executable: string,
  op: number,
  circumstances = 0,
): Decision {
  const row = image.rowIndex(reference, image.sourceClass(executable));
  const bits = image.row(row);
  const given = circumstances & conditionsIn(bits);
  if (given === 0) return { verdict: verdictIn(bits, op), row };
  const variant = row + given * (image.header.sources + 1);
  return { verdict: verdictIn(image.row(variant), op), row: variant };
}
