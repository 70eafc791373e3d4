import assert from "node:assert/strict";
import type { AgentPicture } from "../../src/cli/status_screen.ts";
import {
  actLines,
  alertLine,
  COLOURS,
  kernelLines,
  NO_COLOURS,
  parseAct,
  policyLines,
} from "./screen.ts";

const rule = (target: string, more: object = {}) => ({
  ...{ rule: "spec.process.matchPaths[0]", where: "a.yaml:1:1", target, action: "Block" },
  ...{ readOnly: false, fromSource: [], severity: 1, tags: [], message: "", state: "enforced" },
  ...more,
});

const policy = (name: string, names: string[], rules: object[]) => ({
  name,
  workloads: names.map((name) => ({ id: name, name })),
  rules,
});

function picture(policies: object[]): AgentPicture {
  const hooks = [{ name: "file_open", state: "attached" }, { name: "x", state: "missing" }];
  return {
    status: {
      ...{ version: "1.2.3", rules: { enforced: 3, audited: 1, notEnforced: 1 } },
      kernel: { release: "6.12.1", lsm: ["yama", "bpf"], hooks, missing: ["hook x"] },
    },
    policies,
  } as unknown as AgentPicture;
}

Deno.test("kernelLines() names the kernel, the place, and what the kernel lacks", () => {
  assert.deepEqual(kernelLines(picture([]), "in a VM", NO_COLOURS), [
    "Ankylo 1.2.3 enforces on Linux 6.12.1, in a VM",
    "  1 of 2 programs attached; security modules yama, bpf",
    "  this kernel lacks hook x",
  ]);
});

Deno.test("policyLines() groups equal rules, and puts policies that select nothing last", () => {
  const lines = policyLines(
    picture([
      policy("idle", [], [rule("raw", { state: "not enforced", reason: "not supported yet" })]),
      policy("busy", ["web", "db"], [
        rule("/bin/sh"),
        rule("/bin/ash"),
        rule("/etc/", { action: "Audit", rule: "spec.file.matchDirectories[0]", state: "audited" }),
        rule("/key", { readOnly: true, fromSource: ["/bin/a", "/bin/b"] }),
      ]),
    ]),
    NO_COLOURS,
  );
  assert.deepEqual(lines, [
    "Policies: 2 from k8s/examples (rules: 3 enforced, 1 audited, 1 not enforced)",
    "  busy protects web, db",
    "    enforced: Block process  /bin/sh  /bin/ash",
    "    audited: Audit file  /etc/",
    "    enforced: Block process (read only) by /bin/a or /bin/b  /key",
    "  For containers that do not run here:",
    "  idle",
    "    not enforced, not supported yet: Block process  raw",
  ]);
});

Deno.test("policyLines() shows every target, on lines of at most 100 columns", () => {
  const targets = Array.from({ length: 40 }, (_, i) => `/usr/bin/program-${i}`);
  const rules = targets.map((target) => rule(target));
  const lines = policyLines(picture([policy("p", ["web"], rules)]), NO_COLOURS);
  for (const target of targets) assert.ok(lines.some((line) => line.split(/ +/).includes(target)));
  for (const line of lines) assert.ok(line.length <= 100, line);
});

const act = (...words: string[]) => actLines(parseAct(words.join(" ")), NO_COLOURS);

Deno.test("actLines() tells a refusal by the kernel from another failure and from success", () => {
  const refused = btoa("cat: x: Permission denied\n");
  assert.deepEqual(act("1", refused, "0", btoa("secret\n"), "cat", "x"), [
    "    $ cat x",
    "        web   refused by the kernel: Permission denied",
    "        free  succeeds: secret",
  ]);
  assert.deepEqual(act("127", btoa("sh: y: not found\n"), "0", btoa("\n"), "y"), [
    "    $ y",
    "        web   fails with status 127: sh: y: not found",
    "        free  succeeds",
  ]);
});

Deno.test("alertLine() shows an attacker's control characters instead of obeying them", () => {
  const alert = {
    ...{ UpdatedTime: "2026-01-02T03:04:05.000000Z", Action: "Block", ContainerName: "web" },
    ...{ PolicyName: "p", Source: "/bin/cat /etc/x", Resource: "/a\x1b[2J", Result: "no" },
    Ankylo: { Access: "read" },
  };
  assert.equal(
    alertLine(alert, NO_COLOURS),
    "  03:04:05  Block  web: read /a\\u{1b}[2J by /bin/cat: no (p)",
  );
});

Deno.test("screens have colours only when they are asked for", () => {
  assert.ok(actLines(parseAct(`0 ${btoa("")} 0 ${btoa("")} x`), COLOURS).join().includes("\x1b["));
  assert.ok(!act("0", btoa(""), "1", btoa(""), "x").join().includes("\x1b"));
});
