/**
 * Random policies, with everything that rules can say. A kind of rule more is one more line in RULES: `evaluate()` and the
 * parser must know it, and what it names should be among the operations' objects.
 */

import { PROTOCOLS } from "../../../src/model/grammars.ts";
import type { Random } from "../random.ts";
import { OWNERS } from "./tree.ts";

/** Programs that act, as /s/NAME. The first runs the list, and executes the others. */
export const CALLERS = ["main", "one", "two"] as const;

/** Whose policies these are, and what they are about. */
export interface Subject {
  /** The container, by its name. */
  readonly container: string;
  readonly random: Random;
  /** Paths that rules may name. */
  readonly paths: readonly string[];
  /** Those that can be executed. */
  readonly programs: readonly string[];
}

type Group = "process" | "file" | "network" | "capabilities";
type Fields = Record<string, unknown>;

interface RuleKind {
  readonly group: Group;
  readonly list: string;
  readonly weight: number;
  readonly fields: (subject: Subject) => Fields;
}

const path = ({ random, paths }: Subject) => ({ path: random.pick(paths) });
/** Mostly of a program: what can't be executed, no process rule is about. */
const program = ({ random, paths, programs }: Subject) => ({
  path: random.pick(random.chance(0.7) ? programs : paths),
});
const directory = ({ random, paths }: Subject) => {
  const names = random.pick(paths).split("/");
  const up = random.pick([0, 0, 0, 1, 1]);
  const dir = names.slice(0, Math.max(2, names.length - up)).join("/");
  return { dir: `${dir}/`, ...random.chance(0.4) ? { recursive: true } : {} };
};

/** Conditions on who acts; those of files only beside them. */
const conditions = ({ random }: Subject) => ({
  ...random.chance(0.15) ? { ownerOnly: true } : {},
  ...random.chance(0.1) ? { pts: false } : {},
});
const readOnly = ({ random }: Subject) => random.chance(0.25) ? { readOnly: true } : {};

const FILE_RULES: readonly RuleKind[] = [
  {
    ...{ group: "process", list: "matchPaths", weight: 4 },
    fields: (subject) => ({ ...program(subject), ...conditions(subject) }),
  },
  {
    ...{ group: "process", list: "matchDirectories", weight: 2 },
    fields: (subject) => ({ ...directory(subject), ...conditions(subject) }),
  },
  {
    ...{ group: "file", list: "matchPaths", weight: 5 },
    fields: (subject) => ({ ...path(subject), ...readOnly(subject), ...conditions(subject) }),
  },
  {
    ...{ group: "file", list: "matchDirectories", weight: 4 },
    fields: (subject) => ({ ...directory(subject), ...readOnly(subject), ...conditions(subject) }),
  },
];

const WORDS = PROTOCOLS.filter((word) => word !== "sctp" && word !== "dccp");

const NUMBER_RULES: readonly RuleKind[] = [
  {
    ...{ group: "network", list: "matchProtocols", weight: 4 },
    fields: ({ random }) => ({ protocol: random.pick(WORDS) }),
  },
  {
    ...{ group: "capabilities", list: "matchCapabilities", weight: 4 },
    fields: ({ random }) => ({ capability: random.pick(RULED_CAPABILITIES) }),
  },
];

const RULED_CAPABILITIES = [
  ...["net_raw", "net_bind_service", "sys_chroot", "setuid", "setgid", "sys_admin"],
  ...["sys_resource", "setpcap", "sys_tty_config", "sys_nice", "net_admin"],
];

/** About what the policies of a container are. */
export const RULES = { files: FILE_RULES, numbers: NUMBER_RULES } as const;

/** What the programs that act need where an allow-list refuses all else. */
const NEEDED: Readonly<Record<Group, readonly string[]>> = {
  process: ["/bin/", "/s/", "/files/"],
  file: ["/bin/", "/s/", "/files/", "/proc/", "/dev/", "/etc/"],
  network: [],
  capabilities: [],
};

/** A container's policies, as YAML documents. Their names are the same in every round: of one that went, departures.ts keeps what it said for a while. */
export function randomPolicies(subject: Subject, kinds: readonly RuleKind[]): string {
  const { random, container } = subject;
  // With an Allow rule everything of its group is under an allow-list, which leaves less to tell rules apart by.
  const actions = random.chance(0.12)
    ? ["Block", "Audit", "Allow"]
    : random.pick([["Block", "Block", "Audit"], ["Block"]]);
  return ["a", "b", "c"].map((name) => document(`${container}-${name}`, subject, kinds, actions))
    .join("---\n");
}

function document(
  name: string,
  subject: Subject,
  kinds: readonly RuleKind[],
  actions: readonly string[],
): string {
  const { random, container } = subject;
  const groups = new Map<Group, Map<string, Fields[]>>();
  for (let i = random.pick([1, 2, 3, 6]); i > 0; i--) {
    const kind = pickKind(random, kinds);
    const lists = groups.get(kind.group) ?? new Map<string, Fields[]>();
    groups.set(
      kind.group,
      lists.set(kind.list, [...lists.get(kind.list) ?? [], {
        ...kind.fields(subject),
        ...said(random, actions, 0.8),
        ...sources(random),
      }]),
    );
  }
  const spec = [...groups].map(([group, lists]) => groupText(group, lists, random, actions));
  return `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
${fieldLines({ action: random.pick(actions), ...said(random, [], 0) }, 2)}${spec.join("")}`;
}

function groupText(
  group: Group,
  lists: ReadonlyMap<string, Fields[]>,
  random: Random,
  actions: readonly string[],
): string {
  const allows = actions.includes("Allow");
  const all = new Map(lists);
  if (allows && NEEDED[group].length > 0) {
    const needed = NEEDED[group].map((dir) => ({ dir, recursive: true, action: "Allow" }));
    all.set("matchDirectories", [...all.get("matchDirectories") ?? [], ...needed]);
  }
  const texts = [...all].map(([list, items]) =>
    `    ${list}:\n${items.map((item) => `      - ${JSON.stringify(item)}\n`).join("")}`
  );
  return `  ${group}:\n${fieldLines(said(random, actions, 0.2), 4)}${texts.join("")}`;
}

function fieldLines(fields: Fields, indent: number): string {
  return Object.entries(fields)
    .map(([key, value]) => `${" ".repeat(indent)}${key}: ${JSON.stringify(value)}\n`).join("");
}

function pickKind(random: Random, kinds: readonly RuleKind[]): RuleKind {
  let left = random.between(1, kinds.reduce((sum, { weight }) => sum + weight, 0));
  return kinds.find(({ weight }) => (left -= weight) <= 0)!;
}

function sources(random: Random): Fields {
  const names = random.pick([[], [], ["main"], ["one"], ["one", "two"]]);
  return names.length === 0 ? {} : { fromSource: names.map((name) => ({ path: `/s/${name}` })) };
}

/** What is inherited from the group and from the policy where it is not said. */
function said(random: Random, actions: readonly string[], actionChance: number): Fields {
  return {
    ...actions.length > 0 && random.chance(actionChance) ? { action: random.pick(actions) } : {},
    ...random.chance(0.25) ? { severity: random.between(1, 10) } : {},
    ...random.chance(0.25) ? { tags: random.pick([["one"], ["two", "three"]]) } : {},
    ...random.chance(0.25) ? { message: random.pick(["a message", "another: message"]) } : {},
  };
}

/** The users who act, most often the first. */
export const USERS = [0, 0, 0, ...OWNERS.slice(1)] as const;
