import assert from "node:assert/strict";
import { ManualClock } from "../lib/clock.ts";
import type { SavedState } from "./state_file.ts";
import { StateKeeper } from "./state_keeper.ts";

const state = (machine: string): SavedState => ({
  ...{ machine, savedAtMs: 0, folder: "/p", policies: new Map(), workloads: [] },
});

Deno.test("StateKeeper saves the first state at once and of those that follow the last", async () => {
  const [clock, written] = [new ManualClock(), [] as string[]];
  const write = ({ machine }: SavedState) => Promise.resolve(void written.push(machine));
  const keeper = new StateKeeper({ clock, write, onFailure: assert.fail });
  keeper.save(() => state("1"));
  await clock.sleeping();
  assert.deepEqual(written, ["1"]);
  keeper.save(() => state("2"));
  keeper.save(() => state("3"));
  await keeper.close();
  assert.deepEqual(written, ["1", "3"]);
  keeper.save(() => state("4"));
  assert.deepEqual(written, ["1", "3"]);
});

Deno.test("StateKeeper tells a failure once, and forgets it when a state is saved", async () => {
  const [clock, failures] = [new ManualClock(), [] as string[]];
  let full = true;
  const write = () => full ? Promise.reject(new Error("disk full")) : Promise.resolve();
  const onFailure = (error: Error) => failures.push(error.message);
  const keeper = new StateKeeper({ clock, write, onFailure });
  for (const last of [false, false, true]) {
    full = !last;
    keeper.save(() => state("1"));
    await clock.sleeping();
    assert.equal(keeper.failure, last ? undefined : "disk full");
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(failures, ["disk full"]);
  await keeper.close();
});
