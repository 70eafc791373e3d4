import assert from "node:assert/strict";
import { type Diagnostic, formatDiagnostic } from "./diagnostic.ts";
import { parsePolicies } from "./parse.ts";
import type { Policy } from "./policy.ts";
import { type Rule, targetText } from "./rule.ts";

const HEAD = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: web
spec:
  selector:
    matchLabels:
      app: web
`;

/** A policy with these lines, indented, in its spec. */
function withSpec(spec: string): string {
  return HEAD + spec.replace(/^(?=.)/gm, "  ");
}

function parseOne(text: string): { policy: Policy; warnings: readonly Diagnostic[] } {
  const { policies, diagnostics } = parsePolicies(text, "web.yaml");
  const errors = diagnostics.filter((finding) => finding.severity === "error");
  assert.deepEqual(errors.map(formatDiagnostic), []);
  assert.equal(policies.length, 1);
  return { policy: policies[0]!, warnings: diagnostics };
}

function rulesOf(spec: string): readonly Rule[] {
  return parseOne(withSpec(spec)).policy.rules;
}

function errorsOf(text: string): string[] {
  return parsePolicies(text, "web.yaml").diagnostics
    .filter((finding) => finding.severity === "error").map((finding) => finding.message);
}

Deno.test("parsePolicies() reads a rule with all that it inherits", () => {
  const [rule] = rulesOf(`
severity: 1
tags: [spec]
message: from spec
action: Audit
process:
  severity: 5
  tags: [group]
  matchPaths:
    - path: /usr/bin/curl
      message: from item
      fromSource:
        - path: /bin/sh
        - path: /bin/sh
`);
  assert.deepEqual(rule, {
    group: "process",
    list: "matchPaths",
    index: 0,
    target: { kind: "path", path: "/usr/bin/curl" },
    action: "Audit",
    severity: 5,
    tags: ["group"],
    message: "from item",
    readOnly: false,
    fromSource: ["/bin/sh"],
    where: { file: "web.yaml", line: 18, column: 9 },
  });
});

const INHERITED: [spec: string, group: string, item: string, wanted: string][] = [
  ["", "", "", "Block"],
  ["Allow", "", "", "Allow"],
  ["allow", "", "", "Allow"],
  ["audit", "", "", "Audit"],
  ["Allow", "Audit", "", "Audit"],
  ["Allow", "Audit", "Block", "Block"],
  ["Allow", "", "Block", "Block"],
];

for (const [spec, group, item, wanted] of INHERITED) {
  Deno.test(`parsePolicies() inherits action "${spec}" > "${group}" > "${item}" as ${wanted}`, () => {
    const [rule] = rulesOf(`
action: "${spec}"
file:
  action: "${group}"
  matchDirectories:
    - dir: /etc/
      action: "${item}"
`);
    assert.equal(rule?.action, wanted);
  });
}

const PATHS: [written: string, read: string, warnings: number][] = [
  ["/usr/bin/curl", "/usr/bin/curl", 0],
  ["//usr/bin/curl", "/usr/bin/curl", 1],
  ["/usr/./bin//curl", "/usr/bin/curl", 1],
  ["/with blank", "/with blank", 0],
  ["/with blank ", "/with blank ", 1],
  ["/opt/*.sh", "/opt/*.sh", 1],
  ["/größe", "/größe", 0],
];

for (const [written, read, warnings] of PATHS) {
  Deno.test(`parsePolicies() reads path "${written}" as "${read}"`, () => {
    const parsed = parseOne(withSpec(`file:\n  matchPaths:\n    - path: "${written}"\n`));
    assert.deepEqual(parsed.policy.rules[0]?.target, { kind: "path", path: read });
    assert.equal(parsed.warnings.length, warnings);
  });
}

const DIRECTORIES: [written: string, read: string, warnings: number][] = [
  ["/etc/", "/etc", 0],
  ["/etc", "/etc", 1],
  ["/", "/", 0],
  ["//", "/", 1],
  ["/etc//ssl/", "/etc/ssl", 1],
];

for (const [written, read, warnings] of DIRECTORIES) {
  Deno.test(`parsePolicies() reads directory "${written}" as "${read}"`, () => {
    const parsed = parseOne(withSpec(`file:\n  matchDirectories:\n    - dir: "${written}"\n`));
    assert.deepEqual(parsed.policy.rules[0]?.target, {
      kind: "directory",
      path: read,
      recursive: false,
    });
    assert.equal(parsed.warnings.length, warnings);
  });
}

const REFUSED_PATHS: [claim: string, written: string][] = [
  ["a relative path", "bin/sh"],
  ["a slash at the end", "/bin/sh/"],
  ["..", "/usr/../bin/sh"],
  ["a control character", "/bin/\\u0000sh"],
  ["a line break", "/bin/\\nsh"],
  ["a name of 256 bytes", `/${"n".repeat(256)}`],
  ["a name of 256 bytes in 128 characters", `/${"ü".repeat(128)}`],
  ["65 components", "/d".repeat(65)],
  ["4,096 characters", "/nnnnnnn".repeat(512)],
];

for (const [claim, written] of REFUSED_PATHS) {
  Deno.test(`parsePolicies() refuses ${claim} in a path, with one error`, () => {
    assert.equal(errorsOf(withSpec(`file:\n  matchPaths:\n    - path: "${written}"\n`)).length, 1);
  });
}

Deno.test("parsePolicies() takes the longest name and the deepest path", () => {
  for (const path of [`/${"n".repeat(255)}`, "/d".repeat(64)]) {
    const [rule] = rulesOf(`file:\n  matchPaths:\n    - path: ${path}\n`);
    assert.deepEqual(rule?.target, { kind: "path", path });
  }
});

const NOT_ENFORCED: [spec: string, reason: RegExp][] = [
  ["process: {matchPaths: [{path: /x, allowedArgs: [-l]}]}", /allowedArgs/],
  ["process: {matchPaths: [{execname: x, allowedArgs: [a]}]}", /allowedArgs/],
  ["process: {matchPatterns: [{pattern: '/x[*'}]}", /pattern "\/x\[\*" has a "\[" without "\]"/],
  ["network: {matchDNSQueries: [{domain: 'a.*'}]}", /not its first label/],
  ["syscalls: {matchSyscalls: [{syscall: []}]}", /names no system call/],
  [
    "syscalls: {matchSyscalls: [{syscall: [unlink], fromSource: [{}]}]}",
    /fromSource names nothing/,
  ],
  ["syscalls: {matchPaths: [{syscall: [unlink]}]}", /names no path/],
  ["syscalls: {matchPaths: [{syscall: [getpid], path: /tmp/}]}", /takes a path/],
  ["apparmor: deny /x r,", /AppArmor rules/],
];

for (const [spec, reason] of NOT_ENFORCED) {
  Deno.test(`parsePolicies() says that it is not enforced: ${spec}`, () => {
    const rules = rulesOf(spec);
    assert.equal(rules.length, 1);
    assert.match(rules[0]?.notEnforced ?? "", reason);
  });
}

for (
  const spec of [
    "process: {matchPaths: [{path: /x, ownerOnly: false, pts: true, allowedArgs: []}]}",
    "process: {matchPaths: [{path: /x, ownerOnly: yes, pts: no}]}",
    "process: {matchPaths: [{execname: x, fromSource: [{path: /y}]}]}",
    "file: {matchPaths: [{path: /x, pts: false}]}",
    "network: {matchProtocols: [{protocol: tcp, pts: false}]}",
    "file: {matchDirectories: [{dir: /x/, recursive: true, readOnly: true, ownerOnly: true}]}",
    "network: {matchProtocols: [{protocol: tcp, pts: true, fromSource: [{path: /x}]}]}",
    "capabilities: {matchCapabilities: [{capability: CAP_BPF, fromSource: [{path: /x}]}]}",
    "presets: [{name: filelessExec}]",
  ]
) {
  Deno.test(`parsePolicies() has no objection to ${spec}`, () => {
    assert.equal(rulesOf(spec)[0]?.notEnforced, undefined);
  });
}

Deno.test("parsePolicies() leaves out the preset that there is not, and nothing else", () => {
  const { policy, warnings } = parseOne(withSpec(
    `presets: [{name: fileless-exec}, {name: exec, action: Allow}, {name: ${"q".repeat(999)}}]\n` +
      "file: {matchPaths: [{path: /x}]}\n",
  ));
  const [file, ...presets] = policy.rules;
  assert.equal(file?.notEnforced, undefined);
  assert.match(presets[0]?.notEnforced ?? "", /did you mean "filelessExec"\?$/);
  assert.deepEqual([presets[1]?.action, presets[1]?.notEnforced], ["Block", undefined]);
  assert.match(presets[2]?.notEnforced ?? "", /: the presets are filelessExec, /);
  assert.ok(targetText(presets[2]!.target).length < 100);
  assert.deepEqual(warnings.map(({ field }) => field), ["spec.presets[1].action"]);
});

Deno.test("parsePolicies() expands commas in every element, not only when the first has one", () => {
  const rules = rulesOf("network: {matchProtocols: [{protocol: raw}, {protocol: 'tcp, udp'}]}");
  assert.deepEqual(
    rules.map(({ index, target }) => [index, targetText(target)]),
    [[0, "raw"], [1, "tcp"], [1, "udp"]],
  );
});

Deno.test("parsePolicies() reads YAML 1.1 booleans as kubectl does, with a warning", () => {
  const { policy, warnings } = parseOne(
    withSpec(
      "file:\n  matchDirectories:\n    - dir: /x/\n      recursive: yes\n      readOnly: off\n",
    ),
  );
  const [rule] = policy.rules;
  assert.deepEqual(rule?.target, { kind: "directory", path: "/x", recursive: true });
  assert.equal(rule?.readOnly, false);
  assert.equal(warnings.length, 2);
});

Deno.test("parsePolicies() quotes 0755 as it was written", () => {
  const { diagnostics } = parsePolicies(HEAD.replace("app: web", "app: 0755"), "web.yaml");
  assert.match(diagnostics[0]?.message ?? "", /the number 0755/);
  assert.match(diagnostics[0]?.hint ?? "", /"0755"/);
});

Deno.test("parsePolicies() keeps the documents around a broken one", () => {
  const good = withSpec("file: {matchPaths: [{path: /x}]}\n");
  const named = (name: string) => good.replace("name: web", `name: ${name}`);
  const text = [named("a"), "spec: 'not closed\n", named("b"), "x: [1,\n", named("c")].join(
    "---\n",
  );
  const { policies, diagnostics } = parsePolicies(text, "web.yaml");
  assert.deepEqual(policies.map((policy) => policy.name), ["a", "b", "c"]);
  assert.equal(diagnostics.length, 2);
  assert.ok(diagnostics.every((finding) => finding.severity === "error"));
});

Deno.test("parsePolicies() counts lines over documents, directives and comments", () => {
  const good = withSpec("file: {matchPaths: [{path: /x}]}\n");
  const text = `# first\n%YAML 1.2\n---\n${good}...\n# between\n---\n${good.replace("web", "two")}`;
  const { policies, diagnostics } = parsePolicies(text, "web.yaml");
  assert.deepEqual(diagnostics, []);
  const lines = text.split("\n").flatMap((line, index) =>
    line.includes("  name: ") ? [index + 1] : []
  );
  assert.deepEqual(policies.map((policy) => policy.where.line), lines);
});

Deno.test("parsePolicies() takes JSON with tabs, a BOM, and CRLF", () => {
  const json = JSON.stringify(
    {
      apiVersion: "security.kubearmor.com/v1",
      kind: "KubeArmorPolicy",
      metadata: { name: "web", uid: "1" },
      spec: { selector: { matchLabels: { a: "b" } }, file: { matchPaths: [{ path: "/x" }] } },
      status: { status: "OK" },
    },
    undefined,
    "\t",
  );
  assert.equal(parseOne(json).policy.rules.length, 1);
  assert.equal(
    parseOne("\uFEFF" + withSpec("file: {matchPaths: [{path: /x}]}")).policy.name,
    "web",
  );
  const crlf = withSpec("file: {matchPaths: [{path: /x}]}\n").replaceAll("\n", "\r\n");
  assert.deepEqual(parseOne(crlf).policy.rules[0]?.target, { kind: "path", path: "/x" });
});

Deno.test("parsePolicies() reads the items of a List", () => {
  const item = withSpec("file: {matchPaths: [{path: /x}]}").replace(/^/gm, "    ").slice(4);
  const { policies, diagnostics } = parsePolicies(
    `apiVersion: v1\nkind: List\nitems:\n  - ${item}\n`,
    "list.yaml",
  );
  assert.deepEqual(diagnostics, []);
  assert.equal(policies[0]?.name, "web");
});

Deno.test("parsePolicies() resolves anchors and merge keys", () => {
  const rules = rulesOf(`
file:
  matchPaths:
    - &first
      path: /x
      severity: 7
    - <<: *first
      path: /y
    - *first
`);
  assert.deepEqual(rules.map((rule) => rule.severity), [7, 7, 7]);
});

Deno.test("parsePolicies() refuses nested aliases before they fill the memory", () => {
  const levels = Array.from(
    { length: 30 },
    (_, level) => `l${level + 1}: &l${level + 1} [*l${level}, *l${level}]`,
  );
  const errors = errorsOf(`l0: &l0 [x]\n${levels.join("\n")}\n`);
  assert.match(errors[0] ?? "", /^Cannot read file: it /);
});

Deno.test("parsePolicies() refuses an anchor inside itself", () => {
  assert.equal(errorsOf("a: &a [*a]\n").length, 1);
});

Deno.test("parsePolicies() keeps the first of two policies with one name and names both places", () => {
  const one = withSpec("file: {matchPaths: [{path: /x}]}\n");
  const other = one.replace("path: /x", "path: /y");
  const { policies, diagnostics } = parsePolicies(`${one}---\n${other}`, "web.yaml");
  assert.equal(policies.length, 1);
  assert.deepEqual(policies[0]?.rules[0]?.target, { kind: "path", path: "/x" });
  assert.match(diagnostics[0]?.message ?? "", /exists already at web\.yaml:4:9/);
  assert.equal(diagnostics[0]?.where.line, 14);
});

Deno.test("parsePolicies() tells equal names apart by namespace", () => {
  const one = withSpec("file: {matchPaths: [{path: /x}]}\n");
  const other = one.replace("name: web", "name: web\n  namespace: shop");
  const { policies, diagnostics } = parsePolicies(`${one}---\n${other}`, "web.yaml");
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(policies.map((policy) => policy.namespace), ["", "shop"]);
});

const inCluster = (expressions: string) =>
  withSpec("process: {matchPaths: [{path: /x}]}")
    .replace("KubeArmorPolicy", "KubeArmorClusterPolicy")
    .replace("matchLabels:\n      app: web", `matchExpressions: [${expressions}]`);

Deno.test("parsePolicies() reads a cluster policy", () => {
  const { policy, warnings } = parseOne(inCluster(
    "{key: namespace, operator: In, values: [shop, bank]}, {key: label, operator: NotIn, values: [app=db]}",
  ));
  assert.deepEqual(warnings, []);
  assert.equal(policy.notEnforced, undefined);
  assert.equal(policy.rules[0]?.notEnforced, undefined);
  assert.deepEqual(policy.selector.matchExpressions, [
    { key: "namespace", operator: "In", values: ["shop", "bank"] },
    { key: "label", operator: "NotIn", values: ["app=db"] },
  ]);
});

const BAD_EXPRESSIONS: [expression: string, message: RegExp][] = [
  ['{key: namespace, operator: In, values: ["*"]}', /must consist of .*: current value is "\*"/],
  ['{key: namespace, operator: In, values: ["a,b"]}', /must consist of .*: current value is "a,b"/],
  ["{key: label, operator: In, values: [shop]}", /must be a label as key=value/],
  ["{key: image, operator: In, values: [a]}", /must be one of "namespace", "label"/],
  ["{key: namespace, operator: Exists, values: [a]}", /must be one of "In", "NotIn"/],
  ["{key: namespace, operator: In}", /it has no values/],
];

for (const [expression, message] of BAD_EXPRESSIONS) {
  Deno.test(`parsePolicies() refuses ${expression}`, () => {
    const [first, ...others] = errorsOf(inCluster(expression));
    assert.match(first ?? "", message);
    assert.deepEqual(others, []);
  });
}

Deno.test("parsePolicies() refuses namespaces in the selector of a policy for one", () => {
  const text = withSpec("").replace(
    "matchLabels:\n      app: web",
    "matchExpressions: [{key: namespace, operator: In, values: [a]}]",
  );
  assert.match(errorsOf(text)[0] ?? "", /must be one of "label"/);
});

Deno.test("parsePolicies() reads the host's kind with its node selector", () => {
  const host = withSpec("process: {matchPaths: [{path: /x}]}")
    .replace("KubeArmorPolicy", "KubeArmorHostPolicy").replace("selector", "nodeSelector");
  const { policy } = parseOne(host);
  assert.equal(policy.notEnforced, undefined);
  assert.deepEqual(policy.selector.matchLabels, { app: "web" });
});

Deno.test("parsePolicies() demands limit and duration of a network policy for pods", () => {
  const text = withSpec("ingress: [{ports: [{port: '80'}], limit: 1GB}]")
    .replace("KubeArmorPolicy", "KubeArmorNetworkPolicy");
  assert.deepEqual(errorsOf(text), ["Cannot use rule: it has no duration"]);
});

Deno.test("parsePolicies() warns of a policy that selects or does nothing", () => {
  const { warnings } = parseOne(withSpec("").replace("app: web", "{}"));
  assert.deepEqual(warnings.map((finding) => finding.field), ["spec", "spec.selector"]);
});

Deno.test("parsePolicies() says nothing about an empty text", () => {
  for (const text of ["", "\n", "---\n---\n", "# only a comment\n", "---\n...\n"]) {
    assert.deepEqual(parsePolicies(text, "empty.yaml"), { policies: [], diagnostics: [] });
  }
});

Deno.test("parsePolicies() bounds its findings and counts the rest", () => {
  const items = Array.from({ length: 150 }, () => "    - path: x\n").join("");
  const { diagnostics } = parsePolicies(withSpec(`file:\n  matchPaths:\n${items}`), "web.yaml");
  assert.equal(diagnostics.length, 101);
  assert.match(diagnostics.at(-1)?.message ?? "", /^Found 50 more/);
});

Deno.test("parsePolicies() shows control characters in its findings instead of sending them to a terminal", () => {
  const wrongPath = withSpec('process:\n  matchPaths:\n    - path: "\\e[2J/bin/sh"\n');
  for (const text of ["a: *b\u0007", wrongPath]) {
    const shown = parsePolicies(text, "x.yaml").diagnostics.map(formatDiagnostic).join("\n");
    assert.match(shown, /\\u\{(?:7|1b)\}/);
    assert.doesNotMatch(shown.replaceAll("\n", ""), /\p{Cc}/u);
  }
});

Deno.test("parsePolicies() reads rules about system calls, which are audited whatever is written", () => {
  const rules = rulesOf(`
action: Block
syscalls:
  matchSyscalls:
    - syscall: [unlink, unlink, rmdir]
      fromSource: [{path: /bin/rm}, {dir: /opt/, recursive: true}]
  matchPaths:
    - {syscall: [unlink], path: /etc/shadow}
    - {syscall: [unlink], path: /tmp/}
`);
  const sources = [
    { kind: "path", path: "/bin/rm" },
    { kind: "directory", path: "/opt", recursive: true },
  ];
  const unlink = { kind: "syscall", syscalls: ["unlink"], sources: [] };
  assert.deepEqual(rules.map(({ target }) => target), [
    { kind: "syscall", syscalls: ["unlink", "rmdir"], sources },
    { ...unlink, object: { kind: "path", path: "/etc/shadow" } },
    { ...unlink, object: { kind: "directory", path: "/tmp", recursive: false } },
  ]);
  for (const { action, notEnforced, fromSource } of rules) {
    assert.deepEqual([action, notEnforced, fromSource], ["Audit", undefined, []]);
  }
});

Deno.test("parsePolicies() warns of system calls that take no path, where some do", () => {
  const spec = "syscalls: {matchPaths: [{syscall: [unlink, getpid], path: /tmp/}]}";
  const { warnings: [warning] } = parseOne(withSpec(spec));
  assert.match(warning?.message ?? "", /without a path: "getpid"/);
});
