import assert from "node:assert/strict";
import { failureText, parseJunit, sum, tallyText } from "./report.ts";

/** Makes a real report, by the tool that writes them. */
async function junitOf(source: string): Promise<string> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/a_test.ts`, source);
    const args = ["test", "--no-config", "--no-check", `--junit-path=${dir}/report.xml`];
    await new Deno.Command(Deno.execPath(), { args: [...args, `${dir}/a_test.ts`] }).output();
    return await Deno.readTextFile(`${dir}/report.xml`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("parseJunit() counts what Deno reports, and keeps names and messages as they were", async () => {
  const tally = parseJunit(
    await junitOf(`
      Deno.test("passes <&>", () => {});
      Deno.test("steps", async (t) => { await t.step("inner", () => {}); });
      Deno.test({ name: "waits", ignore: true, fn() {} });
      Deno.test("fails & \\"how\\"", () => { throw new Error("a < b\\n'second' line </failure>"); });
    `),
  );
  assert.equal(tally.skipped, 1);
  assert.equal(tally.failures.length, 1);
  assert.equal(tally.failures[0]!.name, `fails & "how"`);
  assert.match(tally.failures[0]!.text, /a < b\n'second' line <\/failure>/);
  assert.ok(tally.passed >= 2);
});

Deno.test("parseJunit() refuses half a report: a test run that died has not passed", () => {
  for (const xml of ["", "<testsuites>", `<testsuites><testcase name="a"></testcase>`]) {
    assert.throws(() => parseJunit(xml), SyntaxError);
  }
});

Deno.test("sum() and tallyText() add up", () => {
  const failure = { name: "n", text: "t" };
  const total = sum([
    { passed: 2, skipped: 0, failures: [] },
    { passed: 3, skipped: 1, failures: [failure] },
  ]);
  assert.equal(tallyText(total), "5 passed, 1 failed, 1 skipped");
  assert.equal(tallyText(sum([])), "0 passed, 0 failed");
});

Deno.test("failureText() indents every line of the message below the name", () => {
  const text = failureText({ name: "x() works", text: "wanted 1\n\nfound 2\n" });
  assert.equal(text, "    FAILED x() works\n      wanted 1\n\n      found 2");
});
