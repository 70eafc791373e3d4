import assert from "node:assert/strict";
import { ManualClock } from "../lib/clock.ts";
import { HeldProcesses, type HoldOptions, type HoldTarget } from "./hold.ts";

const held = (pid: number, container = 7, startNs = 5n) => ({ container, pid, startNs });

/** A kernel with pending containers; what was continued, and whose time is over. */
function setUp(over: Partial<HoldTarget> = {}, options: Partial<HoldOptions> = {}) {
  const clock = new ManualClock();
  const pending = new Set([7, 8]);
  const resumed: number[] = [], timedOut: number[] = [];
  const target: HoldTarget = {
    isPending: (container) => pending.has(container),
    giveUp: (container) => pending.delete(container),
    resume: ({ pid }) => resumed.push(pid) > 0,
    ...over,
  };
  const onTimeout = (container: number) => timedOut.push(container);
  const processes = new HeldProcesses({ target, clock, timeoutMs: 10_000, onTimeout, ...options });
  return { clock, pending, resumed, timedOut, processes };
}

Deno.test("HeldProcesses lets a process go once its container is described, and only then", () => {
  const { processes, pending, resumed } = setUp();
  processes.take(held(11));
  processes.take(held(12, 8));
  processes.release();
  assert.deepEqual(resumed, []);
  pending.delete(7);
  processes.release();
  processes.release();
  assert.deepEqual(resumed, [11]);
  assert.deepEqual(processes.counts, { waiting: 1, released: 1, timedOut: 0 });
  processes.close();
});

Deno.test("HeldProcesses lets a process go at once whose container is described already", () => {
  const { processes, resumed } = setUp();
  processes.take(held(11, 9));
  assert.deepEqual(resumed, [11]);
  assert.deepEqual(processes.counts, { waiting: 0, released: 1, timedOut: 0 });
});

Deno.test("HeldProcesses lets go after the time limit, counted from the first word", async () => {
  const { clock, processes, resumed, timedOut } = setUp();
  processes.take(held(11));
  clock.advance(9_000);
  processes.take(held(11));
  clock.advance(999);
  assert.deepEqual(resumed, []);
  clock.advance(1);
  await Promise.resolve();
  assert.deepEqual([resumed, timedOut], [[11], [7]]);
  assert.deepEqual(processes.counts, { waiting: 0, released: 0, timedOut: 1 });
});

Deno.test("HeldProcesses keeps a process whose settings say to wait, until it is described", async () => {
  const { clock, processes, pending, resumed, timedOut } = setUp({ giveUp: () => false });
  processes.take(held(11));
  clock.advance(10_000);
  await Promise.resolve();
  assert.deepEqual([resumed, timedOut], [[], [7]]);
  pending.delete(7);
  processes.release();
  assert.deepEqual(resumed, [11]);
});

Deno.test("HeldProcesses tells a process from another that has its number", () => {
  const { processes, pending, resumed } = setUp();
  processes.take(held(11, 7, 5n));
  processes.take(held(11, 7, 6n));
  pending.delete(7);
  processes.release();
  assert.deepEqual(resumed, [11]);
  processes.close();
});

Deno.test("HeldProcesses counts nobody who has ended", () => {
  const { processes, pending } = setUp({ resume: () => false });
  processes.take(held(11));
  pending.delete(7);
  processes.release();
  assert.deepEqual(processes.counts, { waiting: 0, released: 0, timedOut: 0 });
});

Deno.test("HeldProcesses lets all go when it closes, those too that come later", () => {
  const { processes, resumed } = setUp();
  processes.take(held(11));
  processes.close();
  processes.take(held(12));
  processes.close();
  assert.deepEqual(resumed, [11, 12]);
});
