import assert from "node:assert/strict";
import fc from "fast-check";
import { readPlain } from "./plain_yaml.ts";
import { readByLibrary } from "./yaml_documents.ts";

const examples = new URL("../../k8s/examples/", import.meta.url);
const texts = [...Deno.readDirSync(examples)]
  .map((entry) => Deno.readTextFileSync(new URL(entry.name, examples)));

const RUNS = Number(Deno.env.get("ANKYLO_PLAIN_YAML_RUNS") ?? 3_000);

/** Whether the text is of the shape; if it is, the library must read the same from it. */
function isPlain(text: string): boolean {
  const plain = readPlain(text, "x.yaml", 0);
  if (plain === undefined) return false;
  assert.deepEqual(plain.tree, readByLibrary(text, "x.yaml"), text);
  return true;
}

Deno.test("policies as people write them are of the plain shape, but for aliases", () => {
  for (const text of texts) {
    const [first] = text.split(/^---$/m).filter((part) => /^\w/m.test(part));
    assert.equal(isPlain(first!), !first!.includes("&"), first);
  }
});

Deno.test("what the plain reader takes, the library reads in the same way: made of pieces", () => {
  const piece = fc.constantFrom(
    ...[
      "a: ",
      "b: ",
      "key-1: ",
      "x/y.z: ",
      "true: ",
      "null: ",
      "a:",
      "b:",
      "- ",
      "- - ",
      "-",
      "--- ",
    ],
    ...[
      "a:b",
      "1",
      "0755",
      "1.5",
      "1e3",
      "0x1f",
      "true",
      "True",
      "yes",
      "null",
      "~",
      "/etc/",
      "-1",
      "w w",
    ],
    ...[
      '"q"',
      "'q'",
      '"a # b"',
      "'it''s'",
      '"\\n"',
      '"open',
      " # c",
      "#c",
      "[]",
      "{a: 1}",
      "|",
      ">",
      "&x ",
      "*x",
    ],
    ...[
      "!t ",
      "? ",
      "%",
      "@",
      "`",
      "  ",
      " ",
      "\t",
      ", ",
      ": ",
      ":",
      "é",
      "\r",
      "...",
      "---",
      "Infinity",
      ".inf",
    ],
  );
  const line = fc.tuple(fc.constantFrom(0, 0, 1, 2, 2, 4), fc.array(piece, { maxLength: 3 }))
    .map(([indent, pieces]) => " ".repeat(indent) + pieces.join(""));
  const text = fc.array(line, { minLength: 1, maxLength: 6 }).map((lines) => lines.join("\n"));
  let plain = 0;
  fc.assert(fc.property(text, (text) => void (isPlain(text) && plain++)), { numRuns: RUNS * 3 });
  assert.ok(plain > 0);
});

Deno.test("what the plain reader takes, the library reads in the same way: policies with changed lines", () => {
  const edit = fc.record({
    at: fc.nat(60),
    kind: fc.constantFrom("indent", "outdent", "drop", "double", "comment", "blank", "value"),
    value: fc.constantFrom(
      "",
      " x",
      " 5",
      " true",
      ' "a: b"',
      " 'a'",
      " a b # c",
      " -",
      " [x]",
      ' [x, "y z" ]',
      " [x,y], z",
    ),
  });
  const text = fc.tuple(fc.constantFrom(...texts), fc.array(edit, { maxLength: 3 }))
    .map(([text, edits]) => edits.reduce(edited, text.split("\n")).join("\n"));
  let plain = 0;
  fc.assert(fc.property(text, (text) => void (isPlain(text) && plain++)), { numRuns: RUNS });
  assert.ok(plain > RUNS / 10, `${plain} of ${RUNS} were of the shape`);
});

function edited(
  lines: readonly string[],
  { at, kind, value }: { at: number; kind: string; value: string },
): string[] {
  const index = at % lines.length;
  const line = lines[index]!;
  const instead: Record<string, string[]> = {
    indent: [` ${line}`],
    outdent: [line.replace(/^ /, "")],
    drop: [],
    double: [line, line],
    comment: [line, "  # remark"],
    blank: [line, ""],
    value: [line.replace(/:.*/, `:${value}`)],
  };
  return [...lines.slice(0, index), ...instead[kind]!, ...lines.slice(index + 1)];
}
