import assert from "node:assert/strict";
import fc from "fast-check";
import {
  OP_DNS,
  OP_NETWORK,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_BLOCK,
  VERDICT_UNKNOWN_AUDIT,
  VERDICT_UNKNOWN_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import { compileImage } from "./compile_image.ts";
import { evaluateName } from "./evaluate_name.ts";
import { evaluateNumbered } from "./evaluate_numbered.ts";
import { explain, readAsk } from "./explain.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader, lookupName } from "./lookup.ts";
import { AUDIT, BLOCK, KEYS, policy, type RuleText } from "./test_policies.ts";

const RUNS = 300;
const LABELS = ["a", "b", "ab", "local", "cluster", "svc", "ns"];
const SOURCES = ["/x", "/y", "/other"];

const anyName = fc.array(fc.constantFrom(...LABELS), { minLength: 1, maxLength: 6 })
  .map((labels) => labels.join("."));
const anyRule: fc.Arbitrary<RuleText> = fc.record({
  at: fc.oneof(
    { weight: 6, arbitrary: anyName.map((name) => `dns:${name}`) },
    { weight: 2, arbitrary: anyName.map((name) => `dns:*.${name}`) },
    { weight: 1, arbitrary: fc.constantFrom("net:tcp", "cap:net_raw", "/a") },
  ),
  action: fc.constantFrom("Block", "Audit", "Allow"),
  from: fc.oneof(fc.constant([]), fc.subarray(["/x", "/y"], { minLength: 1 })),
});
const anyPolicies = fc.array(
  fc.record({
    rules: fc.array(anyRule, { minLength: 1, maxLength: 4 }),
    namespace: fc.constantFrom("", "ns"),
  }),
  { minLength: 1, maxLength: 3 },
).map((all) => all.map(({ rules, namespace }, i) => ({ ...policy(`p${i}`, ...rules), namespace })));
const anyPosture = fc.constantFrom(AUDIT, BLOCK);
const anyCaller = fc.constantFrom(...SOURCES, undefined);

function read(policies: readonly Policy[], posture = AUDIT) {
  const image = compileImage(policies, posture, KEYS)!;
  return { image, reader: new ImageReader(image.bytes, PathHasher.of(KEYS)) };
}

Deno.test("the image answers about every name as the specification does, and names the same rule", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, anyName, anyCaller, (policies, posture, name, caller) => {
      const wanted = evaluateName({ name, caller }, policies, posture);
      const { image, reader } = read(policies, posture);
      if (image.judgesNames) {
        const found = lookupName(reader, { name, caller });
        assert.equal(found.verdict, wanted.verdict);
        assert.equal(image.explain(found.row, OP_DNS)?.rule, wanted.rule?.rule);
      } else {
        assert.equal(wanted.verdict, VERDICT_NONE);
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("explain finds the rules that decide, and those that lose, for every name", () => {
  fc.assert(
    fc.property(anyPolicies, anyPosture, anyName, (policies, posture, name) => {
      const { image } = read(policies, posture);
      for (const from of SOURCES) {
        const ask = readAsk({ access: "dns", object: name, from });
        const { explanations } = explain(ask, image, policies, KEYS);
        const wanted = evaluateName({ name, caller: from }, policies, posture);
        assert.equal(explanations[0]!.winner?.rule, wanted.rule?.rule);
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("the order of policies and rules changes nothing", () => {
  fc.assert(
    fc.property(anyPolicies, anyName, anyCaller, (policies, name, caller) => {
      const { verdict } = evaluateName({ name, caller }, policies, BLOCK);
      const turned = policies.map((policy) => ({ ...policy, rules: policy.rules.toReversed() }));
      const { verdict: other } = evaluateName({ name, caller }, turned.toReversed(), BLOCK);
      assert.equal(other, verdict);
    }),
    { numRuns: RUNS },
  );
});

const verdictOn = (name: string, ...rules: readonly RuleText[]) =>
  evaluateName({ name, caller: "/x" }, [policy("p", ...rules)], BLOCK).verdict;

Deno.test("a rule names the domain and what lies below it, label by label, in any case", () => {
  const rule = { at: "dns:example.com" };
  for (const name of ["example.com", "www.example.com", "a.b.EXAMPLE.com"]) {
    assert.equal(verdictOn(name, rule), VERDICT_BLOCK);
  }
  for (const name of ["notexample.com", "com", "example.com.org"]) {
    assert.equal(verdictOn(name, rule), VERDICT_NONE);
  }
});

Deno.test("what a search list puts behind a name does not hide it", () => {
  const inNamespace = { ...policy("p", { at: "dns:example.com" }), namespace: "shop" };
  const verdict = (name: string) =>
    evaluateName({ name, caller: "/x" }, [inNamespace], AUDIT).verdict;
  assert.equal(verdict("example.com.svc.cluster.local"), VERDICT_BLOCK);
  assert.equal(verdict("www.example.com.shop.svc.cluster.local"), VERDICT_BLOCK);
  assert.equal(verdict("example.com.other.svc.cluster.local"), VERDICT_NONE);
});

Deno.test("an allow-list of names is none of sockets, nor the other way round", () => {
  const names = [policy("p", { at: "dns:a", action: "Allow" })];
  const sockets = [policy("p", { at: "net:tcp", action: "Allow" })];
  assert.equal(
    evaluateName({ name: "b", caller: "/x" }, names, BLOCK).verdict,
    VERDICT_POSTURE_BLOCK,
  );
  assert.equal(evaluateNumbered({ number: 1, caller: "/x" }, names, BLOCK).verdict, VERDICT_NONE);
  assert.equal(evaluateName({ name: "b", caller: "/x" }, sockets, BLOCK).verdict, VERDICT_NONE);
});

Deno.test("a program that is not known is refused what any program is", () => {
  const only = [policy("p", { at: "dns:a", from: ["/x"] })];
  assert.equal(evaluateName({ name: "a", caller: "/y" }, only, AUDIT).verdict, VERDICT_NONE);
  assert.equal(
    evaluateName({ name: "a", caller: undefined }, only, AUDIT).verdict & 7,
    VERDICT_BLOCK,
  );
});

const UNREADABLE: readonly [string, RuleText, typeof AUDIT, number][] = [
  ["Block", { at: "dns:a" }, AUDIT, VERDICT_UNKNOWN_BLOCK],
  ["Audit", { at: "dns:a", action: "Audit" }, BLOCK, VERDICT_UNKNOWN_AUDIT],
  ["an allow-list", { at: "dns:a", action: "Allow" }, BLOCK, VERDICT_UNKNOWN_BLOCK],
  [
    "an allow-list with posture audit",
    { at: "dns:a", action: "Allow" },
    AUDIT,
    VERDICT_UNKNOWN_AUDIT,
  ],
];

for (const [what, rule, posture, verdict] of UNREADABLE) {
  Deno.test(`a query that can't be read is judged by what ${what} could say`, () => {
    assert.equal(read([policy("p", rule)], posture).reader.unreadable, verdict);
  });
}

Deno.test("an image with rules about names alone needs no programs about sockets", () => {
  const { image } = read([policy("p", { at: "dns:a" })]);
  assert.deepEqual([image.judgesNames, image.judgesSockets], [true, false]);
  assert.equal(image.opsLive >> OP_NETWORK & 1, 1);
});
