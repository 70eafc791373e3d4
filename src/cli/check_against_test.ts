import assert from "node:assert/strict";
import { operationsView, type RecordedOperations } from "../http/operations_view.ts";
import { sampleState } from "../http/sample_state.ts";
import { DEFAULT_GOVERNANCE } from "../model/governance.ts";
import { type AgainstOptions, runCheckAgainst } from "./check_against.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";

const HEAD = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
`;
const ALLOW = `${HEAD}  process: {matchPaths: [{path: /bin/ls}], action: Allow}\n`;
const BLOCK = `${HEAD}  process: {matchPaths: [{path: /usr/bin/curl}]}\n`;

const operation = (object: string, last: string, more = {}) => ({
  ...{ container: 0, access: "exec", object, from: "/bin/sh", parent: "/bin/sh" },
  ...{ terminal: false, count: 3, first: "2026-01-02T03:00:00.000Z", last },
  ...more,
});

const RECORDING: RecordedOperations = {
  until: "2026-01-02T04:00:00.000Z",
  since: "2026-01-02T01:00:00.000Z",
  ...{ dropped: 0, tooLong: 0, max: 100, notRecorded: ["what was not asked"] },
  containers: [{
    ...{ id: "c1", name: "web", runtimeNamespace: "default", podName: "web", image: "" },
    ...{ namespace: "container_namespace", labels: { app: "web" } },
  }],
  operations: [
    operation("/bin/ls", "2026-01-02T03:59:00.000Z"),
    operation("/usr/bin/curl", "2026-01-02T03:20:00.000Z", { terminal: true }),
  ],
};

async function against(
  policy: string,
  options: Partial<AgainstOptions> = {},
  recording: unknown = RECORDING,
) {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-against-" });
  try {
    await Deno.writeTextFile(`${folder}/p.yaml`, policy);
    await Deno.writeTextFile(`${folder}/r.json`, JSON.stringify(recording));
    let [out, err] = ["", ""];
    const io = {
      out: (text: string) => void (out += text),
      err: (text: string) => void (err += text),
    };
    const posture = { file: "block", network: "block", capabilities: "block" } as const;
    const governance = { ...DEFAULT_GOVERNANCE, posture, trustsLabels: true };
    const files = ["tokenFile", "certificate", "key", "clientCa"] as const;
    const http = Object.fromEntries(files.map((name) => [name, undefined])) as Record<
      (typeof files)[number],
      undefined
    >;
    const settings = { socket: undefined, listen: undefined, http, governance };
    const asked = { against: `${folder}/r.json`, json: false, strict: false, settings };
    const status = await runCheckAgainst([`${folder}/p.yaml`], { ...asked, ...options }, io);
    const short = (text: string) => text.replaceAll(`${folder}/`, "");
    return { status, out: short(out), err: short(err) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runCheckAgainst() names what an allow-list would have refused, and what is not known", async () => {
  const { status, out } = await against(ALLOW);
  assert.equal(status, EXIT_POLICY);
  assert.equal(
    out,
    "REFUSED  web: exec /usr/bin/curl by /bin/sh on a terminal, 3 times, last 2026-01-02T03:20:00.000Z\n" +
      "         posture.file: the process allow-list does not let it pass\n\n" +
      "2 different operations of 1 containers, seen since 2026-01-02T01:00:00.000Z: " +
      "1 would have been refused, 0 reported, 1 pass\n" +
      "not known: what was not asked\n",
  );
});

Deno.test("runCheckAgainst() names the rule with its place", async () => {
  const { out } = await against(BLOCK);
  assert.match(
    out,
    /^ +p\.yaml:6:\d+ spec\.process\.matchPaths\[0\] of web: Block \/usr\/bin\/curl$/m,
  );
});

Deno.test("runCheckAgainst() leaves out what was seen before the time that is asked for", async () => {
  const { status, out } = await against(ALLOW, { since: "10m" });
  assert.equal(status, EXIT_OK);
  assert.match(out, /^1 different operations .* in 10m before 2026-01-02T04/);
});

Deno.test("runCheckAgainst() is strict about what would be reported", async () => {
  const audit = BLOCK.replace("curl}", "curl, action: Audit}");
  assert.equal((await against(audit)).status, EXIT_OK);
  assert.equal((await against(audit, { strict: true })).status, EXIT_POLICY);
});

Deno.test("runCheckAgainst() judges by policies that select the container", async () => {
  const { status, out } = await against(BLOCK.replace("app: web", "app: db"));
  assert.equal(status, EXIT_OK);
  assert.match(out, /0 would have been refused, 0 reported, 2 pass/);
});

Deno.test("runCheckAgainst() goes by the container's own mode and posture", async () => {
  const labelled = (labels: Record<string, string>) => ({
    ...RECORDING,
    containers: [{ ...RECORDING.containers[0]!, labels: { app: "web", ...labels } }],
  });
  const audited = await against(BLOCK, {}, labelled({ "kubearmor-policy": "audited" }));
  assert.match(
    audited.out,
    /^reported web: exec \/usr\/bin\/curl[^]*0 would have been refused, 1 rep/,
  );
  const disabled = await against(BLOCK, {}, labelled({ "kubearmor-policy": "disabled" }));
  assert.match(disabled.out, /0 would have been refused, 0 reported, 2 pass/);
  const posture = await against(ALLOW, {}, labelled({ "kubearmor-file-posture": "audit" }));
  assert.match(posture.out, /^reported web: exec \/usr\/bin\/curl/);
});

Deno.test("runCheckAgainst() judges what the node itself did by host policies alone", async () => {
  const host = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: node}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/os: linux}}
  process: {matchPaths: [{path: /usr/bin/curl}]}
`;
  const [container] = RECORDING.containers;
  const labels = { app: "web", "kubernetes.io/os": "linux" };
  const node = { ...RECORDING, containers: [{ ...container!, labels, host: "judged" }] };
  assert.match((await against(host, {}, node)).out, /1 would have been refused/);
  assert.match((await against(BLOCK, {}, node)).out, /0 would have been refused/);
  assert.match((await against(host)).out, /0 would have been refused/);
});

Deno.test("runCheckAgainst() says the same as JSON", async () => {
  const { out } = await against(BLOCK, { json: true });
  const [passes, refused] = JSON.parse(out).operations;
  assert.deepEqual([passes.outcome, refused.outcome], ["passes", "refused"]);
  assert.deepEqual([refused.policy, refused.rule], ["web", "spec.process.matchPaths[0]"]);
});

Deno.test("runCheckAgainst() says that operations had to make room", async () => {
  const { out } = await against(BLOCK, {}, { ...RECORDING, dropped: 7 });
  assert.match(out, /^7 operations had to make room for others/m);
});

const BAD: readonly (readonly [claim: string, recording: unknown, message: RegExp])[] = [
  ["no object", 5, /has no "containers"/],
  ["no time", { ...RECORDING, until: "soon" }, /has no "until"/],
  ["a container without labels", { ...RECORDING, containers: [{ id: "x" }] }, /containers\[0\]/],
  [
    "an operation of no container",
    { ...RECORDING, operations: [operation("/x", RECORDING.until, { container: 4 })] },
    /operations\[0\]/,
  ],
];

for (const [claim, recording, message] of BAD) {
  Deno.test(`runCheckAgainst() refuses a recording with ${claim}`, async () => {
    const { status, err } = await against(BLOCK, {}, recording);
    assert.equal(status, EXIT_USAGE);
    assert.match(err, message);
  });
}

Deno.test("runCheckAgainst() refuses a file that is not there, and a time that is none", async () => {
  const missing = await against(BLOCK, { against: "/none/r.json" });
  assert.equal(missing.status, EXIT_USAGE);
  assert.match(missing.err, /Cannot read recording "\/none\/r\.json"/);
  const timeless = await against(BLOCK, { since: "soon" });
  assert.equal(timeless.status, EXIT_USAGE);
  assert.match(timeless.err, /such as 90s, 10m or 2h/);
});

Deno.test("runCheckAgainst() shows the findings of files with errors, and judges nothing", async () => {
  const { status, out, err } = await against(`${HEAD}  fille: {}\n`);
  assert.deepEqual([status, out], [EXIT_POLICY, ""]);
  assert.match(err, /^p\.yaml:6:3: spec: Cannot use field "fille"/);
});

const UNASKABLE: readonly (readonly [claim: string, object: string, more: object, why: RegExp])[] =
  [
    ["a name with a line break", "/tmp/a\nb", {}, /control characters/],
    ["too many names", "/a".repeat(70), {}, /70/],
    ["a name of escapes", `/${"\\xff".repeat(64)}`, {}, /256/],
    ["a source with a line break", "/bin/ls", { from: "/tmp/a\nb" }, /control characters/],
    ["a parent with a line break", "/bin/ls", { parent: "/tmp/a\nb" }, /control characters/],
    ["an access that nobody knows", "/x", { access: "fly" }, /Cannot explain access "fly"/],
  ];

for (const [claim, object, more, why] of UNASKABLE) {
  Deno.test(`runCheckAgainst() says that it can't judge ${claim}, and judges the rest`, async () => {
    const odd = operation(object, RECORDING.until, more);
    const recording = { ...RECORDING, operations: [odd, ...RECORDING.operations] };
    const { status, out, err } = await against(BLOCK, {}, recording);
    assert.deepEqual([status, err], [EXIT_POLICY, ""]);
    assert.match(out, /^REFUSED {2}web: exec \/usr\/bin\/curl /m);
    assert.match(out, /^unknown {2}web: .*\n {9}can't be judged: /m);
    assert.match(out, why);
    assert.match(out, /1 would have been refused, 0 reported, 1 pass, 1 can't be judged$/m);
    const { operations } = JSON.parse((await against(BLOCK, { json: true }, recording)).out);
    assert.equal(operations[0].outcome, "unjudged");
    assert.match(operations[0].why, why);
  });
}

Deno.test("runCheckAgainst() fails for what it can't judge where it is strict", async () => {
  const recording = { ...RECORDING, operations: [operation("/tmp/a\nb", RECORDING.until)] };
  assert.equal((await against(BLOCK, {}, recording)).status, EXIT_OK);
  assert.equal((await against(BLOCK, { strict: true }, recording)).status, EXIT_POLICY);
});

const NOT_ASKED: readonly (readonly [claim: string, policy: string, lines: readonly RegExp[]])[] = [
  ["nothing of an allow-list", ALLOW, []],
  ["guards of a Block rule", BLOCK, [/^guards of Block rules are not asked/]],
  ["presets", `${HEAD}  presets: [{name: filelessExec}]\n`, [
    /^presets of these files are not asked/,
  ]],
  [
    "rules that are not enforced",
    `${HEAD}  process: {matchPaths: [{path: /bin/ls, action: Allow, allowedArgs: ["-l"]}]}\n`,
    [/^1 rules are not asked, .* is p\.yaml:6:\d+ spec\.process\.matchPaths\[0\] of web: /],
  ],
];

for (const [claim, policy, lines] of NOT_ASKED) {
  Deno.test(`runCheckAgainst() says what it does not ask: ${claim}`, async () => {
    const { out } = await against(policy);
    const told = [...out.matchAll(/^not known: (.*)$/gm)].map(([, text]) => text!);
    assert.equal(told.length, 1 + lines.length, out);
    lines.forEach((line, at) => assert.match(told[at + 1]!, line));
    const { notAsked } = JSON.parse((await against(policy, { json: true })).out);
    assert.deepEqual(notAsked, told.slice(1));
  });
}

Deno.test("what /v1/operations says is a recording", async () => {
  const state = sampleState();
  const view = operationsView(state, new Date("2026-01-02T04:00:00Z"));
  state.alerts.close();
  state.events.close();
  const { status, out } = await against(BLOCK, {}, view);
  assert.equal(status, EXIT_POLICY);
  assert.match(
    out,
    /^REFUSED {2}web: exec \/usr\/bin\/curl by \/usr\/bin\/bash, 3 times, last 2026/,
  );
});
