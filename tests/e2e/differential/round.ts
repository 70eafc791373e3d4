/**
 * A round of the differential test: random policies for each container, a tree of files, a list of operations, and what
 * the specification says of each. All of it follows from one seed.
 */

import { type Actor, type ExpectedAlert, Specification } from "./specification.ts";
import { parsePolicies } from "../../../src/model/parse.ts";
import type { Policy } from "../../../src/model/policy.ts";
import type { Posture } from "../../../src/model/posture.ts";
import { isPathTarget } from "../../../src/model/rule.ts";
import { Random } from "../random.ts";
import { randomUse } from "./numbers.ts";
import { type Operation, randomOperation } from "./operations.ts";
import { CALLERS, randomPolicies, RULES, USERS } from "./policies.ts";
import { Tree } from "./tree.ts";

/** Containers, and what is done in each. */
export const CONTAINERS = { f0: "files", f1: "files", f2: "files", n0: "numbers" } as const;
export type ContainerName = keyof typeof CONTAINERS;

/** The policies' file in the guest, as alerts name it. */
export const POLICY_FILE = "round.yaml";

/** Whose alerts say that all before them have arrived. */
const MARK = `---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: mark
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: mark
  action: Audit
  message: PREFIX
  file:
    matchDirectories:
      - dir: /marks/
`;

/** One operation, and what must come of it. */
export interface Expected {
  /** Of the list, as differ.c reads it. */
  readonly line: string;
  readonly refused: boolean;
  readonly alerts: readonly ExpectedAlert[];
}

/** What one container does in a round. */
export interface List {
  readonly container: ContainerName;
  /** For `differ build`. */
  readonly tree: string;
  readonly hasTerminal: boolean;
  readonly operations: readonly Expected[];
}

export interface Round {
  readonly seed: number;
  readonly prefix: string;
  readonly policies: string;
  readonly lists: readonly List[];
}

/**
 * `operations`: of each container; half as many where what can be told is so little that it would be told too often for
 * the rate of alerts.
 */
export function makeRound(
  seed: number,
  prefix: string,
  operations: number,
  posture: Posture,
): Round {
  const containers = Object.keys(CONTAINERS) as ContainerName[];
  const sketches = containers.map((container, place) => {
    const random = new Random(Math.imul(seed, 31) + place);
    return { container, random, ...sketch(container, random) };
  });
  const policies = sketches.map(({ text }) => text).join("---\n") +
    MARK.replace("PREFIX", prefix);
  const parsed = parse(policies);
  const lists = sketches.map((sketch) => {
    const mine = parsed.filter(({ name }) => name.startsWith(`${sketch.container}-`));
    return makeList(sketch, new Specification(mine, posture), operations);
  });
  return { seed, prefix, policies, lists };
}

interface Sketch {
  readonly container: ContainerName;
  readonly random: Random;
  readonly text: string;
  readonly tree: Tree;
}

function sketch(container: ContainerName, random: Random) {
  const tree = new Tree(random);
  const free = Array.from({ length: 6 }, () => tree.freeName()).filter((path) =>
    path !== undefined
  );
  const paths = [...tree.entries.map(({ path }) => path), ...free];
  const programs = tree.entries.filter(({ inode }) => inode.program !== undefined)
    .map(({ path }) => path);
  const subject = { container, random, paths, programs };
  return { text: randomPolicies(subject, RULES[CONTAINERS[container]]), tree };
}

function parse(text: string): readonly Policy[] {
  const { policies, diagnostics } = parsePolicies(text, POLICY_FILE);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(`Random policy: ${JSON.stringify(errors[0])}\n${text}`);
  return policies;
}

function makeList(
  { container, random, tree }: Sketch,
  specification: Specification,
  count: number,
): List {
  const lines = tree.lines;
  const isFiles = CONTAINERS[container] === "files";
  const hasTerminal = isFiles && random.chance(0.3);
  const ruled = specification.rules.flatMap(({ rule: { target } }) =>
    isPathTarget(target) && target.path.startsWith("/t") ? [target.path] : []
  );
  const length = isFiles ? count : count >> 1;
  const operations = Array.from({ length }, () => {
    const uid = isFiles ? random.pick(USERS) : 0;
    const operation = isFiles ? randomOperation({ tree, random, ruled, uid }) : randomUse(random);
    const via = random.chance(0.06) ? random.pick(CALLERS.slice(1)) : "-";
    const caller = via === "-" ? "/s/main" : `/s/${via}`;
    const actor = { caller, parent: "/s/main", uid, hasTerminal };
    return expectedOf(operation, actor, via, specification);
  });
  return { container, tree: lines, hasTerminal, operations };
}

function expectedOf(
  { words, steps }: Operation,
  actor: Actor,
  via: string,
  specification: Specification,
): Expected {
  const line = [via, actor.uid, ...words].join(" ");
  return { line, ...specification.judge(steps, actor) };
}

/** Of a container that is ahead of its agent the kernel keeps some 600 alerts, those of the part before included. */
const PART_ALERTS = 200;

/** A list in parts: after each the agent is to catch up. */
export function partsOf(operations: readonly Expected[]): (readonly Expected[])[] {
  const parts: Expected[][] = [[]];
  let told = 0;
  for (const operation of operations) {
    told += operation.alerts.length;
    if (told > PART_ALERTS) {
      parts.push([]);
      told = operation.alerts.length;
    }
    parts.at(-1)!.push(operation);
  }
  return parts;
}
