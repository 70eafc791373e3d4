import assert from "node:assert/strict";
import { ManualClock } from "./lib/clock.ts";
import { Rest } from "./rest.ts";

Deno.test("memory is given back once, after the last work and a quiet time", async () => {
  const clock = new ManualClock();
  let released = 0;
  const rest = new Rest(clock, () => released++);
  rest.disturb();
  await clock.sleeping();
  rest.disturb();
  clock.advance(1_000);
  await clock.sleeping();
  assert.equal(released, 0);
  clock.advance(1_000);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(released, 1);
  rest.disturb();
  await clock.sleeping();
  clock.advance(1_000);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(released, 2);
  await rest.close();
});

Deno.test("closed before it came to rest, the agent gives nothing back", async () => {
  const clock = new ManualClock();
  const rest = new Rest(clock, () => assert.fail("released"));
  rest.disturb();
  await rest.close();
});
