import assert from "node:assert/strict";
import fc from "fast-check";
import {
  OP_EXEC,
  OP_READ,
  OP_WRITE,
  REFERENCE_CAPABILITIES,
  SOCKET_KINDS,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { CAPABILITIES, PROTOCOLS } from "../model/grammars.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { targetText } from "../model/rule.ts";
import { compileImage } from "./compile_image.ts";
import { evaluate, evaluateRules } from "./evaluate.ts";
import { evaluateNumbered } from "./evaluate_numbered.ts";
import { type Answer, type Ask, explain, PATH_ACCESSES, rankRules, readAsk } from "./explain.ts";
import { nameOfNumber } from "./numbered_names.ts";
import { ALL_CIRCUMSTANCES, enforcedRules, type RuleRef } from "./rules.ts";
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
  ownerOnly: fc.boolean(),
  terminalOnly: fc.boolean(),
  from: fc.oneof(fc.constant([]), fc.subarray(["/a", "/a/b"], { minLength: 1 })),
});
const anyPolicies = fc.array(fc.array(anyRule, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
}).map((all) => all.map((rules, i) => policy(`p${i}`, ...rules)));
const anyAsk: fc.Arbitrary<Ask> = fc.record({
  access: fc.constantFrom(...Object.keys(PATH_ACCESSES)),
  object: fc.constantFrom(...PATHS),
  from: fc.constantFrom(...SOURCES),
  parent: fc.constantFrom(...SOURCES),
  circumstances: fc.constantFrom(...ALL_CIRCUMSTANCES),
});
const anyPosture = fc.constantFrom(AUDIT, BLOCK);

Deno.test("explain() gives evaluate()'s verdict and rule for any policies and any question", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, anyAsk, (policies, posture, ask) => {
      for (const { op, verdict, winner } of answer(ask, policies, posture).explanations) {
        const question = {
          op,
          path: ask.object,
          caller: ask.from,
          parent: ask.parent,
          circumstances: ask.circumstances,
        };
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
      for (const op of PATH_ACCESSES[ask.access]!) {
        const question = {
          op,
          path: ask.object,
          caller: ask.from,
          parent: ask.parent,
          circumstances: ask.circumstances,
        };
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

const anyNumberedRule: fc.Arbitrary<RuleText> = fc.record({
  at: fc.oneof(
    fc.constantFrom(...PROTOCOLS).map((word) => `net:${word}`),
    fc.constantFrom("cap:net_raw", "cap:bpf", "/a"),
  ),
  action: fc.constantFrom("Block" as const, "Audit" as const, "Allow" as const),
  from: fc.oneof(fc.constant([]), fc.subarray(["/a", "/a/b"], { minLength: 1 })),
});
const anyNumberedPolicies = fc.array(fc.array(anyNumberedRule, { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 3,
}).map((all) => all.map((rules, i) => policy(`p${i}`, ...rules)));
const anyNumberedAsk: fc.Arbitrary<Ask> = fc.record({
  what: fc.oneof(
    fc.constantFrom("tcp", "udp", "icmp/raw", "packet/dgram", "raw", "other")
      .map((object) => ({ access: "socket", object })),
    fc.constantFrom("NET_RAW", "cap_bpf", "kill")
      .map((object) => ({ access: "capability", object })),
  ),
  caller: fc.constantFrom(undefined, "/a", "/a/b", "/z"),
}).map(({ what, caller }) => readAsk({ ...what, ...(caller !== undefined && { from: caller }) }));

Deno.test("explain() gives evaluateNumbered()'s verdict and rule, and each runner-up in its turn", () => {
  fc.assert(
    fc.property(anyNumberedPolicies, anyPosture, anyNumberedAsk, (policies, posture, ask) => {
      const question = { number: ask.number!, caller: ask.from };
      const [explanation] = answer(ask, policies, posture).explanations;
      const { verdict, winner, runnersUp, allowList } = explanation!;
      const spec = evaluateNumbered(question, policies, posture);
      assert.equal(verdict, spec.verdict & ~VERDICT_SOURCE);
      assert.equal(winner?.rule, spec.rule?.rule);
      const isPosture = [VERDICT_POSTURE_AUDIT, VERDICT_POSTURE_BLOCK].includes(verdict);
      assert.equal(allowList.length > 0, isPosture);
      let left = policies;
      for (const { rule } of [...winner ? [winner] : [], ...runnersUp.map(({ ref }) => ref)]) {
        assert.equal(evaluateNumbered(question, left, posture).rule?.rule, rule);
        left = left.map((one) => ({ ...one, rules: one.rules.filter((other) => other !== rule) }));
      }
      assert.equal(evaluateNumbered(question, left, posture).rule, undefined);
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
    ask: { access: "exec", object: "/bin/sh" },
    verdict: VERDICT_BLOCK,
    winner: "/bin/sh",
    runnersUp: [
      [
        "/bin/ (recursive)",
        /^an exact path decides before a program's name, a pattern or a directory$/,
      ],
      [
        "/ (recursive)",
        /^an exact path decides before a program's name, a pattern or a directory$/,
      ],
      ["/bin/", /^an exact path/],
    ],
  },
  {
    claim: "a recursive directory before one that is not",
    rules: [{ at: "/a//" }, { at: "/a/b/", ...allow }, { at: "/a/" }],
    ask: { access: "read", object: "/a/b/c" },
    verdict: VERDICT_BLOCK,
    winner: "/a/ (recursive)",
    runnersUp: [["/a/b/", /^a recursive directory decides before one that is not recursive$/]],
    others: [["/a/", /^not recursive: it names the directory/]],
  },
  {
    claim: "fromSource before all others",
    rules: [process("/bin/sh"), process("/bin/", { from: ["/usr/sbin/nginx"], action: "Audit" })],
    ask: { access: "exec", object: "/bin/sh", from: "/usr/sbin/nginx" },
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
    ask: { access: "write", object: "/a" },
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
    ask: { access: "exec", object: "/x", from: "/a", parent: "/b" },
    verdict: VERDICT_BLOCK,
    winner: "/x",
    runnersUp: [["/x", /^on the identical selector Block/]],
  },
  {
    claim: "the parent's rule, though the program's own is more specific",
    rules: [process("/x", { from: ["/a"], ...allow }), process("///", { from: ["/b"] })],
    ask: { access: "exec", object: "/x", from: "/a", parent: "/b" },
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
    ask: { access: "load", object: "/bin/sh", from: "/bin/login" },
    verdict: VERDICT_NONE,
    others: [
      ["/bin/sh", /^holds for other programs only: \/bin\/su$/],
      ["/bin/sh", /^file rules are not about executing$/],
      ["/bin/", /^not enforced: ownerOnly$/],
    ],
  },
  {
    claim: "a protocol before a type of sockets, and that before all",
    rules: [{ at: "net:all" }, { at: "net:raw", action: "Audit" }, { at: "net:icmp", ...allow }],
    ask: { access: "socket", object: "icmp/raw" },
    verdict: VERDICT_ALLOW,
    winner: "icmp",
    runnersUp: [
      ["raw", /^a protocol decides before a type of sockets/],
      ["all", /^a protocol decides before/],
    ],
  },
  {
    claim: "the program that may use a capability",
    rules: [{ at: "cap:net_raw", from: ["/bin/ping"], ...allow }, { at: "cap:kill" }],
    ask: { access: "capability", object: "net_raw", from: "/bin/sh" },
    posture: BLOCK,
    verdict: VERDICT_POSTURE_BLOCK,
    others: [["net_raw", /^holds for other programs only: \/bin\/ping$/]],
  },
  {
    claim: "the posture, where nothing matches",
    rules: [process("/app/server", allow)],
    ask: { access: "exec", object: "/bin/sh" },
    posture: BLOCK,
    verdict: VERDICT_POSTURE_BLOCK,
  },
  {
    claim: "a read-only entry of an allow-list, whatever the posture",
    rules: [{ at: "/a", ...allow, readOnly: true }],
    ask: { access: "write", object: "/a" },
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
  const { explanations } = answer(readAsk({ access: "exec", object: "/bin/sh" }), rules, BLOCK);
  assert.deepEqual(explanations.map(({ op, verdict }) => [op, verdict]), [
    [OP_EXEC, VERDICT_NONE],
    [OP_READ, VERDICT_POSTURE_BLOCK],
  ]);
  assert.equal(explanations[1]!.allowList.length, 1);
});

Deno.test("explain() says nothing about a container without an image", () => {
  const { explanations, generation } = explain(
    readAsk({ access: "read", object: "/a" }),
    undefined,
    [],
    KEYS,
  );
  assert.equal(explanations[0]!.verdict, VERDICT_NONE);
  assert.equal(generation, undefined);
});

Deno.test("explain() tells names that a Block rule needs", () => {
  const ask = (object: string) =>
    answer(readAsk({ access: "rename", object }), [policy("p", { at: "/etc/shadow" })], AUDIT);
  assert.equal(ask("/etc").guard?.rule.where.line, 1);
  assert.equal(ask("/var").guard, undefined);
});

Deno.test("explain() refuses an image that does not say what its rules say", () => {
  const [one, other] = [policy("p", { at: "/a" }), policy("p", { at: "/b" })];
  const image = { ...compileImage([one], AUDIT, KEYS)!, rules: enforcedRules([other]) };
  assert.throws(
    () => explain(readAsk({ access: "read", object: "/a" }), image, [other], KEYS),
    /The image decides .* where its rules decide nothing/,
  );
});

Deno.test("readAsk() takes the program for its own parent", () => {
  const { from, parent } = readAsk({
    access: "exec",
    object: "//bin/./sh/",
    from: "/usr/sbin/nginx",
  });
  assert.deepEqual([from, parent], ["/usr/sbin/nginx", "/usr/sbin/nginx"]);
  assert.equal(readAsk({ access: "exec", object: "//bin/./sh/" }).object, "/bin/sh");
});

Deno.test("readAsk() knows every kind of socket and every capability by its name", () => {
  for (let number = 0; number < SOCKET_KINDS; number++) {
    const object = nameOfNumber(number);
    assert.equal(readAsk({ access: "socket", object: object.toUpperCase() }).number, number);
  }
  CAPABILITIES.forEach((name, i) => {
    const { number, object } = readAsk({ access: "capability", object: name });
    assert.deepEqual([number, object], [REFERENCE_CAPABILITIES + i, `CAP_${name.toUpperCase()}`]);
  });
});

const BAD: [ask: Parameters<typeof readAsk>[0], message: RegExp][] = [
  [
    { access: "exec", object: "bin/sh" },
    /must start with "\/": current value is "bin\/sh"\n {2}hint/,
  ],
  [{ access: "exec", object: "/a/../b" }, /must not contain "\.\."/],
  [
    { access: "exec", object: "/a", from: "nginx" },
    /must start with "\/": current value is "nginx"/,
  ],
  [{ access: "exec", object: `/${"n".repeat(256)}` }, /at most 255 bytes/],
  [{ access: "socket", object: "tpc" }, /Cannot use socket "tpc": must be one of .*tcp, .*other$/],
  [{ access: "socket", object: "icmp" }, /"icmp": must be one of icmp\/dgram, icmp\/raw$/],
  [{ access: "capability", object: "root" }, /"root": must be one of chown, .*restore$/],
  [{ access: "fly", object: "/a" }, /Cannot explain access "fly": must be one of exec, /],
  [{ access: "constructor", object: "/a" }, /Cannot explain access/],
];

for (const [ask, message] of BAD) {
  Deno.test(`readAsk() refuses ${ask.access} ${ask.object.slice(0, 20)} from ${ask.from}`, () => {
    assert.throws(() => readAsk(ask), message);
  });
}

Deno.test("explain() tells a write from a read", () => {
  const rules = [policy("p", { at: "/a", readOnly: true })];
  const verdictOf = (access: string) =>
    answer(readAsk({ access, object: "/a" }), rules, AUDIT).explanations[0]!;
  assert.deepEqual([verdictOf("read").op, verdictOf("read").verdict], [OP_READ, VERDICT_ALLOW]);
  assert.deepEqual([verdictOf("write").op, verdictOf("write").verdict], [OP_WRITE, VERDICT_BLOCK]);
  const audit = [policy("p", { at: "/z", ...allow })];
  const { verdict } = answer(readAsk({ access: "read", object: "/a" }), audit, AUDIT)
    .explanations[0]!;
  assert.equal(verdict, VERDICT_POSTURE_AUDIT);
});
