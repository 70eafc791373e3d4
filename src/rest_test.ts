import assert from "node:assert/strict";
import { ManualClock } from "./lib/clock.ts";
import { Rest, restStages } from "./rest.ts";

function resting() {
  const clock = new ManualClock();
  const done: string[] = [];
  const stages = restStages(() => done.push("ready"), () => done.push("released"));
  const rest = new Rest(clock, stages);
  const pass = async (ms: number) => {
    clock.advance(ms);
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { rest, done, pass };
}

Deno.test("at rest each stage comes once, after its quiet time", async () => {
  const { rest, done, pass } = resting();
  rest.disturb();
  await pass(1_000);
  assert.deepEqual(done, ["ready"]);
  await pass(9_000);
  assert.deepEqual(done, ["ready", "released"]);
  await pass(60_000);
  assert.deepEqual(done, ["ready", "released"]);
  rest.disturb();
  await pass(1_000);
  assert.deepEqual(done, ["ready", "released", "ready"]);
  await rest.close();
});

Deno.test("work in between begins the stages anew", async () => {
  const { rest, done, pass } = resting();
  const work = async () => {
    rest.disturb();
    await pass(0);
  };
  await work();
  await pass(999);
  await work();
  await pass(999);
  assert.deepEqual(done, []);
  await pass(1);
  assert.deepEqual(done, ["ready"]);
  await pass(8_999);
  await work();
  await pass(1_000);
  assert.deepEqual(done, ["ready", "ready"]);
  await rest.close();
});

Deno.test("closed before it came to rest, the agent tidies nothing", async () => {
  const { rest, done, pass } = resting();
  rest.disturb();
  await rest.close();
  rest.disturb();
  await pass(1_000);
  assert.deepEqual(done, []);
});
