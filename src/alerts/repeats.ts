/**
 * Alerts of records that differ from one seen lately in nothing but time, thread and what was suppressed. Whoever floods
 * repeats himself, so such a record is not decoded: it is compared, and its alert copied.
 */
import {
  ALERT_KIND_OFFSETS,
  DECISION_EVENT_OFFSETS as DECISION,
  DECISION_EVENT_SIZE,
  EVENT_HEADER_OFFSETS as HEADER,
} from "../../ffi/generated/agent_api.ts";
import type { RecordCursor } from "../events/batch.ts";
import type { ProcessEntry } from "../events/process_tree.ts";
import type { Workload } from "../model/workload.ts";
import type { AlertTemplate } from "./alert_template.ts";
import type { RuleTable } from "./match.ts";
import type { SeenOperation } from "./seen.ts";

/** A record of some 200 bytes and its alert of 1 KiB each. */
const SLOTS = 1_024;
/** Slots in which a record may lie, so that two do not drive each other out all the time. */
const WAYS = 2;

/** What an alert depends on beside its record. */
export interface AlertContext {
  readonly process: ProcessEntry;
  readonly container: number;
  readonly generation: number;
  readonly workload: Workload | undefined;
  readonly table: RuleTable | undefined;
  /** Where it is recorded, for it to be counted there. */
  readonly seen: SeenOperation | undefined;
}

interface Repeat extends AlertContext {
  readonly words: Uint32Array;
  readonly template: AlertTemplate;
}

const word = (offset: number) => offset >> 2;
const TIME = word(HEADER.timeNs);
const THREAD = word(HEADER.tid);
const SUPPRESSED = word(DECISION.suppressed);
const FIXED_WORDS = word(DECISION_EVENT_SIZE);
const OBJECT = word(DECISION.kind + ALERT_KIND_OFFSETS.object);
const ROW = word(DECISION.kind + ALERT_KIND_OFFSETS.row);
const EXEC = word(HEADER.exec);
const PROCESS = word(HEADER.pid);
const PATHS = word(DECISION.pathBytes);
const OTHERS = word(DECISION.cwdBytes);

export class AlertRepeats {
  readonly #slots: (Repeat | undefined)[] = new Array(SLOTS).fill(undefined);

  /** The alert of an equal record under the same circumstances. `isCurrent` asks whether they are still the same. */
  find(record: RecordCursor, isCurrent: (context: AlertContext) => boolean): Repeat | undefined {
    const slot = slotOf(record);
    for (let way = 0; way < WAYS; way++) {
      const repeat = this.#slots[slot + way];
      if (repeat !== undefined && equal(repeat.words, record)) {
        return isCurrent(repeat) ? repeat : undefined;
      }
    }
    return undefined;
  }

  /** Takes the place of an alert of the same record, else of one that shares its slots. */
  add(record: RecordCursor, context: AlertContext, template: AlertTemplate): void {
    const { words, word: at } = record;
    const slot = slotOf(record);
    const same = this.#slots[slot] !== undefined && equal(this.#slots[slot].words, record);
    if (!same) this.#slots[slot + 1] = this.#slots[slot];
    this.#slots[slot] = { ...context, words: words.slice(at, at + usedWords(words, at)), template };
  }
}

/** Words that the record fills; behind them is slack of the ring. */
function usedWords(words: Uint32Array, at: number): number {
  return FIXED_WORDS + Math.ceil(textBytes(words, at) / 4);
}

function textBytes(words: Uint32Array, at: number): number {
  const [paths, others] = [words[at + PATHS]!, words[at + OTHERS]!];
  return (paths & 0xffff) + (paths >>> 16) + (others & 0xffff) + (others >>> 16);
}

/** The first of the record's slots. */
function slotOf({ words, word: at }: RecordCursor): number {
  const mixed = words[at + OBJECT]! ^ Math.imul(words[at + ROW]!, 0x9e3779b1) ^
    Math.imul(words[at + EXEC]! ^ words[at + PROCESS]!, 0x85ebca6b);
  return (Math.imul(mixed ^ mixed >>> 16, 0x45d9f3b5) >>> 16) % (SLOTS / WAYS) * WAYS;
}

function equal(known: Uint32Array, { words, word: at, length }: RecordCursor): boolean {
  const text = textBytes(words, at);
  const last = known.length - 1;
  if (known.length !== usedWords(words, at) || DECISION_EVENT_SIZE + text > length) return false;
  for (let i = 0; i < last; i++) {
    if (known[i] !== words[at + i] && !isVariable(i)) return false;
  }
  // Slack fills up the last word.
  const mask = text % 4 === 0 ? ~0 : (1 << (8 * (text % 4))) - 1;
  return ((known[last]! ^ words[at + last]!) & mask) === 0;
}

function isVariable(index: number): boolean {
  return index === TIME || index === TIME + 1 || index === THREAD || index === SUPPRESSED ||
    index === SUPPRESSED + 1;
}

/** CLOCK_BOOTTIME of the record, in whole microseconds, and the ns that are left over: exact in spite of 53 bits. */
export function bootTimeOf(record: RecordCursor): { micros: number; ns: number } {
  const low = record.words[record.word + TIME]!, high = record.words[record.word + TIME + 1]!;
  // 2^32 ns are 4,294,967 µs and 296 ns.
  const ns = high * 296 + low;
  const micros = Math.floor(ns / 1_000);
  return { micros: high * 4_294_967 + micros, ns: ns - micros * 1_000 };
}

/** Decisions of the kind without a record since its last one. */
export function suppressedOf({ words, word: at }: RecordCursor): number {
  return words[at + SUPPRESSED]! + words[at + SUPPRESSED + 1]! * 2 ** 32;
}
