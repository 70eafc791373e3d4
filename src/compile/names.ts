/**
 * Rules about DNS names in an image: a trie of labels, the last one first, whose rows have what holds for a name itself and for
 * longer ones.
 */
import {
  NEXT_NODE,
  OP_CLASSES,
  OP_DNS,
  OP_NETWORK,
  VERDICT_NONE,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { DomainTarget } from "../model/domain.ts";
import type { Posture } from "../model/posture.ts";
import { evaluateUnreadable, isAboutNames, severity } from "./evaluate_name.ts";
import { NO_RULE, type Row, type RowTable } from "./row_table.ts";
import { compareText, postureVerdict, type RuleRef, STRICTNESS, verdictOf } from "./rules.ts";
import { spellings } from "./search_list.ts";

/** A trie of labels. */
export interface NameTrie {
  readonly edges: readonly NameEdge[];
  readonly root: NameStep;
  /** The last number of a node. */
  readonly lastNode: number;
  /** VERDICT_* of a query whose name can't be read. */
  readonly unreadable: number;
}

/** Where a walk has come to: the node that leads on, and rows of the name itself and of longer ones. */
export interface NameStep {
  readonly next: number;
  readonly end: number;
  readonly child: number;
  readonly desc: number;
}

export interface NameEdge extends NameStep {
  /** Node that the edge leaves. */
  readonly node: number;
  /** A label. */
  readonly name: string;
}

interface Given {
  readonly rules: readonly RuleRef[];
  readonly posture: Posture;
  /** Executable to source class, 1 .. sources. */
  readonly sourceOf: ReadonlyMap<string, number>;
  readonly sources: number;
  /** The last number of a node that is taken. */
  readonly lastNode: number;
}

/**
 * The trie of the rules about names, its rows in `table`; undefined: there are none.
 * @throws {RangeError} when there are more nodes or rows than the format can number.
 */
export function nameTrie(given: Given, table: RowTable): NameTrie | undefined {
  const { rules, posture } = given;
  if (!rules.some(isAboutNames)) return undefined;
  const root = newNode();
  rules.forEach((ref, index) => addRule(root, ref, index));
  const writer = new NameTrieWriter(given, table);
  const step = writer.write(root);
  return {
    root: step,
    edges: writer.edges,
    lastNode: writer.lastNode,
    unreadable: evaluateUnreadable(rules, posture),
  };
}

interface Node {
  readonly children: Map<string, Node>;
  readonly rules: Placed[];
}

/** A rule at its node. */
interface Placed {
  readonly ref: RuleRef;
  readonly index: number;
  readonly depth: number;
}

function newNode(): Node {
  return { children: new Map(), rules: [] };
}

function addRule(root: Node, ref: RuleRef, index: number): void {
  if (ref.rule.target.kind !== "domain") return;
  for (const spelling of spellings(ref.rule.target.domain, ref.policy)) {
    const labels = spelling.split(".").reverse();
    let node = root;
    for (const label of labels) {
      const child = node.children.get(label) ?? newNode();
      node.children.set(label, child);
      node = child;
    }
    node.rules.push({ ref, index, depth: labels.length });
  }
}

/** Who decides for a source class. */
interface Decision {
  readonly verdict: number;
  readonly rule: number;
}

class NameTrieWriter {
  readonly edges: NameEdge[] = [];
  readonly #given: Given;
  readonly #table: RowTable;
  readonly #posture: Decision;
  lastNode: number;

  constructor(given: Given, table: RowTable) {
    this.#given = given;
    this.#table = table;
    this.lastNode = given.lastNode;
    this.#posture = {
      verdict: postureVerdict(OP_DNS, given.rules, given.posture),
      rule: NO_RULE,
    };
  }

  write(root: Node): NameStep {
    return this.#writeNode(root, [], this.#nodeId(root));
  }

  /** `above`: rules that hold for every name here. */
  #writeNode(node: Node, above: readonly Placed[], id: number): NameStep {
    const inside = [...above, ...node.rules];
    const itself = [...above, ...node.rules.filter(({ ref }) => !isBelowOnly(ref))];
    for (const name of [...node.children.keys()].sort(compareText)) {
      const child = node.children.get(name)!;
      const place = this.edges.push({ node: id, name, next: 0, end: 0, child: 0, desc: 0 }) - 1;
      this.edges[place] = {
        ...{ node: id, name },
        ...this.#writeNode(child, inside, this.#nodeId(child)),
      };
    }
    const [end, desc] = [this.#reference(itself), this.#reference(inside)];
    return { next: id, end, child: desc, desc };
  }

  /** 0 for a node that no edge leaves. */
  #nodeId(node: Node): number {
    if (node.children.size === 0) return 0;
    if (this.lastNode === NEXT_NODE) {
      throw new RangeError(`Cannot compile policies: more than ${NEXT_NODE} names are named`);
    }
    return ++this.lastNode;
  }

  /** One row for every source class, and one for a program that is not known; a single one where no rule names a source. */
  #reference(matching: readonly Placed[]): number {
    const { sources } = this.#given;
    const isSourced = matching.some(({ ref }) => ref.rule.fromSource.length > 0);
    if (!isSourced) return this.#table.reference([this.#row(this.#decide(matching, 0))]);
    const decisions = Array.from(
      { length: sources + 1 },
      (_, sourceClass) => this.#decide(matching, sourceClass),
    );
    const worst = decisions.reduce((worst, next) =>
      severity(next.verdict) > severity(worst.verdict) ? next : worst
    );
    return this.#table.reference([...decisions, worst].map((decision) => this.#row(decision)));
  }

  #row({ verdict, rule }: Decision): Row {
    const verdicts: number[] = Array(OP_CLASSES).fill(VERDICT_NONE);
    const rules: number[] = Array(OP_CLASSES).fill(NO_RULE);
    verdicts[OP_NETWORK] = verdict;
    rules[OP_NETWORK] = rule;
    return this.#table.intern(verdicts, rules);
  }

  /** By source, then by the longer domain, then the strictest, then the first. */
  #decide(matching: readonly Placed[], sourceClass: number): Decision {
    let best: (Decision & { readonly order: number }) | undefined;
    for (const { ref: { rule }, index, depth } of matching) {
      const isNamed = this.#isOf(rule.fromSource, sourceClass);
      if (!isNamed && rule.fromSource.length > 0) continue;
      const verdict = verdictOf(rule, OP_DNS);
      const order = (isNamed ? 10_000 : 0) + 10 * depth + STRICTNESS.indexOf(verdict);
      if (best !== undefined && order <= best.order) continue;
      best = { verdict: isNamed ? verdict | VERDICT_SOURCE : verdict, rule: index, order };
    }
    return best ?? this.#posture;
  }

  #isOf(fromSource: readonly string[], sourceClass: number): boolean {
    return fromSource.some((source) => this.#given.sourceOf.get(source) === sourceClass);
  }
}

function isBelowOnly({ rule }: RuleRef): boolean {
  return (rule.target as DomainTarget).belowOnly === true;
}
