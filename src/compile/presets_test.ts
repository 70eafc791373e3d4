import assert from "node:assert/strict";
import fc from "fast-check";
import * as api from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import type { Rule } from "../model/rule.ts";
import { compileImage } from "./compile_image.ts";
import { findConflicts } from "./conflicts.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader, lookupPreset } from "./lookup.ts";
import { evaluatePreset } from "./presets.ts";
import { AUDIT, KEYS, policy, rule } from "./test_policies.ts";

type Written = readonly [preset: PresetName, action: "Audit" | "Block"];

function presets(name: string, ...written: readonly Written[]): Policy {
  const rules = written.map(([preset, action], index): Rule => ({
    ...rule({ at: "/any", action }, index),
    ...{ group: "presets", list: "presets", target: { kind: "preset", preset } },
  }));
  return { ...policy(name), rules };
}

function imageOf(...policies: readonly Policy[]) {
  const image = compileImage(policies, AUDIT, KEYS)!;
  return { image, reader: new ImageReader(image.bytes, PathHasher.of(KEYS)) };
}

Deno.test("the presets have the kernel's numbers", () => {
  const constants = PRESET_NAMES.map((name) =>
    api.PRESET_NAMES[PRESET_NAMES.indexOf(name)]!.replaceAll("_", "").toLowerCase()
  );
  const expected = PRESET_NAMES.map((name) => `preset${name.toLowerCase()}`);
  assert.deepEqual(constants, expected);
  assert.equal(PRESET_NAMES.length, api.PRESETS);
  assert.ok(api.PRESETS <= api.PRESETS_REFUSING);
});

Deno.test("compileImage() has a bit for each preset in force, and another for those that refuse", () => {
  const { image, reader } = imageOf(presets("p", ["protectEnv", "Block"], ["exec", "Audit"]));
  const refusing = 1 << api.PRESETS_REFUSING + api.PRESET_PROTECT_ENV;
  assert.equal(
    reader.header.presets,
    refusing | 1 << api.PRESET_PROTECT_ENV | 1 << api.PRESET_EXEC,
  );
  assert.equal(image.opsLive, 1 << api.LIVE_PRESETS);
  assert.deepEqual([...image.presets].sort(), ["exec", "protectEnv"]);
});

Deno.test("compileImage() without a preset leaves the bit of presets out", () => {
  const { image, reader } = imageOf(policy("p", { at: "/secret" }));
  assert.equal(reader.header.presets, 0);
  assert.equal(image.opsLive & 1 << api.LIVE_PRESETS, 0);
  assert.deepEqual(image.presets, []);
});

Deno.test("a preset changes nothing about paths, and its Block is no guard's", () => {
  const plain = imageOf(policy("a", { at: "/secret", action: "Audit" }));
  const both = imageOf(
    policy("a", { at: "/secret", action: "Audit" }),
    presets("b", ["exec", "Block"]),
  );
  assert.equal(both.image.guardRule, undefined);
  assert.deepEqual(both.image.blockRules, []);
  assert.equal(both.reader.header.flags, plain.reader.header.flags);
});

const written = fc.tuple(
  fc.constantFrom(...PRESET_NAMES),
  fc.constantFrom("Audit" as const, "Block" as const),
);

Deno.test("the image says of each preset what evaluatePreset() says, with the same rule, in any order", () => {
  fc.assert(fc.property(
    fc.array(fc.array(written, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
    (lists) => {
      const policies = lists.map((list, index) => presets(`p${index}`, ...list));
      const { image, reader } = imageOf(...policies);
      const turned = imageOf(...[...policies].reverse());
      assert.equal(turned.image.generation, image.generation);
      for (const preset of PRESET_NAMES) {
        const { verdict, row } = lookupPreset(reader, preset);
        const expected = evaluatePreset(preset, policies);
        assert.equal(verdict, expected.verdict);
        assert.equal(image.explain(row, api.OP_PRESET)?.rule, expected.rule?.rule);
      }
    },
  ));
});

Deno.test("findConflicts() tells an Audit that a Block on the same preset overrules, and what stands twice", () => {
  const kinds = (...written: readonly Written[]) =>
    findConflicts([presets("p", ...written)]).map(({ kind }) => kind);
  assert.deepEqual(kinds(["exec", "Audit"], ["exec", "Block"]), ["overruled"]);
  assert.deepEqual(kinds(["exec", "Block"], ["exec", "Block"]), ["duplicate"]);
  assert.deepEqual(kinds(["exec", "Block"], ["protectEnv", "Audit"]), []);
});
