/** The part of OpenAPI v3 that our custom resource definitions use, and short ways to write it. */

export interface TextSchema {
  readonly type: "string";
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  /** Characters. */
  readonly maxLength?: number;
  readonly minLength?: number;
}

export interface IntegerSchema {
  readonly type: "integer";
  readonly description?: string;
  readonly format?: "int32";
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface BooleanSchema {
  readonly type: "boolean";
  readonly description?: string;
}

export interface ListSchema {
  readonly type: "array";
  readonly description?: string;
  readonly items: Schema;
  readonly maxItems?: number;
}

export interface ObjectSchema {
  readonly type: "object";
  readonly description?: string;
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

export function boolean(description: string): BooleanSchema {
  return { type: "boolean", description };
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
export function textMap(description: string): ObjectSchema {
  return { type: "object", description, additionalProperties: { type: "string" } };
}
