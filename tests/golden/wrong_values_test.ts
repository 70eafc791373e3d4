/**
 * What `ankylo check` says about each field of each kind that has a wrong value: of another type, outside its words, its numbers
 * or its grammar, or by a name that is nearly the field's. Word for word in check/wrong-values.txt. After a deliberate change:
 * `ANKYLO_UPDATE_GOLDEN=1 deno test -A tests/golden/wrong_values_test.ts`, and read the difference.
 */

import assert from "node:assert/strict";
import { examplePolicy, type Field, policyFields } from "../../src/model/fields.ts";
import { formatDiagnostic } from "../../src/model/diagnostic.ts";
import { grammarOf } from "../../src/model/grammars.ts";
import { parsePolicies } from "../../src/model/parse.ts";
import type { Schema } from "../../src/model/schema.ts";

const GOLDEN = new URL("check/wrong-values.txt", import.meta.url);

/** Texts of which a grammar refuses at least one. */
const ODD_TEXTS = ["no path", "/a/", "a/b", "fly", "ten"];

/** Values that a field can't have. */
function wrongValues(schema: Schema): unknown[] {
  switch (schema.type) {
    case "boolean":
      return ["true", 1];
    case "integer":
      return [
        "7",
        1.5,
        ...(schema.minimum === undefined ? [] : [schema.minimum - 1]),
        ...(schema.maximum === undefined ? [] : [schema.maximum + 1]),
      ];
    case "array": {
      const [item] = wrongValues(schema.items);
      return [
        "a text",
        [item],
        ...(schema.maxItems === undefined ? [] : [Array(schema.maxItems + 1).fill("a")]),
      ];
    }
    case "object":
      return ["a text", { key: 5 }];
    case "string":
      return [17, ...wrongTexts(schema)];
  }
}

function wrongTexts({ enum: words, pattern }: Schema & { readonly type: "string" }): string[] {
  if (words !== undefined) return [words[0]!.slice(0, -1), "fly"];
  if (pattern === undefined) return [];
  const { test } = grammarOf(pattern);
  return ODD_TEXTS.filter((text) => !test(text)).slice(0, 1);
}

/** The example of a field with another value, or under another name, in the place of its own. */
function changed(
  { path, kinds }: Field,
  change: (object: Record<string, unknown>, name: string) => void,
) {
  const policy = structuredClone(examplePolicy(kinds[0]!, path));
  const names = path.replaceAll("[]", ".0").split(".");
  const name = names.pop()!;
  const object = names.reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key],
    policy,
  );
  change(object as Record<string, unknown>, name);
  return JSON.stringify(policy);
}

/** What check says, with the field in the place of the line: all stands in one. */
function complaints(text: string): string[] {
  const { diagnostics } = parsePolicies(text, "");
  return diagnostics.map((finding) => formatDiagnostic(finding).replace(/^:1:\d+: /, "  "));
}

interface Case {
  readonly title: string;
  readonly found: readonly string[];
}

const CASES: readonly Case[] = policyFields().flatMap((field) => {
  const values = wrongValues(field.schema).map((value): Case => ({
    title: `${field.path}: ${JSON.stringify(value)}`,
    found: complaints(changed(field, (object, name) => object[name] = value)),
  }));
  const misspelt = changed(field, (object, name) => {
    object[`${name}s`] = object[name];
    delete object[name];
  });
  return [...values, { title: `${field.path}s`, found: complaints(misspelt) }];
});

Deno.test("ankylo check has something to say about each wrong value of each field", () => {
  assert.deepEqual(CASES.filter(({ found }) => found.length === 0).map(({ title }) => title), []);
  console.log(`wrong values: ${CASES.length} documents, of ${policyFields().length} fields`);
});

Deno.test("ankylo check says about wrong values what check/wrong-values.txt holds", async () => {
  const text = CASES.map(({ title, found }) => `${title}\n${found.join("\n")}\n`).join("\n");
  if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") await Deno.writeTextFile(GOLDEN, text);
  assert.equal(text, await Deno.readTextFile(GOLDEN));
});
