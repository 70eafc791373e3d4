/** Globs: what they mean, and that the image says the same as the specification. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  OP_CLASSES,
  OP_EXEC,
  OP_MMAP_EXEC,
  OP_READ,
  OP_WRITE,
  VERDICT_ALLOW as ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK as DENY,
  VERDICT_NONE as NONE,
  VERDICT_POSTURE_BLOCK as POSTURE_BLOCK,
  VERDICT_SOURCE as SOURCE,
  VERDICT_UNKNOWN_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import { globDefect, parseGlob } from "../model/glob.ts";
import type { Posture } from "../model/posture.ts";
import type { Workload } from "../model/workload.ts";
import { compile, compileImage } from "./compile.ts";
import { evaluate } from "./evaluate.ts";
import { matchesGlob, mayMatchBelow } from "./evaluate_glob.ts";
import { TOO_MANY_PATTERNS } from "./fitting.ts";
import { GlobStates, NO_STATES, TooManyStatesError } from "./glob_states.ts";
import { lookup } from "./lookup.ts";
import { whyNotEnforced } from "./rules.ts";
import { assertMonotonic, assertSame, read, say, type Space, tell } from "./test_comparison.ts";
import { AUDIT, below, BLOCK, KEYS, policy, type RuleText, under } from "./test_policies.ts";

const RUNS = Number(Deno.env.get("FAST_CHECK_RUNS") ?? 150);

const glob = (pattern: string, more: Partial<RuleText> = {}): RuleText => {
  return { at: `glob:${pattern}`, ...more };
};

// ---- what a glob matches ---------------------------------------------------------------------------------------------------

const MEANINGS: [pattern: string, matches: string[], others: string[]][] = [
  ["/a/*", ["/a/b", "/a/.x", "/a/é"], ["/a", "/a/b/c", "/b", "/"]],
  ["/a/**", ["/a/b", "/a/b/c/d"], ["/a", "/ab"]],
  ["/**", ["/a", "/a/b"], ["/"]],
  ["/*", ["/a"], ["/", "/a/b"]],
  ["/a?c", ["/abc", "/a.c"], ["/ac", "/a/c", "/abbc", "/aéc"]],
  ["/a[bc]d", ["/abd", "/acd"], ["/add", "/ad", "/a/d"]],
  ["/a[^bc]d", ["/add", "/a^d"], ["/abd", "/a/d", "/ad"]],
  ["/a[0-9]", ["/a0", "/a7"], ["/aa", "/a10"]],
  ["/a[x^-]", ["/a^", "/a-", "/ax"], ["/ay"]],
  ["/a[\\]]", ["/a]"], ["/a\\"]],
  ["/a[+-9]", ["/a,", "/a5"], ["/a/"]],
  ["/{a,bc}/x", ["/a/x", "/bc/x"], ["/b/x", "/x"]],
  ["{/usr,}/bin/*", ["/usr/bin/x", "/bin/x"], ["/usr/x", "/usrbin/x"]],
  ["/a{,.old{,er}}", ["/a", "/a.old", "/a.older"], ["/a.", "/a.er"]],
  ["/{a/b,c}/*", ["/a/b/x", "/c/x"], ["/a/x", "/a/b"]],
  ["/a\\*b", ["/a*b"], ["/axb"]],
  ["/a,b", ["/a,b"], ["/a"]],
  ["/a**b", ["/ab", "/axb", "/a/b", "/ax/y/zb"], ["/a", "/b"]],
  ["/**/b", ["/a/b", "/a/a/b"], ["/b", "/ab"]],
  ["/lib*.so*", ["/lib.so", "/libc.so.6"], ["/lib/x.so", "/lib"]],
  ["/größe*", ["/größe", "/größer"], ["/groe"]],
];

for (const [pattern, matches, others] of MEANINGS) {
  Deno.test(`glob ${pattern}`, () => {
    const states = new GlobStates([parseGlob(pattern)]);
    for (const path of matches) {
      assert.equal(matchesGlob(pattern, path), true, path);
      assert.equal(walk(states, path), true, path);
      assert.equal(mayMatchBelow(pattern, path), true, path);
    }
    for (const path of others) {
      assert.equal(matchesGlob(pattern, path), false, path);
      assert.equal(walk(states, path), false, path);
    }
  });
}

/** Whether some pattern of the automaton matches. */
function walk(states: GlobStates, path: string): boolean {
  let at = { accepts: 0, next: states.start };
  for (const name of path.split("/").filter((part) => part !== "")) {
    at = states.step(at.next, name);
  }
  return states.accepted(at.accepts).length > 0;
}

const DEFECTS: [pattern: string, defect: string][] = [
  ["", 'does not start with "/"'],
  ["*.sh", 'does not start with "/"'],
  ["{/a,b}", 'does not start with "/"'],
  ["/", "names nothing but the root"],
  ["/a//b", 'has "//", which no path has'],
  ["/a/../b*", 'has "." or "..", which no real path has'],
  ["/a*/", 'ends with "/": the kernel\'s names of directories do not'],
  ["/a[b", 'has a "[" without "]" at character 3'],
  ["/a[]", "has an empty class at character 3"],
  ["/a[/]", "has a class that no character is in at character 3"],
  ["/a[z-a]", "has a range that runs backwards at character 6"],
  ["/a[é]", 'has "é" in a class, which takes ASCII only, at character 4'],
  ["/a{b,c", 'has a "{" without "}" at character 3'],
  ["/a}b", 'has a "}" without "{" at character 3'],
  ["/a\\", 'ends with "\\" at character 3'],
  ["@{HOME}/x", "has an AppArmor variable, which nothing here sets, at character 1"],
  ["/a\nb", "has control characters"],
  ["{,}".repeat(200), 'does not start with "/"'],
  ["/" + "{".repeat(100_000), "has more than 4095 bytes"],
  ["/" + "{".repeat(1_000), "has choices more than 32 deep at character 34"],
  ["/a".repeat(65), "has 65 slashes: the kernel compares 64 names"],
  ["/a{/b,/c}".repeat(33), "has 66 slashes: the kernel compares 64 names"],
];

for (const [pattern, defect] of DEFECTS) {
  Deno.test(`glob ${JSON.stringify(pattern.slice(0, 20))} is refused`, () => {
    assert.equal(globDefect(pattern), defect);
  });
}

Deno.test("a glob of many branches has no more slashes than one of them", () => {
  assert.equal(
    globDefect(`/{${Array.from({ length: 80 }, (_, i) => `a/${i}`).join()}}`),
    undefined,
  );
});

Deno.test("globDefect() of any text is words or nothing", () => {
  const text = fc.string({ unit: fc.constantFrom(..."/ab*?[]^-{},\\.é@") });
  fc.assert(fc.property(text, (pattern) => void globDefect(`/${pattern}`)), { numRuns: 2_000 });
});

Deno.test("mayMatchBelow() says no only where nothing below can match", () => {
  const cases: [pattern: string, directory: string, expected: boolean][] = [
    ["/a/*/c", "/", true],
    ["/a/*/c", "/a/x", true],
    ["/a/*/c", "/a/x/c", true],
    ["/a/*/c", "/a/x/d", false],
    ["/a/*/c", "/b", false],
    ["/a/**", "/a/x/y", true],
    ["/a/{b,c/d}/x", "/a/c", true],
    ["/a/{b,c/d}/x", "/a/d", false],
    ["/a{,/b}", "/a/b", true],
  ];
  for (const [pattern, directory, expected] of cases) {
    assert.equal(mayMatchBelow(pattern, directory), expected, `${pattern} ${directory}`);
  }
});

// ---- precedence ------------------------------------------------------------------------------------------------------------

interface Vector {
  name: string;
  rules: RuleText[];
  posture?: Posture;
  asks: [op: number, path: string, verdict: number, caller?: string][];
}

const VECTORS: Vector[] = [
  {
    name: "an exact path beats a pattern, a pattern beats a directory",
    rules: [
      glob("/a/*.key"),
      { at: "/a/open.key", action: "Allow" },
      { at: "/a//", action: "Audit" },
    ],
    asks: [
      [OP_READ, "/a/x.key", DENY],
      [OP_READ, "/a/open.key", ALLOW],
      [OP_READ, "/a/x", VERDICT_AUDIT],
      [OP_READ, "/a/b/x.key", VERDICT_AUDIT],
    ],
  },
  {
    name: "a pattern is an exception from a blocked directory",
    rules: [{ at: "/a//" }, glob("/a/pub*", { action: "Allow" })],
    posture: BLOCK,
    asks: [
      [OP_READ, "/a/public", ALLOW],
      [OP_READ, "/a/x", DENY],
      [OP_READ, "/a/public/x", DENY],
      [OP_READ, "/z", POSTURE_BLOCK],
    ],
  },
  {
    name: "of patterns Block decides, then Audit",
    rules: [
      glob("/a/*", { action: "Allow" }),
      glob("/a/x*", { action: "Audit" }),
      glob("/**z"),
    ],
    asks: [
      [OP_READ, "/a/b", ALLOW],
      [OP_READ, "/a/xb", VERDICT_AUDIT],
      [OP_READ, "/a/xz", DENY],
    ],
  },
  {
    name: "fromSource beats a pattern without",
    rules: [glob("/a/*"), { at: "/a//", action: "Allow", from: ["/bin/cat"] }],
    asks: [
      [OP_READ, "/a/x", ALLOW | SOURCE, "/bin/cat"],
      [OP_READ, "/a/x", DENY, "/bin/head"],
    ],
  },
  {
    name: "an allow-list of programs by pattern",
    rules: [glob("/usr/{bin,sbin}/*", { group: "process", action: "Allow" })],
    posture: BLOCK,
    asks: [
      [OP_EXEC, "/usr/bin/x", ALLOW],
      [OP_EXEC, "/usr/sbin/x", ALLOW],
      [OP_EXEC, "/usr/lib/x", POSTURE_BLOCK],
      [OP_EXEC, "/usr/bin/x/y", POSTURE_BLOCK],
      [OP_MMAP_EXEC, "/usr/lib/x", NONE],
    ],
  },
  {
    name: "a pattern with readOnly",
    rules: [glob("/etc/**.conf", { readOnly: true })],
    asks: [
      [OP_READ, "/etc/a/b.conf", ALLOW],
      [OP_WRITE, "/etc/a/b.conf", DENY],
      [OP_WRITE, "/etc/a/b", NONE],
    ],
  },
  {
    name: "a pattern says nothing about mapping code, as a directory",
    rules: [glob("/tmp/**", { group: "process" })],
    asks: [[OP_EXEC, "/tmp/x", DENY], [OP_MMAP_EXEC, "/tmp/x", NONE]],
  },
];

for (const { name, rules, posture = AUDIT, asks } of VECTORS) {
  Deno.test(`precedence of patterns: ${name}`, () => {
    const policies = [policy("p", ...rules)];
    const { reader } = read(policies, posture);
    for (const [op, path, verdict, caller = "/sbin/init"] of asks) {
      const question = { op, path, caller, parent: "/sbin/init" };
      assert.equal(
        say(evaluate(question, policies, posture).verdict),
        say(verdict),
        tell(question),
      );
      assert.equal(say(lookup(reader, question).verdict), say(verdict), tell(question));
    }
  });
}

// ---- the image -------------------------------------------------------------------------------------------------------------

const NAMES = ["a", "b", "ab", "ba", "c"];
const SPACE: Space = {
  paths: ["/", ...below("", NAMES, 3)],
  ops: Array.from({ length: OP_CLASSES }, (_, op) => op),
  sources: ["/a", "/c"],
};

const anyPart: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("a", "b", "*", "?", "**", "[ab]", "[^a]") },
  { weight: 2, arbitrary: fc.constant("/") },
  { weight: 1, arbitrary: fc.constantFrom("{a,b}", "{,a}", "{a/b,*}", "{b*,a/**}") },
);
const anyGlob = fc.array(anyPart, { minLength: 1, maxLength: 6 })
  .map((parts) => `/${parts.join("")}`)
  .filter((pattern) => globDefect(pattern) === undefined);

Deno.test("the automaton of several globs matches what they match", () => {
  fc.assert(
    fc.property(fc.array(anyGlob, { minLength: 1, maxLength: 4 }), (patterns) => {
      const states = new GlobStates(patterns.map(parseGlob));
      for (const path of SPACE.paths) {
        let at = { accepts: 0, next: states.start };
        for (const name of path.split("/").filter((part) => part !== "")) {
          at = states.step(at.next, name);
        }
        const expected = [...patterns.keys()].filter((i) => matchesGlob(patterns[i]!, path));
        assert.deepEqual(states.accepted(at.accepts), expected, path);
        if (at.next === NO_STATES) continue;
        assert.ok(patterns.some((pattern) => mayMatchBelow(pattern, path)), path);
      }
    }),
    { numRuns: RUNS },
  );
});

const common = {
  group: fc.constantFrom("process" as const, "file" as const),
  action: fc.constantFrom("Block" as const, "Audit" as const, "Allow" as const),
  readOnly: fc.boolean(),
  from: fc.constantFrom([], ["/a"]),
};
const anyPattern: fc.Arbitrary<RuleText> = fc.record({
  ...common,
  at: anyGlob.map((pattern) => `glob:${pattern}`),
});
const anyPlace: fc.Arbitrary<RuleText> = fc.record({
  ...common,
  at: fc.tuple(
    fc.constantFrom("/", ...below("", ["a", "b"], 2)),
    fc.constantFrom("", "/", "//"),
  ).map(([path, slashes]) => path + slashes),
});
const anyRules = fc.tuple(
  fc.array(anyPattern, { minLength: 1, maxLength: 3 }),
  fc.array(anyPlace, { maxLength: 4 }),
).map(([patterns, places]) => [...patterns, ...places]);

Deno.test("lookup() equals evaluate() for random patterns among paths and directories", () => {
  const asked = { sets: 0, questions: 0 };
  fc.assert(
    fc.property(anyRules, fc.constantFrom(AUDIT, BLOCK), (rules, posture) => {
      asked.sets++;
      asked.questions += assertSame([policy("p", ...rules)], posture, SPACE);
    }),
    { numRuns: Math.ceil(RUNS / 3) },
  );
  console.log(`compared: ${asked.sets} sets of rules with patterns, ${asked.questions} questions`);
});

/** Every text of at most `length` parts behind the slash that is a glob. */
function globsOf(parts: readonly string[], length: number): string[] {
  if (length === 0) return ["/"];
  const shorter = globsOf(parts, length - 1);
  const longer = shorter.filter((text) => text.length > 0).flatMap((text) =>
    parts.map((part) => text + part)
  );
  return [...new Set([...shorter, ...longer])];
}

const SMALL_PARTS = ["a", "*", "**", "?", "/", "[^a]", "{b,a/b}"];
const SMALL: Space = { paths: SPACE.paths, ops: [OP_READ], sources: ["/c"] };

Deno.test("lookup() equals evaluate() for all globs of three parts, alone and with a directory", () => {
  const globs = globsOf(SMALL_PARTS, 3).filter((pattern) => globDefect(pattern) === undefined);
  let questions = 0;
  for (const pattern of globs) {
    questions += assertSame([policy("p", glob(pattern))], AUDIT, SMALL);
    for (const at of ["/a//", "/a/", "/a/b"]) {
      const rules = [glob(pattern, { action: "Audit" }), { at }];
      questions += assertSame([policy("p", ...rules)], AUDIT, SMALL);
    }
  }
  console.log(`compared: ${globs.length} globs, ${questions} questions`);
  assert.ok(globs.length >= 200, `${globs.length} globs`);
});

Deno.test("lookup() equals evaluate() for all pairs of globs of two parts", () => {
  const globs = globsOf(SMALL_PARTS, 2).filter((pattern) => globDefect(pattern) === undefined);
  let questions = 0;
  for (const first of globs) {
    for (const second of globs) {
      const rules = [glob(first), glob(second, { action: "Allow" })];
      questions += assertSame([policy("p", ...rules)], BLOCK, SMALL);
    }
  }
  console.log(`compared: ${globs.length ** 2} pairs of globs, ${questions} questions`);
});

Deno.test("a Block rule more never weakens a set of Block rules with patterns", () => {
  const blocks = anyRules.map((rules) =>
    rules.map((text): RuleText => ({ ...text, action: "Block" }))
  );
  const property = fc.property(
    blocks,
    blocks,
    (fewer, more) => void assertMonotonic(fewer, more, SPACE),
  );
  fc.assert(property, { numRuns: Math.ceil(RUNS / 3) });
});

Deno.test("the order of rules changes no verdict, that of policies nothing at all", () => {
  fc.assert(
    fc.property(anyRules, fc.constantFrom(AUDIT, BLOCK), (rules, posture) => {
      const policies = rules.map((text, index) => policy(`p${index}`, text));
      const forth = compileImage(policies, posture, KEYS)!;
      assert.deepEqual(compileImage(policies.toReversed(), posture, KEYS)!.bytes, forth.bytes);
    }),
    { numRuns: RUNS },
  );
});

const NAME_SIZES = [1, 2, 31, 32, 33, 40, 63, 64, 254, 255];

Deno.test("names of every length and of all bytes go through a lexer", () => {
  const patterns = ["/d/*x", "/d/[^a-z]**", "/d/?é*"];
  const { reader } = read([policy("p", ...patterns.map((pattern) => glob(pattern)))], AUDIT);
  const names = [
    ...NAME_SIZES.flatMap((size) => ["n".repeat(size), "n".repeat(size - 1) + "x"]),
    ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter((c) => c !== "/"),
    ...["é", "nén", "n🦔", "\u{7f}"],
  ];
  for (const name of names) {
    for (const path of [`/d/${name}`, `/d/${name}/e`]) {
      const question = { op: OP_READ, path, caller: "/", parent: "/" };
      const expected = patterns.some((pattern) => matchesGlob(pattern, path));
      assert.equal(lookup(reader, question).verdict, expected ? DENY : NONE, path);
    }
  }
});

Deno.test("behind 64 names a pattern that may match still is refused as unknown", () => {
  const { reader } = read([policy("p", glob("/**.key"), glob("/a/**"))], AUDIT);
  const ask = (path: string) =>
    lookup(reader, { op: OP_READ, path, caller: "/", parent: "/" }).verdict;
  assert.equal(ask("/d".repeat(63) + "/x.key"), DENY);
  assert.equal(ask("/d".repeat(64)), NONE);
  assert.equal(ask("/d".repeat(65)), VERDICT_UNKNOWN_BLOCK);
  assert.equal(ask("/d".repeat(80)), VERDICT_UNKNOWN_BLOCK);
});

Deno.test("behind 64 names a pattern of programs says nothing about files, nor the other way round", () => {
  const rules = [glob("/**.key"), glob("/x/**/sh", { group: "process" }), { at: "/d/d//" }];
  const { reader } = read([policy("p", ...rules)], AUDIT);
  const ask = (op: number, path: string) =>
    lookup(reader, { op, path, caller: "/", parent: "/" }).verdict;
  const [files, both] = ["/f" + "/d".repeat(70), "/x" + "/d".repeat(70)];
  assert.equal(ask(OP_READ, files), VERDICT_UNKNOWN_BLOCK);
  assert.equal(ask(OP_EXEC, files), NONE);
  assert.equal(ask(OP_READ, both), VERDICT_UNKNOWN_BLOCK);
  assert.equal(ask(OP_EXEC, both), VERDICT_UNKNOWN_BLOCK);
  const { reader: named } = read(
    [policy("p", { group: "process", at: "name:sh" }, rules[2]!)],
    AUDIT,
  );
  const askNamed = (op: number, path: string) =>
    lookup(named, { op, path, caller: "/", parent: "/" }).verdict;
  assert.equal(askNamed(OP_READ, files), NONE);
  assert.equal(askNamed(OP_READ, "/d".repeat(70)), DENY);
  assert.equal(askNamed(OP_EXEC, files), VERDICT_UNKNOWN_BLOCK);
});

Deno.test("guard: on directories above what a pattern blocks, and on none that it can't reach", () => {
  const { reader } = read([
    policy("p", glob("/home/*/.ssh/**"), glob("/srv/**.key"), glob("/log/*", { action: "Audit" })),
  ], AUDIT);
  const guards = (path: string) => reader.walk(path).guard;
  for (const path of ["/", "/home", "/home/u", "/home/u/.ssh", "/srv", "/srv/a/b"]) {
    assert.equal(guards(path), true, path);
  }
  for (const path of ["/home/u/doc", "/log", "/log/a", "/etc", "/home/u/doc/x"]) {
    assert.equal(guards(path), false, path);
  }
});

Deno.test("a tail of stars costs no lexer, and few names none either", () => {
  const lexers = (...patterns: string[]) =>
    read([policy("p", ...patterns.map((pattern) => glob(pattern)))], AUDIT).reader.header
      .lexersEntry;
  assert.equal(lexers("/a/**", "/b/*", "/c/{x,y}/z", "/d[0-9]/**"), 0);
  assert.notEqual(lexers("/a/*.key"), 0);
});

const WEB: Workload = {
  id: "web",
  name: "web",
  runtimeNamespace: "default",
  namespace: "default",
  podName: "web",
  image: "",
  labels: { app: "web" },
  pid: 0,
  cgroupPath: "/default/web",
  cgroupId: 1n,
};

// ---- limits ----------------------------------------------------------------------------------------------------------------

Deno.test("a pattern that needs too many states is not enforced, with the reason", () => {
  const from = policy("p", glob("/*a" + "?".repeat(14)));
  assert.match(
    whyNotEnforced(from, from.rules[0]!) ?? "",
    /^pattern "\/\*a\?+" needs more than 1024 states: use fewer "\*" and "\?"$/,
  );
});

Deno.test("GlobStates refuses more states than it may use", () => {
  const states = new GlobStates([parseGlob("/*a????????")], 100);
  assert.throws(() => states.planAll(), TooManyStatesError);
});

Deno.test("a pattern of few states that stand for many at once is refused in time", () => {
  const words = Array.from({ length: 300 }, (_, i) => `*${i.toString(36)}*`);
  assert.throws(
    () => new GlobStates([parseGlob(`/{${words.join()}}`)], 1 << 20).planAll(),
    TooManyStatesError,
  );
});

Deno.test("of patterns that fit alone those are left out that do not fit beside other rules", () => {
  const dirs = Array.from({ length: 1_000 }, (_, i) => ({ at: `/srv/d${i}//` }));
  const rules = [glob("/**/*.conf"), ...dirs, glob("/**/*.key"), glob("/**/*.pem")];
  const image = compileImage([policy("p", ...rules)], AUDIT, KEYS)!;
  const texts = image.leftOut.map(({ rule: { target } }) => "pattern" in target && target.pattern);
  assert.ok(texts.length > 0 && texts.length < 3, texts.join());
  assert.deepEqual(texts, ["/**/*.conf", "/**/*.key", "/**/*.pem"].slice(3 - texts.length));
});

Deno.test("of patterns that need too much together those behind are left out, and that is told", () => {
  // Each needs twice as many states as those before together.
  const many = Array.from({ length: 16 }, (_, i) => glob(`/x*${String.fromCharCode(97 + i)}*`));
  const selector = { matchLabels: { app: "web" }, containerNames: [] };
  const policies = [{ ...policy("p", ...many, { at: "/etc/x" }), namespace: "default", selector }];
  const state = compile(policies, [WEB], under(AUDIT), KEYS);
  const notEnforced = state.rules.filter(({ state }) => state === "not enforced");
  assert.ok(notEnforced.length > 0 && notEnforced.length < many.length, `${notEnforced.length}`);
  for (const { reason, rule: { target } } of notEnforced) {
    assert.equal(reason, TOO_MANY_PATTERNS);
    assert.equal(target.kind, "pattern");
  }
  assert.equal(state.rules.at(-1)!.state, "enforced");
  assert.equal(state.rules[0]!.state, "enforced");
});

Deno.test("a policy's patterns take so much work and no more: the rest is told as one too many", () => {
  const costly = policy("costly", ...Array.from({ length: 40 }, (_, i) => glob(branches(i))));
  const reasons = costly.rules.map((rule) => whyNotEnforced(costly, rule) ?? "");
  const first = reasons.findIndex((reason) => reason.includes("is one too many"));
  assert.ok(first > 0, `the first that is left out: ${first}`);
  assert.ok(reasons.slice(first).every((reason) => reason.includes("is one too many")));
});

/** Some hundred patterns in one, each of which may go on at each byte. */
function branches(number: number): string {
  const pair = (i: number) => String.fromCharCode(97 + i % 26, 97 + Math.floor(i / 26) % 26);
  return `/${number}{${Array.from({ length: 400 }, (_, i) => `*${pair(i)}`).join(",")}}`;
}
