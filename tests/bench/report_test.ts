import assert from "node:assert/strict";
import { judge, missingRows, parseMeasurements, table } from "./report.ts";
import type { Row } from "./rows.ts";

const open: Row = {
  id: "open.on",
  noAgent: "open.none",
  what: "open",
  ...{ unit: "ratio", goal: 1.25, checked: true },
};
const burst: Row = {
  id: "burst",
  what: "burst",
  ...{ unit: "count", goal: 100, atLeast: true, checked: true },
};
const wall: Row = { id: "wall", what: "wall", unit: "ms", goal: 20, checked: false };

function figures(values: Record<string, number>, budgets: Record<string, number>) {
  return judge([open, burst, wall], new Map(Object.entries(values)), budgets)
    .map(({ row, figure, goalMet, regressed }) => ({ id: row.id, figure, goalMet, regressed }));
}

Deno.test("parseMeasurements() takes the median of an id and leaves other lines alone", () => {
  const lines = ["@bench a 3", "noise", "@bench a 1", "@bench b 7", "@bench a 2"];
  assert.deepEqual([...parseMeasurements(lines)], [["a", 2], ["b", 7]]);
});

Deno.test("parseMeasurements() fails with the guest's words", () => {
  assert.throws(() => parseMeasurements(["@fatal the agent is not ready"]), /agent is not ready/);
  assert.throws(() => parseMeasurements(["@bench a many"]), /"a" must be a number: "many"/);
});

Deno.test("judge() compares a ratio with its goal, and with its budget by what the agent adds", () => {
  const measured = { "open.none": 1000, "open.on": 1225 };
  assert.deepEqual(figures(measured, { "open.on": 1.2 }), [
    { id: "open.on", figure: 1.225, goalMet: true, regressed: true },
  ]);
  assert.deepEqual(figures(measured, { "open.on": 1.21 }), [
    { id: "open.on", figure: 1.225, goalMet: true, regressed: false },
  ]);
  const more = { "open.none": 1000, "open.on": 2045 };
  assert.equal(figures(more, { "open.on": 2 })[0]!.regressed, false);
  assert.equal(figures({ ...more, "open.on": 2055 }, { "open.on": 2 })[0]!.regressed, true);
});

Deno.test("judge() knows that of some more is better, and that wall time is only shown", () => {
  const measured = { burst: 90, wall: 40 };
  assert.deepEqual(figures(measured, { burst: 100, wall: 10 }), [
    { id: "burst", figure: 90, goalMet: false, regressed: true },
    { id: "wall", figure: 40, goalMet: false, regressed: false },
  ]);
});

Deno.test("missingRows() names what has a budget and was not measured", () => {
  const budgets = { "open.on": 1.2, wall: 10 };
  assert.deepEqual(missingRows([open, burst, wall], [], budgets), ["open.on"]);
});

Deno.test("table() shows value, ratio, goal and budget", () => {
  const measured = new Map([["open.none", 1000], ["open.on", 1300]]);
  const text = table(judge([open], measured, { "open.on": 1.2 }));
  assert.match(text, /open +1,000 +1,300 +1\.300 × +≤ 1\.250 × +NOT MET +1\.200 × WORSE/);
});
