/**
 * What users read about broken policies. After a deliberate change of the messages:
 * `ANKYLO_UPDATE_GOLDEN=1 deno test -A tests/golden/bad_policies_test.ts`, and read the difference.
 */

import assert from "node:assert/strict";
import { formatDiagnostic } from "../../src/model/diagnostic.ts";
import { parsePolicies } from "../../src/model/parse.ts";

const folder = new URL("bad-policies/", import.meta.url);
const golden = new URL("bad-policies.txt", import.meta.url);

const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();

async function findingsOf(name: string): Promise<string> {
  const { policies, diagnostics } = parsePolicies(
    await Deno.readTextFile(new URL(name, folder)),
    name,
  );
  const kept = policies.map((policy) => policy.name).join(", ") || "none";
  return [...diagnostics.map(formatDiagnostic), `  policies kept: ${kept}`, ""].join("\n");
}

Deno.test("parsePolicies() says about tests/golden/bad-policies what bad-policies.txt holds", async () => {
  const found = (await Promise.all(names.map(findingsOf))).join("\n");
  if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") await Deno.writeTextFile(golden, found);
  assert.equal(found, await Deno.readTextFile(golden));
});

for (const name of names) {
  Deno.test(`parsePolicies() has something to say about ${name}`, async () => {
    assert.match(await findingsOf(name), new RegExp(`^${name}:\\d+:\\d+: `));
  });
}
