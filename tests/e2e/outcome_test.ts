import assert from "node:assert/strict";
import { type ActOutcome, difference, matchAlerts, parseOutcome } from "./outcome.ts";
import { type Act, type Expectation, planActs, planScript, shellQuote } from "./scenario.ts";

const DRIVER = await Deno.readTextFile(new URL("guest/driver.sh", import.meta.url));

const ended = (status: number, output = ""): ActOutcome => ({
  ...{ status, output, alertsBefore: 0, alertsAfter: 0 },
});

const base64 = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

const cases: [claim: string, Expectation, ActOutcome, met: boolean][] = [
  ["ok takes status 0", "ok", ended(0), true],
  ["ok refuses another status", "ok", ended(1), false],
  ["an error needs its text", "EACCES", ended(1, "sh: x: Permission denied"), true],
  ["an error's text may be spelt as Go does", "EACCES", ended(1, "exec: permission denied"), true],
  ["an error is not another error", "EACCES", ended(1, "Operation not permitted"), false],
  [
    "an error's text with status 0 is no error",
    "EPERM",
    ended(0, "Operation not permitted"),
    false,
  ],
  ["refused takes both errors", "refused", ended(1, "Operation not permitted"), true],
  ["a pattern needs status 0", /hi/, ended(1, "hi"), false],
  ["a pattern looks at the output", /hi/, ended(0, "oh hi\n"), true],
  ["status and output must both be met", { status: 3, output: /b/ }, ended(3, "a"), false],
  ["status alone is enough", { status: 3 }, ended(3, "a"), true],
];

for (const [claim, expected, act, met] of cases) {
  Deno.test(`difference(): ${claim}`, () => {
    assert.equal(difference(expected, act) === undefined, met);
  });
}

Deno.test("difference() asks a function about the output of an act that succeeded", () => {
  assert.equal(difference(() => undefined, ended(0, "a")), undefined);
  assert.equal(difference((output) => `found ${output}`, ended(0, "a")), "found a");
  assert.match(difference(() => undefined, ended(1)) ?? "", /expected status 0/);
});

Deno.test("difference() refuses an act that never ended, whatever was expected", () => {
  const lost = { ...ended(0, "hi"), status: undefined };
  for (const expected of ["ok", "refused", /hi/, {}] as const) {
    assert.match(difference(expected, lost) ?? "", /never ended/);
  }
});

Deno.test("parseOutcome() reads acts, windows, alerts and the log, and keeps what is none of them", () => {
  const outcome = parseOutcome([
    "@at the acts begin",
    "@act 0 126 sh: ü:  a\\\\nb\\nPermission denied",
    "@window 0 0 1",
    "@act 1 lost ",
    "bash: something broke",
    '@alert {"PolicyName":"p","PID":7}',
    `@log ${base64("started\n")}`,
  ]);
  assert.deepEqual(outcome.acts.get(0), {
    ...{
      status: 126,
      output: "sh: ü:  a\\nb\nPermission denied\n",
      alertsBefore: 0,
      alertsAfter: 1,
    },
  });
  assert.equal(outcome.acts.get(1)?.status, undefined);
  assert.deepEqual(outcome.alerts, [{ PolicyName: "p", PID: 7 }]);
  assert.match(outcome.agentLog, /started[\s\S]*bash: something broke/);
});

Deno.test("matchAlerts() uses an alert once, not before its act, and tells the rest", () => {
  const acts = planActs([
    { claim: "a", in: "web", run: "a", expect: "ok", alert: { A: 1 } },
    { claim: "b", in: "web", run: "b", expect: "ok", alert: [{ A: 1 }, { B: /^x/ }] },
  ]);
  const outcome = parseOutcome([
    ...["@act 0 0 ", "@window 0 0 1", "@act 1 0 ", "@window 1 2 3"],
    ...['@alert {"A":1}', '@alert {"A":1}', '@alert {"A":2,"B":"xy"}'],
  ]);
  const { missing, unexpected } = matchAlerts(acts, outcome);
  assert.deepEqual([...missing], [[1, [{ A: 1 }]]]);
  assert.deepEqual(unexpected, [{ A: 1 }]);
});

Deno.test("planActs() puts each control after its act, without its alert", () => {
  const act: Act = {
    ...{ claim: "refused", in: "web", user: 7, run: "true", expect: "EACCES", control: "free" },
    alert: { A: 1 },
  };
  const [first, control] = planActs([act]);
  assert.equal(first?.alerts.length, 1);
  const { claim, id, in: place, user, run, expect, alerts } = control!;
  assert.deepEqual(
    { claim, id, place, user, run, expect, alerts },
    {
      ...{ claim: "control: refused", id: 1, place: "free", user: 7, run: "true", expect: "ok" },
      alerts: [],
    },
  );
});

Deno.test("planScript() starts containers around the agent and waits for alerts by their fixed fields", () => {
  const script = planScript(
    {
      name: "s",
      policies: {},
      containers: {
        early: { labels: { app: "x" } },
        late: { start: "after", privileged: true, prepare: "touch /a" },
      },
      acts: [],
      agentStarts: "last",
      agentOptions: ["--posture-file", "block"],
    },
    planActs([{
      ...{ claim: "c", in: "late", run: ["/bin/true", "a b"], expect: "ok" },
      alert: { Action: "Block", PID: 1, Resource: /x/ },
    }]),
  );
  const lines = script.trim().split("\n");
  for (const word of lines.map((line) => line.split(" ")[0]!)) {
    assert.match(DRIVER, new RegExp(`^${word}\\(\\) `, "m"));
  }
  assert.deepEqual(lines, [
    "install_policies",
    "start_container 'early' 'runc' '--label=app=x'",
    "await_containers",
    "close_sessions",
    "start_agent '--posture-file' 'block'",
    "start_container 'late' 'runc' '--privileged'",
    "await_containers",
    "type_in 'late' '0' 'touch /a'",
    "prepared 'late'",
    "await_agent 'early' 'late'",
    "act_exec '0' 'late' '0' '/bin/true' 'a b'",
    `await_alert '"Action":"Block"' '"PID":1'`,
    "end_window",
    "finish",
  ]);
});

Deno.test("shellQuote() keeps every byte from the shell", async () => {
  const word = `a 'b' "c" $d \`e\` \\ \n*`;
  const script = `printf %s ${shellQuote(word)}`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  assert.equal(new TextDecoder().decode(stdout), word);
});
