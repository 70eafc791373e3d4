import assert from "node:assert/strict";
import { ACCESSES } from "../compile/explain.ts";
import { DEFAULT_GOVERNANCE } from "../model/governance.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";
import { ASKS, type ExplainOptions, runExplain } from "./explain.ts";
import { explanationText } from "./explain_text.ts";

const POLICY = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: shells}
spec:
  selector: {matchLabels: {app: web}}
  process:
    matchPaths:
      - path: /bin/sh
      - path: /bin/sh
        fromSource: [{path: /bin/su}]
        action: Allow
    matchDirectories:
      - {dir: /bin/, action: Audit}
  file:
    matchPaths: [{path: /etc/hosts, readOnly: true, action: Allow}]
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorClusterPolicy
metadata: {name: everywhere}
spec:
  selector: {matchExpressions: [{key: namespace, operator: In, values: [shop]}]}
  process: {matchPaths: [{path: /bin/sh, allowedArgs: [-c]}]}
  file: {matchPaths: [{path: /etc/shadow}]}
`;

const SETTINGS = {
  socket: undefined,
  listen: undefined,
  http: { tokenFile: undefined, certificate: undefined, key: undefined, clientCa: undefined },
  governance: {
    ...DEFAULT_GOVERNANCE,
    trustsLabels: true,
    posture: { file: "block", network: "audit", capabilities: "audit" },
  },
  hostname: "node-1",
  nodeLabels: { zone: "west" },
  hostExempt: ["/opt/own/guard"],
} as const;

/** Asks a file with that text, or nothing; its folder is cut from what comes, and the image's number. */
async function ask(
  options: Partial<ExplainOptions>,
  text: string | undefined = POLICY,
): Promise<{ status: number; out: string; err: string }> {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-explain-" });
  try {
    await Deno.writeTextFile(`${folder}/a.yaml`, text);
    let [out, err] = ["", ""];
    const status = await runExplain(SETTINGS, {
      ...{
        objects: {},
        owner: false,
        terminal: true,
        write: false,
        json: false,
        policies: [folder],
      },
      ...options,
    }, { out: (text) => void (out += text), err: (text) => void (err += text) });
    const cut = (text: string) =>
      text.replaceAll(`${folder}/`, "").replace(/image [0-9a-f]{8}/, "image N");
    return { status, out: cut(out), err: cut(err) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("explain of an audited container says that nothing is refused there", async () => {
  const labels = ["app=web,kubearmor-policy=audited"];
  const { out } = await ask({ labels, objects: { exec: "/bin/sh" } });
  assert.match(out, /passes, and raises an alert of/);
  assert.match(out, /The container is only audited/);
  const disabled = ["app=web,kubearmor-policy=disabled"];
  const { out: silence } = await ask({ labels: disabled, objects: { exec: "/bin/sh" } });
  assert.match(silence, /kubearmor-policy=disabled turns its policies off/);
});

Deno.test("runExplain() says what happens, by which rule, and which rules lost", async () => {
  const { status, out } = await ask({
    ...{ container: "web", labels: ["app=web"] },
    ...{ objects: { exec: "/bin/sh" }, from: "/usr/sbin/nginx" },
  });
  assert.equal(status, EXIT_OK);
  assert.equal(
    out,
    `web: /usr/sbin/nginx executes /bin/sh: REFUSED with "Permission denied", and an alert of shells

As to exec, process rules:
  decides:
    Block /bin/sh
        a.yaml:8:9 spec.process.matchPaths[0] of shells
  would be next, in this order:
    Audit /bin/
        a.yaml:13:9 spec.process.matchDirectories[0] of shells
        lost: an exact path decides before a program's name, a pattern or a directory

As to read, file rules:
  no file rule names it, and the posture (posture.file) is block for what an allow-list leaves out
  the allow-list has
    Allow /etc/hosts (read only)
        a.yaml:15:18 spec.file.matchPaths[0] of shells

Names it too, and says nothing here:
  Allow /bin/sh by /bin/su
      a.yaml:9:9 spec.process.matchPaths[1] of shells
      holds for other programs only: /bin/su

It keeps its name: renaming, linking or covering it is refused, because a Block rule names it or something below it.

The kernel compares real paths. Many images have a link there: then ask about /usr/bin/sh.

Policy image N. Not in force: compiled from the files, no agent was asked.
`,
  );
});

Deno.test("runExplain() answers for sockets and capabilities", async () => {
  const policy = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: quiet}
spec:
  selector: {matchLabels: {app: web}}
  network:
    matchProtocols:
      - {protocol: raw, action: Block}
      - {protocol: icmp, action: Allow, fromSource: [{path: /bin/ping}]}
`;
  const { out } = await ask({ labels: ["app=web"], objects: { net: "icmp/raw" } }, policy);
  assert.equal(
    out,
    `a program that no rule names uses a socket of kind icmp/raw: REFUSED with "Permission denied", and an alert of quiet

  decides:
    Block raw
        a.yaml:8:9 spec.network.matchProtocols[0] of quiet

Names it too, and says nothing here:
  Allow icmp by /bin/ping
      a.yaml:9:9 spec.network.matchProtocols[1] of quiet
      holds for other programs only: /bin/ping

Policy image N. Not in force: compiled from the files, no agent was asked.
`,
  );
  const udp = await ask({ labels: ["app=web"], objects: { net: "udp" } }, policy);
  assert.match(udp.out, /udp: passes, and raises an alert of DefaultPosture/);
  assert.match(udp.out, /no network rule names it, and the posture \(posture\.network\) is audit/);
  const capability = await ask({ labels: ["app=web"], objects: { cap: "net_raw" } }, policy);
  assert.match(capability.out, /^a program that no rule names uses CAP_NET_RAW: passes, without/);
  const blocking = policy.replace(
    /network:[\s\S]*/,
    "capabilities: {matchCapabilities: [{capability: net_raw, action: Block}]}\n",
  );
  const refused = await ask({ labels: ["app=web"], objects: { cap: "net_raw" } }, blocking);
  assert.match(refused.out, /uses CAP_NET_RAW: REFUSED as without it, and an alert of quiet\n/);
});

Deno.test("runExplain() says why a read-only entry of an allow-list refuses", async () => {
  const { out } = await ask({
    ...{ labels: ["app=web,tier=front"], objects: { open: "/etc/hosts" }, write: true },
  });
  assert.equal(
    out,
    `a program that no rule names opens for writing /etc/hosts: REFUSED with "Permission denied", and an alert of DefaultPosture

  decides:
    Allow /etc/hosts (read only)
        a.yaml:15:18 spec.file.matchPaths[0] of shells
        what an entry of an allow-list does not let pass by readOnly, ownerOnly or pts is refused, whatever the posture

Policy image N. Not in force: compiled from the files, no agent was asked.
`,
  );
});

Deno.test("runExplain() knows what guards of Block rules refuse", async () => {
  const { out } = await ask({ namespace: "shop", objects: { rename: "/etc" } });
  assert.equal(
    out,
    `a program that no rule names renames /etc: REFUSED with "Permission denied", and an alert of everywhere

  no file rule of a policy that selects it decides

It keeps its name: renaming, linking or covering it is refused, because a Block rule names it or something below it.
  Block /etc/shadow
      a.yaml:23:23 spec.file.matchPaths[0] of everywhere

Policy image N. Not in force: compiled from the files, no agent was asked.
`,
  );
  const elsewhere = await ask({ namespace: "shop", objects: { rename: "/var" } });
  assert.match(elsewhere.out, / renames \/var: passes, without an alert\n/);
  const opened = await ask({ namespace: "shop", objects: { open: "/etc" } });
  assert.match(opened.out, / opens \/etc: passes, without an alert\n/);
});

Deno.test("runExplain() imagines a pod, and tells what is not enforced", async () => {
  const { out } = await ask({ namespace: "shop", objects: { exec: "/bin/sh" } });
  assert.equal(
    out,
    `a program that no rule names executes /bin/sh: passes, without an alert

  no process rule of a policy that selects it decides

Names it too, and says nothing here:
  Block /bin/sh
      a.yaml:22:26 spec.process.matchPaths[0] of everywhere
      not enforced: this engine does not support allowedArgs yet

The kernel compares real paths. Many images have a link there: then ask about /usr/bin/sh.

Policy image N. Not in force: compiled from the files, no agent was asked.
`,
  );
});

Deno.test("runExplain() tells the owner of a file from others", async () => {
  const mine = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: mine}
spec:
  selector: {matchLabels: {app: web}}
  file: {matchPaths: [{path: /home/key, ownerOnly: true}]}
`;
  const question = { labels: ["app=web"], objects: { open: "/home/key" } };
  const others = await ask(question, mine);
  assert.match(others.out, / opens \/home\/key: REFUSED .*an alert of mine\n/);
  assert.match(others.out, /Block \/home\/key \(owner only\)\n/);
  const owner = await ask({ ...question, owner: true }, mine);
  assert.match(owner.out, / opens \/home\/key for its owner: passes, without an alert\n/);
});

Deno.test("runExplain() tells a program on a terminal from others", async () => {
  const typed = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: typed}
spec:
  selector: {matchLabels: {app: web}}
  network: {matchProtocols: [{protocol: tcp, pts: false}]}
`;
  const question = { labels: ["app=web"], objects: { net: "tcp" } };
  const on = await ask(question, typed);
  assert.match(on.out, / of kind tcp: REFUSED .*an alert of typed\n/);
  assert.match(on.out, /Block tcp \(on a terminal\)\n/);
  const without = await ask({ ...question, terminal: false }, typed);
  assert.match(without.out, / of kind tcp without a terminal: passes, without an alert\n/);
});

Deno.test("runExplain() says that no policy selects the container", async () => {
  const { out } = await ask({ labels: ["app=db"], objects: { delete: "/etc/shadow" } });
  assert.match(
    out,
    /^a program that no rule names deletes \/etc\/shadow: passes, without an alert\n/,
  );
  assert.match(out, /\nNo policy with an enforced rule selects the container\.\n$/);
});

Deno.test("runExplain() asks the guard rails about the node, and names it so", async () => {
  const host = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: opt}
spec:
  nodeSelector: {matchLabels: {zone: west}}
  process: {matchDirectories: [{dir: /opt/own/}]}
`;
  const askNode = (exec: string, labels: string[] = []) =>
    ask({ host: true, labels, objects: { exec } }, host);
  assert.match((await askNode("/opt/own/other")).out, /REFUSED/);
  const { out } = await askNode("/opt/own/guard");
  assert.match(out, /passes, without an alert/);
  const elsewhere = await askNode("/opt/own/other", ["zone=east"]);
  assert.match(elsewhere.out, /No policy with an enforced rule selects the node/);
});

Deno.test("runExplain() gives the same as JSON", async () => {
  const { out } = await ask({ labels: ["app=web"], objects: { exec: "/bin/sh" }, json: true });
  const view = JSON.parse(out);
  assert.equal(view.outcome, "refused");
  assert.deepEqual(view.decisions[0].winner, {
    kind: "KubeArmorPolicy",
    namespace: "",
    policy: "shells",
    rule: "spec.process.matchPaths[0]",
    where: "a.yaml:8:9",
    action: "Block",
    target: "/bin/sh",
    readOnly: false,
    ownerOnly: false,
    terminalOnly: false,
    fromSource: [],
    severity: 0,
    message: "",
  });
  assert.equal(
    view.decisions[0].runnersUp[0].why,
    "an exact path decides before a program's name, a pattern or a directory",
  );
});

Deno.test("runExplain() shows the findings of files with errors, and explains nothing", async () => {
  const { status, out, err } = await ask({ objects: { exec: "/bin/sh" } }, "kind: X\n");
  assert.deepEqual([status, out], [EXIT_POLICY, ""]);
  assert.match(err, /^a\.yaml:1:1: Cannot read policy: it has no apiVersion/);
});

const noFiles = (options: Partial<ExplainOptions>) => {
  const { policies: _, ...rest } = { policies: undefined, ...options };
  return rest;
};

const REFUSED: [claim: string, options: Partial<ExplainOptions>, message: RegExp][] = [
  [
    "a question without a path",
    {},
    /must have one of --exec, --open, .*: found none\n {2}hint: for/,
  ],
  [
    "two questions at once",
    { objects: { exec: "/a", open: "/b" } },
    /found --exec and --open\n/,
  ],
  [
    "a relative path",
    { objects: { exec: "sh" } },
    /must start with "\/": current value is "sh"\n {2}hint/,
  ],
  [
    "writing what is executed",
    { objects: { exec: "/a" }, write: true },
    /--write with --exec: it belongs/,
  ],
  ["a relative program", { objects: { exec: "/a" }, from: "nginx" }, /current value is "nginx"/],
  [
    "a label without a value",
    { objects: { exec: "/a" }, labels: ["web"] },
    /label "web": must be key=value/,
  ],
];

for (const [claim, options, message] of REFUSED) {
  Deno.test(`runExplain() refuses ${claim}`, async () => {
    const { status, out, err } = await ask(options);
    assert.deepEqual([status, out], [EXIT_USAGE, ""]);
    assert.match(err, message);
  });
}

Deno.test("runExplain() needs a container of the agent's, or files", async () => {
  const complaints = await Promise.all([
    { objects: { exec: "/a" } },
    { objects: { exec: "/a" }, container: "web", labels: ["a=b"] },
    { objects: { exec: "/a" }, container: "web", namespace: "shop" },
  ].map(async (options) => {
    let err = "";
    const io = { out: assert.fail, err: (text: string) => void (err += text) };
    const all = { write: false, json: false, ...noFiles(options) } as ExplainOptions;
    assert.equal(await runExplain(SETTINGS, all, io), EXIT_USAGE);
    return err;
  }));
  assert.match(complaints[0]!, /must have --container NAME\n {2}hint: ankylo status lists them/);
  assert.match(complaints[1]!, /--labels without --policies/);
  assert.match(complaints[2]!, /--namespace without --policies/);
});

const CALLS = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: calls}
spec:
  selector: {matchLabels: {app: web}}
  syscalls:
    matchSyscalls:
      - syscall: [unlink]
      - {syscall: [ptrace], fromSource: [{dir: /tmp/}]}
    matchPaths:
      - {syscall: [unlink], path: /var/log/, recursive: true}
`;

const askCall = (options: Partial<ExplainOptions>, syscall: string) =>
  ask({ labels: ["app=web"], ...options, objects: { syscall } }, CALLS);

Deno.test("runExplain() says which rule tells of a system call, and which would", async () => {
  const { status, out } = await askCall({ path: "/var/log/a/b" }, "unlink");
  assert.equal(status, EXIT_OK);
  assert.match(out, /calls unlink with \/var\/log\/a\/b: passes, and raises an alert of calls\n/);
  assert.match(out, / {2}decides:\n {4}Audit unlink \/var\/log\/ \(recursive\)\n/);
  assert.match(out, /would be next[^]*Audit unlink\n[^]*lost: a rule that names programs/);
});

Deno.test("runExplain() says why rules about a system call do not tell of it", async () => {
  const { out } = await askCall({ from: "/bin/gdb" }, "ptrace");
  assert.match(out, /calls ptrace: passes, without an alert\n/);
  assert.match(out, /no syscalls rule of a policy that selects it decides/);
  assert.match(out, /Audit ptrace\n[^]*holds for other programs only/);
  const pathless = await askCall({}, "unlink");
  assert.match(pathless.out, /asks for a path: add --path/);
});

Deno.test("runExplain() refuses a system call that nobody knows, and a path for anything else", async () => {
  const unknown = await askCall({}, "unlik");
  assert.equal(unknown.status, EXIT_USAGE);
  assert.match(
    unknown.err,
    /^Cannot use system call "unlik": .*\n {2}hint: did you mean "unlink"\?/,
  );
  const misplaced = await ask({ labels: ["app=web"], path: "/x", objects: { exec: "/bin/sh" } });
  assert.equal(misplaced.status, EXIT_USAGE);
  assert.match(misplaced.err, /^Cannot use --path with --exec: it belongs to --syscall/);
});

Deno.test("every access has an option, and words of its own", async () => {
  const withOption = [...ASKS.map(([, access]) => access), "write"];
  assert.deepEqual(withOption.toSorted(), Object.keys(ACCESSES).toSorted());
  for (const [option] of ASKS) {
    const object =
      { net: "tcp", cap: "net_raw", dns: "a.example", syscall: "unlink", preset: "exec" }[option] ??
        "/x";
    const { out } = await ask({ labels: ["app=web"], objects: { [option]: object } });
    assert.doesNotMatch(out, /undefined|^$/, option);
  }
});

const PRESETS = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: presets}
spec:
  selector: {matchLabels: {app: web}}
  presets: [{name: exec, action: Audit}, {name: denyIoUring}]
`;

for (
  const [preset, words] of [
    [
      "denyIoUring",
      /: REFUSED with "Permission denied", and an alert of presets\n[^]*Block denyIoUring\n +a.yaml:6:42/,
    ],
    ["exec", /passes, and raises an alert of presets\n[^]*Audit exec\n/],
    ["protectEnv", /passes, without an alert\n[^]*no presets rule of a policy/],
  ] as const
) {
  Deno.test(`runExplain() says what preset ${preset} does`, async () => {
    const { status, out } = await ask({ labels: ["app=web"], objects: { preset } }, PRESETS);
    assert.equal(status, EXIT_OK);
    assert.match(out, words);
  });
}

Deno.test("explanationText() lets no name move the cursor", async () => {
  const { out } = await ask({ container: "\x1b[2Jweb", objects: { exec: "/x" }, json: true });
  assert.match(explanationText(JSON.parse(out)), /^\\u\{1b\}\[2Jweb: /);
});
