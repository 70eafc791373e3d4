import assert from "node:assert/strict";
import type { Operation } from "../model/operation.ts";
import { type Fate, fateOf } from "./dry_run.ts";
import { about, AUDIT, BLOCK, policy, type RuleText } from "./test_policies.ts";

const program = about("process");
const file = about("file");

const OPERATION: Operation = {
  ...{ access: "exec", object: "/bin/ls", from: "/bin/sh", parent: "/bin/sh", terminal: false },
};

function fate(
  rules: readonly RuleText[],
  operation: Partial<Operation> = {},
  posture = BLOCK,
): Fate {
  return fateOf({ ...OPERATION, ...operation }, [policy("p", ...rules)], posture);
}

const CASES: readonly (readonly [
  claim: string,
  found: Fate,
  outcome: Fate["outcome"],
  at: number | undefined,
])[] = [
  ["lets pass what no rule names", fate([program("/bin/cat")]), "passes", undefined],
  ["refuses what is blocked", fate([program("/bin/cat"), program("/bin/ls")]), "refused", 2],
  ["tells of what is audited", fate([program("/bin/ls", { action: "Audit" })]), "reported", 1],
  [
    "lets pass what an allow-list names",
    fate([program("/bin/ls", { action: "Allow" })]),
    "passes",
    1,
  ],
  [
    "refuses what it does not name",
    fate([program("/bin/cat", { action: "Allow" })]),
    "refused",
    undefined,
  ],
  [
    "tells of it under posture audit",
    fate([program("/bin/cat", { action: "Allow" })], {}, AUDIT),
    "reported",
    undefined,
  ],
  [
    "refuses a program that may not be read",
    fate([file("/bin//")]),
    "refused",
    1,
  ],
  [
    "goes by the source",
    fate([program("/bin/ls", { from: ["/bin/sh"] })], { from: "/bin/env", parent: "/bin/env" }),
    "passes",
    undefined,
  ],
  [
    "goes by the parent of who executes",
    fate([program("/bin/ls", { from: ["/bin/sh"] })], { from: "/bin/env" }),
    "refused",
    1,
  ],
  ["goes by the terminal", fate([program("/bin/ls", { terminalOnly: true })]), "passes", 1],
  [
    "goes by the terminal where there is one",
    fate([program("/bin/ls", { terminalOnly: true })], { terminal: true }),
    "refused",
    1,
  ],
  [
    "judges sockets",
    fate([{ at: "net:tcp" }], { access: "socket", object: "tcp" }),
    "refused",
    1,
  ],
  [
    "judges capabilities",
    fate([{ at: "cap:net_raw", action: "Allow" }], { access: "capability", object: "CAP_KILL" }),
    "refused",
    undefined,
  ],
];

for (const [claim, { outcome, rule, byPosture }, wanted, at] of CASES) {
  Deno.test(`fateOf() ${claim}`, () => {
    assert.equal(outcome, wanted);
    assert.equal(rule?.rule.where.line, at);
    assert.equal(byPosture, at === undefined && wanted !== "passes");
  });
}

Deno.test("fateOf() says that the owner of the file fares better", () => {
  const rules = [file("/srv/key", { ownerOnly: true })];
  const { outcome, isOwnerExempt } = fate(rules, { access: "read", object: "/srv/key" });
  assert.deepEqual([outcome, isOwnerExempt], ["refused", true]);
  assert.equal(fate([program("/bin/ls")]).isOwnerExempt, false);
});

Deno.test("fateOf() throws for what is no operation", () => {
  assert.throws(() => fate([], { access: "fly" }), RangeError);
  assert.throws(() => fate([], { object: "relative" }), RangeError);
});
