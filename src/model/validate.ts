/** Compares a document with the schema of its kind and reports every difference. */
import { closest } from "../lib/suggest.ts";
import type { Position, Report } from "./diagnostic.ts";
import { grammarOf } from "./grammars.ts";
import type {
  BooleanSchema,
  IntegerSchema,
  ListSchema,
  ObjectSchema,
  Schema,
  TextSchema,
} from "./schema.ts";
import { isNull, oldBoolean, type ScalarTree, type Tree } from "./tree.ts";

/** Longer words are not compared with the known ones: nobody mistypes so much, and comparing takes their product. */
const SUGGESTION_LENGTH_MAX = 64;

/** Reports where `tree` is not what `schema` describes. `field` names the tree in messages. */
export function validate(tree: Tree, schema: Schema, field: string, report: Report): void {
  if ("x-kubernetes-preserve-unknown-fields" in schema) return;
  if (isNull(tree)) return warnEmpty(tree, field, report);
  switch (schema.type) {
    case "object":
      return validateObject(tree, schema, field, report);
    case "array":
      return validateList(tree, schema, field, report);
    case "string":
      return validateText(tree, schema, field, report);
    case "integer":
      return validateInteger(tree, schema, field, report);
    case "boolean":
      return validateBoolean(tree, schema, field, report);
  }
}

/** The API server drops a null before it looks at it; that is what happens here too, but not in silence. */
function warnEmpty(tree: Tree, field: string, report: Report): void {
  report({
    severity: "warning",
    where: tree.where,
    field,
    message: "Found no value behind the colon: ignoring the field",
    hint: "indent what belongs to it deeper than the key, or remove the line",
  });
}

function validateObject(tree: Tree, schema: ObjectSchema, field: string, report: Report): void {
  if (tree.kind !== "map") {
    return reportType(tree, field, "a mapping of fields", fieldsHint(schema), report);
  }
  const { properties, additionalProperties, required = [] } = schema;
  for (const [key, { keyWhere, value }] of tree.entries) {
    const inside = field === "" ? shorten(key) : `${field}.${shorten(key)}`;
    // Own properties only: "constructor" is no field.
    const known = properties !== undefined && Object.hasOwn(properties, key)
      ? properties[key]
      : additionalProperties;
    if (known !== undefined) validate(value, known, inside, report);
    else if (properties !== undefined) {
      report({ severity: "error", where: keyWhere, field, ...unknownField(key, properties) });
    }
  }
  for (const name of required) {
    const entry = tree.entries.get(name);
    if (entry !== undefined && !isNull(entry.value)) continue;
    report({
      severity: "error",
      where: tree.where,
      field,
      message: `Cannot find field "${name}": it is required here`,
      hint: `add "${name}"${explanation(properties?.[name])}`,
    });
  }
}

/** A description as part of a sentence. */
function explanation(schema: Schema | undefined): string {
  const { description = "" } = schema ?? {};
  const words = description.replace(/\.$/, "");
  if (words === "") return "";
  // "USB" is no word at the beginning of a sentence.
  const isName = /^[A-Z]{2}/.test(words);
  return `: ${isName ? words.charAt(0) : words.charAt(0).toLowerCase()}${words.slice(1)}`;
}

function fieldsHint(schema: ObjectSchema): string {
  const names = Object.keys(schema.properties ?? {}).slice(0, 4);
  return names.length === 0
    ? 'write one "key: value" on each line, indented'
    : `write its fields indented below it, for example "${names[0]}:"`;
}

function unknownField(
  key: string,
  properties: Readonly<Record<string, Schema>>,
): { message: string; hint: string } {
  const message = `Cannot use field "${shorten(key)}": no such field exists here`;
  const parents = Object.keys(properties).filter((name) => hasField(properties[name]!, key));
  if (parents.length > 0) {
    const shown = parents.map((name) => `"${name}"`).join(" or ");
    return { message, hint: `it belongs below ${shown}: check the indentation` };
  }
  const names = Object.keys(properties);
  const synonym = SYNONYMS.get(key);
  const meant = synonym !== undefined && names.includes(synonym)
    ? synonym
    : key.length > SUGGESTION_LENGTH_MAX
    ? undefined
    : closest(key, names);
  const hint = meant === undefined
    ? `the fields here are ${names.join(", ")}`
    : `did you mean "${meant}"?`;
  return { message, hint };
}

/** Fields that people write for another that is spelt quite differently. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ["directory", "dir"],
  ["folder", "dir"],
  ["labels", "matchLabels"],
  ["path", "dir"],
  ["source", "fromSource"],
]);

function hasField(schema: Schema, key: string): boolean {
  return schema.type === "object" && schema.properties !== undefined &&
    Object.hasOwn(schema.properties, key);
}

function validateList(tree: Tree, schema: ListSchema, field: string, report: Report): void {
  if (tree.kind !== "list") {
    return reportType(tree, field, "a list", 'start each item with "- "', report);
  }
  const { maxItems = Infinity } = schema;
  if (tree.items.length > maxItems) {
    report({
      severity: "error",
      where: tree.where,
      field,
      message: `Cannot use list: must have at most ${maxItems} items: it has ${tree.items.length}`,
    });
  }
  tree.items.forEach((item, index) => validate(item, schema.items, `${field}[${index}]`, report));
}

function validateText(tree: Tree, schema: TextSchema, field: string, report: Report): void {
  if (tree.kind !== "scalar" || typeof tree.value !== "string") {
    const hint = tree.kind === "scalar" ? `put it in quotes: "${shorten(tree.text)}"` : undefined;
    return reportType(tree, field, "a text", hint, report);
  }
  if (oldBoolean(tree) !== undefined) warnOldBoolean(tree, field, report);
  // KubeArmor reads an empty action as none.
  if (tree.value === "" && schema.enum !== undefined) return;
  const complaint = textComplaint(tree.value, schema);
  if (complaint !== undefined) {
    report({ severity: "error", where: tree.where, field, ...complaint });
  }
}

function warnOldBoolean(tree: ScalarTree, field: string, report: Report): void {
  report({
    severity: "warning",
    where: tree.where,
    field,
    message: `Found the bare word ${tree.text}: reading it as text, but kubectl reads a boolean`,
    hint: `put it in quotes: "${tree.text}"`,
  });
}

function textComplaint(
  value: string,
  schema: TextSchema,
): { message: string; hint?: string } | undefined {
  const current = `current value is "${shorten(value)}"`;
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return enumComplaint(value, schema.enum, current);
  }
  const { maxLength = Infinity } = schema;
  if (value.length > maxLength) {
    return {
      message:
        `Cannot use value: must have at most ${maxLength} characters: it has ${value.length}: ${current}`,
    };
  }
  if (schema.pattern === undefined) return undefined;
  const grammar = grammarOf(schema.pattern);
  if (grammar.test(value)) return undefined;
  const { wanted, hint } = grammar.explain?.(value) ?? grammar;
  return { message: `Cannot use value: must ${wanted}: ${current}`, hint };
}

function enumComplaint(
  value: string,
  allowed: readonly string[],
  current: string,
): { message: string; hint?: string } {
  // Where both spellings of a word are allowed, one is enough to read.
  const shown = allowed.filter((word, index) =>
    allowed.findIndex((other) => other.toLowerCase() === word.toLowerCase()) === index
  );
  const meant = value.length > SUGGESTION_LENGTH_MAX ? undefined : closest(value, shown);
  const wanted = shown.length > 12
    ? "be one of the known names"
    : `be one of ${shown.map((word) => `"${word}"`).join(", ")}`;
  return {
    message: `Cannot use value: must ${wanted}: ${current}`,
    ...(meant !== undefined && { hint: `did you mean "${meant}"?` }),
  };
}

function validateInteger(tree: Tree, schema: IntegerSchema, field: string, report: Report): void {
  if (tree.kind !== "scalar" || typeof tree.value !== "number" || !Number.isInteger(tree.value)) {
    const digits = tree.kind === "scalar" && /^\d+$/.test(String(tree.value));
    const hint = digits ? "remove the quotes" : undefined;
    return reportType(tree, field, "a whole number", hint, report);
  }
  const int32 = schema.format === "int32";
  const { minimum = int32 ? -(2 ** 31) : -Infinity, maximum = int32 ? 2 ** 31 - 1 : Infinity } =
    schema;
  if (tree.value >= minimum && tree.value <= maximum) return;
  const range = maximum === Infinity ? `at least ${minimum}` : `from ${minimum} to ${maximum}`;
  report({
    severity: "error",
    where: tree.where,
    field,
    message: `Cannot use value: must be ${range}: current value is ${tree.text}`,
  });
}

function validateBoolean(tree: Tree, _: BooleanSchema, field: string, report: Report): void {
  if (tree.kind === "scalar" && typeof tree.value === "boolean") return;
  const meant = tree.kind === "scalar" ? oldBoolean(tree) : undefined;
  if (meant !== undefined) return warnOldWord(tree as ScalarTree, meant, field, report);
  reportType(tree, field, "true or false", "write true or false without quotes", report);
}

/** kubectl turns `yes` into true, so that the file means the same to both. */
function warnOldWord(tree: ScalarTree, meant: boolean, field: string, report: Report): void {
  report({
    severity: "warning",
    where: tree.where,
    field,
    message: `Found the bare word ${tree.text} for a boolean: reading it as ${meant}`,
    hint: `write ${meant}`,
  });
}

function reportType(
  tree: Tree,
  field: string,
  wanted: string,
  hint: string | undefined,
  report: Report,
): void {
  report({
    severity: "error",
    where: tree.where,
    field,
    message: `Cannot use value: must be ${wanted}: current value is ${describe(tree)}`,
    ...(hint !== undefined && { hint }),
  });
}

function describe(tree: Tree): string {
  if (tree.kind === "map") return "a mapping";
  if (tree.kind === "list") return "a list";
  const kinds: Record<string, string> = { string: "text", number: "number", boolean: "boolean" };
  const value = typeof tree.value === "string" ? `"${shorten(tree.value)}"` : shorten(tree.text);
  return `the ${kinds[typeof tree.value]} ${value}`;
}

/** Control characters, line separators and marks that turn the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with {@linkcode UNPRINTABLE} characters as `\u{…}`. */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** A value that fits into a message: one line of at most 80 characters that cannot move a terminal's cursor. */
export function shorten(value: string): string {
  const text = printable(value.slice(0, 81));
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** A finding's place when a field is missing: the field itself if it is there, else the tree around it. */
export function whereOf(tree: Tree, name: string): Position {
  return tree.kind === "map" ? tree.entries.get(name)?.value.where ?? tree.where : tree.where;
}
