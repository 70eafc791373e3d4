/** Every field of every kind, as the schema has it, and a policy that shows it: for the reference, and for tests of it. */
import { API_VERSION, type KindDefinition, KINDS } from "./crd.ts";
import type { PolicyKind } from "./policy.ts";
import type { ObjectSchema, Schema } from "./schema.ts";

/** A field that holds a value, rather than other fields. */
export interface Field {
  /** From the document's root, `[]` behind a list of objects: `spec.process.matchPaths[].fromSource[].path`. */
  readonly path: string;
  /** Of the first kind that has it. */
  readonly schema: Schema;
  /** Those that have it, in the order of KINDS. */
  readonly kinds: readonly PolicyKind[];
  /** Those in which its object must have it. */
  readonly requiredIn: readonly PolicyKind[];
}

/** What may stand in the spec, in groups and in items, and is inherited. */
export const HEADER_FIELDS: readonly string[] = ["action", "severity", "tags", "message"];

/** Whether a field is one of those; a preset's action is its own. */
export function isHeader(path: string): boolean {
  const names = path.split(".");
  return HEADER_FIELDS.includes(names.at(-1)!) && names[1] !== "presets[]";
}

/** The fields of all kinds, each once, in the order of the schema. */
export function policyFields(): Field[] {
  const fields = new Map<string, Field>();
  for (const { kind, spec } of KINDS) {
    walk(spec, "spec", false, (path, schema, isRequired) => {
      const known = fields.get(path) ?? { path, schema, kinds: [], requiredIn: [] };
      fields.set(path, {
        ...known,
        kinds: [...known.kinds, kind],
        requiredIn: isRequired ? [...known.requiredIn, kind] : known.requiredIn,
      });
    });
  }
  return [...fields.values()];
}

type Visit = (path: string, schema: Schema, isRequired: boolean) => void;

function walk(schema: Schema, path: string, isRequired: boolean, visit: Visit): void {
  if (schema.type === "array" && schema.items.type === "object") {
    return walk(schema.items, `${path}[]`, isRequired, visit);
  }
  if (schema.type !== "object" || schema.properties === undefined) {
    return visit(path, schema, isRequired);
  }
  for (const [name, inner] of Object.entries(schema.properties)) {
    walk(inner, `${path}.${name}`, schema.required?.includes(name) ?? false, visit);
  }
}

/** The field, list, group or object at `path`, such as `spec.process.matchPaths`: of one kind, or of the first that has it. */
export function schemaAt(path: string, only?: PolicyKind): Schema | undefined {
  const [, ...names] = path.split(".").map((name) => name.replace("[]", ""));
  for (const { kind, spec } of KINDS) {
    if ((only ?? kind) !== kind) continue;
    const found = names.reduce(inside, spec as Schema | undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

function inside(schema: Schema | undefined, name: string): Schema | undefined {
  const object = schema?.type === "array" ? schema.items : schema;
  return object?.type === "object" ? object.properties?.[name] : undefined;
}

/**
 * A policy of `kind` that is made of the examples: the field at `path`, what its objects need beside it, and otherwise as
 * little as makes a policy.
 * @throws {RangeError} the kind has no such field, or the schema no example of it
 */
export function examplePolicy(kind: PolicyKind, path: string): Record<string, unknown> {
  const definition = KINDS.find((candidate) => candidate.kind === kind)!;
  const [, ...names] = path.split(".").map((name) => name.replace("[]", ""));
  const shown = exampleWith(definition.spec, names, path) as Record<string, unknown>;
  return {
    apiVersion: API_VERSION,
    kind,
    metadata: { name: "example" },
    spec: { ...surroundings(definition, names[0]!), ...shown },
  };
}

/** A selector, and a rule where the field is not in one. */
function surroundings({ spec }: KindDefinition, shown: string): Record<string, unknown> {
  const properties = spec.properties!;
  const [selector] = Object.keys(properties);
  const isRule = ![selector, "selector", "level", ...HEADER_FIELDS].includes(shown);
  const rule = ["process", "ingress"].find((name) => name in properties)!;
  const wanted = [...shown === "selector" ? [] : [selector!], ...isRule ? [] : [rule]];
  return Object.fromEntries(
    wanted.map((name) => [name, smallest(properties[name]!, `spec.${name}`)]),
  );
}

/** The value of `schema` in which the field that `names` lead to has its example. */
function exampleWith(schema: Schema, names: readonly string[], path: string): unknown {
  const [name, ...rest] = names;
  if (name === undefined) return smallest(schema, path);
  if (schema.type === "array") return [exampleWith(schema.items, names, path)];
  const inner = schema.type === "object" ? schema.properties?.[name] : undefined;
  if (schema.type !== "object" || inner === undefined) {
    throw new RangeError(`Show field "${path}": the schema has no "${name}"`);
  }
  const beside = besides(schema, name, path);
  const { [inner.insteadOf ?? ""]: _, ...kept } = beside as Record<string, unknown>;
  return { ...kept, [name]: exampleWith(inner, rest, path) };
}

/** What stands beside a field: the object's example, or what it must have; something that inherits where that is its point. */
function besides(schema: ObjectSchema, name: string, path: string): unknown {
  if (schema.example !== undefined) return schema.example;
  const isGroup = path.split(".").length > 2 && HEADER_FIELDS.includes(name);
  if (isGroup) return smallest(schema, path);
  const required = schema.required ?? [];
  return Object.fromEntries(
    required.map((other) => [other, smallest(schema.properties![other]!, path)]),
  );
}

/** The example of a value; of an object without one, that of its first field. */
function smallest(schema: Schema, path: string): unknown {
  if (schema.example !== undefined) return schema.example;
  if (schema.type === "array") return [smallest(schema.items, path)];
  const first = schema.type === "object" ? Object.entries(schema.properties ?? {})[0] : undefined;
  if (first === undefined) {
    throw new RangeError(`Show field "${path}": the schema has no example: give it one in crd.ts`);
  }
  return { [first[0]]: smallest(first[1], path) };
}
