import assert from "node:assert/strict";
import { roomOf, trespassesIn } from "./borders.ts";

function reasons(file: string, ...targets: string[]): string[] {
  const text = targets.map((target) => `import { x } from "${target}";`).join("\n");
  return trespassesIn(file, text).map(({ line, target }) => `${line}: ${target}`);
}

Deno.test("rooms import from upstream, and from what all use", () => {
  const good = [
    "../events/a.ts",
    "../model/a.ts",
    "../lib/a.ts",
    "../config/a.ts",
    "./b.ts",
    "hono",
  ];
  assert.deepEqual(reasons("src/alerts/alert.ts", ...good), []);
  assert.deepEqual(reasons("src/alerts/alert.ts", "../sinks/a.ts"), ["1: src/sinks/a.ts"]);
  assert.deepEqual(reasons("src/kernel/plan.ts", "../events/a.ts"), ["1: src/events/a.ts"]);
});

Deno.test("what all use imports no room", () => {
  assert.deepEqual(reasons("src/lib/a.ts", "../model/b.ts"), ["1: src/model/b.ts"]);
  assert.deepEqual(reasons("src/model/a.ts", "../lib/b.ts"), []);
  assert.deepEqual(reasons("src/model/a.ts", "../compile/b.ts"), ["1: src/compile/b.ts"]);
});

Deno.test("only the kernel's neighbours touch ffi/, and everyone its numbers", () => {
  assert.deepEqual(reasons("src/kernel/a.ts", "../../ffi/bpf.ts"), []);
  assert.deepEqual(reasons("src/http/routes/a.ts", "../../../ffi/bpf.ts"), ["1: ffi/bpf.ts"]);
  assert.deepEqual(reasons("src/compile/a.ts", "../../ffi/generated/agent_api.ts"), []);
  assert.deepEqual(reasons("src/sources/a_test.ts", "../../ffi/bpf.ts", "../kernel/a.ts"), [
    "2: src/kernel/a.ts",
  ]);
  assert.deepEqual(reasons("ffi/bpf.ts", "../src/lib/errno.ts", "../src/model/a.ts"), [
    "2: src/model/a.ts",
  ]);
});

Deno.test("the agent knows every room, but nothing that is not part of the product", () => {
  assert.deepEqual(reasons("src/agent.ts", "./http/app.ts", "../ffi/bpf.ts"), []);
  assert.deepEqual(reasons("src/cli/run.ts", "../agent.ts", "../../tests/x.ts"), ["2: tests/x.ts"]);
});

Deno.test("every form of import counts, on the line where it names its source", () => {
  const text = [
    "import {",
    "  type A,",
    '} from "../http/a.ts";',
    'import "../http/b.ts";',
    'export * from "../http/c.ts";',
    'const d = await import("../http/d.ts");',
  ].join("\n");
  const lines = trespassesIn("src/model/a.ts", text).map(({ line }) => line);
  assert.deepEqual(lines, [3, 4, 5, 6]);
});

Deno.test("a folder under src/ without a place in the flow is refused", () => {
  assert.equal(roomOf("src/attic/a.ts"), "attic");
  assert.match(
    trespassesIn("src/attic/a.ts", 'import "../http/b.ts";')[0]!.reason,
    /no known room/,
  );
});
