/** Asks the image and the specification the same questions. */
import assert from "node:assert/strict";
import {
  IS_OWNER,
  NO_TERMINAL,
  OP_CLASS_NAMES,
  OP_READ,
  VERDICT_BLOCK as DENY,
  VERDICT_NAMES,
  VERDICT_SOURCE as SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { compileImage } from "./compile.ts";
import { evaluate, evaluateRules, isParentJudged, type Question } from "./evaluate.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader, lookup } from "./lookup.ts";
import { conditionsOf, enforcedRules } from "./rules.ts";
import { subsetsOf } from "./scopes.ts";
import { AUDIT, BLOCK, KEYS, policy, type RuleText } from "./test_policies.ts";

const hasher = new PathHasher(KEYS);

export function read(policies: readonly Policy[], posture: Posture) {
  const image = compileImage(policies, posture, KEYS);
  assert.ok(image, "some rule is enforced");
  return { image, reader: new ImageReader(image.bytes, hasher) };
}

export function say(verdict: number): string {
  const name = VERDICT_NAMES[verdict & ~SOURCE]!;
  return (verdict & SOURCE) === 0 ? name : `${name} by source`;
}

export type Asks = [
  op: number,
  path: string,
  verdict: number,
  caller?: string,
  parent?: string,
][];

/** Rules, and what they answer. */
export interface Vector {
  name: string;
  rules: RuleText[];
  posture?: Posture;
  asks: Asks;
  /** What the owner of the object is told, on a terminal. */
  owners?: Asks;
  /** What others are told who have no terminal. */
  withoutTerminal?: Asks;
}

/** Both the specification and the image give these answers. */
export function assertVector(vector: Vector): void {
  const { rules, posture = AUDIT, asks, owners = [], withoutTerminal = [] } = vector;
  const policies = [policy("p", ...rules)];
  const image = read(policies, posture);
  const given = (asks: Asks, circumstances: number) => asks.map((ask) => ({ ask, circumstances }));
  const questions = [
    ...given(asks, 0),
    ...given(owners, IS_OWNER),
    ...given(withoutTerminal, NO_TERMINAL),
  ];
  for (const { ask, circumstances } of questions) {
    const [op, path, verdict, caller = "/sbin/init", parent = "/sbin/init"] = ask;
    const question = { op, path, caller, parent, circumstances };
    const spec = evaluate(question, policies, posture);
    assert.equal(say(spec.verdict), say(verdict), `evaluate() ${tell(question)}`);
    assert.equal(say(lookup(image.reader, question).verdict), say(verdict), tell(question));
  }
}

export function tell({ op, path, caller, parent, circumstances = 0 }: Question): string {
  const given = ["", ", the owner", ", no terminal", ", the owner, no terminal"][circumstances]!;
  return `${OP_CLASS_NAMES[op]} ${path} by ${caller}, child of ${parent}${given}`;
}

/** What a test asks: every combination. */
export interface Space {
  readonly paths: readonly string[];
  readonly ops: readonly number[];
  readonly sources: readonly string[];
}

/** `conditions`: circumstances that matter. */
export function* questions(
  { paths, ops, sources }: Space,
  conditions = 0,
): Generator<Question> {
  for (const path of paths) {
    for (const op of ops) {
      for (const caller of sources) {
        for (const parent of isParentJudged(op) ? sources : [caller]) {
          for (const circumstances of subsetsOf(conditions)) {
            yield { op, path, caller, parent, circumstances };
          }
        }
      }
    }
  }
}

/** @returns how many questions were compared */
export function assertSame(policies: readonly Policy[], posture: Posture, space: Space): number {
  const { image, reader } = read(policies, posture);
  const rules = enforcedRules(policies);
  let count = 0;
  const conditions = rules.reduce((bits, { rule }) => bits | conditionsOf(rule), 0);
  for (const question of questions(space, conditions)) {
    count++;
    const spec = evaluateRules(question, rules, posture);
    const { verdict, row } = lookup(reader, question);
    const named = image.explain(row, question.op);
    if (verdict === spec.verdict && named?.rule === spec.rule?.rule) continue;
    // Equality is tested first because there are millions of questions, and words for them cost more than answers.
    assert.equal(say(verdict), say(spec.verdict), tell(question));
    assert.deepEqual(named, spec.rule, tell(question));
  }
  return count;
}

/** Adding Block rules to Block rules must open nothing, but for reading what a more specific readOnly rule names, and under circumstances. */
export function assertMonotonic(
  fewer: readonly RuleText[],
  more: readonly RuleText[],
  space: Space,
): number {
  const before = read([policy("p", ...fewer)], BLOCK).reader;
  const after = read([policy("p", ...fewer), policy("q", ...more)], BLOCK).reader;
  const exempt = more.some(({ group, readOnly }) => group === "file" && readOnly);
  let count = 0;
  for (const question of questions(space)) {
    if (exempt && question.op === OP_READ) continue;
    count++;
    const refused = isBlock(lookup(before, question).verdict);
    if (refused && !isBlock(lookup(after, question).verdict)) assert.fail(tell(question));
  }
  return count;
}

function isBlock(verdict: number): boolean {
  return (verdict & ~SOURCE) === DENY;
}
