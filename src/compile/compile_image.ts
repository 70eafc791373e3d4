import { createHash } from "node:crypto";
import {
  IMAGE_ENTRY_BYTES,
  LIVE_PRESETS,
  OP_CAPABILITY,
  OP_CLASSES,
  OP_DNS,
  OP_EXEC,
  OP_NETWORK,
  OP_PRESET,
  OP_SYSCALL,
  VERDICT_ALLOW,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { type Policy, policyKey } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import { type Action, namesFiles } from "../model/rule.ts";
import { evaluateAnonymous } from "./evaluate.ts";
import { isAboutNames } from "./evaluate_name.ts";
import { type HashKeys, PathHasher } from "./hash.ts";
import { encodeImage, type ImageFacts, stampGeneration } from "./image.ts";
import { fittingTrie } from "./fitting.ts";
import { type PathTrie, unreachableVerdicts } from "./path_trie.ts";
import { presetBits, type PresetRules, presetRules } from "./presets.ts";
import { namedSyscalls, NO_SYSCALLS, syscallRules, syscallSets } from "./syscalls.ts";
import { NO_RULE, packRow, unpackRow, verdictIn } from "./row_table.ts";
import { differentRules, enforcedRules, isPathOp, postureVerdict, type RuleRef } from "./rules.ts";

/** What the kernel needs to judge the containers that one set of policies selects, and what alerts need to name rules. */
export interface CompiledImage {
  /** Never 0. Equal for equal rules, posture and keys, whenever and wherever they are compiled. */
  readonly generation: number;
  /** A bit for each op class that a hook has to look at. */
  readonly opsLive: number;
  /** Whether it has rules about sockets, and about names: both are live as OP_NETWORK. */
  readonly judgesSockets: boolean;
  readonly judgesNames: boolean;
  /** System calls that its rules tell of, ascending: indices of SYSCALL_NAMES. */
  readonly syscalls: readonly number[];
  /** Presets in force. */
  readonly presets: readonly PresetName[];
  /** entries * IMAGE_ENTRY_BYTES, as bpf/image_api.h describes. The image's own: not to be written to. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly entries: number;
  /** Nothing is refused: the container is audited. */
  readonly audits: boolean;
  /** What it was made of, by policy name, then as written. */
  readonly rules: readonly RuleRef[];
  /** Enforced rules that it has no room for: some about system calls, or on patterns. */
  readonly leftOut: readonly RuleRef[];
  /**
   * The rule that decided, from a record's row (of a system call the rule's place, of a preset its number) and op class; undefined for
   * the posture, for none, for unknown rows.
   */
  explain(row: number, op: number): RuleRef | undefined;
  /** The Block rule to name when a guard refuses and no row decided: the first of `blockRules`, else the first of any kind. */
  readonly guardRule: RuleRef | undefined;
  /** The rule to name for a DNS query that can't be read: the first Block rule about names, else the first Audit rule. */
  readonly nameRule: RuleRef | undefined;
  /** Every Block rule about paths, by policy name, then as written: what a guard protects is one of them. */
  readonly blockRules: readonly RuleRef[];
}

/**
 * Compiles the policies that select one container. Their order is irrelevant.
 * @param audits nothing is refused, and what would be is told
 * @param isExempt it is for what keeps the node alive: rules decide, guards and what has no path refuse nothing
 * @returns undefined when none of their rules is enforced: the container is unpoliced.
 * @throws {RangeError} when the image would exceed the format's limits.
 * @throws {Error} when two names have the same hash; new keys help.
 */
export function compileImage(
  policies: readonly Policy[],
  posture: Posture,
  keys: HashKeys,
  audits = false,
  isExempt = false,
): CompiledImage | undefined {
  const enforced = enforcedRules(policies);
  if (enforced.length === 0) return undefined;
  const { calls, leftOut: leftOutCalls } = syscallRules(enforced);
  const presets = presetRules(enforced);
  const { trie, judged, leftOut: leftOutPatterns } = fittingTrie(
    enforced.filter(({ rule: { target } }) =>
      target.kind !== "syscall" && target.kind !== "preset"
    ),
    posture,
  );
  const rules = enforced.filter((ref) => !leftOutPatterns.includes(ref));
  const all = factsOf(trie, judged, presets, posture);
  const facts = { ...all, ...(isExempt && WITHOUT_GUARDS), audits };
  const sets = calls.length === 0 ? NO_SYSCALLS : syscallSets(calls, trie.lastNode);
  const bytes = encodeImage(trie, PathHasher.of(keys), facts, sets);
  const generation = generationOf(bytes, rules);
  const blocking = judged.filter(({ rule }) => rule.action === "Block");
  const blockRules = blocking.filter(({ rule }) => namesFiles(rule.target));
  stampGeneration(bytes, generation);
  return {
    generation,
    opsLive: facts.opsLive,
    judgesSockets: judged.some(({ rule }) => rule.target.kind === "protocol"),
    judgesNames: trie.names !== undefined,
    syscalls: namedSyscalls(calls),
    presets: [...presets.keys()].map((number) => PRESET_NAMES[number]!),
    bytes,
    entries: bytes.length / IMAGE_ENTRY_BYTES,
    audits,
    rules,
    leftOut: [...leftOutCalls, ...leftOutPatterns],
    explain(row, op) {
      if (op === OP_SYSCALL) return calls[row];
      if (op === OP_PRESET) return presets.get(row);
      const index = trie.rows[row]?.rules[op === OP_DNS ? OP_NETWORK : op] ?? NO_RULE;
      return index === NO_RULE ? undefined : judged[index];
    },
    guardRule: blockRules[0] ?? blocking[0],
    nameRule: blocking.find(isAboutNames) ??
      rules.find((ref) => isAboutNames(ref) && ref.rule.action === "Audit"),
    blockRules,
  };
}

/** Init mounts for its services, runtimes for their containers, and what they execute may have no path. */
const WITHOUT_GUARDS = { unreachable: 0n, anonymous: 0n, blocks: false, trustsNames: false };

function factsOf(
  trie: PathTrie,
  rules: readonly RuleRef[],
  presets: PresetRules,
  posture: Posture,
): Omit<ImageFacts, "audits"> {
  const ops = Array.from({ length: OP_CLASSES }, (_, op) => op);
  // It is asked what rules say, not what they say it about.
  const sayings = differentRules(rules);
  const unreachable = packRow(unreachableVerdicts(rules, posture));
  const anonymous = packRow(
    ops.map((op) => isPathOp(op) ? evaluateAnonymous(op, sayings, posture) : VERDICT_NONE),
  );
  return {
    unreachable,
    anonymous,
    opsLive: opsLive(trie, [unreachable, anonymous]) | (presets.size > 0 ? 1 << LIVE_PRESETS : 0),
    presets: presetBits(presets),
    blocks: blocks(trie, rules),
    holdsCredentials: trie.rows.some(({ bits }) => isRefusal(verdictIn(bits, OP_CAPABILITY))),
    trustsNames: trustsNames(trie, rules, posture),
  };
}

/**
 * Whether names must stay what they are: see IMAGE_BLOCKS in bpf/image_api.h. A socket or a capability that is refused has none,
 * but where another program may have it, its name has a worth.
 */
function blocks(trie: PathTrie, rules: readonly RuleRef[]): boolean {
  const isNameWorth = rules.some(({ rule }) =>
    !namesFiles(rule.target) && rule.action !== "Block" && rule.fromSource.length > 0
  );
  return trie.rows.some(({ bits }) =>
    unpackRow(bits).some((verdict, op) => isRefusal(verdict) && (isNameWorth || isPathOp(op)))
  );
}

function isRefusal(given: number): boolean {
  const verdict = given & ~VERDICT_SOURCE;
  return verdict === VERDICT_BLOCK || verdict === VERDICT_POSTURE_BLOCK;
}

/**
 * Whether a program could gain by another one's name: see IMAGE_TRUSTS_NAMES in bpf/image_api.h. A rule with fromSource
 * beats those without, so that an Audit lets pass what is refused to others.
 */
function trustsNames(trie: PathTrie, rules: readonly RuleRef[], posture: Posture): boolean {
  const hasSourced = (action: Action) =>
    rules.some(({ rule }) => rule.action === action && rule.fromSource.length > 0);
  const refuses = () => trie.rows.some(({ bits }) => unpackRow(bits).some(isRefusal));
  return postureVerdict(OP_EXEC, rules, posture) === VERDICT_POSTURE_BLOCK ||
    hasSourced("Allow") || hasSourced("Audit") && refuses();
}

/** A bit for each op class in which something is refused or reported: without it a hook returns before it walks. */
function opsLive(trie: PathTrie, others: readonly bigint[]): number {
  let live = 0;
  for (const bits of new Set([...trie.rows.map((row) => row.bits), ...others])) {
    unpackRow(bits).forEach((given, op) => {
      const verdict = given & ~VERDICT_SOURCE;
      if (verdict !== VERDICT_NONE && verdict !== VERDICT_ALLOW) live |= 1 << op;
    });
  }
  return live;
}

/** 32 bits of SHA-256 over the image and all that alerts say about its rules; 0 is taken, so that 1 stands for it. */
function generationOf(bytes: Uint8Array, rules: readonly RuleRef[]): number {
  const digest = createHash("sha256").update(bytes).update(JSON.stringify(rules.map(describe)));
  return digest.digest().readUInt32LE(0) || 1;
}

/** What makes a rule another rule. Its place in the file does not. */
function describe({ policy, rule }: RuleRef) {
  return [policyKey(policy), { ...rule, where: undefined }];
}
