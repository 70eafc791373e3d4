/**
 * What `ankylo check` says about many documents, word for word. After a deliberate change of the messages:
 * `ANKYLO_UPDATE_GOLDEN=1 deno test -A tests/golden/check_test.ts`, and read the difference.
 */

import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { stateOf } from "../../scripts/policy_states.ts";
import { runCheck } from "../../src/cli/check.ts";
import { policyFields } from "../../src/model/fields.ts";
import { testedAs } from "../e2e/proofs.ts";

const here = new URL("check/", import.meta.url);

/** Allow-lists that lock out are told under a posture that blocks. */
const POSTURE = { file: "block", network: "audit", capabilities: "audit" } as const;

/** As many of each as users are promised. */
const DOCUMENTS_MIN = { bad: 120, good: 60 };

interface Document {
  /** `bad/01-paths.yaml:12`, of its first line. */
  readonly name: string;
  readonly file: string;
  readonly first: number;
  readonly last: number;
}

function filesOf(kind: "bad" | "good"): string[] {
  return [...Deno.readDirSync(new URL(`${kind}/`, here))].map(({ name }) => `${kind}/${name}`)
    .sort();
}

function documentsOf(file: string): Document[] {
  let first = 1;
  return Deno.readTextFileSync(new URL(file, here)).split(/^---\n/m).map((text) => {
    const lines = text.split("\n").length - 1;
    const document = { name: `${file}:${first}`, file, first, last: first + lines - 1 };
    first += lines + 1;
    return document;
  });
}

async function check(file: string, format: "text" | "json" = "text"): Promise<string> {
  let out = "";
  const io = { out: (text: string) => void (out += text), err: assert.fail };
  await runCheck([new URL(file, here).pathname], { format, posture: POSTURE }, io);
  return out.replaceAll(here.pathname, "");
}

for (const kind of ["bad", "good"] as const) {
  const files = filesOf(kind);
  const documents = files.flatMap(documentsOf);

  Deno.test(`ankylo check says about tests/golden/check/${kind} what ${kind}.txt holds`, async () => {
    const found = (await Promise.all(files.map((file) => check(file)))).join("\n");
    const golden = new URL(`${kind}.txt`, here);
    if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") await Deno.writeTextFile(golden, found);
    assert.equal(found, await Deno.readTextFile(golden));
  });

  Deno.test(`there are ${DOCUMENTS_MIN[kind]} ${kind} documents`, () => {
    assert.ok(documents.length >= DOCUMENTS_MIN[kind], `${documents.length}`);
  });

  const about = kind === "bad" ? "something" : "nothing";
  Deno.test(`ankylo check has ${about} to say about each ${kind} document`, async () => {
    for (const file of files) {
      const { diagnostics } = JSON.parse(await check(file, "json"));
      for (const { name, first, last } of documentsOf(file)) {
        const found = diagnostics.filter(({ where }: { where: { line: number } }) =>
          where.line >= first && where.line <= last
        );
        assert.equal(found.length > 0, kind === "bad", `${name}: ${JSON.stringify(found)}`);
      }
    }
  });
}

/** The fields of a value, as `testedAs()` names them. */
function fieldsIn(value: unknown, path: string): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === "object")) {
    return value.flatMap((item) => fieldsIn(item, `${path}[]`));
  }
  const isLeaf = typeof value !== "object" || value === null || Array.isArray(value) ||
    path.endsWith(".matchLabels");
  if (isLeaf) return [testedAs(path)];
  return Object.entries(value).flatMap(([name, inner]) => fieldsIn(inner, `${path}.${name}`));
}

Deno.test("every field that is enforced stands in a good document", () => {
  const texts = filesOf("good").map((file) => Deno.readTextFileSync(new URL(file, here)));
  const documents = texts.flatMap((text) => parseAllDocuments(text));
  const used = new Set(documents.flatMap((document) => fieldsIn(document.toJS().spec, "spec")));
  const enforced = policyFields().filter((field) => stateOf(field).state !== "not enforced");
  const missing = enforced.map(({ path }) => testedAs(path)).filter((name) => !used.has(name));
  assert.deepEqual([...new Set(missing)], []);
});
