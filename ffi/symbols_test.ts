import assert from "node:assert/strict";
import { SHIM_VERSION, SYMBOLS } from "./symbols.ts";

const HEADER = Deno.readTextFileSync(new URL("shim.h", import.meta.url));
const TABLE = Deno.readTextFileSync(new URL("symbols.ts", import.meta.url));

const NUMBERS: Record<string, string> = { int: "i32", uint32_t: "u32", uint64_t: "u64" };

interface Prototype {
  text: string;
  name: string;
  result: string;
  parameters: string[];
}

function prototypes(): Prototype[] {
  return [...HEADER.matchAll(/^SHIM_API ([^;]+);/gm)].map((match) => {
    const text = match[1]!.replace(/\s+/g, " ");
    const [, result, name, list] = /^(\w+) (\w+)\((.*)\)$/.exec(text)!;
    const parameters = list === "void" ? [] : list!.split(", ").map(denoType);
    return { text, name: name!, result: NUMBERS[result!]!, parameters };
  });
}

function denoType(parameter: string): string {
  return parameter.includes("*") ? "buffer" : NUMBERS[parameter.split(" ")[0]!]!;
}

Deno.test("SYMBOLS has every function of shim.h, with its types and no other", () => {
  const table = Object.entries(SYMBOLS).map(([name, { parameters, result }]) => ({
    ...{ name, parameters: [...parameters], result },
  }));
  const header = prototypes().map(({ name, parameters, result }) => ({ name, parameters, result }));
  assert.deepEqual(table, header);
});

Deno.test("each entry of SYMBOLS carries its C prototype", () => {
  for (const { text, name } of prototypes()) {
    assert.ok(TABLE.includes(`/** \`${text}\` */\n  ${name}: {`), text);
  }
});

Deno.test("SHIM_VERSION is the header's", () => {
  assert.match(HEADER, new RegExp(`^#define SHIM_VERSION ${SHIM_VERSION}$`, "m"));
});
