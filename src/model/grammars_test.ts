import assert from "node:assert/strict";
import { KINDS } from "./crd.ts";
import { grammarOf } from "./grammars.ts";
import type { Schema } from "./schema.ts";

for (const { kind, spec } of KINDS) {
  Deno.test(`grammarOf() knows every pattern of ${kind}`, () => {
    for (const schema of schemasIn(spec)) {
      if (schema.type === "string" && schema.pattern !== undefined) grammarOf(schema.pattern);
    }
  });
}

Deno.test("grammarOf() refuses a pattern without words", () => {
  assert.throws(() => grammarOf("^x$"), RangeError);
});

function* schemasIn(schema: Schema): Generator<Schema> {
  yield schema;
  if (schema.type === "array") yield* schemasIn(schema.items);
  if (schema.type !== "object") return;
  for (const inner of Object.values(schema.properties ?? {})) yield* schemasIn(inner);
  if (schema.additionalProperties !== undefined) yield* schemasIn(schema.additionalProperties);
}
