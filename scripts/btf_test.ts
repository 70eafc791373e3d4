import assert from "node:assert/strict";
import { readTypes, type Types } from "./btf.ts";
import { captureBytes } from "./vm/command.ts";

async function typesOf(source: string): Promise<Types> {
  const object = await Deno.makeTempFile({ suffix: ".o" });
  try {
    const flags = ["-g", "-O2", "-target", "bpf", "-x", "c", "-c", "-o", object, "-"];
    await captureBytes(["clang-19", ...flags], { input: new TextEncoder().encode(source) });
    return await readTypes(object);
  } finally {
    await Deno.remove(object);
  }
}

Deno.test("readTypes() reads layouts through typedefs, arrays and nested structures", async () => {
  const { structs } = await typesOf(`
    typedef unsigned long long number;
    struct inner { const unsigned char bytes[3]; };
    struct outer { number first; struct inner many[2]; short last; } global;
  `);
  const outer = structs.find(({ name }) => name === "outer");
  assert.deepEqual(outer, {
    name: "outer",
    size: 16,
    fields: [
      { name: "first", offset: 0, type: { kind: "integer", size: 8, signed: false } },
      {
        name: "many",
        offset: 8,
        type: { kind: "array", length: 2, element: { kind: "struct", name: "inner" } },
      },
      { name: "last", offset: 14, type: { kind: "integer", size: 2, signed: true } },
    ],
  });
});

Deno.test("readTypes() reads enum values above 2^31 and 2^32 as they are", async () => {
  const { enums } = await typesOf(`
    enum narrow { HIGH = 0x80000000u } narrow;
    enum wide { WIDE = 0x100000000ull, LOW = 1 } wide;
  `);
  assert.deepEqual(enums, [
    { name: "narrow", size: 4, values: [{ name: "HIGH", value: 0x80000000 }] },
    {
      name: "wide",
      size: 8,
      values: [{ name: "WIDE", value: 0x100000000 }, { name: "LOW", value: 1 }],
    },
  ]);
});

for (
  const [what, member, message] of [
    ["a bit field", "int a : 3;", /struct s, member "a": is a bit field/],
    ["a pointer", "int *a;", /struct s, member "a": .*current kind is PTR/],
    ["a union", "union u { int x; } a;", /struct s, member "a": .*current kind is UNION "u"/],
    ["an anonymous structure", "struct { int x; } a;", /current kind is STRUCT "\(anon\)"/],
  ] as const
) {
  Deno.test(`readTypes() refuses ${what}`, async () => {
    await assert.rejects(typesOf(`struct s { ${member} } global;`), message);
  });
}
