import assert from "node:assert/strict";
import { alertText } from "./alert_text.ts";
import { printable } from "./printable.ts";

Deno.test("alertText() begins as karmor does and leaves out what is empty", () => {
  const text = alertText({
    Timestamp: 1,
    UpdatedTime: "2026-01-02T03:04:05.678901Z",
    HostName: "node",
    ClusterName: "default",
    PolicyName: "no-shell",
    Message: "",
    ATags: [],
    EventData: { Lsm: "SECURITY_BPRM_CHECK" },
    Cwd: "/",
  });
  assert.equal(
    text,
    "== Alert / 2026-01-02 03:04:05.678901 ==\nClusterName: default\nHostName: node\n" +
      'PolicyName: no-shell\nEventData: {"Lsm":"SECURITY_BPRM_CHECK"}\nCwd: /\n\n',
  );
});

Deno.test("alertText() cannot be made to drive the terminal or to forge a line", () => {
  const text = alertText({ Resource: "/tmp/\x1b[2J\nAction: Allow\u202e" });
  assert.equal(text.split("\n").length, 4);
  assert.match(text, /\/tmp\/\\u\{1b\}\[2J\\u\{a\}Action: Allow\\u\{202e\}/);
});

Deno.test("printable() leaves letters of every script alone", () => {
  assert.equal(printable("grün 桜 👩🏽 a b"), "grün 桜 👩🏽 a b");
});
