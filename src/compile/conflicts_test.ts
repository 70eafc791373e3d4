import assert from "node:assert/strict";
import fc from "fast-check";
import { OP_CLASSES } from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import { findConflicts } from "./conflicts.ts";
import { evaluateRules, isParentJudged, type Question } from "./evaluate.ts";
import { rankRules } from "./explain.ts";
import { ALL_CIRCUMSTANCES, enforcedRules } from "./rules.ts";
import { BLOCK, policy, type RuleText } from "./test_policies.ts";

const RUNS = Number(Deno.env.get("FAST_CHECK_RUNS") ?? 150);
const allow = { action: "Allow" } as const;
const audit = { action: "Audit" } as const;

/** Each as `kind loser by winner`, with lines for rules. */
function conflictsOf(...policies: Policy[]): string[] {
  return findConflicts(policies).map(({ kind, ref, by, sometimes, source }) => {
    const name = (one: typeof ref) => `${one.policy.name}:${one.rule.where.line}`;
    const words = [kind, name(ref), "by", name(by), sometimes ? "sometimes" : "", source ?? ""];
    return words.filter((word) => word !== "").join(" ");
  });
}

const CASES: [claim: string, rules: RuleText[], conflicts: string[]][] = [
  ["rules about different things", [{ at: "/a" }, { at: "/b" }, { at: "/a/" }, { at: "/a//" }], [
    "shadowed p:3 by p:4",
  ]],
  ["a directory and a laxer pattern that matches all in it", [
    { at: "/a//" },
    { at: "/b/" },
    { at: "/c//" },
    { at: "glob:/**", ...allow },
    { at: "glob:/b/*", ...audit },
  ], ["shadowed p:1 by p:4", "shadowed p:2 by p:4", "shadowed p:3 by p:4"]],
  ["a directory and patterns that match some of it, or are as strict, or of other programs", [
    { at: "/a//" },
    { at: "glob:/a/*", ...allow },
    { at: "glob:/a/x**", ...allow },
    { at: "glob:/**.key", ...allow },
    { at: "glob:/**" },
    { at: "glob:/**", ...allow, from: ["/x"] },
  ], []],
  ["a rule twice", [{ at: "/a" }, { at: "/a" }], ["duplicate p:2 by p:1"]],
  ["a rule thrice", [{ at: "/a" }, { at: "/a" }, { at: "/a" }], [
    "duplicate p:2 by p:1",
    "duplicate p:3 by p:1",
  ]],
  ["Allow and Block", [{ at: "/a", ...allow }, { at: "/a" }], ["overruled p:1 by p:2"]],
  ["Audit and Block", [{ at: "/a" }, { at: "/a", ...audit }], ["overruled p:2 by p:1"]],
  ["Audit and Block readOnly", [{ at: "/a", readOnly: true }, { at: "/a", ...audit }], []],
  ["Block and Block readOnly", [{ at: "/a", readOnly: true }, { at: "/a" }], [
    "overruled p:1 by p:2",
  ]],
  ["Block and Block ownerOnly", [{ at: "/a", ownerOnly: true }, { at: "/a" }], [
    "overruled p:1 by p:2",
  ]],
  ["Block ownerOnly and Audit", [{ at: "/a", ownerOnly: true }, { at: "/a", ...audit }], []],
  ["Allow and Block readOnly", [{ at: "/a", ...allow }, { at: "/a", readOnly: true }], [
    "overruled p:1 by p:2",
  ]],
  ["the same path in two groups", [{ at: "/a" }, { at: "/a", group: "process", ...allow }], []],
  ["the same path for other programs", [{ at: "/a", from: ["/x"] }, { at: "/a", ...allow }], []],
  [
    "one program of two",
    [{ at: "/a", from: ["/x", "/y"], ...allow }, { at: "/a", from: ["/y"] }],
    ["overruled p:1 by p:2 /y"],
  ],
  [
    "both programs, by two rules",
    [{ at: "/a", from: ["/x", "/y"], ...allow }, { at: "/a", from: ["/x"] }, {
      at: "/a",
      from: ["/y"],
    }],
    ["overruled p:1 by p:2 /x", "overruled p:1 by p:3 /y"],
  ],
  [
    "both programs, by one rule",
    [{ at: "/a", from: ["/x", "/y"], ...allow }, { at: "/a", from: ["/y", "/x"] }],
    ["overruled p:1 by p:2"],
  ],
  ["a recursive directory far above", [{ at: "///", ...allow }, { at: "/a/b/" }], [
    "shadowed p:2 by p:1",
  ]],
  ["a recursive directory below", [{ at: "/a/b//" }, { at: "/a/" }], []],
  ["a deeper recursive directory", [{ at: "/a//" }, { at: "/a/b//", ...allow }], []],
  ["an exact path in a recursive directory", [{ at: "/a//" }, { at: "/a/b", ...allow }], []],
  ["a recursive directory for other programs", [{ at: "/a//", from: ["/x"] }, { at: "/a/b/" }], []],
  [
    "a directory for a program below one for all",
    [{ at: "/a//" }, { at: "/a/b/", from: ["/x"] }],
    [],
  ],
  ["what is not enforced", [{ at: "/a" }, { at: "/a", notEnforced: "why" }], []],
];

for (const [claim, rules, conflicts] of CASES) {
  Deno.test(`findConflicts() for ${claim}: ${conflicts.join(", ") || "none"}`, () => {
    assert.deepEqual(conflictsOf(policy("p", ...rules)), conflicts);
  });
}

function selecting(labels: Record<string, string>, from: Policy): Policy {
  return { ...from, selector: { matchLabels: labels, containerNames: [] } };
}

Deno.test("findConflicts() looks across policies that select the same containers", () => {
  const base = selecting({ tier: "web" }, policy("base", { at: "/a" }, { at: "/b" }));
  const same = selecting(
    { tier: "web", app: "x" },
    policy("same", { at: "/a", ...allow }, { at: "/b" }),
  );
  assert.deepEqual(conflictsOf(base, same), [
    "overruled same:1 by base:1",
    "duplicate same:2 by base:2",
  ]);
});

Deno.test("findConflicts() tells of what may meet, but not of what both say", () => {
  const one = selecting({ tier: "web" }, policy("one", { at: "/a" }, { at: "/b" }));
  const other = selecting({ app: "x" }, policy("other", { at: "/a", ...allow }, { at: "/b" }));
  assert.deepEqual(conflictsOf(one, other), ["overruled other:1 by one:1 sometimes"]);
  const apart = selecting({ tier: "db" }, other);
  assert.deepEqual(conflictsOf(one, apart), []);
});

const LAYERS: [claim: string, one: RuleText, other: RuleText, conflicts: string[]][] = [
  ["Audit for all and Block for some", { at: "/a", ...audit }, { at: "/a" }, []],
  ["Block and Block of all below", { at: "/a/" }, { at: "/a//" }, []],
  ["Allow and Allow of all below", { at: "/a/", ...allow }, { at: "/a//", ...allow }, []],
  ["Audit and Block of all below", { at: "/a/", ...audit }, { at: "/a//" }, []],
  ["Allow and Block of all below", { at: "/a/", ...allow }, { at: "/a//" }, [
    "shadowed one:1 by other:1 sometimes",
  ]],
  ["Block and Allow of all below", { at: "/a/" }, { at: "/a//", ...allow }, [
    "shadowed one:1 by other:1 sometimes",
  ]],
];

for (const [claim, first, second, conflicts] of LAYERS) {
  Deno.test(`findConflicts() for ${claim} of policies that may meet: ${conflicts.join() || "none"}`, () => {
    const one = selecting({ tier: "web" }, policy("one", first));
    const other = selecting({ app: "x" }, policy("other", second));
    assert.deepEqual(conflictsOf(one, other), conflicts);
  });
}

Deno.test("findConflicts() does not depend on the order of policies", () => {
  const [a, b] = [policy("a", { at: "/x", ...allow }), policy("b", { at: "/x" }, { at: "/x" })];
  assert.deepEqual(conflictsOf(a, b), conflictsOf(b, a));
});

Deno.test("findConflicts() compares 20,000 equal rules in the time of one look each", () => {
  const rules = Array.from({ length: 20_000 }, (_, i): RuleText => ({ at: `/d${i % 2}` }));
  assert.equal(findConflicts([policy("p", ...rules)]).length, 19_998);
});

// ---- against the specification ---------------------------------------------------------------------------------------

const PATHS = ["/", "/a", "/a/b", "/a/b/c", "/a/z", "/a/b/z/z", "/z", "/z/z"];
const SOURCES = ["/x", "/y", "/z"];

function* questions(): Generator<Question> {
  for (const path of PATHS) {
    for (let op = 0; op < OP_CLASSES; op++) {
      for (const caller of SOURCES) {
        for (const parent of isParentJudged(op) ? SOURCES : [caller]) {
          for (const circumstances of ALL_CIRCUMSTANCES) {
            yield { op, path, caller, parent, circumstances };
          }
        }
      }
    }
  }
}

const anyRule: fc.Arbitrary<RuleText> = fc.record({
  group: fc.constantFrom("process" as const, "file" as const),
  at: fc.tuple(fc.constantFrom("/", "/a", "/a/b"), fc.constantFrom("", "/", "//"))
    .map(([path, slashes]) => path + slashes),
  action: fc.constantFrom("Block" as const, "Audit" as const, "Allow" as const),
  readOnly: fc.boolean(),
  ownerOnly: fc.boolean(),
  terminalOnly: fc.boolean(),
  from: fc.constantFrom([], ["/x"], ["/x", "/y"]),
});
const rulesOf = (maxLength: number) => fc.array(anyRule, { minLength: 2, maxLength });

/** They make allow-lists whatever else is removed, and match nothing that is asked about. */
const ALLOW_LISTS: RuleText[] = [
  { at: "/allow", ...allow },
  { at: "/allow", group: "process", ...allow },
];

Deno.test("findConflicts() names only rules without which every verdict is the same", () => {
  fc.assert(
    fc.property(rulesOf(5), (rules) => {
      const refs = enforcedRules([policy("p", ...rules, ...ALLOW_LISTS)]);
      for (const { ref, source } of findConflicts([refs[0]!.policy])) {
        if (source !== undefined) continue;
        const rest = refs.filter(({ rule }) => rule !== ref.rule);
        for (const question of questions()) {
          const [before, after] = [refs, rest].map((all) => evaluateRules(question, all, BLOCK));
          if (before!.verdict !== after!.verdict) assert.fail(JSON.stringify([question, ref.rule]));
        }
      }
    }),
    { numRuns: Math.ceil(RUNS / 3) },
  );
});

Deno.test("findConflicts() names each of two rules that never decides", () => {
  fc.assert(
    fc.property(rulesOf(2), (rules) => {
      const refs = enforcedRules([policy("p", ...rules)]);
      const winners = new Set(
        [...questions()].map((question) => rankRules(question, refs)[0]?.rule),
      );
      const named = new Set(findConflicts([refs[0]!.policy]).map(({ ref }) => ref.rule));
      for (const { rule } of refs) if (!winners.has(rule)) assert.ok(named.has(rule));
    }),
    { numRuns: RUNS },
  );
});
