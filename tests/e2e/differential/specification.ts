/**
 * What an operation asks of the policies, step by step, and which alerts follow: src/compile/evaluate.ts answers each
 * question, this file knows what the guards of names and programs add (ARCHITECTURE.md, "Guards").
 */

import {
  IS_OWNER,
  NO_TERMINAL,
  OP_ATTR,
  OP_CAPABILITY,
  OP_CREATE,
  OP_DELETE,
  OP_EXEC,
  OP_LINK,
  OP_MMAP_EXEC,
  OP_NETWORK,
  OP_READ,
  OP_RENAME,
  OP_WRITE,
  VERDICT_ALLOW,
  VERDICT_BLOCK,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../../ffi/generated/agent_api.ts";
import { evaluateRules, type Judgement } from "../../../src/compile/evaluate.ts";
import { evaluateNumbered } from "../../../src/compile/evaluate_numbered.ts";
import { socketWords } from "../../../src/alerts/numbered.ts";
import { opOfNumber } from "../../../src/compile/numbered.ts";
import {
  ALL_CIRCUMSTANCES,
  enforcedRules,
  FILE_OPS,
  PROCESS_OPS,
  ruleBelow,
  type RuleRef,
} from "../../../src/compile/rules.ts";
import type { Policy } from "../../../src/model/policy.ts";
import type { Posture } from "../../../src/model/posture.ts";
import { isPathTarget, namesFiles, type Rule, ruleField } from "../../../src/model/rule.ts";

/** Who acts. */
export interface Actor {
  /** Executable. */
  readonly caller: string;
  /** Of the image that the caller was forked from. */
  readonly parent: string;
  readonly uid: number;
  readonly hasTerminal: boolean;
}

/** An object as a hook sees it. */
export interface Named {
  readonly path: string;
  /** Who owns it; of a name that is not there yet, who owns its directory. */
  readonly owner: number;
  readonly isDirectory?: boolean;
  /** Whether it has a bit to be executed: symbolic links have. */
  readonly isExecutable?: boolean;
}

/** One question to the policies, in the order in which the kernel asks them. */
export type Step =
  & {
    /** KubeArmor's name of the hook, as `lsm=` tells it. */
    readonly lsm: string;
    /** What has happened when this step has passed, whatever the next ones say. */
    readonly then?: () => void;
  }
  & (
    | { readonly kind: "access"; readonly ops: readonly number[]; readonly on: Named }
    | { readonly kind: "move"; readonly op: number; readonly from: Named; readonly to: Named }
    | {
      readonly kind: "attributes";
      readonly on: Named;
      readonly hidesProgram?: boolean;
      readonly changesOwner?: boolean;
    }
    | {
      readonly kind: "number";
      readonly number: number;
      /** What the alert names; of a socket its facts, as decision_event.open_flags has them. */
      readonly resource: string;
    }
  );

/** The fields of an alert that follow from the policies. */
export interface ExpectedAlert {
  readonly action: "Block" | "Audit";
  readonly operation: string;
  readonly access: string;
  readonly reason: string;
  readonly resource: string;
  readonly lsm: string;
  readonly policy: string;
  /** `FILE:LINE:COLUMN FIELD`, or "" for the posture. */
  readonly rule: string;
  readonly severity: string;
  readonly tags: string;
  readonly message: string;
  readonly bySource: boolean;
  /** The executable: of an exec, what was to be executed. */
  readonly process: string;
  readonly result: "Passed" | "Permission denied";
}

/** A container's policies, ready to be asked. */
export class Specification {
  readonly rules: readonly RuleRef[];
  readonly #policies: readonly Policy[];
  readonly #posture: Posture;
  readonly #blockRules: readonly RuleRef[];
  readonly #guardRule: RuleRef | undefined;
  readonly #blocked = new Map<string, boolean>();

  constructor(policies: readonly Policy[], posture: Posture) {
    this.#policies = policies;
    this.#posture = posture;
    this.rules = enforcedRules(policies);
    const blocking = this.rules.filter(({ rule }) => rule.action === "Block");
    this.#blockRules = blocking.filter(({ rule }) => namesFiles(rule.target));
    this.#guardRule = this.#blockRules[0] ?? blocking[0];
  }

  /** Takes the steps until one is refused. */
  judge(steps: readonly Step[], actor: Actor): { refused: boolean; alerts: ExpectedAlert[] } {
    const alerts: ExpectedAlert[] = [];
    for (const step of steps) {
      if (this.#take(step, actor, alerts)) return { refused: true, alerts };
      step.then?.();
    }
    return { refused: false, alerts };
  }

  #take(step: Step, actor: Actor, alerts: ExpectedAlert[]): boolean {
    const tell = (told: Told) => {
      if (!reports(told.verdict)) return false;
      alerts.push(alertOf(told, step.lsm, actor));
      return refuses(told.verdict);
    };
    switch (step.kind) {
      case "access":
        return tell(this.#strictest(step.ops, step.on, actor));
      case "move":
        return this.#move(step, actor).some(tell);
      case "attributes":
        return this.#attributes(step, actor).some(tell);
      case "number":
        return tell(this.#number(step.number, step.resource, actor));
    }
  }

  /** The strictest of several op classes, the last of equals being outdone by none. */
  #strictest(ops: readonly number[], on: Named, actor: Actor): Told {
    const told = ops.map((op) => ({ ...this.#ask(op, on, actor), op, resource: on.path }));
    return told.reduce((best, next) => next.verdict > best.verdict ? next : best);
  }

  #ask(op: number, { path, owner }: Named, actor: Actor, counting = ALL): Judgement {
    const isOwner = owner === actor.uid ? IS_OWNER : 0;
    const circumstances = (isOwner | (actor.hasTerminal ? 0 : NO_TERMINAL)) & counting;
    const { caller, parent } = actor;
    return evaluateRules({ op, path, caller, parent, circumstances }, this.rules, this.#posture);
  }

  #number(number: number, resource: string, { caller, hasTerminal }: Actor): Told {
    const circumstances = hasTerminal ? 0 : NO_TERMINAL;
    const question = { number, caller, circumstances };
    const answer = evaluateNumbered(question, this.#policies, this.#posture);
    return { ...answer, op: opOfNumber(number), resource };
  }

  /** Rename and link: the old name, what the guards protect, the new name. */
  *#move(
    { op, from, to }: Step & { kind: "move" },
    actor: Actor,
  ): Generator<Told> {
    // A directory counts as nobody's own: what lies in it may be somebody else's.
    const counting = from.isDirectory ? ALL & ~IS_OWNER : ALL;
    const resource = from.path;
    yield { ...this.#ask(op, from, actor, counting), op, resource };
    if (this.#isGuarded(from)) {
      const rule = ruleBelow(from.path, this.#blockRules) ?? this.#guardRule;
      yield { ...guarding(rule), op, resource, reason: "ancestor" };
    }
    // A program's name is that of the caller's rules, whoever its parent is.
    const self = { ...actor, parent: actor.caller };
    const exec = this.#ask(OP_EXEC, from, self, counting);
    const isProgram = from.isDirectory === true || from.isExecutable === true;
    const isBlocked = isProgram && (exec.verdict & ~VERDICT_SOURCE) === VERDICT_BLOCK;
    if (isBlocked && !refuses(this.#ask(OP_EXEC, to, self).verdict)) {
      yield { ...guarding(exec.rule ?? this.#guardRule), op, resource, reason: "launder" };
    }
    yield { ...this.#ask(OP_CREATE, to, actor), op: OP_CREATE, resource: to.path };
  }

  *#attributes(
    { on, hidesProgram, changesOwner }: Step & { kind: "attributes" },
    actor: Actor,
  ): Generator<Told> {
    const about = { op: OP_ATTR, resource: on.path };
    yield { ...this.#ask(OP_ATTR, on, actor), ...about };
    if (on.isDirectory || !on.isExecutable) return;
    const self = { ...actor, parent: actor.caller };
    const exec = this.#ask(OP_EXEC, on, self);
    const guard = { ...about, reason: "launder" } as const;
    if (hidesProgram && kindOf(exec.verdict) === VERDICT_BLOCK) {
      yield { ...guarding(exec.rule ?? this.#guardRule), ...guard };
    }
    const strangers = this.#ask(OP_EXEC, on, self, 0);
    const owners = this.#ask(OP_EXEC, on, { ...self, uid: on.owner });
    const isLeftToOwner = refuses(strangers.verdict) && !refuses(owners.verdict);
    if (changesOwner && isLeftToOwner && on.owner !== actor.uid) {
      yield { ...guarding(strangers.rule ?? this.#guardRule), ...guard };
    }
  }

  /** Whether a rename or a link of it would leave a Block rule behind. */
  #isGuarded({ path, isDirectory }: Named): boolean {
    if (!this.#isNode(path)) return false;
    if (this.#blocksSomeone(path)) return true;
    if (!isDirectory) return false;
    const below = path === "/" ? "/" : `${path}/`;
    const named = this.#namedPaths().filter((other) => other.startsWith(below));
    return [...named, `${below}${NO_NAME}`, `${below}${NO_NAME}/${NO_NAME}`]
      .some((other) => this.#blocksSomeone(other));
  }

  /** Whether the path, or something below it, stands in a rule. */
  #isNode(path: string): boolean {
    return this.#namedPaths().some((named) => named === path || named.startsWith(`${path}/`));
  }

  #namedPaths(): string[] {
    return this.rules.flatMap(({ rule: { target, fromSource } }) => [
      ...isPathTarget(target) ? [target.path] : [],
      ...fromSource,
    ]);
  }

  #blocksSomeone(path: string): boolean {
    const known = this.#blocked.get(path) ?? this.#findBlock(path);
    this.#blocked.set(path, known);
    return known;
  }

  #findBlock(path: string): boolean {
    const sources = ["", ...this.rules.flatMap(({ rule }) => rule.fromSource)];
    return sources.some((caller) =>
      ALL_CIRCUMSTANCES.some((circumstances) =>
        [...PROCESS_OPS, ...FILE_OPS].some((op) => {
          const question = { op, path, caller, parent: caller, circumstances };
          const { verdict } = evaluateRules(question, this.rules, this.#posture);
          return (verdict & ~VERDICT_SOURCE) === VERDICT_BLOCK;
        })
      )
    );
  }
}

const ALL = IS_OWNER | NO_TERMINAL;
/** A name that no rule has. */
const NO_NAME = "no-rule-names-this";

interface Told extends Judgement {
  readonly op: number;
  readonly resource: string;
  readonly reason?: "ancestor" | "launder";
}

function guarding(rule: RuleRef | undefined): Judgement {
  return rule === undefined ? { verdict: VERDICT_BLOCK } : { verdict: VERDICT_BLOCK, rule };
}

function kindOf(verdict: number): number {
  return verdict & ~VERDICT_SOURCE;
}

function reports(verdict: number): boolean {
  return kindOf(verdict) > VERDICT_ALLOW;
}

function refuses(verdict: number): boolean {
  return kindOf(verdict) === VERDICT_BLOCK || kindOf(verdict) === VERDICT_POSTURE_BLOCK;
}

function isPosture(verdict: number): boolean {
  return kindOf(verdict) === VERDICT_POSTURE_BLOCK || kindOf(verdict) === VERDICT_POSTURE_AUDIT;
}

const ACCESS_NAMES: Readonly<Record<number, string>> = {
  [OP_EXEC]: "exec",
  [OP_MMAP_EXEC]: "mmap-exec",
  [OP_READ]: "read",
  [OP_WRITE]: "write",
  [OP_CREATE]: "create",
  [OP_RENAME]: "rename",
  [OP_LINK]: "link",
  [OP_DELETE]: "delete",
  [OP_ATTR]: "attributes",
  [OP_NETWORK]: "network",
  [OP_CAPABILITY]: "capability",
};

/** KubeArmor's classes. */
function operationOf(op: number): string {
  if (op === OP_NETWORK) return "Network";
  if (op === OP_CAPABILITY) return "Capabilities";
  return PROCESS_OPS.includes(op) ? "Process" : "File";
}

function alertOf(told: Told, lsm: string, { caller }: Actor): ExpectedAlert {
  const { verdict, rule, op, reason } = told;
  const resource = op === OP_NETWORK ? socketResource(told.resource, rule) : told.resource;
  return {
    action: refuses(verdict) ? "Block" : "Audit",
    operation: operationOf(op),
    access: ACCESS_NAMES[op]!,
    reason: reason ?? (isPosture(verdict) ? "posture" : "rule"),
    resource,
    lsm,
    policy: rule?.policy.name ?? "DefaultPosture",
    rule: rule === undefined ? "" : placeOf(rule.rule),
    severity: rule === undefined || rule.rule.severity === 0 ? "" : String(rule.rule.severity),
    tags: rule?.rule.tags.join(",") ?? "",
    message: rule?.rule.message ?? "",
    bySource: (verdict & VERDICT_SOURCE) !== 0,
    process: op === OP_EXEC ? resource : caller,
    result: refuses(verdict) ? "Permission denied" : "Passed",
  };
}

/** What the alert calls a socket depends on the rule. */
function socketResource(facts: string, rule: RuleRef | undefined): string {
  return socketWords(Number(facts), rule).map((word) => word.join("=")).join(" ");
}

function placeOf(rule: Rule): string {
  const { file, line, column } = rule.where;
  return `${file}:${line}:${column} ${ruleField(rule)}`;
}
