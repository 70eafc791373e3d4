import assert from "node:assert/strict";
import { policyFields } from "../src/model/fields.ts";
import { PROOFS, PROVEN_ELSEWHERE, testedAs } from "../tests/e2e/proofs.ts";
import { fieldTable, proofOf, readResults } from "./field_table.ts";
import { stateOf } from "./policy_states.ts";
import { repositoryDir } from "./stale.ts";

const FIELDS = policyFields();
const NAMES = [...new Set(FIELDS.map(({ path }) => testedAs(path)))];

Deno.test("every field is proven by an act or another test, or is not enforced", () => {
  const proofs = NAMES.map((name) => [name, proofOf(name, FIELDS)] as const);
  assert.deepEqual(proofs.filter(([, proof]) => proof === undefined).map(([name]) => name), []);
  const count = (key: string) => proofs.filter(([, proof]) => key in proof!).length;
  console.log(
    `fields: ${NAMES.length}: ${count("claim")} proven by scenarios, ${
      count("test")
    } by other tests, ` +
      `${count("reason")} not enforced`,
  );
});

Deno.test("proofs are about fields that are there, each by one act", () => {
  const named = [...Object.values(PROOFS), PROVEN_ELSEWHERE].flatMap(Object.keys);
  assert.deepEqual(named.filter((name) => !NAMES.includes(name)), []);
  assert.equal(new Set(named).size, named.length);
});

Deno.test("a field that is enforced is not excused as one that is not", () => {
  for (const name of Object.keys(PROVEN_ELSEWHERE)) {
    const fields = FIELDS.filter(({ path }) => testedAs(path) === name);
    assert.ok(fields.some((field) => stateOf(field).state !== "not enforced"), name);
  }
});

Deno.test("tests that stand in for an act are there", async () => {
  for (const { test } of Object.values(PROVEN_ELSEWHERE)) {
    assert.ok((await Deno.stat(repositoryDir + test)).isFile, test);
  }
});

Deno.test("results that are kept are of acts that prove something", async () => {
  for (const results of Object.values(await readResults())) {
    for (const [scenario, { passed, failed }] of Object.entries(results)) {
      const claims = Object.values(PROOFS[scenario] ?? {});
      assert.deepEqual([...passed, ...failed].filter((claim) => !claims.includes(claim)), []);
    }
  }
});

Deno.test("fieldTable() tells passed, failed, and nothing where a scenario did not run", () => {
  const path = "spec.file.matchPaths[].path";
  const claim = PROOFS["file rules"]![path]!;
  const row = (passed: readonly string[], failed: readonly string[] = []) => {
    const ran = { date: "2026-11-23", passed, failed };
    const table = fieldTable(FIELDS, { "6.1": { "file rules": ran } });
    return table.split("\n").find((line) => line.startsWith("| `file.matchPaths[].path`"))!;
  };
  assert.equal(
    row([claim]),
    `| \`file.matchPaths[].path\` | file rules: ${claim} |  | passed |  |  |  |`,
  );
  assert.match(row([], [claim]), /\| {2}\| \*\*failed\*\* \|/);
  assert.match(row([]), /\| {2}\| {2}\| {2}\| {2}\| {2}\|$/);
});
