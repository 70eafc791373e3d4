import assert from "node:assert/strict";
import { formatDiagnostic } from "./diagnostic.ts";
import { parsePolicies } from "./parse.ts";

const examples = new URL("../../k8s/examples/", import.meta.url);

for (const entry of [...Deno.readDirSync(examples)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  Deno.test(`parsePolicies() finds nothing to say about k8s/examples/${entry.name}`, async () => {
    const text = await Deno.readTextFile(new URL(entry.name, examples));
    const { policies, diagnostics } = parsePolicies(text, entry.name);
    assert.deepEqual(diagnostics.map(formatDiagnostic), []);
    assert.ok(policies.length > 0);
    assert.ok(policies.every((policy) => policy.rules.length > 0));
  });
}
