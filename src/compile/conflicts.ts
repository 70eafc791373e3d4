/** Rules that change nothing, because others say the same, are stricter, or decide before them. */
import {
  OP_DNS,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
} from "../../ffi/generated/agent_api.ts";
import { parseGlob } from "../model/glob.ts";
import type { Policy } from "../model/policy.ts";
import type { Rule } from "../model/rule.ts";
import { canSelectTogether, covers } from "../model/selector_sets.ts";
import { GlobStates } from "./glob_states.ts";
import { componentsOf } from "./hash.ts";
import {
  ALL_CIRCUMSTANCES,
  enforcedRules,
  isStricter,
  type RuleRef,
  verdictOf,
  verdictsOf,
} from "./rules.ts";

export interface Conflict {
  /**
   * `duplicate`: `by` says the same on the identical selector. `overruled`: it is stricter there. `shadowed`: it decides before
   * this directory: a recursive one before one that is not, or a laxer pattern that matches all in it.
   */
  readonly kind: "duplicate" | "overruled" | "shadowed";
  /** What never decides. */
  readonly ref: RuleRef;
  readonly by: RuleRef;
  /** Not in every container that the rule's policy selects, but in those that the other one selects too. */
  readonly sometimes: boolean;
  /** Of several programs in fromSource the one that it is about; undefined: all, or every program. */
  readonly source?: string;
}

/** A rule that may stand in another's way. */
interface Rival {
  readonly ref: RuleRef;
  readonly order: number;
  readonly kind: "identical" | "above" | "pattern";
}

type Rivals = ReadonlyMap<string, readonly Rival[]>;

/** In the order of enforcedRules(); at most one for each rule and program. What several rules do together is not found. */
export function findConflicts(policies: readonly Policy[]): Conflict[] {
  const refs = enforcedRules(policies);
  const rivals = new Map<string, Rival[]>();
  refs.forEach((ref, order) => {
    for (const source of sourcesOf(ref.rule)) {
      const key = selectorKey(ref.rule, source);
      const known = rivals.get(key);
      const rival = { ref, order, kind: "identical" } as const;
      if (known === undefined) rivals.set(key, [rival]);
      else known.push(rival);
    }
  });
  const relations = new Relations();
  const patterns = new Patterns(refs);
  return refs.flatMap((ref, order) => conflictsOf(ref, order, { rivals, patterns, relations }));
}

/** What rules are compared with. */
interface Field {
  readonly rivals: Rivals;
  readonly patterns: Patterns;
  readonly relations: Relations;
}

/** Every program is one source, too. */
function sourcesOf({ fromSource }: Rule): readonly string[] {
  return fromSource.length === 0 ? [""] : fromSource;
}

/** Equal for identical selectors. */
function selectorKey({ group, target }: Rule, source: string): string {
  return JSON.stringify([group, source, target]);
}

function conflictsOf(
  ref: RuleRef,
  order: number,
  field: Field,
): Conflict[] {
  const found = sourcesOf(ref.rule).map((source) => {
    const conflict = conflictFor(ref, order, rivalsOf(ref.rule, source, field), field.relations);
    return conflict === undefined ? undefined : { ...conflict, source };
  });
  const conflicts = found.filter((conflict) => conflict !== undefined);
  const [first] = conflicts;
  if (first === undefined) return [];
  // The same rule stands in the way of all programs: one finding says it.
  if (conflicts.length === found.length && conflicts.every(({ by }) => by === first.by)) {
    const { source: _, ...all } = first;
    return [all];
  }
  return conflicts;
}

function* rivalsOf(
  rule: Rule,
  source: string,
  { rivals, patterns }: Field,
): Generator<Rival> {
  const { target } = rule;
  if (target.kind === "directory") yield* patterns.above(rule, target, source);
  if (target.kind === "directory" && !target.recursive) {
    for (const path of ancestorsOf(target.path)) {
      const key = selectorKey({ ...rule, target: { ...target, path, recursive: true } }, source);
      for (const rival of rivals.get(key) ?? []) yield { ...rival, kind: "above" };
    }
  }
  yield* rivals.get(selectorKey(rule, source)) ?? [];
}

/** The directory itself and those that hold it, the deepest first. */
function ancestorsOf(path: string): string[] {
  const names = componentsOf(path);
  return Array.from(
    { length: names.length + 1 },
    (_, cut) => `/${names.slice(0, names.length - cut).join("/")}`,
  );
}

/** The first that always holds, else the first that may. */
function conflictFor(
  ref: RuleRef,
  order: number,
  rivals: Iterable<Rival>,
  relations: Relations,
): Omit<Conflict, "source"> | undefined {
  const own = allVerdictsOf(ref.rule);
  const ops = own.flatMap((verdict, op) => verdict === VERDICT_NONE ? [] : [op]);
  let possible: Omit<Conflict, "source"> | undefined;
  for (const rival of rivals) {
    const kind = rival.ref === ref ? undefined : kindOf(ref, order, rival, ops);
    if (kind === undefined) continue;
    const relation = relations.between(rival.ref.policy, ref.policy);
    const conflict = { kind, ref, by: rival.ref, sometimes: relation === "sometimes" };
    if (relation === "always") return conflict;
    if (relation === "sometimes" && isSurprise(ref, rival.ref, ops)) possible ??= conflict;
  }
  return possible;
}

/**
 * Whether it matters that two policies meet now and then. They may well say the same, or one be stricter for a few
 * containers; but what was to pass is refused, or what was to be refused or reported is not.
 */
function isSurprise({ rule }: RuleRef, rival: RuleRef, ops: readonly number[]): boolean {
  const [own, other] = [allVerdictsOf(rule), allVerdictsOf(rival.rule)];
  if (ops.every((op) => own[op] === other[op])) return false;
  return rule.action === "Allow" || ops.some((op) => isStricter(own[op]!, other[op]!));
}

/** What the rival alone does to the rule; undefined when the rule still decides something. */
function kindOf(
  { rule }: RuleRef,
  order: number,
  rival: Rival,
  ops: readonly number[],
): Conflict["kind"] | undefined {
  const [own, other] = [allVerdictsOf(rule), allVerdictsOf(rival.ref.rule)];
  if (rival.kind === "pattern" && !ops.some((op) => isStricter(own[op]!, other[op]!))) {
    return undefined;
  }
  if (rival.kind !== "identical") {
    return ops.every((op) => other[op] !== VERDICT_NONE) ? "shadowed" : undefined;
  }
  if (ops.some((op) => isStricter(own[op]!, other[op]!))) return undefined;
  if (ops.some((op) => isStricter(other[op]!, own[op]!))) return "overruled";
  return rival.order < order ? "duplicate" : undefined;
}

/** Of every op class under all circumstances. A preset is about one act, and no class. */
function allVerdictsOf(rule: Rule): number[] {
  if (rule.target.kind === "preset") {
    return [rule.action === "Block" ? VERDICT_BLOCK : VERDICT_AUDIT];
  }
  return ALL_CIRCUMSTANCES.flatMap((circumstances) => [
    ...verdictsOf(rule, circumstances),
    verdictOf(rule, OP_DNS, circumstances),
  ]);
}

/** Patterns that decide before directories. */
class Patterns {
  readonly #known: { readonly rival: Rival; readonly states: GlobStates }[];

  constructor(refs: readonly RuleRef[]) {
    this.#known = refs.flatMap((ref, order) => {
      const { target } = ref.rule;
      if (target.kind !== "pattern") return [];
      const states = new GlobStates([parseGlob(target.pattern)]);
      return [{ rival: { ref, order, kind: "pattern" }, states }];
    });
  }

  /** Those of the same group and program that match all in the directory. */
  *above(
    rule: Rule,
    { path, recursive }: { readonly path: string; readonly recursive: boolean },
    source: string,
  ): Generator<Rival> {
    for (const { rival, states } of this.#known) {
      const other = rival.ref.rule;
      if (other.group !== rule.group || !sourcesOf(other).includes(source)) continue;
      if (states.coverAll(path, recursive)) yield rival;
    }
  }
}

type Relation = "always" | "sometimes" | "never";

/** Whether a policy selects what another selects; each pair is asked about often. */
class Relations {
  readonly #known = new Map<Policy, Map<Policy, Relation>>();

  between(other: Policy, own: Policy): Relation {
    if (other === own) return "always";
    const known = this.#known.get(own) ?? new Map<Policy, Relation>();
    this.#known.set(own, known);
    const relation = known.get(other) ?? relationOf(other, own);
    known.set(other, relation);
    return relation;
  }
}

function relationOf(other: Policy, own: Policy): Relation {
  if (covers(other, own)) return "always";
  return canSelectTogether(other, own) ? "sometimes" : "never";
}
