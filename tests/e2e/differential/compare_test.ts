import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { DEFAULT_POSTURE } from "../../../src/model/posture.ts";
import { differenceOf } from "./compare.ts";
import { type Expected, makeRound, partsOf, type Round } from "./round.ts";
import type { ExpectedAlert } from "./specification.ts";

const BLOCK = { ...DEFAULT_POSTURE, file: "block" } as const;
const ROUND = makeRound(7, "r0", 40, BLOCK);

/** What an agent would tell that does as specified. */
function recordOf(container: string, alert: ExpectedAlert) {
  const orAbsent = (text: string) => text === "" ? undefined : text;
  return {
    ...{ ContainerName: container, ProcessName: alert.process, PolicyName: alert.policy },
    ...{ Severity: orAbsent(alert.severity), Tags: orAbsent(alert.tags) },
    ...{ Message: orAbsent(alert.message), Operation: alert.operation, Action: alert.action },
    ...{ Resource: alert.resource, Data: `lsm=${alert.lsm}`, Result: alert.result },
    Ankylo: {
      ...{ Reason: alert.reason, Access: alert.access, FromSource: alert.bySource || undefined },
      Rule: alert.rule === "" ? undefined : `/etc/ankylo/policies/${alert.rule}`,
    },
  };
}

/** What the guest prints; `change` may make a difference. */
function outputOf(
  { lists }: Round,
  change: (letters: string[], alerts: ReturnType<typeof recordOf>[]) => void = () => {},
): string {
  const told = lists.flatMap(({ container, operations }) =>
    operations.flatMap(({ alerts }) => alerts.map((alert) => recordOf(container, alert)))
  );
  const letters = lists.map(({ operations }) =>
    operations.map(({ refused }: Expected) => refused ? "x" : ".").join("")
  );
  change(letters, told);
  const lines = lists.map(({ container }, place) => `list ${container}\ndid ${letters[place]}\n`);
  const text = told.map((alert) => `${JSON.stringify(alert)}\n`).join("");
  return `${lines.join("\n")}alerts ${gzipSync(text).toString("base64")}\n`;
}

Deno.test("makeRound() follows from its seed", () => {
  assert.deepEqual(makeRound(7, "r0", 40, BLOCK), ROUND);
  assert.notEqual(makeRound(8, "r0", 40, BLOCK).policies, ROUND.policies);
});

Deno.test("makeRound() has what is refused and what is not, of every access", () => {
  const rounds = Array.from({ length: 6 }, (_, seed) => makeRound(seed, "r0", 200, BLOCK));
  const operations = rounds.flatMap(({ lists }) => lists.flatMap(({ operations }) => operations));
  assert.equal(operations.length, 6 * (200 * 3 + 100));
  const refused = operations.filter(({ refused }) => refused).length;
  assert.ok(refused > 500 && refused < operations.length - 500, `${refused} refused`);
  const accesses = new Set(operations.flatMap(({ alerts }) => alerts.map(({ access }) => access)));
  assert.deepEqual(
    [...accesses].sort(),
    [
      ...["attributes", "capability", "create", "delete", "exec", "link", "mmap-exec", "network"],
      ...["read", "rename", "write"],
    ],
  );
});

Deno.test("partsOf() leaves nothing out, and has some 200 alerts in each", () => {
  const { lists } = makeRound(7, "r0", 600, BLOCK);
  for (const { operations } of lists) {
    const parts = partsOf(operations);
    assert.deepEqual(parts.flat(), operations);
    for (const part of parts) {
      assert.ok(part.reduce((sum, { alerts }) => sum + alerts.length, 0) <= 200);
    }
  }
});

Deno.test("differenceOf() finds no difference where there is none", () => {
  assert.equal(differenceOf(ROUND, outputOf(ROUND)), undefined);
});

Deno.test("differenceOf() tells a wrong verdict, and its seed", () => {
  const output = outputOf(ROUND, (letters) => {
    letters[0] = (letters[0]!.startsWith("x") ? "." : "x") + letters[0]!.slice(1);
  });
  assert.match(differenceOf(ROUND, output)!, /^seed 7: 1 differences:\nf0 #0 ".*": expected/);
});

Deno.test("differenceOf() tells an alert that is missing, one more, and one of another rule", () => {
  const missing = outputOf(ROUND, (_, alerts) => alerts.pop());
  const more = outputOf(ROUND, (_, alerts) => alerts.push(alerts[0]!));
  const other = outputOf(ROUND, (_, alerts) => alerts[0]!.PolicyName = "another");
  for (const output of [missing, more, other]) {
    assert.match(differenceOf(ROUND, output)!, /^seed 7: 1 differences:\n.*: alert \d+ of/);
  }
});

Deno.test("differenceOf() forgives an alert without its program, and not many", () => {
  const round = makeRound(7, "r0", 400, BLOCK);
  const withoutEach = (every: number) =>
    outputOf(round, (_, alerts) => {
      assert.ok(alerts.length > 50, `${alerts.length} alerts`);
      alerts.forEach((alert, place) => {
        if (place % every === 0) Reflect.deleteProperty(alert, "ProcessName");
      });
    });
  assert.equal(differenceOf(round, withoutEach(2)), undefined);
  assert.match(differenceOf(round, withoutEach(1))!, /^seed 7: 1 differences:\n\d+ of \d+ alerts/);
});

Deno.test("differenceOf() takes nothing for the same where nothing was done", () => {
  const [, ...rest] = outputOf(ROUND).split("\nlist ");
  assert.match(differenceOf(ROUND, `list ${rest.join("\nlist ")}`)!, /f0: nothing was done/);
});
