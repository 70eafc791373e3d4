/** From policies as users write them to the words of the alert: several policies match, one rule is named, by its own words. */
import assert from "node:assert/strict";
import * as api from "../../ffi/generated/agent_api.ts";
import { type CompiledImage, compileImage } from "../compile/compile.ts";
import { PathHasher } from "../compile/hash.ts";
import { ImageReader, lookup } from "../compile/lookup.ts";
import { KEYS } from "../compile/test_policies.ts";
import { parsePolicies } from "../model/parse.ts";
import type { Posture } from "../model/posture.ts";
import { buildAlert } from "./alert.ts";
import { attribute } from "./match.ts";
import { alertInput, decision, REPORTER } from "./samples.ts";

const BLOCK: Posture = { file: "block", network: "audit", capabilities: "audit" };

/** Several policies with rules on one path, or none. */
function imageOf(...specs: string[]): CompiledImage {
  const text = specs.map((spec, index) => `
apiVersion: security.kubearmor.com/v1
kind: ${spec.includes("cluster") ? "KubeArmorClusterPolicy" : "KubeArmorPolicy"}
metadata: {name: p${specs.length - index}}
spec:
${spec.replace(/^/gm, "  ")}`).join("\n---");
  const { policies, diagnostics } = parsePolicies(text, "all.yaml");
  assert.deepEqual(diagnostics.filter(({ severity }) => severity === "error"), []);
  return compileImage(policies, BLOCK, KEYS)!;
}

/** What the alert says about the policy when the kernel finds this verdict in the image. */
function wordsOf(image: CompiledImage, op: number, path: string, caller = "/bin/cat") {
  const reader = new ImageReader(image.bytes, PathHasher.of(KEYS));
  const { verdict, row } = lookup(reader, { op, path, caller, parent: caller });
  const event = decision(path, { op, row, verdict, reason: api.REASON_ROW });
  const alert = buildAlert(alertInput({ event, rule: attribute(event, image) }), REPORTER);
  const { PolicyName, Severity, Tags, Message, Ankylo: { Rule } } = alert;
  return [PolicyName, Severity, Tags, Message, Rule?.replace(/^all\.yaml:\d+:\d+ /, "")];
}

const SELECT = "selector: {matchLabels: {app: web}}";
const { OP_READ, OP_WRITE, OP_EXEC } = api;

const CASES: [
  claim: string,
  specs: string[],
  ask: [op: number, path: string, caller?: string],
  words: (string | undefined)[],
][] = [
  [
    "a rule's own words before its group's and its spec's",
    [`${SELECT}\nseverity: 1\ntags: [s]\nmessage: ms\nfile: {severity: 2, tags: [g], matchPaths: [{path: /x, severity: 3}]}`],
    [OP_READ, "/x"],
    ["p1", "3", "g", "ms", "spec.file.matchPaths[0]"],
  ],
  [
    "no words at all",
    [`${SELECT}\nfile: {matchPaths: [{path: /x}]}`],
    [OP_READ, "/x"],
    ["p1", undefined, undefined, undefined, "spec.file.matchPaths[0]"],
  ],
  [
    "the Block rule's words, not those of the Audit rule on the same path",
    [
      `${SELECT}\nfile: {matchPaths: [{path: /x, action: Audit, severity: 9, message: audit}]}`,
      `${SELECT}\nfile: {matchPaths: [{path: /y}, {path: /x, severity: 4, message: block}]}`,
    ],
    [OP_READ, "/x"],
    ["p1", "4", undefined, "block", "spec.file.matchPaths[1]"],
  ],
  [
    "of two that say the same the first policy's by name, in whatever order they came",
    [
      `${SELECT}\nfile: {matchPaths: [{path: /x, severity: 9}]}`,
      `${SELECT}\nfile: {matchPaths: [{path: /x, severity: 2}]}`,
    ],
    [OP_READ, "/x"],
    ["p1", "2", undefined, undefined, "spec.file.matchPaths[0]"],
  ],
  [
    "the exact path's, though a severer rule names the directory",
    [
      `${SELECT}\nseverity: 10\nfile: {matchDirectories: [{dir: /d/, recursive: true}]}`,
      `${SELECT}\nseverity: 2\nfile: {matchPaths: [{path: /d/x, action: Audit}]}`,
    ],
    [OP_READ, "/d/x"],
    ["p1", "2", undefined, undefined, "spec.file.matchPaths[0]"],
  ],
  [
    "for reading one rule's, for writing another's",
    [
      `${SELECT}\nfile: {matchPaths: [{path: /x, action: Audit, message: read}]}`,
      `${SELECT}\nfile: {matchPaths: [{path: /x, readOnly: true, message: write}]}`,
    ],
    [OP_WRITE, "/x"],
    ["p1", undefined, undefined, "write", "spec.file.matchPaths[0]"],
  ],
  [
    "for reading the other's",
    [
      `${SELECT}\nfile: {matchPaths: [{path: /x, action: Audit, message: read}]}`,
      `${SELECT}\nfile: {matchPaths: [{path: /x, readOnly: true, message: write}]}`,
    ],
    [OP_READ, "/x"],
    ["p2", undefined, undefined, "read", "spec.file.matchPaths[0]"],
  ],
  [
    "the rule's that names the program",
    [
      `${SELECT}\nprocess: {matchPaths: [{path: /x, message: everyone}]}`,
      `${SELECT}\nprocess: {matchDirectories: [{dir: /, message: one, fromSource: [{path: /bin/sh}]}]}`,
    ],
    [OP_EXEC, "/x", "/bin/sh"],
    ["p1", undefined, undefined, "one", "spec.process.matchDirectories[0]"],
  ],
  [
    "a cluster policy's",
    [
      "severity: 6\nselector: {matchExpressions: [{key: label, operator: In, values: [app=web]}]}\n" +
      "file: {message: cluster, matchPaths: [{path: /x}]}",
      `${SELECT}\nfile: {matchPaths: [{path: /x, action: Allow}]}`,
    ],
    [OP_READ, "/x"],
    ["p2", "6", undefined, "cluster", "spec.file.matchPaths[0]"],
  ],
  [
    "the default posture's, where an allow-list names nothing",
    [`${SELECT}\nseverity: 8\nfile: {matchPaths: [{path: /x, action: Allow}]}`],
    [OP_READ, "/y"],
    ["DefaultPosture", undefined, undefined, undefined, undefined],
  ],
  [
    "the default posture's, for writing what an allow-list has for reading",
    [`${SELECT}\nseverity: 8\nfile: {matchPaths: [{path: /x, action: Allow, readOnly: true}]}`],
    [OP_WRITE, "/x"],
    ["DefaultPosture", undefined, undefined, undefined, undefined],
  ],
];

for (const [claim, specs, ask, words] of CASES) {
  Deno.test(`an alert has ${claim}`, () => {
    assert.deepEqual(wordsOf(imageOf(...specs), ...ask), words);
  });
}
