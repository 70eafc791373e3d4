/** The part of OpenAPI v3 that our custom resource definitions use, and short ways to write it. */

/** What every field says about itself. The reference of policies shows all of it, the definitions the description. */
export interface Described {
  /** One sentence. */
  readonly description?: string;
  /** A value; of an object the fields that stand beside the one that is shown. */
  readonly example?: unknown;
  /** The field of `example` that can't stand beside this one. */
  readonly insteadOf?: string;
  /** What a reader should know beside, in a sentence or two. */
  readonly note?: string;
}

export interface TextSchema extends Described {
  readonly type: "string";
  readonly enum?: readonly string[];
  readonly pattern?: string;
  /** Characters. */
  readonly maxLength?: number;
  readonly minLength?: number;
}

export interface IntegerSchema extends Described {
  readonly type: "integer";
  readonly format?: "int32";
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface BooleanSchema extends Described {
  readonly type: "boolean";
}

export interface ListSchema extends Described {
  readonly type: "array";
  readonly items: Schema;
  readonly maxItems?: number;
}

export interface ObjectSchema extends Described {
  readonly type: "object";
  /** Absent: see the next two. */
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** Every key is allowed and its value is one of these. */
  readonly additionalProperties?: Schema;
  /** Anything is allowed. */
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  /** CEL, for the API server; the same rules for files stand in `rule_reader.ts`. */
  readonly "x-kubernetes-validations"?: readonly { rule: string; message: string }[];
}

export type Schema = TextSchema | IntegerSchema | BooleanSchema | ListSchema | ObjectSchema;

/** A text; `more` adds enum, pattern, lengths. */
export function text(description: string, more: Partial<TextSchema> = {}): TextSchema {
  return { type: "string", description, ...more };
}

export function integer(description: string, more: Partial<IntegerSchema> = {}): IntegerSchema {
  return { type: "integer", description, ...more };
}

export function boolean(description: string, more: Partial<BooleanSchema> = {}): BooleanSchema {
  return { type: "boolean", description, ...more };
}

export function list(items: Schema, more: Partial<ListSchema> = {}): ListSchema {
  return { type: "array", items, ...more };
}

export function object(
  properties: Readonly<Record<string, Schema>>,
  more: Partial<ObjectSchema> = {},
): ObjectSchema {
  return { type: "object", properties, ...more };
}

/** A mapping from any text to texts, as labels are. */
export function textMap(description: string, more: Partial<ObjectSchema> = {}): ObjectSchema {
  return { type: "object", description, additionalProperties: { type: "string" }, ...more };
}
