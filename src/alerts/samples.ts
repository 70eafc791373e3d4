/** A policy, a workload and a reporter for tests. */
import { decodeEvent } from "../events/decode.ts";
import type { Actor } from "../events/enrich.ts";
import type { DecisionEvent } from "../events/event.ts";
import { type DecisionFields, decisionRecord, names, viewOf, words } from "../events/samples.ts";
import type { Policy } from "../model/policy.ts";
import type { Rule } from "../model/rule.ts";
import type { Workload } from "../model/workload.ts";
import type { AlertInput } from "./alert.ts";
import type { RuleRef, RuleTable } from "./match.ts";
import type { Reporter } from "./record.ts";

export const REPORTER: Reporter = {
  clusterName: "default",
  hostName: "node-1",
  nodeId: "5d2f1c9a7e3b4f60",
  userName: (uid) => uid === 0 ? "root" : "",
  version: "ankylo 0.1.0",
};

export const WORKLOAD: Workload = {
  id: "9f1c2a7be4d05836aa10cf2b77e1d3409f1c2a7be4d05836aa10cf2b77e1d340",
  name: "web",
  runtimeNamespace: "default",
  namespace: "container_namespace",
  podName: "web",
  image: "docker.io/library/nginx:1.27@sha256:0a1b",
  labels: { tier: "front", app: "web" },
  pid: 4000,
  cgroupPath: "/default/web",
  cgroupId: 77n,
};

export const RULE: Rule = {
  group: "file",
  list: "matchPaths",
  index: 0,
  target: { kind: "path", path: "/etc/shadow" },
  action: "Block",
  readOnly: false,
  fromSource: [],
  severity: 7,
  tags: ["CIS", "T1003"],
  message: "Passwords are nobody's business",
  where: { file: "web.yaml", line: 12, column: 9 },
};

export const POLICY: Policy = {
  kind: "KubeArmorPolicy",
  namespace: "",
  name: "protect-web",
  selector: { matchLabels: { app: "web" }, containerNames: [] },
  rules: [RULE],
  where: { file: "web.yaml", line: 1, column: 1 },
};

export const RULE_REF: RuleRef = { policy: POLICY, rule: RULE };

/** Names one rule for every row and every guard. */
export const TABLE: RuleTable = {
  explain: () => RULE_REF,
  guardRule: RULE_REF,
  blockRules: [RULE_REF],
};

export const ACTOR: Actor = {
  exe: "/usr/bin/cat",
  args: ["cat", "/etc/shadow"],
  cwd: "/root",
  parentExe: "/usr/bin/bash",
};

/** A decision on `path` as the kernel would report it. */
export function decision(
  path: string,
  fields: DecisionFields = {},
  more: { path2?: string; args?: readonly string[] } = {},
): DecisionEvent {
  const text = {
    path: names(path),
    cwd: names("/root"),
    ...(more.path2 === undefined ? {} : { path2: names(more.path2) }),
    ...(more.args === undefined ? {} : { args: words(more.args) }),
  };
  const event = decodeEvent(viewOf(decisionRecord(text, fields)));
  if (event?.type !== "decision") throw new TypeError("The sample record is no decision");
  return event;
}

export function alertInput(over: Partial<AlertInput> = {}): AlertInput {
  return {
    seq: 1,
    event: decision("/etc/shadow"),
    unixNs: 1_697_038_422_211_351_999n,
    actor: ACTOR,
    workload: WORKLOAD,
    rule: RULE_REF,
    ...over,
  };
}
