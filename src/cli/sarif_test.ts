import draft04 from "ajv/lib/refs/json-schema-draft-04.json" with { type: "json" };
import schema from "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json" with { type: "json" };
import Ajv from "ajv";
import assert from "node:assert/strict";
import { type Diagnostic, DIAGNOSTIC_CODES } from "../model/diagnostic.ts";
import { checkSarif } from "./sarif.ts";

function findingAt(file: string, more: Partial<Diagnostic> = {}): Diagnostic {
  return {
    severity: "warning",
    where: { file, line: 3, column: 7 },
    field: "spec.file.matchPaths[0]",
    message: "Found a thing",
    hint: "change it",
    ...more,
  };
}

const FINDINGS: readonly Diagnostic[] = [
  findingAt("policies/a b.yaml"),
  findingAt("/srv/policies/ü.yaml", { severity: "error", field: "" }),
  findingAt("/elsewhere/c.yaml"),
  ...Object.keys(DIAGNOSTIC_CODES).map((code) =>
    findingAt("./d.yaml", { code: code as keyof typeof DIAGNOSTIC_CODES })
  ),
];

const sarif = (findings: readonly Diagnostic[]) =>
  JSON.parse(checkSarif(findings, { version: "0.1.0", folder: "/srv" }));

const ajv = new Ajv({ schemaId: "auto", meta: false });
ajv.addMetaSchema(draft04);
const validate = ajv.compile(schema);

for (const findings of [[], FINDINGS]) {
  Deno.test(`checkSarif() is valid SARIF 2.1.0 with ${findings.length} findings`, () => {
    assert.equal(validate(sarif(findings)), true, JSON.stringify(validate.errors, undefined, 2));
  });
}

Deno.test("what SARIF's schema forbids is found", () => {
  const log = sarif(FINDINGS);
  log.runs[0].results[0].level = "fatal";
  assert.equal(validate(log), false);
});

Deno.test("checkSarif() says what, where and how bad, with the hint behind the message", () => {
  const [run] = sarif(FINDINGS).runs;
  assert.deepEqual(run.results[0], {
    ruleId: "policy",
    ruleIndex: 0,
    level: "warning",
    message: { text: "spec.file.matchPaths[0]: Found a thing (change it)" },
    locations: [{
      physicalLocation: {
        artifactLocation: { uri: "policies/a%20b.yaml" },
        region: { startLine: 3, startColumn: 7 },
      },
    }],
  });
  assert.equal(run.results[1].level, "error");
  assert.equal(run.results[1].message.text, "Found a thing (change it)");
  for (const { ruleId, ruleIndex } of run.results) {
    assert.equal(run.tool.driver.rules[ruleIndex].id, ruleId);
  }
});

Deno.test("checkSarif() names files as seen from the folder", () => {
  const uris = sarif(FINDINGS).runs[0].results.map((result: {
    locations: { physicalLocation: { artifactLocation: { uri: string } } }[];
  }) => result.locations[0]!.physicalLocation.artifactLocation.uri);
  assert.deepEqual(uris.slice(1, 4), [
    "policies/%C3%BC.yaml",
    "file:///elsewhere/c.yaml",
    "d.yaml",
  ]);
});
