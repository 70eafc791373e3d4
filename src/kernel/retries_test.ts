import assert from "node:assert/strict";
import { Retries } from "./retries.ts";

/** Without the random part of the waits. */
const newRetries = () => new Retries<string>(() => 0);

Deno.test("what has not failed may be tried", () => {
  const retries = newRetries();
  assert.ok(retries.isDue("network", 0));
  retries.note("network", true, 0);
  assert.ok(retries.isDue("network", 1));
});

Deno.test("what failed waits 10 s, then twice as long each time, half an hour at most", () => {
  const retries = newRetries();
  let nowMs = 5;
  for (const waitMs of [10_000, 20_000, 40_000]) {
    retries.note("network", false, nowMs);
    assert.ok(!retries.isDue("network", nowMs + waitMs - 1));
    assert.ok(!retries.isAnyDue(nowMs + waitMs - 1));
    nowMs += waitMs;
    assert.ok(retries.isDue("network", nowMs) && retries.isAnyDue(nowMs));
  }
  for (let i = 0; i < 20; i++) retries.note("network", false, nowMs);
  assert.ok(!retries.isDue("network", nowMs + 1_799_999));
  assert.ok(retries.isDue("network", nowMs + 1_800_000));
});

Deno.test("each waits on its own, and a success ends it", () => {
  const retries = newRetries();
  retries.note("network", false, 0);
  assert.ok(retries.isDue("capabilities", 0));
  retries.note("network", true, 10_000);
  assert.ok(!retries.isAnyDue(1_000_000));
  assert.ok(retries.isDue("network", 10_000));
  retries.note("network", false, 20_000);
  assert.ok(retries.isDue("network", 30_000));
});

Deno.test("what nobody needs is not due, and waits on for who needs it again", () => {
  const retries = newRetries();
  for (const group of ["network", "capabilities"]) retries.note(group, false, 0);
  retries.note("network", false, 10_000);
  retries.need(["network"]);
  assert.ok(!retries.isAnyDue(10_000) && retries.isAnyDue(30_000));
  retries.need([]);
  assert.ok(!retries.isAnyDue(30_000));
  retries.need(["network"]);
  assert.ok(!retries.isDue("network", 29_999) && retries.isAnyDue(30_000));
  retries.note("network", false, 30_000);
  assert.ok(!retries.isDue("network", 69_999) && retries.isDue("network", 70_000));
});
