import assert from "node:assert/strict";
import {
  DEFAULT_GOVERNANCE,
  type GovernanceDefaults,
  governanceOf,
  ignoredLabels,
} from "./governance.ts";
import type { Posture } from "./posture.ts";
import type { Workload } from "./workload.ts";

const NODE: GovernanceDefaults = {
  ...DEFAULT_GOVERNANCE,
  trustsLabels: true,
  namespaces: new Map<string, Partial<Posture>>([["web", { file: "block" }]]),
};

function workload(labels: Record<string, string>, namespace = "container_namespace"): Workload {
  return {
    ...{ id: "a", name: "a", runtimeNamespace: "default", namespace, podName: "a", image: "" },
    ...{ labels, pid: 1, cgroupPath: "/default/a", cgroupId: 1n },
  };
}

Deno.test("governanceOf() prefers the container's label over its namespace over the node", () => {
  const fileOf = (labels: Record<string, string>, namespace?: string) =>
    governanceOf(workload(labels, namespace), NODE).posture.file;
  assert.equal(fileOf({}), "audit");
  assert.equal(fileOf({}, "web"), "block");
  assert.equal(fileOf({ "io.kubernetes.pod.namespace": "web" }), "block");
  assert.equal(fileOf({ "kubearmor-file-posture": "audit" }, "web"), "audit");
  assert.equal(fileOf({ "kubearmor-file-posture": "BLOCK" }), "block");
  assert.equal(fileOf({ "kubearmor-file-posture": "deny" }, "web"), "block");
  const { posture } = governanceOf(workload({ "kubearmor-network-posture": "block" }), NODE);
  assert.deepEqual(posture, { file: "audit", network: "block", capabilities: "audit" });
});

Deno.test("governanceOf() takes the more lenient mode of node and container", () => {
  const modeOf = (label: string, mode: "enabled" | "audited") =>
    governanceOf(workload({ "kubearmor-policy": label }), { ...NODE, mode }).mode;
  assert.deepEqual(
    ["enabled", "Audited", "disabled", "whatever"].map((label) => modeOf(label, "enabled")),
    ["enabled", "audited", "disabled", "enabled"],
  );
  assert.deepEqual(
    ["enabled", "Audited", "disabled", "whatever"].map((label) => modeOf(label, "audited")),
    ["audited", "audited", "disabled", "audited"],
  );
});

Deno.test("ignoredLabels() names labels with values that mean nothing", () => {
  const labels = {
    ...{ "kubearmor-policy": "off", "kubearmor-file-posture": "Block" },
    ...{ "kubearmor-network-posture": "deny", app: "web" },
  };
  assert.deepEqual(ignoredLabels(workload(labels), NODE), [
    "kubearmor-policy=off",
    "kubearmor-network-posture=deny",
  ]);
});

Deno.test("labels of containers count only where they are trusted, those of the node always", () => {
  const distrustful = { ...NODE, trustsLabels: false };
  const labels = { "kubearmor-policy": "disabled", "kubearmor-file-posture": "block" };
  assert.deepEqual(governanceOf(workload(labels), distrustful), {
    posture: distrustful.posture,
    mode: "enabled",
  });
  assert.deepEqual(ignoredLabels(workload(labels), distrustful), [
    "kubearmor-policy=disabled",
    "kubearmor-file-posture=block",
  ]);
  const node = { ...workload(labels), host: "judged" as const };
  assert.equal(governanceOf(node, distrustful).mode, "disabled");
  assert.deepEqual(ignoredLabels(node, distrustful), []);
});
