import assert from "node:assert/strict";
import { ManualClock, systemClock } from "./clock.ts";

Deno.test("ManualClock wakes the earliest sleeper first, and only those that are due", async () => {
  const clock = new ManualClock();
  const woken: string[] = [];
  const late = clock.sleep(200).then(() => woken.push("late"));
  const early = clock.sleep(100).then(() => woken.push("early"));
  clock.advance(99);
  await Promise.resolve();
  assert.deepEqual(woken, []);
  clock.advance(1);
  await early;
  assert.deepEqual(woken, ["early"]);
  clock.advance(100);
  await late;
  assert.deepEqual(woken, ["early", "late"]);
  assert.equal(clock.nowMs(), 200);
});

Deno.test("ManualClock.sleeping() settles once enough callers sleep", async () => {
  const clock = new ManualClock();
  const two = clock.sleeping(2);
  const sleepers = [clock.sleep(5), clock.sleep(5)];
  await two;
  clock.advance(5);
  await Promise.all(sleepers);
});

for (
  const [name, clock] of [["systemClock", systemClock], ["ManualClock", new ManualClock()]] as const
) {
  Deno.test(`${name}.sleep() ends when the signal aborts, before or during the wait`, async () => {
    const controller = new AbortController();
    const asleep = clock.sleep(3_600_000, controller.signal);
    controller.abort();
    await asleep;
    await clock.sleep(3_600_000, controller.signal);
  });
}
