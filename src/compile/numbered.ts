/**
 * What has a number and no path: kinds of sockets, and capabilities. An image has one row for each and each source class.
 */
import {
  CAPABILITIES_MAX,
  OP_CAPABILITY,
  OP_CLASSES,
  OP_NETWORK,
  OP_PRESET,
  REFERENCE_CAPABILITIES,
  REFERENCES,
  SOCKET_DCCP,
  SOCKET_DGRAM,
  SOCKET_ICMP_DGRAM,
  SOCKET_ICMP_RAW,
  SOCKET_ICMPV6_DGRAM,
  SOCKET_ICMPV6_RAW,
  SOCKET_KINDS,
  SOCKET_OTHER,
  SOCKET_PACKET,
  SOCKET_PACKET_DGRAM,
  SOCKET_PACKET_RAW,
  SOCKET_RAW,
  SOCKET_RDM,
  SOCKET_SCTP_SEQPACKET,
  SOCKET_SCTP_STREAM,
  SOCKET_SEQPACKET,
  SOCKET_STREAM,
  SOCKET_TCP,
  SOCKET_UDP,
  VERDICT_NONE,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { CAPABILITIES, type Protocol } from "../model/grammars.ts";
import type { Posture } from "../model/posture.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import type { RuleTarget } from "../model/rule.ts";
import { NO_RULE, type Row, type RowTable } from "./row_table.ts";
import { conditionsOf, postureVerdict, type RuleRef, STRICTNESS, verdictOf } from "./rules.ts";

/** Words that name a kind of socket, the most specific first: its protocol, its type, and all. */
export const SOCKET_WORDS: Readonly<Record<number, readonly Protocol[]>> = {
  [SOCKET_TCP]: ["tcp", "stream"],
  [SOCKET_UDP]: ["udp", "dgram"],
  [SOCKET_ICMP_DGRAM]: ["icmp", "dgram"],
  [SOCKET_ICMP_RAW]: ["icmp", "raw"],
  [SOCKET_ICMPV6_DGRAM]: ["icmpv6", "dgram"],
  [SOCKET_ICMPV6_RAW]: ["icmpv6", "raw"],
  [SOCKET_SCTP_STREAM]: ["sctp", "stream"],
  [SOCKET_SCTP_SEQPACKET]: ["sctp", "seqpacket"],
  [SOCKET_STREAM]: ["stream"],
  [SOCKET_DGRAM]: ["dgram"],
  [SOCKET_RAW]: ["raw"],
  [SOCKET_RDM]: ["rdm"],
  [SOCKET_SEQPACKET]: ["seqpacket"],
  [SOCKET_DCCP]: ["dccp"],
  [SOCKET_PACKET_DGRAM]: ["packet", "dgram"],
  [SOCKET_PACKET_RAW]: ["packet", "raw"],
  [SOCKET_PACKET]: ["packet"],
  [SOCKET_OTHER]: [],
};

/** Words that name a protocol; the others name types of sockets, or all. */
export const PROTOCOL_WORDS: readonly Protocol[] = ["tcp", "udp", "icmp", "icmpv6", "sctp"];

/** How much a word says: a protocol more than a type, a type more than all. Capabilities are equals. */
export function specificity(target: RuleTarget): number {
  if (target.kind !== "protocol" || PROTOCOL_WORDS.includes(target.protocol)) return 3;
  return target.protocol === "all" ? 1 : 2;
}

/** Whether a rule's target is, or is among others, what has this number. */
export function namesNumber(target: RuleTarget, number: number): boolean {
  if (target.kind === "preset") return number === numberOfPreset(target.preset);
  if (target.kind === "capability") {
    return number === REFERENCE_CAPABILITIES + CAPABILITIES.indexOf(target.capability);
  }
  if (target.kind !== "protocol" || number >= SOCKET_KINDS) return false;
  return target.protocol === "all" || SOCKET_WORDS[number]!.includes(target.protocol);
}

/** Presets have numbers behind those of an image's references; there they have no row. */
export function numberOfPreset(preset: PresetName): number {
  return REFERENCES + PRESET_NAMES.indexOf(preset);
}

/** The preset that has a number, if it is one's. */
export function presetOfNumber(number: number): PresetName | undefined {
  return PRESET_NAMES[number - REFERENCES];
}

/** The op class of a number. */
export function opOfNumber(number: number): number {
  if (number >= REFERENCES) return OP_PRESET;
  return number < REFERENCE_CAPABILITIES ? OP_NETWORK : OP_CAPABILITY;
}

interface Numbered {
  readonly rules: readonly RuleRef[];
  readonly posture: Posture;
  /** Executable to source class, 1 .. sources. */
  readonly sourceOf: ReadonlyMap<string, number>;
  readonly sources: number;
}

/**
 * Row references by number, their rows in `table`; none when no rule is about sockets or capabilities.
 * @throws {RangeError} when there are more rows than the format can number.
 */
export function numberedReferences(given: Numbered, table: RowTable): number[] {
  const groups = ["protocol", "capability"];
  const mine = given.rules.map((ref, index) => ({ ref, index }))
    .filter(({ ref }) => groups.includes(ref.rule.target.kind));
  if (mine.length === 0) return [];
  return Array.from({ length: REFERENCES }, (_, number) => {
    const naming = isUsed(number)
      ? mine.filter(({ ref }) => namesNumber(ref.rule.target, number))
      : [];
    return table.reference(rowsOf(number, naming, given, table));
  });
}

function isUsed(number: number): boolean {
  return number < SOCKET_KINDS ||
    number >= REFERENCE_CAPABILITIES && number < REFERENCE_CAPABILITIES + CAPABILITIES_MAX;
}

interface IndexedRule {
  readonly ref: RuleRef;
  readonly index: number;
}

/** One row for every source class, 0 first; a single one when no rule names a source. */
function rowsOf(
  number: number,
  naming: readonly IndexedRule[],
  { rules, posture, sourceOf, sources }: Numbered,
  table: RowTable,
): Row[] {
  const op = opOfNumber(number);
  const conditions = naming.reduce((bits, { ref }) => bits | conditionsOf(ref.rule), 0);
  const classes = naming.some(({ ref }) => ref.rule.fromSource.length > 0) ? sources : 0;
  return Array.from({ length: classes + 1 }, (_, sourceClass) => {
    return table.internFor(conditions, (given) => {
      const verdicts: number[] = Array(OP_CLASSES).fill(VERDICT_NONE);
      const winners: number[] = Array(OP_CLASSES).fill(NO_RULE);
      const best = strongest(naming, op, { sourceClass, sourceOf, given });
      verdicts[op] = best?.verdict ?? (isUsed(number) ? postureVerdict(op, rules, posture) : 0);
      winners[op] = best?.index ?? NO_RULE;
      return { verdicts, rules: winners };
    });
  });
}

/** The rule that decides for a source class: by source, then by its word, then the strictest, then the first. */
function strongest(
  naming: readonly IndexedRule[],
  op: number,
  { sourceClass, sourceOf, given }: {
    readonly sourceClass: number;
    readonly sourceOf: ReadonlyMap<string, number>;
    /** Circumstances. */
    readonly given: number;
  },
): { verdict: number; index: number } | undefined {
  let best: { verdict: number; index: number; rank: number } | undefined;
  for (const { ref: { rule }, index } of naming) {
    const isNamed = rule.fromSource.some((source) => sourceOf.get(source) === sourceClass);
    if (!isNamed && rule.fromSource.length > 0) continue;
    const verdict = verdictOf(rule, op, given);
    const rank = (isNamed ? 100 : 0) + 10 * specificity(rule.target) + STRICTNESS.indexOf(verdict);
    if (best !== undefined && rank <= best.rank) continue;
    // The posture's verdict has no rule to name: see evaluate.ts.
    const named = verdict === VERDICT_POSTURE_BLOCK ? NO_RULE : index;
    best = { verdict: isNamed ? verdict | VERDICT_SOURCE : verdict, index: named, rank };
  }
  return best;
}
