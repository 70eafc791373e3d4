import assert from "node:assert/strict";
import { ManualClock } from "../lib/clock.ts";
import type { HeldProcess } from "./hold.ts";
import { PendingContainers, type PendingKernel, type PendingOptions } from "./pending.ts";

/** A kernel that holds processes of pending containers until they are continued. */
class FakeKernel implements PendingKernel {
  enforces = true;
  readonly pending = new Set([7]);
  readonly beats: boolean[] = [];
  readonly held = new Map<number, HeldProcess>();
  staging = 0;
  /** Told at each survey. */
  onHeld: (process: HeldProcess) => void = () => {};

  isPending(index: number): boolean {
    return this.pending.has(index);
  }

  giveUp(index: number): void {
    this.pending.delete(index);
  }

  resume({ pid }: HeldProcess): boolean {
    return this.held.delete(pid);
  }

  beat(describes: boolean): void {
    this.beats.push(describes);
  }

  survey() {
    const held = this.held.size;
    for (const process of [...this.held.values()]) this.onHeld(process);
    return { staging: this.staging, held };
  }
}

function setUp(over: Partial<PendingOptions> = {}) {
  const clock = new ManualClock();
  const kernel = new FakeKernel();
  const timedOut: number[] = [], staging: number[] = [];
  const pending = new PendingContainers({
    ...{ enforcer: kernel, mode: "audit", timeoutMs: 10_000, clock, describes: () => true },
    attempt: (work) => work(),
    onTimeout: (container) => timedOut.push(container),
    onStaging: (tasks) => staging.push(tasks),
    ...over,
  });
  kernel.onHeld = (process) => pending.take(process);
  const hold = (pid: number) => {
    const process = { container: 7, pid, startNs: 5n };
    kernel.held.set(pid, process);
    return process;
  };
  return { clock, kernel, pending, hold, timedOut, staging };
}

Deno.test("PendingContainers lets go of what its stop finds, known or not, and is silent from then on", async () => {
  const { clock, kernel, pending, hold } = setUp();
  pending.update();
  pending.take(hold(11));
  hold(12);
  const gone = pending.letGo();
  await clock.sleeping();
  clock.advance(10);
  await gone;
  assert.deepEqual([...kernel.held.keys()], []);
  pending.update();
  assert.deepEqual(kernel.beats, [true, false, false]);
});

Deno.test("PendingContainers leaves to the next agent what the settings say should wait", async () => {
  const { kernel, pending, hold } = setUp({ mode: "hold" });
  pending.take(hold(11));
  await pending.letGo();
  assert.deepEqual([...kernel.held.keys()], [11]);
  assert.deepEqual(kernel.beats, [false]);
});

for (const [mode, goesOn] of [["audit", true], ["block", true], ["hold", false]] as const) {
  Deno.test(`PendingContainers after the time limit, ${mode}: goes on ${goesOn}`, async () => {
    const { clock, kernel, pending, hold, timedOut } = setUp({ mode });
    pending.take(hold(11));
    clock.advance(10_000);
    await Promise.resolve();
    assert.equal(kernel.held.size === 0, goesOn);
    assert.equal(kernel.isPending(7), !goesOn);
    assert.deepEqual([timedOut, pending.counts.timedOut], [[7], 1]);
  });
}

Deno.test("PendingContainers says when more tasks than before stay staging, and shows how many", () => {
  const { kernel, pending, staging } = setUp();
  for (const tasks of [0, 2, 2, 1, 3]) {
    kernel.staging = tasks;
    pending.survey();
  }
  assert.deepEqual(staging, [2, 3]);
  assert.equal(pending.counts.staging, 3);
});

Deno.test("PendingContainers tells the kernel nothing about life while it does not describe", () => {
  const { kernel, pending } = setUp({ describes: () => false });
  pending.update();
  assert.deepEqual(kernel.beats, [false]);
});
