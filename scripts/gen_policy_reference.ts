/**
 * Writes k8s/REFERENCE.md, and the table of what is enforced into k8s/POLICY.md, from the schema (src/model/crd.ts) and from
 * what reading and compiling its examples says, and from what scenarios gave on each kernel, which `--record` takes from the
 * last runs. `deno run -A scripts/check.ts` fails when they differ.
 */

import { stringify } from "yaml";
import { KINDS } from "../src/model/crd.ts";
import {
  examplePolicy,
  type Field,
  HEADER_FIELDS,
  isHeader,
  policyFields,
  schemaAt,
} from "../src/model/fields.ts";
import { grammarOf } from "../src/model/grammars.ts";
import type { PolicyKind } from "../src/model/policy.ts";
import type { Schema } from "../src/model/schema.ts";
import { fieldTable, readResults, recordResults, type Results } from "./field_table.ts";
import { checkPart, isSameText, markdownTable, type MarkedPart, writePart } from "./marked.ts";
import { type FieldState, kindReason, stateOf } from "./policy_states.ts";
import { repositoryDir } from "./stale.ts";

const FILE = "k8s/REFERENCE.md";
const COMMAND = "deno run -A scripts/gen_policy_reference.ts";

const HEAD = `# Reference of policies

Every field of every kind. Written by \`scripts/gen_policy_reference.ts\` from the schema that reads
policies, so that nothing here is kept by hand: each example stands in a policy that a test reads,
checks and compiles, and what becomes of it is what the compiler says. How rules play together:
[POLICY.md](POLICY.md).
`;

/** Fields that stand in one list, group or object. */
interface Section {
  /** `spec.process.matchPaths[]` */
  readonly path: string;
  readonly fields: readonly Field[];
}

/** k8s/REFERENCE.md. @throws {Error} a field has no description, or no example that makes a good policy */
export function referenceText(results: Results): string {
  const fields = policyFields();
  for (const { path, schema } of fields) {
    if ((schema.description ?? "") !== "") continue;
    throw new Error(`Describe field "${path}": the schema has no description: write one in crd.ts`);
  }
  const parts = [
    HEAD,
    `## Kinds\n\n${kindsTable(fields)}\n`,
    `## In specs, groups and items\n\n${INHERITED}\n\n${headerTable(fields)}\n`,
    ...sectionsOf(fields).map(sectionText),
    `## Tests and kernels\n\n${TESTED}\n\n${fieldTable(fields, results)}\n`,
  ];
  return parts.join("\n");
}

const TESTED =
  "Each act is a refusal or an alert, and a control that the same passes where no rule is. What is " +
  "inherited does the same in every group and item. A kernel without a word was not tried with that " +
  "scenario since its results were last kept; the programs are the same on all but 5.10, which has its own.";

const INHERITED =
  "The innermost that is given counts, each by itself: item, then group, then `spec`.";

function kindsTable(fields: readonly Field[]): string {
  const rows = KINDS.map(({ kind, shortName, scope, spec }) => [
    `\`${kind}\``,
    `\`${shortName}\``,
    scope === "Namespaced" ? "of a namespace" : "of the cluster",
    Object.keys(spec.properties!).filter((name) => name.toLowerCase().endsWith("selector"))
      .map((name) => `\`spec.${name}\``).join(", "),
    kindReason(kind, fields) === undefined ? "enforced" : `not: ${kindReason(kind, fields)}`,
  ]);
  return markdownTable(["kind", "short", "is", "selects by", "enforced"], rows);
}

function headerTable(fields: readonly Field[]): string {
  const rows = HEADER_FIELDS.map((name) => {
    const { schema } = fields.find(({ path }) => path === `spec.${name}`)!;
    const without = sectionsOf(fields).map(({ path }) => path)
      .filter((path) => path.endsWith("[]") && !fields.some((f) => f.path === `${path}.${name}`));
    const where = `all but items of ${without.map((path) => `\`${shortPath(path)}\``).join(", ")}`;
    return [`\`${name}\``, typeText(schema), schema.description!, exampleText(schema), where];
  });
  return markdownTable(["field", "value", "means", "example", "stands in"], rows);
}

function exampleText({ example }: Schema): string {
  return `\`${flow(example)}\``;
}

/** Lists of groups, and what stands in the spec by itself; without the fields that are inherited. */
function sectionsOf(fields: readonly Field[]): Section[] {
  const own = fields.filter(({ path }) => !isHeader(path));
  return [...Map.groupBy(own, ({ path }) => sectionPath(path))]
    .map(([path, fields]) => ({ path, fields }));
}

/** Up to the list of a group, or the first list or object. */
function sectionPath(path: string): string {
  const names = path.split(".");
  const group = schemaAt(names.slice(0, 2).join("."));
  const depth = names[1]!.endsWith("[]") || names.length < 4 || /elector$/.test(names[1]!) ? 2 : 3;
  return group?.type === "object" || group?.type === "array"
    ? names.slice(0, depth).join(".")
    : names.slice(0, 2).join(".");
}

function shortPath(path: string): string {
  return path.replace(/^spec\./, "").replace(/\[\]$/, "");
}

function sectionText(section: Section): string {
  const { path, fields } = section;
  const description = schemaAt(path.replace(/\[\]$/, ""))?.description ?? "";
  const kinds = KINDS.map(({ kind }) => kind)
    .filter((kind) => fields.some((field) => field.kinds.includes(kind)));
  const rows = fields.map((field) => fieldRow(section, field, kinds));
  const head = ["field", "value", "means", "example", "enforced"];
  const intro = `${description} In ${kinds.map((kind) => `\`${kind}\``).join(", ")}.`;
  return `## ${shortPath(path)}\n\n${intro}\n\n${markdownTable(head, rows)}\n`;
}

function fieldRow({ path: section }: Section, field: Field, kinds: readonly PolicyKind[]) {
  const { path, schema } = field;
  return [
    `\`${path === section ? shortPath(path) : path.slice(section.length + 1)}\``,
    typeText(schema),
    [schema.description!, ...listDescription(section, path), ...notesOf(field, kinds)].join(" "),
    `\`${flow(shownExample(section, field))}\``,
    stateText(stateOf(field)),
  ];
}

/** What the list or object is that a field stands in, if that has no section of its own. */
function listDescription(section: string, path: string): string[] {
  const list = path.slice(0, path.lastIndexOf("."));
  return list.length <= section.length
    ? []
    : [schemaAt(list.replace(/\[\]$/, ""))?.description ?? ""];
}

function notesOf({ path, schema, requiredIn, kinds }: Field, all: readonly PolicyKind[]): string[] {
  const { note, insteadOf } = schema;
  const some = (those: readonly PolicyKind[]) => those.map((kind) => `\`${kind}\``).join(", ");
  const required = requiredIn.length === kinds.length ? "" : ` in ${some(requiredIn)}`;
  return [
    ...requiredIn.length === 0 ? [] : [`Required${required}.`],
    ...insteadOf === undefined ? [] : [`Instead of \`${insteadOf}\`.`],
    ...kinds.length === all.length ? [] : [`Only in ${some(kinds)}.`],
    ...kinds.flatMap((kind) => {
      const type = typeText(schemaAt(path, kind)!);
      return type === typeText(schema) ? [] : [`In \`${kind}\`: ${type}.`];
    }),
    ...note === undefined ? [] : [note],
  ];
}

function stateText({ state, reason }: FieldState): string {
  if (state === "enforced") return "yes";
  return state === "audited" ? `told of: ${reason}` : `no: ${reason}`;
}

/** What a value may be, in words. */
function typeText(schema: Schema): string {
  switch (schema.type) {
    case "boolean":
      return "`true` or `false`";
    case "integer":
      return numberText(schema.minimum, schema.maximum);
    case "object":
      return "mapping of texts";
    case "array": {
      const most = schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`;
      return `list${most}: ${typeText(schema.items)}`;
    }
    case "string":
      return textText(schema.enum, schema.pattern, schema.maxLength);
  }
}

function numberText(minimum?: number, maximum?: number): string {
  if (minimum === undefined) return "whole number";
  return maximum === undefined
    ? `whole number, at least ${minimum}`
    : `whole number, ${minimum} to ${maximum}`;
}

/** More words than these are not listed. */
const WORDS_MAX = 12;

function textText(words?: readonly string[], pattern?: string, maxLength?: number): string {
  if (words !== undefined && words.length > WORDS_MAX) return `one of ${words.length} names`;
  if (words !== undefined) return words.map((word) => `\`${word}\``).join(", ");
  const most = maxLength === undefined ? "" : `, at most ${maxLength} characters`;
  if (pattern === undefined) return `text${most}`;
  return `text${most}; must ${grammarOf(pattern).wanted}`;
}

/** The part of the example that stands at a section, such as one item of a list. */
function shownExample(section: string, { kinds, path }: Field): unknown {
  const [, ...names] = section.split(".");
  let found: unknown = examplePolicy(kinds[0]!, path).spec;
  for (const name of names) {
    found = (found as Record<string, unknown>)[name.replace("[]", "")];
    if (name.endsWith("[]")) found = (found as unknown[])[0];
  }
  return found;
}

function flow(value: unknown): string {
  const options = { collectionStyle: "flow", lineWidth: 0, flowCollectionPadding: true } as const;
  return stringify(value, options).trim();
}

// ---- what is enforced, for k8s/POLICY.md ------------------------------------------------------------------------------

/** A row for each section, with its fields in two columns. */
export function enforcedTable(): string {
  const rows = sectionsOf(policyFields()).map(({ path, fields }) => {
    const isEnforced = (field: Field) => stateOf(field).state !== "not enforced";
    const names = (those: readonly Field[]) =>
      those.map((field) => `\`${field.path.slice(path.length + 1) || "text"}\``).join(", ");
    return [
      `\`${shortPath(path)}\``,
      names(fields.filter(isEnforced)) || "–",
      names(fields.filter((field) => !isEnforced(field))) || "–",
    ];
  });
  return markdownTable(["", "enforced", "read, not enforced yet"], rows);
}

const PART: MarkedPart = {
  file: "k8s/POLICY.md",
  begin: "<!-- enforced: by scripts/gen_policy_reference.ts -->",
  end: "<!-- enforced end -->",
  body: enforcedTable,
  command: COMMAND,
};

/** @throws {Error} a field is not described, or a document is not what the code says */
export async function checkPolicyReference(): Promise<void> {
  await checkPart(PART);
  const found = await Deno.readTextFile(repositoryDir + FILE);
  if (isSameText(found, referenceText(await readResults()))) return;
  throw new Error(`"${FILE}" is old: run ${COMMAND} && deno fmt`);
}

if (import.meta.main) {
  if (Deno.args.includes("--record")) await recordResults();
  await Deno.writeTextFile(repositoryDir + FILE, referenceText(await readResults()));
  await writePart(PART);
}
