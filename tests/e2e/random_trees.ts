/**
 * Random trees of files, random policies about them, and random questions with the answers that the specification
 * (src/compile/evaluate.ts) gives. Everything follows from a seed. tests/e2e/tools/compare.c reads the lists.
 */

import {
  IS_OWNER,
  NO_TERMINAL,
  OP_READ,
  OP_WRITE,
  VERDICT_BLOCK,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { compileImage } from "../../src/compile/compile_image.ts";
import { evaluateRules } from "../../src/compile/evaluate.ts";
import { randomKeys } from "../../src/compile/hash.ts";
import { globDefect } from "../../src/model/glob.ts";
import { COMPONENTS_MAX, PATH_BYTES_MAX } from "../../src/model/limits.ts";
import { parsePolicies } from "../../src/model/parse.ts";
import type { Posture } from "../../src/model/posture.ts";
import { Random } from "./random.ts";

/** One container's tree, what is ruled in it, and what is asked about it. */
export interface RandomTree {
  /** For `compare build`. */
  build: string;
  /** A policy file. */
  policies: string;
  /** For `compare ask`. */
  questions: string;
}

/** The programs that ask, as /s/NAME: copies of one, so that rules can tell them apart. */
export const ASKERS = ["one", "two", "three"] as const;

/** Lengths in bytes at which the kernel stores names in another way, and the longest. */
const NAME_SIZES = [1, 2, 31, 32, 33, 39, 40, 41, 254, 255];
const LETTERS = [..."abcxyzABC019 .-_*?[]{}\\'\"#~éßжя文件🦔"];
/** Stands for the byte 0xff, which no UTF-8 has: such a name can be in a tree, but not in a policy. */
const RAW_BYTE = "\uE0FF";

const DIRECTORIES = 70;
const FILES = 90;
const DEPTH_MAX = 60;
const ROOT = "/t";

/** Makes a tree. `container`: its name, by which the policies select it. `asks`: number of questions. */
export function randomTree(
  seed: number,
  container: string,
  asks: number,
  posture: Posture,
): RandomTree {
  const random = new Random(seed);
  const tree = new Tree(random);
  const ruled = tree.entries.filter(({ path }) => canBeRuled(path));
  // With an Allow rule every file is under an allow-list, which leaves less to tell rules apart by.
  const actions = random.chance(0.4) ? ["Block", "Audit", "Allow"] : ["Block", "Block", "Audit"];
  const rules = Array.from({ length: random.between(8, 24) }, () => randomRule(random, ruled));
  const isDeep = tree.entries.some(({ path }) => path.split("/").length - 1 > COMPONENTS_MAX);
  for (let i = random.between(0, PATTERNS_MAX); i > 0; i--) {
    rules.push(randomPattern(random, random.pick(ruled).path, isDeep));
  }
  const policies = ["a", "b"].map((name) =>
    policyText(`${container}-${name}`, container, random, rules, actions)
  ).join("---\n");
  const answer = specification(policies, posture);
  const targets = rules.map(({ at }) => at);
  const questions = Array.from({ length: asks }, () => {
    const entry = random.chance(0.6)
      ? random.near(tree.entries, random.pick(targets))
      : random.pick(tree.entries);
    const mode = entry.isDirectory ? "r" : random.pick(["r", "r", "w", "b"] as const);
    const asker = random.pick(ASKERS);
    const expected = answer(entry, mode, `/s/${asker}`) ? "x" : ".";
    return `${asker} ${mode} ${expected} ${hex(entry.path)}\n`;
  });
  return { build: tree.lines.join(""), policies, questions: questions.join("") };
}

/** Returns a function that tells whether an open by root, without a terminal, is refused. */
function specification(yaml: string, posture: Posture) {
  const { policies, diagnostics } = parsePolicies(yaml, "random.yaml");
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(`Random policy: ${JSON.stringify(errors[0])}`);
  // Without patterns that do not fit, as in the kernel.
  const rules = compileImage(policies, posture, randomKeys())!.rules;
  return ({ path, isAnothers }: Entry, mode: "r" | "w" | "b", caller: string): boolean => {
    const circumstances = NO_TERMINAL | (isAnothers ? 0 : IS_OWNER);
    const ops = { r: [OP_READ], w: [OP_WRITE], b: [OP_READ, OP_WRITE] }[mode];
    return ops.some((op) => {
      const question = { op, path, caller, parent: caller, circumstances };
      const { verdict } = evaluateRules(question, rules, posture);
      const plain = verdict & ~VERDICT_SOURCE;
      return plain === VERDICT_BLOCK || plain === VERDICT_POSTURE_BLOCK;
    });
  };
}

interface Entry {
  path: string;
  isDirectory: boolean;
  /** Number of the mount that it lies in. */
  mount: number;
  /** Whether another user than root owns it. */
  isAnothers: boolean;
}

/** Grows a tree and writes down how it is made. */
class Tree {
  readonly lines: string[] = [];
  readonly entries: Entry[] = [];
  readonly #random: Random;
  readonly #names: string[];
  readonly #paths = new Set<string>();
  #mounts = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#names = Array.from({ length: 14 }, () => randomName(random));
    // Names that differ in their last letter only, and one that begins another.
    const [first = "a"] = this.#names;
    if (first.length > 1) this.#names.push([...first].slice(0, -1).join(""));
    this.#add("d", ROOT, 0);
    this.#chain(random.between(30, DEPTH_MAX));
    for (let i = 0; i < DIRECTORIES; i++) this.#grow("d");
    for (let i = 0; i < FILES; i++) this.#grow("f");
    this.#show("b");
    this.#show("b");
    this.#show("o");
  }

  /** One path that goes deep. */
  #chain(depth: number): void {
    let path = ROOT;
    for (let i = 0; i < depth; i++) {
      path = `${path}/${this.#random.pick(this.#names.filter((name) => name.length < 45))}`;
      this.#add("d", path, 0);
      if (this.#random.chance(0.3)) this.#add("f", `${path}/file`, 0);
    }
  }

  #grow(kind: "d" | "f"): void {
    const parent = this.#random.pick(this.entries.filter(({ isDirectory }) => isDirectory));
    const name = this.#random.pick(this.#names);
    const path = `${parent.path}/${name}`;
    if (path.split("/").length > DEPTH_MAX + 10 || !this.#add(kind, path, parent.mount)) return;
    if (kind === "f" || !this.#random.chance(0.1)) return;
    this.lines.push(`t ${hex(path)}\n`);
    Object.assign(this.entries.at(-1)!, { mount: ++this.#mounts, isAnothers: false });
  }

  /** Shows a directory's mount below it at a second place: a bind mount, or as the lower layer of an overlay. */
  #show(kind: "b" | "o"): void {
    const directories = this.entries.filter(({ path, isDirectory }) =>
      isDirectory && path !== ROOT
    );
    const source = this.#random.pick(directories);
    const target = `${ROOT}/${kind}${this.#mounts}`;
    this.#add("d", target, 0);
    this.lines.push(`${kind} ${hex(source.path)} ${hex(target)}\n`);
    // An overlay's root is that of its upper layer.
    const isAnothers = kind === "b" && source.isAnothers;
    Object.assign(this.entries.at(-1)!, { mount: ++this.#mounts, isAnothers });
    const shown = this.entries.filter((entry) =>
      entry.path.startsWith(`${source.path}/`) && entry.mount === source.mount
    );
    for (const { path, isDirectory, isAnothers } of shown) {
      const alias = target + path.slice(source.path.length);
      this.#paths.add(alias);
      this.entries.push({ path: alias, isDirectory, mount: this.#mounts, isAnothers });
    }
  }

  #add(kind: "d" | "f", path: string, mount: number): boolean {
    if (this.#paths.has(path)) return false;
    this.#paths.add(path);
    const isAnothers = this.#random.chance(0.3);
    this.entries.push({ path, isDirectory: kind === "d", mount, isAnothers });
    this.lines.push(`${kind} ${hex(path)}\n`);
    if (isAnothers) this.lines.push(`c ${hex(path)}\n`);
    return true;
  }
}

interface RuleSketch {
  at: string;
  list: "matchPaths" | "matchDirectories" | "matchPatterns";
  recursive: boolean;
}

function randomRule(random: Random, entries: readonly Entry[]): RuleSketch {
  const entry = random.pick(entries);
  const names = entry.path.split("/");
  // Mostly the thing itself or its directory; sometimes any directory above, the root of the tree too.
  const up = random.pick([0, 0, 0, 1, 1, random.between(0, names.length - 2)]);
  const at = names.slice(0, Math.max(2, names.length - up)).join("/");
  return {
    at,
    list: random.chance(0.45) ? "matchPaths" : "matchDirectories",
    recursive: random.chance(0.5),
  };
}

/** Their names are as long as names can be: more of them hardly fit into one image. */
const PATTERNS_MAX = 2;

/**
 * A pattern that matches the path, as a rule. `isDeep`: some paths have more names than the kernel compares. It matches in the tree
 * only: the shell that asks needs /dev/null.
 */
function randomPattern(random: Random, path: string, isDeep: boolean): RuleSketch {
  const [tree, ...below] = path.split("/").slice(1);
  const names = below.map((name) =>
    random.chance(0.6) ? escaped(name) : random.pick(NAME_GLOBS)(random, name)
  );
  // Behind the names that it compares the kernel refuses what a pattern may match, and the specification knows no such bound.
  if (!isDeep && names.length > 0 && random.chance(0.4)) {
    const first = random.between(0, names.length - 1);
    names.splice(first, random.between(1, names.length - first), "**");
  }
  const at = `/${[tree, ...names].join("/")}`;
  const isRuled = globDefect(at) === undefined;
  return {
    at: isRuled ? at : path,
    list: isRuled ? "matchPatterns" : "matchPaths",
    recursive: false,
  };
}

/** What may stand in a pattern for a name. */
const NAME_GLOBS: readonly ((random: Random, name: string) => string)[] = [
  () => "*",
  (random, name) => `${escaped(part(random, name, 0))}*`,
  (random, name) => `*${escaped(part(random, name, 1))}`,
  (_, name) => /[ -~]$/.test(name) ? `${escaped(name.slice(0, -1))}?` : escaped(name),
  (_, name) => /[a-z]$/.test(name) ? `${escaped(name.slice(0, -1))}[a-z]` : escaped(name),
  (_, name) => `{${escaped(name)},other}`,
];

/** The first characters of a name, or the last ones. */
function part(random: Random, name: string, which: 0 | 1): string {
  const characters = [...name];
  const cut = random.between(0, characters.length);
  return characters.slice(...which === 0 ? [0, cut] : [cut]).join("");
}

/** As a pattern of itself. */
function escaped(name: string): string {
  return name.replace(/[*?[\]{}\\,@]/g, "\\$&");
}

/** What the container's own programs need where an allow-list refuses all else. */
const NEEDED = ["/bin/", "/s/", "/files/", "/proc/", "/dev/", "/etc/", "/lib/", "/lib64/"];

function policyText(
  name: string,
  container: string,
  random: Random,
  rules: readonly RuleSketch[],
  actions: readonly string[],
): string {
  const half = rules.filter(() => random.chance(0.6));
  const written = half.map((rule) => ruleText(random, rule, random.pick(actions)));
  const needed = actions.includes("Allow")
    ? NEEDED.map((dir) => flow({ dir, recursive: true, action: "Allow" }))
    : [];
  const list = (key: RuleSketch["list"]) => {
    const lines = written.filter((rule) => rule.list === key).map(({ text }) => text);
    if (key === "matchDirectories") lines.push(...needed);
    return lines.length === 0 ? "" : `    ${key}:\n${lines.join("")}`;
  };
  const file = list("matchPaths") + list("matchDirectories") + list("matchPatterns") ||
    `    matchPaths:\n${flow({ path: "/nothing" })}`;
  return `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  action: Block
  file:
${file}`;
}

function ruleText(random: Random, { at, list, recursive }: RuleSketch, action: string) {
  // The schema has neither for patterns.
  const isPattern = list === "matchPatterns";
  const sources = isPattern ? [] : random.pick([[], [], [], ["one"], ["one", "two"]]);
  const target = {
    matchPaths: { path: at },
    matchDirectories: { dir: `${at}/`, recursive },
    matchPatterns: { pattern: at },
  }[list];
  const text = flow({
    ...target,
    action,
    ...random.chance(0.25) ? { readOnly: true } : {},
    ...random.chance(0.25) ? { ownerOnly: true } : {},
    ...!isPattern && random.chance(0.1) ? { pts: false } : {},
    ...sources.length > 0 ? { fromSource: sources.map((name) => ({ path: `/s/${name}` })) } : {},
  });
  return { list, text };
}

/** One item of a list, as JSON, which is YAML. */
function flow(rule: Record<string, unknown>): string {
  return `      - ${JSON.stringify(rule)}\n`;
}

function canBeRuled(path: string): boolean {
  const bytes = new TextEncoder().encode(path).length;
  const names = path.split("/").length - 1;
  return !path.includes(RAW_BYTE) && bytes < PATH_BYTES_MAX && names <= COMPONENTS_MAX;
}

function randomName(random: Random): string {
  const size = random.chance(0.6) ? random.pick(NAME_SIZES) : random.between(1, 255);
  let name = random.chance(0.1) ? RAW_BYTE : "";
  const bytesOf = (text: string) => hex(text).length / 2;
  while (bytesOf(name) < size) {
    const letter = random.pick(LETTERS);
    // Only ASCII fills the last bytes, so that the size is met.
    name += bytesOf(name + letter) <= size ? letter : "n";
  }
  return name === "." || name === ".." ? "n" : name;
}

/** The bytes of a path as a file system has them. */
function hex(path: string): string {
  return path.split(RAW_BYTE).map((text) => {
    return [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");
  }).join("ff");
}
