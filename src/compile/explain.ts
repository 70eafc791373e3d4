/** Why an operation passes or fails: the rule that decides it, and those that would have. */
import {
  OP_ATTR,
  OP_CAPABILITY,
  OP_CONNECT,
  OP_CREATE,
  OP_DELETE,
  OP_DNS,
  OP_EXEC,
  OP_LINK,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_MOUNT,
  OP_NETWORK,
  OP_PRESET,
  OP_READ,
  OP_RENAME,
  OP_SYSCALL,
  OP_WRITE,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { PolicyMode } from "../model/governance.ts";
import type { Policy } from "../model/policy.ts";
import { closest } from "../lib/suggest.ts";
import { pathDefect } from "../model/paths.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { judgedGroup, type Rule } from "../model/rule.ts";
import { readDomain } from "../model/domain.ts";
import { shorten } from "../model/validate.ts";
import type { CompiledImage } from "./compile_image.ts";
import { explainSyscall } from "./explain_syscall.ts";
import { isParentJudged, matches, type Question } from "./evaluate.ts";
import { matchedLabels, type NameQuestion } from "./evaluate_name.ts";
import type { NumberedQuestion } from "./evaluate_numbered.ts";
import { componentsOf, type HashKeys, PathHasher } from "./hash.ts";
import { type Decision, ImageReader, lookup, lookupName, lookupNumber } from "./lookup.ts";
import { namesNumber } from "./numbered.ts";
import { nameOfNumber, readCapability, readPreset, readSocketKind } from "./numbered_names.ts";
import { comparePrecedence, criterionBetween } from "./precedence.ts";
import { groupOf, ruleBelow, type RuleRef, verdictOf, whyNotEnforced } from "./rules.ts";

/** What may be asked about a path, in the words of alerts, with the op classes that the kernel judges for it. */
export const PATH_ACCESSES: Readonly<Record<string, readonly number[]>> = {
  // A program is opened before it is executed.
  exec: [OP_EXEC, OP_READ],
  load: [OP_LOAD],
  "mmap-exec": [OP_MMAP_EXEC],
  read: [OP_READ],
  write: [OP_WRITE],
  create: [OP_CREATE],
  delete: [OP_DELETE],
  rename: [OP_RENAME],
  link: [OP_LINK],
  attributes: [OP_ATTR],
  mount: [OP_MOUNT],
  connect: [OP_CONNECT],
};

/** What may be asked about what has a name and no path. */
const NUMBER_ACCESSES: Readonly<Record<string, readonly number[]>> = {
  socket: [OP_NETWORK],
  capability: [OP_CAPABILITY],
  dns: [OP_DNS],
  preset: [OP_PRESET],
};

const NUMBER_READERS: Readonly<Record<string, (text: string) => number>> = {
  socket: readSocketKind,
  capability: readCapability,
  preset: readPreset,
};

/** System calls, of which rules tell and which none refuses. */
export const SYSCALL_ACCESS = "syscall";

/** All that may be asked. */
export const ACCESSES: Readonly<Record<string, readonly number[]>> = {
  ...PATH_ACCESSES,
  ...NUMBER_ACCESSES,
  [SYSCALL_ACCESS]: [OP_SYSCALL],
};

/** Accesses that give an object another name, or its name to another: guards of Block rules refuse them, too. */
export const GUARDED_ACCESSES: readonly string[] = ["rename", "link", "mount"];

/** What the user wants to know about. */
export interface Ask {
  /** A key of `ACCESSES`. */
  readonly access: string;
  /** An absolute path without superfluous slashes, what `nameOfNumber()` calls it, or a system call. */
  readonly object: string;
  /** Of a system call a path among its arguments, absolute and without links. */
  readonly path?: string;
  /** SOCKET_*, REFERENCE_CAPABILITIES plus a capability's number, or a preset's; undefined for a path. */
  readonly number?: number;
  /** Executable of the acting program; empty: one that no rule names. */
  readonly from: string;
  /** Executable of the program that it was forked from. */
  readonly parent: string;
  /** Of IS_OWNER and NO_TERMINAL: see Question. */
  readonly circumstances: number;
}

/** A rule that did not decide, and why. */
export interface Loser {
  readonly ref: RuleRef;
  readonly why: string;
}

/** The answer about one op class. */
export interface Explanation {
  readonly op: number;
  /** VERDICT_*, without its source bit, as the kernel finds it in the image. */
  readonly verdict: number;
  /** The rule that decides; undefined where none matches. */
  readonly winner?: RuleRef;
  /** Rules that match as well, in the order of precedence. */
  readonly runnersUp: readonly Loser[];
  /** Where the posture decides: the Allow rules that make the allow-list. */
  readonly allowList: readonly RuleRef[];
}

export interface Answer {
  readonly ask: Ask;
  /** One for each op class of the access. */
  readonly explanations: readonly Explanation[];
  /** Rules of the container that name the object and say nothing here. */
  readonly others: readonly Loser[];
  /** Set when the path keeps its name: the Block rule that names it or something below it. */
  readonly guard?: RuleRef;
  /** Of the container: the explanations are what would be if it were enabled. */
  readonly mode: PolicyMode;
  /** Of the image that was asked; undefined: the container has none. */
  readonly generation?: number;
}

/**
 * Reads a question. `parent` is `from` where it is not given: a shell that nginx starts is executed by nginx's own child.
 *
 * @throws {RangeError} an unknown access, a path that no file has, or a name that nothing has: what, found against wanted, and a hint
 */
export function readAsk(
  texts: {
    access: string;
    object: string;
    path?: string;
    from?: string;
    parent?: string;
    circumstances?: number;
  },
): Ask {
  const { access, object, circumstances = 0 } = texts;
  if (!Object.hasOwn(ACCESSES, access)) {
    throw new RangeError(
      `Cannot explain access "${shorten(access)}": must be one of ${
        Object.keys(ACCESSES).join(", ")
      }`,
    );
  }
  const from = texts.from === undefined ? "" : questionPath(texts.from);
  const parent = texts.parent === undefined ? from : questionPath(texts.parent);
  if (access === SYSCALL_ACCESS) {
    const path = texts.path === undefined ? {} : { path: questionPath(texts.path) };
    return { access, object: questionCall(object), ...path, from, parent, circumstances };
  }
  if (texts.path !== undefined) {
    throw new RangeError("Cannot use path: it belongs to a system call");
  }
  if (Object.hasOwn(PATH_ACCESSES, access)) {
    return { access, object: questionPath(object), from, parent, circumstances };
  }
  if (access === "dns") {
    return { access, object: questionName(object), from, parent, circumstances };
  }
  const number = NUMBER_READERS[access]!(object);
  return { access, object: nameOfNumber(number), number, from, parent, circumstances };
}

/** @throws {RangeError} */
function questionCall(name: string): string {
  if (SYSCALL_NAMES.includes(name)) return name;
  const meant = closest(name.slice(0, 64), SYSCALL_NAMES);
  const hint = meant === undefined ? "syscalls(2) lists them" : `did you mean "${meant}"?`;
  throw new RangeError(
    `Cannot use system call "${shorten(name)}": no rule can name it\n  hint: ${hint}`,
  );
}

/** @throws {RangeError} */
function questionName(written: string): string {
  const name = readDomain(written);
  if (typeof name !== "string" && name.belowOnly !== true) return name.domain;
  const why = typeof name === "string" ? name : "is no single name";
  throw new RangeError(`Cannot use name: "${shorten(written)}" ${why}`);
}

/** @throws {RangeError} */
function questionPath(written: string): string {
  const components = componentsOf(written);
  const defect = written.startsWith("/") ? pathDefect(written, components) : [
    `Cannot use path: must start with "/": current value is "${shorten(written)}"`,
    "write the real path as the container sees it",
  ];
  if (defect === undefined) {
    return `/${components.filter((name) => name !== ".").join("/")}`;
  }
  const [message, hint] = defect;
  throw new RangeError(hint === undefined ? message : `${message}\n  hint: ${hint}`);
}

/**
 * Answers from the image, which the kernel reads the same way, and says why from the rules that it was made of.
 *
 * @param policies that select the container, those without an enforced rule too
 * @throws {Error} when the image and its rules disagree: a fault of the compiler's
 */
export function explain(
  ask: Ask,
  image: CompiledImage | undefined,
  policies: readonly Policy[],
  keys: HashKeys,
  mode: PolicyMode = "enabled",
): Answer {
  const reader = image && new ImageReader(image.bytes, PathHasher.of(keys));
  const generation = image === undefined ? {} : { generation: image.generation };
  if (ask.access === SYSCALL_ACCESS) {
    return { ask, ...explainSyscall(ask, image, policies, reader), mode, ...generation };
  }
  const explanations = questionsOf(ask).map((question) =>
    reader === undefined
      ? { op: question.op, verdict: VERDICT_NONE, runnersUp: [], allowList: [] }
      : explainQuestion(question, image!, reader)
  );
  const told = new Set(explanations.flatMap(({ winner, runnersUp }) => [
    winner?.rule,
    ...runnersUp.map(({ ref }) => ref.rule),
  ]));
  return {
    ask,
    explanations,
    others: silentRules(ask, policies).filter(({ ref }) => !told.has(ref.rule)),
    ...guardOf(ask, image, reader),
    mode,
    ...generation,
  };
}

/** What is asked of an image and its rules. */
type Inquiry =
  & Pick<Question, "op" | "caller" | "parent" | "circumstances">
  & (Pick<Question, "path"> | Pick<NumberedQuestion, "number"> | Pick<NameQuestion, "name">);

function questionsOf({ access, object, number, from, parent, circumstances }: Ask): Inquiry[] {
  const what = access === "dns"
    ? { name: object }
    : number === undefined
    ? { path: object }
    : { number };
  return ACCESSES[access]!.map((op) => ({ op, ...what, caller: from, parent, circumstances }));
}

function names(ref: RuleRef, what: Inquiry): boolean {
  if ("name" in what) return matchedLabels(ref, what.name) !== undefined;
  const { target } = ref.rule;
  return "path" in what ? matches(target, what.path) : namesNumber(target, what.number);
}

function decisionOf(reader: ImageReader, question: Inquiry): Decision {
  if ("name" in question) return lookupName(reader, question);
  return "path" in question ? lookup(reader, question) : lookupNumber(reader, question);
}

/** The rule that the alert of the guard names: see attribute() in src/alerts/match.ts. */
function guardOf(
  { access, object }: Ask,
  image: CompiledImage | undefined,
  reader: ImageReader | undefined,
): { guard?: RuleRef } {
  const isPath = Object.hasOwn(PATH_ACCESSES, access);
  if (!isPath || reader?.walk(object).guard !== true) return {};
  const guard = ruleBelow(object, image!.blockRules) ?? image!.guardRule;
  return guard === undefined ? {} : { guard };
}

function explainQuestion(
  question: Inquiry,
  image: CompiledImage,
  reader: ImageReader,
): Explanation {
  const { op } = question;
  const { rules } = image;
  const decision = decisionOf(reader, question);
  const verdict = decision.verdict & ~VERDICT_SOURCE;
  const [winner, ...losers] = rankRules(question, rules);
  const named = image.explain(decision.row, op);
  if (named?.rule !== winner?.rule && !isPosture(verdict)) {
    throw new Error(
      `The image decides ${ruleName(named)} where its rules decide ${ruleName(winner)}`,
    );
  }
  return {
    op,
    verdict,
    ...(winner !== undefined && { winner }),
    runnersUp: losers.map((ref) => ({ ref, why: whyLost(question, winner!, ref) })),
    allowList: isPosture(verdict) && winner === undefined ? allowListOf(op, rules) : [],
  };
}

function ruleName(ref: RuleRef | undefined): string {
  return ref === undefined ? "nothing" : JSON.stringify(ref.rule.where);
}

function isPosture(verdict: number): boolean {
  return verdict === VERDICT_POSTURE_AUDIT || verdict === VERDICT_POSTURE_BLOCK;
}

function allowListOf(op: number, rules: readonly RuleRef[]): RuleRef[] {
  return rules.filter(({ rule }) => judgedGroup(rule) === groupOf(op) && rule.action === "Allow");
}

// ---- order -------------------------------------------------------------------------------------------------------------

/**
 * The rules that match, in the order in which they would decide if those before were not there. Where the parent counts as
 * a source too, each program's rules are in order, and the larger of two verdicts comes first.
 *
 * @param rules in the order of enforcedRules()
 */
export function rankRules(question: Inquiry, rules: readonly RuleRef[]): RuleRef[] {
  const { op, caller, parent, circumstances } = question;
  const own = rankFor(question, caller, rules);
  if (!isParentJudged(op) || parent === caller) return own;
  const inherited = rankFor(question, parent, rules);
  const ranked = new Set<RuleRef>();
  for (;;) {
    const [first, second] = [own, inherited].map((list) => list.find((ref) => !ranked.has(ref)));
    const next = weight(second, op, circumstances) > weight(first, op, circumstances)
      ? second
      : first;
    if (next === undefined) return [...ranked];
    ranked.add(next);
  }
}

/** Sorting keeps equals as they were given. */
function rankFor(question: Inquiry, source: string, rules: readonly RuleRef[]): RuleRef[] {
  const { op, circumstances } = question;
  return rules.filter((ref) =>
    groupOf(op) === judgedGroup(ref.rule) && verdictOf(ref.rule, op) !== VERDICT_NONE &&
    names(ref, question) &&
    (ref.rule.fromSource.length === 0 || ref.rule.fromSource.includes(source))
  ).sort((a, b) =>
    labelsBetween(a, b, question) || comparePrecedence(a.rule, b.rule, op, circumstances)
  );
}

/** Of rules for the same programs how many more labels of a name the second names; a search list's count, too. */
function labelsBetween(a: RuleRef, b: RuleRef, question: Inquiry): number {
  const isSourced = ({ rule }: RuleRef) => rule.fromSource.length > 0;
  if (!("name" in question) || isSourced(a) !== isSourced(b)) return 0;
  return matchedLabels(b, question.name)! - matchedLabels(a, question.name)!;
}

/** As the kernel compares the verdicts of caller and parent. */
function weight(ref: RuleRef | undefined, op: number, circumstances = 0): number {
  if (ref === undefined) return -1;
  const { rule } = ref;
  return verdictOf(rule, op, circumstances) | (rule.fromSource.length > 0 ? VERDICT_SOURCE : 0);
}

function whyLost(question: Inquiry, winner: RuleRef, loser: RuleRef): string {
  const { op, caller, parent, circumstances } = question;
  if (labelsBetween(winner, loser, question) < 0) {
    return "a longer domain decides before one of which it is a part";
  }
  const between = criterionBetween(winner.rule, loser.rule, op, circumstances);
  if (between === undefined) return "says the same: of equals the first policy by name is named";
  const { criterion, difference } = between;
  if (difference < 0) return `${criterion.decides} decides before ${criterion.before}`;
  // The other program's order had this rule further up, and its verdict is smaller.
  const named = winner.rule.fromSource.includes(caller) ? caller : parent;
  return `the rule for ${named} refuses more: of a program's and its parent's verdict the larger stands`;
}

// ---- rules that say nothing here -----------------------------------------------------------------------------------------

function silentRules(ask: Ask, policies: readonly Policy[]): Loser[] {
  return policies.flatMap((policy) =>
    policy.rules.flatMap((rule) => {
      const why = whySilent(ask, policy, rule);
      return why === undefined ? [] : [{ ref: { policy, rule }, why }];
    })
  );
}

/** Why a rule that names the object does not matter; undefined when it names another. */
function whySilent(ask: Ask, policy: Policy, rule: Rule) {
  const { access, from, parent } = ask;
  const [question] = questionsOf(ask);
  const isCovered = names({ policy, rule }, question!);
  if (!isCovered && !isTooDeep({ policy, rule }, question!)) return undefined;
  const missing = whyNotEnforced(policy, rule);
  if (missing !== undefined) return `not enforced: ${missing}`;
  if (!isCovered) return "not recursive: it names the directory and what lies directly in it";
  const ops = ACCESSES[access]!;
  if (ops.every((op) => groupOf(op) !== judgedGroup(rule))) {
    return rule.group === "process"
      ? "process rules are about executing"
      : "file rules are not about executing";
  }
  const spoken = ops.filter((op) => verdictOf(rule, op) !== VERDICT_NONE);
  if (spoken.length === 0) {
    const what = rule.target.kind === "pattern" ? "patterns" : "directories";
    return `${what} say nothing about mapping code`;
  }
  const programs = [from, ...(spoken.some(isParentJudged) ? [parent] : [])];
  if (rule.fromSource.length > 0 && !programs.some((name) => rule.fromSource.includes(name))) {
    return `holds for other programs only: ${rule.fromSource.join(", ")}`;
  }
  return undefined;
}

/** Below a directory that is not recursive, too deep to be its business. */
function isTooDeep({ rule: { target } }: RuleRef, question: Inquiry): boolean {
  return target.kind === "directory" && !target.recursive && "path" in question &&
    matches({ ...target, recursive: true }, question.path);
}
