import assert from "node:assert/strict";
import { DEFAULT_POSTURE } from "../model/posture.ts";
import { parsePolicies } from "../model/parse.ts";
import { findHostLockouts } from "./host_lockout.ts";

const policy = (spec: string, metadata = "", kind = "KubeArmorHostPolicy") => `
apiVersion: security.kubearmor.com/v1
kind: ${kind}
metadata: {name: x${metadata}}
spec:
  ${kind === "KubeArmorHostPolicy" ? "nodeSelector" : "selector"}: {matchLabels: {a: b}}
  ${spec}
`;

const EVERYTHING = "process: {matchDirectories: [{dir: /, recursive: true}]}";
const FORCED = ', annotations: {ankylo.io/force: "true"}';

const lockouts = (text: string, file: "audit" | "block" = "audit") =>
  findHostLockouts(parsePolicies(text, "x.yaml").policies, { ...DEFAULT_POSTURE, file })
    .map(({ kind, path }) => [kind, path]);

Deno.test("findHostLockouts() tells of the first program that a node needs and a policy refuses", () => {
  assert.deepEqual(lockouts(policy(EVERYTHING)), [["blocked", "/usr/sbin/sshd"]]);
  assert.deepEqual(lockouts(policy("file: {matchPaths: [{path: /usr/bin/bash}]}")), [
    ["blocked", "/usr/bin/bash"],
  ]);
  assert.deepEqual(lockouts(policy("process: {matchPaths: [{path: /usr/bin/nc}]}")), []);
});

Deno.test("findHostLockouts() tells of what keeps the node alive where a policy is forced", () => {
  const path = "/usr/lib/systemd/systemd";
  assert.deepEqual(lockouts(policy(EVERYTHING, FORCED)), [["blocked", path]]);
  const list = policy("process: {matchPaths: [{path: /usr/sbin/sshd, action: Allow}]}", FORCED);
  assert.deepEqual(lockouts(list, "block"), [["unlisted", path]]);
});

Deno.test("findHostLockouts() knows that guard rails pass unless a rule names them", () => {
  const dir = "process: {matchDirectories: [{dir: /usr/bin/}]}";
  assert.deepEqual(lockouts(policy(dir, FORCED)), [["blocked", "/usr/bin/login"]]);
  const exact = "process: {matchPaths: [{path: /usr/bin/containerd}]}";
  assert.deepEqual(lockouts(policy(exact, FORCED)), [["blocked", "/usr/bin/containerd"]]);
  assert.deepEqual(lockouts(policy(exact)), []);
});

Deno.test("findHostLockouts() asks for those who log in at a terminal", () => {
  const blocked = "process: {matchPaths: [{path: /usr/bin/bash, pts: false}]}";
  const found = lockouts(policy(blocked));
  assert.deepEqual(found, [["blocked", "/usr/bin/bash"]]);
  const spared = "process: {matchPaths: [{path: /usr/bin/kubelet, pts: false}]}";
  assert.deepEqual(lockouts(policy(spared, FORCED)), []);
});

Deno.test("findHostLockouts() asks the posture about allow-lists", () => {
  const list = policy("process: {matchPaths: [{path: /usr/sbin/sshd, action: Allow}]}");
  assert.deepEqual(lockouts(list), []);
  assert.deepEqual(lockouts(list, "block"), [["unlisted", "/usr/bin/login"]]);
});

Deno.test("findHostLockouts() leaves containers' policies alone", () => {
  assert.deepEqual(lockouts(policy(EVERYTHING, "", "KubeArmorPolicy")), []);
});
