/**
 * Rules about system calls in an image: sets of them, of which the kernel takes the first rule that is in the system call's, in the
 * program's and in a path argument's. A set is a bit for each rule, the most specific first.
 */
import {
  IMAGE_ENTRY_BYTES,
  NEXT_NODE,
  SYSCALL_RULES_MAX,
  SYSCALLS,
} from "../../ffi/generated/agent_api.ts";
import type { PathTarget, SyscallTarget } from "../model/rule.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { componentsOf } from "./hash.ts";
import type { Edge } from "./path_trie.ts";
import { compareText, type RuleRef } from "./rules.ts";

/** A trie whose rows are sets. */
export type SetTrie = Pick<Edge, "next" | "end" | "child" | "desc">;

/** What an image holds of them. Sets by their indices. */
export interface SyscallSets {
  /** By system call, in the order of SYSCALL_NAMES; none: there are no such rules. */
  readonly references: readonly number[];
  /** Each the indices of rules, ascending. */
  readonly sets: readonly (readonly number[])[];
  readonly callers: SetTrie;
  readonly arguments: SetTrie;
  /** Of both tries, to be laid out with the image's others. */
  readonly edges: readonly Edge[];
}

const NO_TRIE: SetTrie = { next: 0, end: 0, child: 0, desc: 0 };

/** Of an image without such rules. */
export const NO_SYSCALLS: SyscallSets = {
  ...{ references: [], sets: [], edges: [], callers: NO_TRIE, arguments: NO_TRIE },
};

/** Why those are not that one container has too many of. */
export const TOO_MANY_SYSCALL_RULES =
  `more than ${SYSCALL_RULES_MAX} rules about system calls select one container: name several system calls in one rule`;

/**
 * The rules about system calls that an image has room for, the most specific first: with a program, with a file, with a
 * directory; then as given. `leftOut`: the others.
 */
export function syscallRules(
  rules: readonly RuleRef[],
): { readonly calls: readonly RuleRef[]; readonly leftOut: readonly RuleRef[] } {
  const all = rules.filter(({ rule }) => rule.target.kind === "syscall")
    .sort((a, b) => specificity(b) - specificity(a));
  return { calls: all.slice(0, SYSCALL_RULES_MAX), leftOut: all.slice(SYSCALL_RULES_MAX) };
}

function specificity(ref: RuleRef): number {
  const { object, sources } = targetOf(ref);
  const path = object === undefined ? 0 : object.kind === "path" ? 2 : 1;
  return (sources.length > 0 ? 4 : 0) + path;
}

function targetOf({ rule }: RuleRef): SyscallTarget {
  return rule.target as SyscallTarget;
}

/** Numbers of the system calls that rules name, ascending: indices of SYSCALL_NAMES. */
export function namedSyscalls(calls: readonly RuleRef[]): number[] {
  const names = new Set(calls.flatMap((ref) => targetOf(ref).syscalls));
  return SYSCALL_NAMES.flatMap((name, number) => names.has(name) ? [number] : []);
}

/**
 * Sets of `calls`, as syscallRules() gives them. `lastNode`: the last number of a node that is taken.
 * @throws {RangeError} when there are more nodes than the format can number.
 */
export function syscallSets(calls: readonly RuleRef[], lastNode: number): SyscallSets {
  if (calls.length === 0) return NO_SYSCALLS;
  const sets = new SetTable();
  const targets = calls.map(targetOf);
  // The kernel knows the first three by their numbers.
  sets.intern([]);
  const anyCaller = indicesOf(targets, ({ sources }) => sources.length === 0);
  const anyPath = indicesOf(targets, ({ object }) => object === undefined);
  sets.add(anyCaller);
  sets.add(anyPath);
  const references = SYSCALL_NAMES.map((name) =>
    sets.intern(indicesOf(targets, ({ syscalls }) => syscalls.includes(name)))
  );
  const writer = new SetTrieWriter(sets, lastNode);
  const callers = writer.write(targets.map(({ sources }) => sources), anyCaller);
  const objects = targets.map(({ object }) => object === undefined ? [] : [object]);
  const pathArguments = writer.write(objects, anyPath);
  return {
    references: Array.from({ length: SYSCALLS }, (_, number) => references[number] ?? 0),
    sets: sets.sets,
    ...{ callers, arguments: pathArguments, edges: writer.edges },
  };
}

function indicesOf(
  targets: readonly SyscallTarget[],
  is: (target: SyscallTarget) => boolean,
): number[] {
  return targets.flatMap((target, index) => is(target) ? [index] : []);
}

/** Bytes of a set in an image. */
export function setBytes(set: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(IMAGE_ENTRY_BYTES);
  for (const rule of set) bytes[rule >> 3]! |= 1 << (rule & 7);
  return bytes;
}

/** Equal sets stored once, but for those that have a place of their own. */
class SetTable {
  readonly sets: (readonly number[])[] = [];
  readonly #known = new Map<string, number>();

  add(set: readonly number[]): number {
    return this.sets.push(set) - 1;
  }

  intern(set: readonly number[]): number {
    const key = set.join();
    const index = this.#known.get(key) ?? this.add(set);
    this.#known.set(key, index);
    return index;
  }
}

interface Node {
  readonly children: Map<string, Node>;
  /** Rules by how they name this path. */
  readonly exact: number[];
  readonly direct: number[];
  readonly recursive: number[];
}

/** What holds for a node because of those above it. */
interface Inherited {
  /** Rules that hold for everything here. */
  readonly always: readonly number[];
  /** Of non-recursive directories one node up. */
  readonly above: readonly number[];
}

function newNode(): Node {
  return { children: new Map(), exact: [], direct: [], recursive: [] };
}

/** Numbers nodes and sets of tries, walking each once from its root. */
class SetTrieWriter {
  readonly edges: Edge[] = [];
  readonly #sets: SetTable;
  #lastNode: number;

  constructor(sets: SetTable, lastNode: number) {
    this.#sets = sets;
    this.#lastNode = lastNode;
  }

  /** `places`: of each rule; `always`: rules that hold for every path. */
  write(places: readonly (readonly PathTarget[])[], always: readonly number[]): SetTrie {
    const root = newNode();
    places.forEach((targets, rule) => {
      for (const target of targets) listOf(root, target).push(rule);
    });
    return this.#writeNode(root, { always, above: [] }, this.#nodeId(root));
  }

  /** A directory holds itself and what lies in it, a recursive one everything below. */
  #writeNode(node: Node, { always, above }: Inherited, id: number): SetTrie {
    const inside = [...always, ...node.recursive];
    for (const name of [...node.children.keys()].sort(compareText)) {
      const child = node.children.get(name)!;
      const place = this.edges.push({ node: id, name, ...NO_TRIE }) - 1;
      const below = { always: inside, above: node.direct };
      const written = this.#writeNode(child, below, this.#nodeId(child));
      this.edges[place] = { node: id, name, ...written };
    }
    return {
      next: id,
      end: this.#set([...inside, ...node.direct, ...node.exact, ...above]),
      child: this.#set([...inside, ...node.direct]),
      desc: this.#set(inside),
    };
  }

  #set(rules: readonly number[]): number {
    return this.#sets.intern([...new Set(rules)].sort((a, b) => a - b));
  }

  /** 0 for a node that no edge leaves. */
  #nodeId(node: Node): number {
    if (node.children.size === 0) return 0;
    if (this.#lastNode === NEXT_NODE) {
      throw new RangeError(
        `Cannot compile policies: more than ${NEXT_NODE} directories are named`,
      );
    }
    return ++this.#lastNode;
  }
}

function listOf(root: Node, target: PathTarget): number[] {
  let node = root;
  for (const name of componentsOf(target.path)) {
    const child = node.children.get(name) ?? newNode();
    node.children.set(name, child);
    node = child;
  }
  if (target.kind === "path") return node.exact;
  return target.recursive ? node.recursive : node.direct;
}
