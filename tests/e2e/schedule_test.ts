import assert from "node:assert/strict";
import { KERNEL_SERIES } from "../../scripts/vm/kernels.ts";
import { plan, SCHEDULE } from "./schedule.ts";

Deno.test("SCHEDULE has every scenario, and no other", async () => {
  const files = await Array.fromAsync(Deno.readDir(new URL("scenarios", import.meta.url)));
  const names = files.map(({ name }) => name.replace(/\.ts$/, ""));
  assert.deepEqual(Object.keys(SCHEDULE).sort(), names.sort());
});

Deno.test("SCHEDULE tries everything on some kernel, and in a full run on no fewer", () => {
  for (const [scenario, { usual, full }] of Object.entries(SCHEDULE)) {
    assert.ok(usual.length > 0, scenario);
    assert.ok(usual.every((kernel) => full.includes(kernel)), scenario);
  }
});

Deno.test("plan() takes the chosen kernels alone, and both for claims about the kernel", () => {
  const usual = plan(KERNEL_SERIES, "usual");
  const kernelsOf = (name: string) =>
    usual.filter(({ scenario }) => scenario === name).map(({ kernel }) => kernel);
  assert.deepEqual(kernelsOf("evasion_names"), ["6.1", "6.12"]);
  assert.equal(kernelsOf("policy_changes").length, 1);
  assert.ok(plan(["6.1"], "full").every(({ kernel }) => kernel === "6.1"));
  assert.ok(plan(["6.1"], "full").some(({ scenario }) => scenario === "persistence"));
});
