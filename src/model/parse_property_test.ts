import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";

import { parsePolicies } from "./parse.ts";
import { type Action, isPathTarget } from "./rule.ts";

const examples = new URL("../../k8s/examples/", import.meta.url);
const texts = [...Deno.readDirSync(examples)]
  .map((entry) => Deno.readTextFileSync(new URL(entry.name, examples)));

/** Parts that make YAML readers stumble. */
const fragment = fc.constantFrom(
  "---\n",
  "...\n",
  "\t",
  "'",
  '"',
  "[",
  "{",
  "}",
  ":",
  ": ",
  "- ",
  "&a ",
  "*a",
  "<<: ",
  "!!x ",
  "|\n",
  "\u0000",
  "\ufeff",
  "%YAML 1.1\n",
  "#",
  "? ",
  "\r\n",
  "null",
  "0755",
  "yes",
  "__proto__: 1\n",
  "constructor: x\n",
  "\ud800",
);

/** An example with pieces cut out, doubled or replaced. */
const mutation = fc.tuple(
  fc.constantFrom(...texts),
  fc.array(fc.tuple(fc.nat(5000), fc.nat(60), fc.oneof(fragment, fc.string())), { maxLength: 5 }),
).map(([text, edits]) =>
  edits.reduce((current, [at, length, insert]) => {
    const start = at % (current.length + 1);
    return current.slice(0, start) + insert + current.slice(start + length);
  }, text)
);

function assertSane(text: string): void {
  const { policies, diagnostics } = parsePolicies(text, "x.yaml");
  const lines = text.split("\n").length;
  for (const { where, field, message, hint } of diagnostics) {
    assert.ok(where.line >= 1 && where.line <= lines && where.column >= 1, JSON.stringify(where));
    assert.doesNotMatch(`${field}${message}${hint}`, /\p{Cc}/u);
  }
  for (const { rules } of policies) {
    for (const { target } of rules) {
      if (isPathTarget(target)) assert.match(target.path, /^\/$|^(\/[^/]+)+$/);
    }
  }
}

Deno.test("parsePolicies() throws for no text at all", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), assertSane));
  fc.assert(fc.property(fc.array(fragment).map((parts) => parts.join("")), assertSane));
});

Deno.test("parsePolicies() throws for no damaged policy", () => {
  fc.assert(fc.property(mutation, assertSane), { numRuns: 300 });
});

Deno.test("parsePolicies() throws for no deeply nested text", () => {
  for (const piece of ["[", "{a: ", "- ", "? "]) assertSane(piece.repeat(20_000));
});

const action = fc.constantFrom<Action>("Allow", "Audit", "Block");
const header = fc.record({
  action,
  severity: fc.integer({ min: 1, max: 10 }),
  tags: fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
  message: fc.string({ minLength: 1 }),
});
const component = fc.stringMatching(/^[a-z0-9._-]{1,12}$/).filter((name) =>
  !/^\.{1,2}$/.test(name)
);
const path = fc.array(component, { minLength: 1, maxLength: 8 }).map((names) =>
  `/${names.join("/")}`
);
const sources = fc.uniqueArray(path, { maxLength: 3 });

Deno.test("parsePolicies() reads back the policy that was written, as YAML and as JSON", () => {
  const item = fc.tuple(header, path, sources, fc.boolean(), fc.boolean());
  fc.assert(fc.property(fc.array(item, { maxLength: 5 }), (items) => {
    const matchDirectories = items.map(([header, path, sources, recursive, readOnly]) => ({
      ...header,
      dir: `${path}/`,
      fromSource: sources.map((path) => ({ path })),
      recursive,
      readOnly,
    }));
    const document = {
      apiVersion: "security.kubearmor.com/v1",
      kind: "KubeArmorPolicy",
      metadata: { name: "x" },
      spec: { selector: { matchLabels: { a: "b" } }, file: { matchDirectories } },
    };
    for (const text of [stringify(document), JSON.stringify(document, undefined, 1)]) {
      const { policies, diagnostics } = parsePolicies(text, "x.yaml");
      assert.deepEqual(diagnostics.filter((finding) => finding.severity === "error"), []);
      const read = policies[0]!.rules.map(({ where: _, ...rule }) => rule);
      assert.deepEqual(
        read,
        items.map(([header, path, fromSource, recursive, readOnly], index) => ({
          group: "file",
          list: "matchDirectories",
          index,
          target: { kind: "directory", path, recursive },
          ...header,
          readOnly,
          fromSource,
        })),
      );
    }
  }));
});
