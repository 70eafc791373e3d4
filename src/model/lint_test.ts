import assert from "node:assert/strict";
import { lintPolicy } from "./lint.ts";
import { parsePolicies } from "./parse.ts";

function documentOf(spec: string): string {
  return `{apiVersion: security.kubearmor.com/v1, kind: KubeArmorPolicy, metadata: {name: a},
    spec: {selector: {matchLabels: {a: b}}, ${spec}}}`;
}

function hintsFor(spec: string): (string | undefined)[] {
  const { policies } = parsePolicies(documentOf(spec), "a.yaml");
  return policies.flatMap((policy) => lintPolicy(policy)).map((finding) =>
    finding.hint?.match(/"[^"]*"/)?.[0]
  );
}

const USR = "{dir: /usr/, recursive: true}";

const CASES: [spec: string, named: string[]][] = [
  ["process: {matchPaths: [{path: /bin/sh}]}", ['"/usr/bin/sh"']],
  ["process: {matchPaths: [{path: /bin/sh}, {path: /usr/bin/sh}]}", []],
  ["process: {matchPaths: [{path: /usr/bin/sh}]}", []],
  ["process: {matchPaths: [{path: /binary}]}", []],
  [
    "process: {matchPaths: [{path: /bin/sh}]}, file: {matchPaths: [{path: /usr/bin/sh}]}",
    ['"/usr/bin/sh"'],
  ],
  [
    "file: {matchDirectories: [{dir: /var/run/secrets/, recursive: true}]}",
    ['"/run/secrets/ (recursive)"'],
  ],
  ["process: {matchDirectories: [{dir: /bin/}]}", ['"/usr/bin/"']],
  [`process: {matchDirectories: [${USR}, {dir: /bin/, recursive: true}, {dir: /sbin/}]}`, []],
  [`file: {matchDirectories: [{dir: /, recursive: true}], matchPaths: [{path: /bin/sh}]}`, []],
  [`file: {matchDirectories: [{dir: /usr/}, {dir: /bin/}]}`, ['"/usr/bin/"']],
  [`file: {matchDirectories: [{dir: /us/, recursive: true}, {dir: /bin/}]}`, ['"/usr/bin/"']],
  // Of programs only exact paths say that they may not be mapped either.
  [
    `process: {matchDirectories: [${USR}], matchPaths: [{path: /bin/sh}]}`,
    ['"/usr/bin/sh"'],
  ],
  [`process: {matchDirectories: [${USR}], matchPaths: [{path: /bin/sh}]}, action: Allow`, []],
  [`file: {matchDirectories: [${USR}]}, process: {matchDirectories: [{dir: /bin/}]}`, [
    '"/usr/bin/"',
  ]],
  [`file: {matchDirectories: [${USR}, {dir: /bin/, action: Audit}]}`, ['"/usr/bin/"']],
  [`file: {matchDirectories: [${USR}, {dir: /bin/, readOnly: true}]}`, ['"/usr/bin/"']],
  [`file: {matchDirectories: [${USR}, {dir: /bin/, ownerOnly: true}]}`, ['"/usr/bin/"']],
  [`file: {matchDirectories: [${USR}, {dir: /bin/, fromSource: [{path: /a}]}]}`, ['"/usr/bin/"']],
  [
    `file: {matchDirectories: [${USR}, {dir: /usr/bin/, recursive: true, action: Allow}],
      matchPaths: [{path: /bin/sh}]}`,
    ['"/usr/bin/sh"'],
  ],
  ["process: {matchPaths: [{path: /bin/sh, allowedArgs: [-c]}]}", []],
  ["process: {matchPaths: [{path: /bin/sh, ownerOnly: true}]}", ['"/usr/bin/sh"']],
  ["network: {matchProtocols: [{protocol: tcp}]}", []],
];

for (const [spec, named] of CASES) {
  Deno.test(`lintPolicy() names ${named.join() || "nothing"} for ${spec}`, () => {
    assert.deepEqual(hintsFor(spec), named);
  });
}

Deno.test("lintPolicy() says of guessed paths, not of directories, that they may be links again", () => {
  const lists = "matchPaths: [{path: /bin/sh}], matchDirectories: [{dir: /bin/}]";
  const { policies } = parsePolicies(documentOf(`process: {${lists}}`), "a.yaml");
  const hints = policies.flatMap((policy) => lintPolicy(policy)).map(({ hint }) => hint);
  assert.match(
    hints[0]!,
    /^add a rule for "\/usr\/bin\/sh" too, .*; it may be a link itself .*: --root tells$/,
  );
  assert.match(
    hints[1]!,
    /^add a rule for "\/usr\/bin\/" too, or ignore this if your image has no such link$/,
  );
});
