/** Reads the types of a compiled object from its BTF. */

import { capture } from "./vm/command.ts";

/** A member of a structure. */
export interface Field {
  name: string;
  offset: number;
  type: Type;
}

export type Type =
  | { kind: "integer"; size: number; signed: boolean }
  | { kind: "array"; length: number; element: Type }
  | { kind: "struct"; name: string };

export interface Struct {
  name: string;
  size: number;
  fields: Field[];
}

export interface Enum {
  name: string;
  size: number;
  values: { name: string; value: number }[];
}

/** The structures and enums of an object, in the order in which its BTF has them. */
export interface Types {
  structs: Struct[];
  enums: Enum[];
}

/** One entry of `bpftool -j btf dump`, as far as it is used. */
interface BtfType {
  id: number;
  kind: string;
  name: string;
  size?: number;
  type_id?: number;
  nr_elems?: number;
  encoding?: string;
  members?: { name: string; type_id: number; bits_offset: number; bitfield_size?: number }[];
  values?: { name: string; val: number }[];
}

/**
 * Reads the structures and enums of an object file.
 *
 * @throws {TypeError} when a structure has a member with no layout of its own in TypeScript: a pointer, a bit field, a
 * union, an anonymous structure
 */
export async function readTypes(objectPath: string): Promise<Types> {
  const json = await capture(["bpftool", "-j", "btf", "dump", "file", objectPath]);
  const types = (JSON.parse(json) as { types: BtfType[] }).types;
  const byId = new Map(types.map((type) => [type.id, type]));
  const isEnum = (type: BtfType) => type.kind === "ENUM" || type.kind === "ENUM64";
  return {
    structs: types.filter((type) => type.kind === "STRUCT").map((type) => structOf(type, byId)),
    enums: types.filter(isEnum).map(enumOf),
  };
}

function structOf(type: BtfType, byId: ReadonlyMap<number, BtfType>): Struct {
  const fields = (type.members ?? []).map((member): Field => {
    const where = `struct ${type.name}, member "${member.name}"`;
    if ((member.bitfield_size ?? 0) !== 0) {
      throw new TypeError(`Read BTF: ${where}: is a bit field`);
    }
    return {
      name: member.name,
      offset: member.bits_offset / 8,
      type: typeOf(member.type_id, byId, where),
    };
  });
  return { name: type.name, size: type.size ?? 0, fields };
}

function typeOf(id: number, byId: ReadonlyMap<number, BtfType>, where: string): Type {
  const type = byId.get(id);
  const next = () => typeOf(type?.type_id ?? 0, byId, where);
  switch (type?.kind) {
    case "TYPEDEF":
    case "CONST":
    case "VOLATILE":
      return next();
    case "INT":
      return { kind: "integer", size: type.size ?? 0, signed: type.encoding === "SIGNED" };
    case "ARRAY":
      return { kind: "array", length: type.nr_elems ?? 0, element: next() };
    case "STRUCT":
      if (type.name !== "(anon)") return { kind: "struct", name: type.name };
  }
  throw new TypeError(
    `Read BTF: ${where}: type must be a fixed-width integer, an array or a named structure: ` +
      `current kind is ${type?.kind ?? "unknown"} "${type?.name ?? ""}"`,
  );
}

function enumOf(type: BtfType): Enum {
  const size = type.size ?? 4;
  const values = (type.values ?? []).map(({ name, val }) => {
    // bpftool 7.1 prints an unsigned value above 2^31 of a 4-byte enum with 64 bits, sign-extended.
    const narrow = size === 4 && type.encoding === "UNSIGNED";
    const value = narrow ? Number(BigInt.asUintN(32, BigInt(val))) : val;
    if (Number.isSafeInteger(value)) return { name, value };
    throw new RangeError(`Read BTF: enum ${type.name}: "${name}" must be below 2^53`);
  });
  return { name: type.name, size, values };
}
