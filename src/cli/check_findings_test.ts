import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { parsePolicies } from "../model/parse.ts";
import type { Posture } from "../model/posture.ts";
import { findingsAbout } from "./check_findings.ts";

const BLOCK: Posture = { file: "block", network: "block", capabilities: "block" };

/** Every document that has golden words, as far as it is a policy. */
const SEEDS = ["bad", "good"].flatMap((kind) => {
  const folder = new URL(`../../tests/golden/check/${kind}/`, import.meta.url);
  return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name }) => Deno.readTextFileSync(new URL(name, folder)).split(/^---\n/m));
});

const anyDocument = fc.constantFrom(...SEEDS);
const anyPath = fc.constantFrom("/a", "/a/b", "/bin/sh", "/proc/self/x", "/usr/lib/", "/");

/** Documents one behind the other, with some of their paths exchanged for a few that meet. */
const anyText = fc.array(fc.tuple(anyDocument, fc.array(anyPath, { maxLength: 3 })), {
  minLength: 1,
  maxLength: 8,
}).map((all) =>
  all.map(([text, paths]) =>
    paths.reduce((current, path) => current.replace(/(?<=(?:path|dir): )\/[\w/.]+/, path), text)
      // Labels that meet, too.
      .replace(/app: a\d+/, "app: web")
  ).join("---\n")
);

Deno.test("findingsAbout() has a place and words for whatever can be parsed", () => {
  fc.assert(fc.property(anyText, fc.boolean(), (text, isStarted) => {
    const { policies } = parsePolicies(text, "x.yaml");
    const lines = text.split("\n").length;
    const findings = findingsAbout(policies, {
      posture: BLOCK,
      hostPosture: BLOCK,
      resolve: undefined,
      entrypoint: isStarted ? { programs: ["/bin/sh"], libraries: ["/usr/lib/x.so"] } : undefined,
    });
    for (const finding of findings) {
      assert.equal(finding.severity, "warning");
      assert.ok(finding.where.line >= 1 && finding.where.line <= lines);
      assert.ok(finding.code !== undefined);
      assert.doesNotMatch(formatDiagnostic(finding), /undefined|\[object|NaN/);
    }
  }));
});

Deno.test("findingsAbout() says the same of files in any order", () => {
  const documents = fc.array(anyDocument, { minLength: 2, maxLength: 6 });
  fc.assert(fc.property(documents, fc.compareFunc(), (texts, order) => {
    // One name is one policy: see withoutDuplicates().
    const policies = texts.flatMap((text, index) => parsePolicies(text, `${index}.yaml`).policies)
      .map((policy, index) => ({ ...policy, name: `p${index}` }));
    const say = (all: typeof policies) =>
      findingsAbout(all, {
        posture: BLOCK,
        hostPosture: BLOCK,
        resolve: undefined,
        entrypoint: undefined,
      })
        .map(formatDiagnostic).sort();
    assert.deepEqual(say(policies.toSorted(order)), say(policies));
  }));
});
