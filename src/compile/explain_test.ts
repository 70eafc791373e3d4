import assert from "node:assert/strict";
import fc from "fast-check";
import {
  OP_EXEC,
  OP_READ,
  OP_WRITE,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { targetText } from "../model/rule.ts";
import { compileImage } from "./compile_image.ts";
import { evaluate, evaluateRules } from "./evaluate.ts";
import { ACCESSES, type Answer, type Ask, explain, rankRules, readAsk } from "./explain.ts";
import { enforcedRules, type RuleRef } from "./rules.ts";
import { AUDIT, BLOCK, KEYS, policy, type RuleText } from "./test_policies.ts";

const RUNS = Number(Deno.env.get("FAST_CHECK_RUNS") ?? 300);

function answer(ask: Ask, policies: readonly Policy[], posture: Posture): Answer {
  return explain(ask, compileImage(policies, posture, KEYS), policies, KEYS);
}

// ---- against the specification -----------------------------------------------------------------------------------------

const PATHS = ["/", "/a", "/a/b", "/a/b/c", "/a/z/z", "/b", "/z"];
const SOURCES = ["", "/a", "/a/b", "/z"];

const anyRule: fc.Arbitrary<RuleText> = fc.record({
  group: fc.constantFrom("process" as const, "file" as const),
  at: fc.tuple(
    fc.constantFrom("/", "/a", "/a/b", "/a/b/c", "/b"),
    fc.constantFrom("", "/", "//"),
  ).map(([path, slashes]) => path + slashes),
  action: fc.constantFrom("Block" as const, "Audit" as const, "Allow" as const),
  readOnly: fc.boolean(),
  from: fc.oneof(fc.constant([]), fc.subarray(["/a", "/a/b"], { minLength: 1 })),
});
const anyPolicies = fc.array(fc.array(anyRule, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
}).map((all) => all.map((rules, i) => policy(`p${i}`, ...rules)));
const anyAsk: fc.Arbitrary<Ask> = fc.record({
  access: fc.constantFrom(...Object.keys(ACCESSES)),
  path: fc.constantFrom(...PATHS),
  from: fc.constantFrom(...SOURCES),
  parent: fc.constantFrom(...SOURCES),
});
const anyPosture = fc.constantFrom(AUDIT, BLOCK);

Deno.test("explain() gives evaluate()'s verdict and rule for any policies and any question", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, anyAsk, (policies, posture, ask) => {
      for (const { op, verdict, winner } of answer(ask, policies, posture).explanations) {
        const question = { op, path: ask.path, caller: ask.from, parent: ask.parent };
        const spec = evaluate(question, policies, posture);
        assert.equal(verdict, spec.verdict & ~VERDICT_SOURCE);
        if (spec.rule !== undefined) assert.deepEqual(winner, spec.rule);
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("explain() does not depend on the order in which policies came", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, anyAsk, (policies, posture, ask) => {
      const forth = answer(ask, policies, posture);
      const back = answer(ask, policies.toReversed(), posture);
      assert.deepEqual(back.explanations, forth.explanations);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("rankRules() has each runner-up decide when those before it are gone", () => {
  fc.assert(
    fc.property(anyPolicies, anyAsk, (policies, ask) => {
      let rules: readonly RuleRef[] = enforcedRules(policies);
      for (const op of ACCESSES[ask.access]!) {
        const question = { op, path: ask.path, caller: ask.from, parent: ask.parent };
        for (const ref of rankRules(question, rules)) {
          const spec = evaluateRules(question, rules, BLOCK);
          if (spec.rule !== undefined) assert.deepEqual(ref, spec.rule);
          rules = rules.filter((other) => other !== ref);
        }
        const { rule } = evaluateRules(question, rules, BLOCK);
        assert.equal(rule, undefined, "no rule is left that matches");
      }
    }),
    { numRuns: RUNS },
  );
});

// ---- words ---------------------------------------------------------------------------------------------------------------

interface Case {
  claim: string;
  rules: RuleText[];
  posture?: Posture;
  ask: Parameters<typeof readAsk>[0];
  verdict: number;
  winner?: string;
  runnersUp?: [target: string, why: RegExp][];
  others?: [target: string, why: RegExp][];
}

const process = (at: string, more: Partial<RuleText> = {}): RuleText => (
  { group: "process", at, ...more }
);
const allow = { action: "Allow" } as const;

const CASES: Case[] = [
  {
    claim: "an exact path before directories, the deeper one first",
    rules: [
      process("/bin//", allow),
      process("/bin/sh"),
      process("///", allow),
      process("/bin/", allow),
    ],
    ask: { access: "exec", path: "/bin/sh" },
    verdict: VERDICT_BLOCK,
    winner: "/bin/sh",
    runnersUp: [
      ["/bin/ (recursive)", /^an exact path decides before a directory$/],
      ["/ (recursive)", /^an exact path decides before a directory$/],
      ["/bin/", /^an exact path/],
    ],
  },
  {
    claim: "a recursive directory before one that is not",
    rules: [{ at: "/a//" }, { at: "/a/b/", ...allow }, { at: "/a/" }],
    ask: { access: "read", path: "/a/b/c" },
    verdict: VERDICT_BLOCK,
    winner: "/a/ (recursive)",
    runnersUp: [["/a/b/", /^a recursive directory decides before one that is not recursive$/]],
    others: [["/a/", /^not recursive: it names the directory/]],
  },
  {
    claim: "fromSource before all others",
    rules: [process("/bin/sh"), process("/bin/", { from: ["/usr/sbin/nginx"], action: "Audit" })],
    ask: { access: "exec", path: "/bin/sh", from: "/usr/sbin/nginx" },
    verdict: VERDICT_AUDIT,
    winner: "/bin/",
    runnersUp: [["/bin/sh", /fromSource names the program decides before a rule for every/]],
  },
  {
    claim: "Block on the identical selector, then Audit",
    rules: [
      { at: "/a", ...allow },
      { at: "/a", action: "Audit" },
      { at: "/a" },
      { at: "/a" },
    ],
    ask: { access: "write", path: "/a" },
    verdict: VERDICT_BLOCK,
    winner: "/a",
    runnersUp: [
      ["/a", /^says the same/],
      ["/a", /^on the identical selector Block decides before Audit/],
      ["/a", /^on the identical selector/],
    ],
  },
  {
    claim: "the larger verdict of a program and its parent",
    rules: [process("/x", { from: ["/a"], ...allow }), process("/x", { from: ["/b"] })],
    ask: { access: "exec", path: "/x", from: "/a", parent: "/b" },
    verdict: VERDICT_BLOCK,
    winner: "/x",
    runnersUp: [["/x", /^on the identical selector Block/]],
  },
  {
    claim: "the parent's rule, though the program's own is more specific",
    rules: [process("/x", { from: ["/a"], ...allow }), process("///", { from: ["/b"] })],
    ask: { access: "exec", path: "/x", from: "/a", parent: "/b" },
    verdict: VERDICT_BLOCK,
    winner: "/ (recursive)",
    runnersUp: [["/x", /^the rule for \/b refuses more: of a program's and its parent's/]],
  },
  {
    claim: "what names the path and says nothing",
    rules: [
      process("/bin/sh", { from: ["/bin/su"] }),
      { at: "/bin/sh" },
      process("/bin/", { notEnforced: "ownerOnly" }),
      process("/sbin/sh"),
    ],
    ask: { access: "load", path: "/bin/sh", from: "/bin/login" },
    verdict: VERDICT_NONE,
    others: [
      ["/bin/sh", /^holds for other programs only: \/bin\/su$/],
      ["/bin/sh", /^file rules are not about executing$/],
      ["/bin/", /^not enforced: ownerOnly$/],
    ],
  },
  {
    claim: "the posture, where nothing matches",
    rules: [process("/app/server", allow)],
    ask: { access: "exec", path: "/bin/sh" },
    posture: BLOCK,
    verdict: VERDICT_POSTURE_BLOCK,
  },
  {
    claim: "a read-only entry of an allow-list, whatever the posture",
    rules: [{ at: "/a", ...allow, readOnly: true }],
    ask: { access: "write", path: "/a" },
    verdict: VERDICT_POSTURE_BLOCK,
    winner: "/a",
  },
];

for (const { claim, rules, posture = AUDIT, ask, ...wanted } of CASES) {
  Deno.test(`explain() names ${claim}`, () => {
    const { explanations, others } = answer(readAsk(ask), [policy("p", ...rules)], posture);
    const { verdict, winner, runnersUp } = explanations[0]!;
    const { winner: name, runnersUp: losers = [], others: silent = [] } = wanted;
    assert.equal(verdict, wanted.verdict);
    assert.equal(winner && targetText(winner.rule.target), name);
    const pairs = [[runnersUp, losers], [others, silent]] as const;
    for (const [found, expected] of pairs) {
      assert.deepEqual(
        found.map(({ ref }) => targetText(ref.rule.target)),
        expected.map(([target]) => target),
      );
      expected.forEach(([, why], i) => assert.match(found[i]!.why, why));
    }
  });
}

Deno.test("explain() asks file rules, too, whether a program may be opened", () => {
  const rules = [policy("p", { at: "/app/server", ...allow })];
  const { explanations } = answer(readAsk({ access: "exec", path: "/bin/sh" }), rules, BLOCK);
  assert.deepEqual(explanations.map(({ op, verdict }) => [op, verdict]), [
    [OP_EXEC, VERDICT_NONE],
    [OP_READ, VERDICT_POSTURE_BLOCK],
  ]);
  assert.equal(explanations[1]!.allowList.length, 1);
});

Deno.test("explain() says nothing about a container without an image", () => {
  const { explanations, generation } = explain(
    readAsk({ access: "read", path: "/a" }),
    undefined,
    [],
    KEYS,
  );
  assert.equal(explanations[0]!.verdict, VERDICT_NONE);
  assert.equal(generation, undefined);
});

Deno.test("explain() tells names that a Block rule needs", () => {
  const ask = (path: string) =>
    answer(readAsk({ access: "rename", path }), [policy("p", { at: "/etc/shadow" })], AUDIT);
  assert.equal(ask("/etc").guard?.rule.where.line, 1);
  assert.equal(ask("/var").guard, undefined);
});

Deno.test("explain() refuses an image that does not say what its rules say", () => {
  const [one, other] = [policy("p", { at: "/a" }), policy("p", { at: "/b" })];
  const image = { ...compileImage([one], AUDIT, KEYS)!, rules: enforcedRules([other]) };
  assert.throws(
    () => explain(readAsk({ access: "read", path: "/a" }), image, [other], KEYS),
    /The image decides .* where its rules decide nothing/,
  );
});

Deno.test("readAsk() takes the program for its own parent", () => {
  const { from, parent } = readAsk({
    access: "exec",
    path: "//bin/./sh/",
    from: "/usr/sbin/nginx",
  });
  assert.deepEqual([from, parent], ["/usr/sbin/nginx", "/usr/sbin/nginx"]);
  assert.equal(readAsk({ access: "exec", path: "//bin/./sh/" }).path, "/bin/sh");
});

const BAD: [ask: Parameters<typeof readAsk>[0], message: RegExp][] = [
  [
    { access: "exec", path: "bin/sh" },
    /must start with "\/": current value is "bin\/sh"\n {2}hint/,
  ],
  [{ access: "exec", path: "/a/../b" }, /must not contain "\.\."/],
  [{ access: "exec", path: "/a", from: "nginx" }, /must start with "\/": current value is "nginx"/],
  [{ access: "exec", path: `/${"n".repeat(256)}` }, /at most 255 bytes/],
  [{ access: "fly", path: "/a" }, /Cannot explain access "fly": must be one of exec, /],
  [{ access: "constructor", path: "/a" }, /Cannot explain access/],
];

for (const [ask, message] of BAD) {
  Deno.test(`readAsk() refuses ${ask.access} ${ask.path.slice(0, 20)} from ${ask.from}`, () => {
    assert.throws(() => readAsk(ask), message);
  });
}

Deno.test("explain() tells a write from a read", () => {
  const rules = [policy("p", { at: "/a", readOnly: true })];
  const verdictOf = (access: string) =>
    answer(readAsk({ access, path: "/a" }), rules, AUDIT).explanations[0]!;
  assert.deepEqual([verdictOf("read").op, verdictOf("read").verdict], [OP_READ, VERDICT_ALLOW]);
  assert.deepEqual([verdictOf("write").op, verdictOf("write").verdict], [OP_WRITE, VERDICT_BLOCK]);
  const audit = [policy("p", { at: "/z", ...allow })];
  const { verdict } = answer(readAsk({ access: "read", path: "/a" }), audit, AUDIT)
    .explanations[0]!;
  assert.equal(verdict, VERDICT_POSTURE_AUDIT);
});
