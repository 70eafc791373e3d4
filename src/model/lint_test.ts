import assert from "node:assert/strict";
import { lintPolicy } from "./lint.ts";
import { parsePolicies } from "./parse.ts";

function hintsFor(spec: string): (string | undefined)[] {
  const { policies } = parsePolicies(
    `{apiVersion: security.kubearmor.com/v1, kind: KubeArmorPolicy, metadata: {name: a},
      spec: {selector: {matchLabels: {a: b}}, ${spec}}}`,
    "a.yaml",
  );
  return policies.flatMap((policy) => lintPolicy(policy)).map((finding) =>
    finding.hint?.match(/"[^"]*"/)?.[0]
  );
}

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
  ["process: {matchPaths: [{path: /bin/sh, ownerOnly: true}]}", []],
  ["network: {matchProtocols: [{protocol: tcp}]}", []],
];

for (const [spec, named] of CASES) {
  Deno.test(`lintPolicy() names ${named.join() || "nothing"} for ${spec}`, () => {
    assert.deepEqual(hintsFor(spec), named);
  });
}
