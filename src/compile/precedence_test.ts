/** The image and the specification must agree; what both say is checked against upstream's documented behaviour. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  OP_CLASSES,
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_READ,
  OP_WRITE,
  VERDICT_ALLOW as ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK as DENY,
  VERDICT_NONE as NONE,
  VERDICT_POSTURE_BLOCK as POSTURE_BLOCK,
  VERDICT_SOURCE as SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { compileImage } from "./compile.ts";
import { evaluate } from "./evaluate.ts";
import { lookup } from "./lookup.ts";
import {
  assertMonotonic,
  assertSame,
  assertVector,
  questions,
  read,
  type Space,
  tell,
  type Vector,
} from "./test_comparison.ts";
import { about, AUDIT, below, BLOCK, KEYS, policy, type RuleText } from "./test_policies.ts";

/** More runs find more: FAST_CHECK_RUNS=5000 for a long look. */
const RUNS = Number(Deno.env.get("FAST_CHECK_RUNS") ?? 150);

const process = about("process");
const file = about("file");

/** What the numbered vectors of vectors_test.ts leave open. */
const VECTORS: Vector[] = [
  {
    name: "the root as a path, a directory and a recursive directory",
    rules: [file("/"), process("//"), process("/x//", { action: "Audit" })],
    asks: [
      [OP_READ, "/", DENY],
      [OP_READ, "/x", NONE],
      [OP_EXEC, "/", DENY],
      [OP_EXEC, "/y", DENY],
      [OP_EXEC, "/y/z", NONE],
      [OP_EXEC, "/x", VERDICT_AUDIT],
      [OP_EXEC, "/x/y/z", VERDICT_AUDIT],
    ],
  },
  {
    name: "of two directories that are not recursive the path's own decides",
    rules: [file("/a/"), file("/a/b/", { action: "Audit" })],
    asks: [
      [OP_READ, "/a/b", VERDICT_AUDIT],
      [OP_READ, "/a/b/c", VERDICT_AUDIT],
      [OP_READ, "/a/c", DENY],
    ],
  },
  {
    name: "identical selectors: Block, then Audit, then Allow",
    rules: [
      file("/a", { action: "Allow" }),
      file("/a", { action: "Audit" }),
      file("/a", { readOnly: true }),
      file("/b", { action: "Allow" }),
      file("/b", { action: "Allow", readOnly: true }),
    ],
    asks: [
      [OP_READ, "/a", VERDICT_AUDIT],
      [OP_WRITE, "/a", DENY],
      [OP_READ, "/b", ALLOW],
      [OP_WRITE, "/b", POSTURE_BLOCK],
    ],
  },
  {
    name: "identical selectors: Block is named rather than a read-only allow-list entry",
    rules: [file("/a", { action: "Allow", readOnly: true }), file("/a")],
    asks: [[OP_WRITE, "/a", DENY], [OP_READ, "/a", DENY]],
  },
  {
    name: "a directory of blocked programs may hold libraries",
    rules: [process("/tmp//"), process("/tmp/evil.so")],
    asks: [
      [OP_EXEC, "/tmp/x", DENY],
      [OP_LOAD, "/tmp/x", DENY],
      [OP_MMAP_EXEC, "/tmp/x", NONE],
      [OP_MMAP_EXEC, "/tmp/evil.so", DENY],
    ],
  },
  {
    name: "the larger of the caller's and the parent's verdict stands",
    rules: [
      process("/x", { from: ["/a"] }),
      process("/x", { from: ["/b"], action: "Allow" }),
      process("/x", { action: "Audit" }),
    ],
    asks: [
      [OP_EXEC, "/x", DENY | SOURCE, "/a", "/b"],
      [OP_EXEC, "/x", DENY | SOURCE, "/b", "/a"],
      [OP_EXEC, "/x", ALLOW | SOURCE, "/b", "/c"],
      [OP_EXEC, "/x", ALLOW | SOURCE, "/c", "/b"],
      [OP_EXEC, "/x", VERDICT_AUDIT, "/c", "/c"],
    ],
  },
];

for (const vector of VECTORS) {
  Deno.test(`precedence ${vector.name}`, () => assertVector(vector));
}

const NAMES = ["a", "b"];
/** A name more than the rules have, and one level deeper. */
const PATHS = ["/", ...below("", [...NAMES, "z"], 4)];
const SOURCES = ["/a", "/b/a", "/z"];

const anyPlace = fc.tuple(
  fc.constantFrom("/", ...below("", NAMES, 3)),
  fc.constantFrom("", "/", "//"),
).map(([path, slashes]) => path + slashes);
const anyRule: fc.Arbitrary<RuleText> = fc.record({
  group: fc.constantFrom("process" as const, "file" as const),
  at: fc.oneof(
    { weight: 9, arbitrary: anyPlace },
    { weight: 1, arbitrary: fc.constantFrom("name:a", "name:z") },
  ),
  action: fc.constantFrom("Block" as const, "Audit" as const, "Allow" as const),
  readOnly: fc.boolean(),
  ownerOnly: fc.boolean(),
  terminalOnly: fc.boolean(),
  from: fc.oneof(
    fc.constant([]),
    fc.subarray(["/a", "/b/a"], { minLength: 1 }),
  ),
});
const anyPolicies = fc.array(fc.array(anyRule, { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 3,
}).map((all) => all.map((rules, i) => policy(`p${i}`, ...rules)));
const anyPosture = fc.constantFrom(AUDIT, BLOCK);

const EVERYTHING: Space = {
  paths: PATHS,
  ops: Array.from({ length: OP_CLASSES }, (_, op) => op),
  sources: SOURCES,
};

Deno.test("lookup() in the image equals evaluate() for every question, and explain() names its rule", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, (policies, posture) => {
      assertSame(policies, posture, EVERYTHING);
    }),
    { numRuns: RUNS },
  );
});

const ACTIONS = ["Block", "Audit", "Allow"] as const;

/** Names that the exhaustive tests' rules have at most: 4 is a look of minutes, by hand. */
const DEPTH = Number(Deno.env.get("EXHAUSTIVE_DEPTH") ?? 2);

/**
 * All pairs of paths that a trie can tell apart: equal names as far as they share them, others behind. What the names
 * are changes nothing, so that these stand for every alphabet.
 */
function pathPairs(depth: number): [string, string][] {
  const pairs: [string, string][] = [];
  for (let first = 0; first <= depth; first++) {
    for (let second = 0; second <= depth; second++) {
      for (let shared = 0; shared <= Math.min(first, second); shared++) {
        const other = "/a".repeat(shared) + "/b".repeat(second - shared);
        pairs.push(["/a".repeat(first) || "/", other || "/"]);
      }
    }
  }
  return pairs;
}

/** Every rule of one group about a path; `owners`: those with ownerOnly, too. */
function rulesAbout(
  group: "process" | "file",
  path: string,
  actions: readonly RuleText["action"][] = ACTIONS,
  owners = false,
): RuleText[] {
  const rules: RuleText[] = [];
  for (const slashes of ["", "/", "//"]) {
    for (const action of actions) {
      for (const from of [[], ["/a"]]) {
        const about = { group, at: path + slashes, action: action!, from };
        rules.push(about);
        if (owners) rules.push({ ...about, ownerOnly: true });
        if (group === "file") rules.push({ ...about, readOnly: true });
      }
    }
  }
  return rules;
}

interface Pair {
  readonly rules: readonly [RuleText, RuleText];
  /** Every place that the two can tell apart. */
  readonly paths: readonly string[];
}

function* pairs(
  groups: readonly ("process" | "file")[],
  depth: number,
  actions: readonly RuleText["action"][] = ACTIONS,
): Generator<Pair> {
  const [one, other] = [groups[0]!, groups.at(-1)!];
  for (const [at, beside] of pathPairs(depth)) {
    const paths = placesAround(at, beside);
    for (const first of rulesAbout(one, at, actions, true)) {
      for (const second of rulesAbout(other, beside, actions)) {
        yield { rules: [first, second], paths };
      }
    }
  }
}

/** The paths, those above, and two names more below each. */
function placesAround(...paths: readonly string[]): string[] {
  const places = new Set<string>();
  for (const path of paths) {
    const names = path.split("/").filter((name) => name !== "");
    for (let length = 0; length <= names.length; length++) {
      const above = names.slice(0, length).map((name) => `/${name}`).join("");
      for (const place of [above || "/", `${above}/z`, `${above}/z/z`]) places.add(place);
    }
  }
  return [...places];
}

const PROCESS_KINDS = [OP_EXEC, OP_MMAP_EXEC];
const FILE_KINDS = [OP_READ, OP_WRITE];

/** One op class of each kind that the pair has anything to say about. */
function spaceOf({ rules, paths }: Pair): Space {
  const has = (group: string) => rules.some((rule) => rule.group === group);
  const ops = [...(has("process") ? PROCESS_KINDS : []), ...(has("file") ? FILE_KINDS : [])];
  return { paths, ops, sources: ["/a", "/z"] };
}

function* allPairs(): Generator<Pair> {
  yield* pairs(["process"], DEPTH);
  yield* pairs(["file"], DEPTH);
  // Rules of two groups share nodes, but never a decision: shorter paths are enough.
  yield* pairs(["process", "file"], Math.min(DEPTH, 1));
}

Deno.test(`lookup() equals evaluate() for all pairs of rules of at most ${DEPTH} names`, () => {
  const asked = { pairs: 0, questions: 0 };
  for (const pair of allPairs()) {
    asked.pairs++;
    const policies = [policy("p", ...pair.rules)];
    asked.questions += assertSame(policies, BLOCK, spaceOf(pair));
    // The other posture could matter only where an Allow rule meets another of its group.
    const [first, second] = pair.rules;
    const allows = first.action === "Allow" || second.action === "Allow";
    if (allows && first.group === second.group) {
      asked.questions += assertSame(policies, AUDIT, spaceOf(pair));
    }
  }
  console.log(`compared: ${asked.pairs} pairs of rules, ${asked.questions} questions`);
  assert.ok(asked.pairs >= 20_000, `${asked.pairs} pairs`);
});

Deno.test("the order of policies changes nothing in the image", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, fc.compareFunc(), (policies, posture, order) => {
      const forth = compileImage(policies, posture, KEYS)!;
      const back = compileImage(policies.toSorted(order), posture, KEYS)!;
      assert.equal(back.generation, forth.generation);
      assert.deepEqual(back.bytes, forth.bytes);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("the order of rules in a policy changes no verdict", () => {
  fc.assert(
    fc.property(fc.array(anyRule, { minLength: 1, maxLength: 6 }), anyPosture, (rules, posture) => {
      const forth = read([policy("p", ...rules)], posture).reader;
      const back = read([policy("p", ...rules.toReversed())], posture).reader;
      for (const question of questions(EVERYTHING)) {
        const { verdict } = lookup(forth, question);
        if (lookup(back, question).verdict !== verdict) assert.fail(tell(question));
      }
    }),
    { numRuns: Math.ceil(RUNS / 3) },
  );
});

const blockRule = anyRule.map((text): RuleText => ({ ...text, action: "Block" }));

Deno.test("a Block rule more never weakens a set of Block rules", () => {
  const rules = fc.array(blockRule, { minLength: 1, maxLength: 4 });
  const property = fc.property(
    rules,
    rules,
    (fewer, more) => void assertMonotonic(fewer, more, EVERYTHING),
  );
  fc.assert(property, { numRuns: Math.ceil(RUNS / 3) });
});

Deno.test(`a Block rule of at most ${DEPTH} names never weakens another`, () => {
  let [count, questions] = [0, 0];
  for (const group of ["process", "file"] as const) {
    for (const pair of pairs([group], DEPTH, ["Block"])) {
      const [first, second] = pair.rules;
      questions += assertMonotonic([first], [second], spaceOf(pair));
      count++;
    }
  }
  console.log(`compared: ${count} pairs of Block rules, ${questions} questions`);
  assert.ok(count >= 2_000, `${count} pairs`);
});

const NAME_SIZES = [1, 31, 32, 33, 40, 254, 255];
const LONG_NAMES = [
  ...NAME_SIZES.map((bytes) => "n".repeat(bytes)),
  "größe",
  "é".repeat(127) + "x",
  "文件",
  "🦔",
];

/** Names that differ in one character, none of them empty or too long for a file. */
function neighboursOf(name: string): string[] {
  const letters = [...name];
  const others = [
    letters.slice(0, -1),
    [...letters, "x"],
    [...letters.slice(0, -1), "y"],
    ["y", ...letters.slice(1)],
  ];
  return others.map((other) => other.join("")).filter((other) =>
    other !== "" && new TextEncoder().encode(other).length <= 255
  );
}

for (const name of LONG_NAMES) {
  const bytes = new TextEncoder().encode(name).length;
  Deno.test(`a name of ${bytes} bytes, ${name.slice(0, 8)}, is told from its neighbours`, () => {
    const policies = [policy("p", file(`/${name}`), file(`/d/${name}//`))];
    const { reader } = read(policies, AUDIT);
    const others = neighboursOf(name);
    for (const [prefix, suffix] of [["/", ""], ["/d/", ""], ["/d/", "/x"], ["/d/", "/x/y"]]) {
      for (const [text, verdict] of [[name, DENY], ...others.map((other) => [other, NONE])]) {
        const question = {
          op: OP_READ,
          path: `${prefix}${text}${suffix}`,
          caller: "/bin/cat",
          parent: "/bin/sh",
        };
        assert.equal(lookup(reader, question).verdict, verdict, tell(question));
        assert.equal(evaluate(question, policies, AUDIT).verdict, verdict, tell(question));
      }
    }
  });
}

Deno.test("a path of 64 names is told from its neighbours, and what is deeper belongs to the directory", () => {
  const deep = "/d".repeat(64);
  const { reader } = read([policy("p", file(deep), file(`${"/e".repeat(64)}//`))], AUDIT);
  const ask = (path: string) =>
    lookup(reader, { op: OP_READ, path, caller: "/", parent: "/" }).verdict;
  assert.equal(ask(deep), DENY);
  assert.equal(ask("/d".repeat(63)), NONE);
  assert.equal(ask("/d".repeat(65)), NONE);
  assert.equal(ask("/e".repeat(64)), DENY);
  assert.equal(ask("/e".repeat(65)), DENY);
  assert.equal(ask("/e".repeat(200)), DENY);
  assert.equal(ask("/e".repeat(63)), NONE);
});
