import assert from "node:assert/strict";
import type { RuleStatus } from "../compile/compile.ts";
import type { PresetName } from "../model/presets.ts";
import type { Action, RuleGroup } from "../model/rule.ts";
import { coverRules, lossLines } from "./coverage.ts";
import { DECIDING_HOOKS, isAlways } from "./hooks.ts";
import type { HookState } from "./records.ts";

function status(group: RuleGroup, action: Action = "Block"): RuleStatus {
  const where = { file: "p.yaml", line: 1, column: 1 };
  const rule = {
    group,
    list: "matchPaths",
    index: 0,
    target: { kind: "path", path: "/x" } as const,
    action,
    readOnly: false,
    fromSource: [],
    severity: 1,
    tags: [],
    message: "",
    where,
  };
  const selector = { matchLabels: {}, containerNames: [] };
  const kind = "KubeArmorPolicy" as const;
  const policy = { kind, namespace: "default", name: "p", selector, rules: [rule], where };
  return { policy, rule, state: action === "Audit" ? "audited" : "enforced" };
}

function hooksBut(...missing: string[]) {
  return DECIDING_HOOKS.map(({ name }) => ({
    name,
    state: missing.includes(name) ? "missing" as const : "attached" as const,
  }));
}

Deno.test("coverRules() leaves rules alone on a kernel that has every hook", () => {
  const rules = [status("process"), status("file", "Audit")];
  assert.deepEqual(coverRules(rules, hooksBut()), rules);
  assert.deepEqual(coverRules(rules, hooksBut("file_truncate")), rules);
});

Deno.test("coverRules() takes the groups that a missing hook decides about, and no other", () => {
  const rules = coverRules([status("process"), status("file")], hooksBut("file_open"));
  assert.equal(rules[0]!.state, "enforced");
  assert.equal(rules[1]!.state, "not enforced");
  assert.match(rules[1]!.reason!, /no hook file_open/);
});

Deno.test("coverRules() misses no program that nothing needed yet, and says what was refused", () => {
  const rules = [status("network"), status("capabilities"), status("file")];
  const always = DECIDING_HOOKS.filter(isAlways).map(({ name }) => name);
  const states = hooksBut().filter(({ name }) => always.includes(name));
  assert.deepEqual(coverRules(rules, states), rules);
  const refused = { name: "socket_sendmsg", state: "refused" } as const;
  const [network, capabilities] = coverRules(rules, [...states, refused]);
  assert.match(
    network!.reason!,
    /^the kernel refused the program of hook socket_sendmsg, so sockets/,
  );
  assert.equal(capabilities!.state, "enforced");
});

Deno.test("coverRules() says how a container gets round Block rules without a guard", () => {
  const [block, audit] = coverRules(
    [status("file"), status("file", "Audit")],
    hooksBut("sb_mount"),
  );
  assert.equal(block!.state, "enforced");
  assert.match(block!.reason!, /bind mount.*no hook sb_mount/);
  assert.equal(audit!.reason, undefined);
});

Deno.test("coverRules() tells a hook that the kernel lacks from one that was refused or taken away", () => {
  const others = hooksBut("file_open").filter(({ name }) => name !== "file_open");
  const reasonOf = (state: "missing" | "refused" | "removed") =>
    coverRules([status("file")], [...others, { name: "file_open", state }])[0]!.reason!;
  assert.match(reasonOf("missing"), /^this kernel has no hook file_open/);
  assert.match(reasonOf("refused"), /^the kernel refused the program of hook file_open/);
  assert.match(reasonOf("removed"), /^someone removed the program of hook file_open/);
});

Deno.test("coverRules() says what passes where a hook is refused that others stand in for elsewhere", () => {
  const others = hooksBut("path_chown").filter(({ name }) => name !== "path_chown");
  const reasonOf = (state: "missing" | "refused" | "removed") =>
    coverRules([status("file")], [...others, { name: "path_chown", state }])[0]!.reason;
  assert.equal(reasonOf("missing"), undefined);
  assert.match(
    reasonOf("refused")!,
    /^owners are changed .*refused the program of hook path_chown/,
  );
  assert.match(
    reasonOf("removed")!,
    /^owners are changed .*removed the program of hook path_chown/,
  );
});

Deno.test("coverRules() enforces nothing where the kernel can't, and keeps the rules' own reasons", () => {
  const own: RuleStatus = { ...status("network"), state: "not enforced", reason: "not yet" };
  const [first, second] = coverRules([status("file"), own], [], "no BPF LSM");
  assert.equal(first!.reason, "no BPF LSM");
  assert.equal(second!.reason, "not yet");
});

/** With one hook in another state than the rest. */
function hooksWith(name: string, state: HookState["state"], reason?: string): HookState[] {
  const others = hooksBut(name).filter((hook) => hook.name !== name);
  return [...others, { name, state, ...reason !== undefined && { reason } }];
}

Deno.test("coverRules() misses a stand-in where the kernel never had the hook that it stands in for", () => {
  const refused = hooksWith("inode_setattr", "refused");
  const on = (hooks: readonly HookState[]) => coverRules([status("file")], hooks)[0]!;
  assert.equal(on(refused).reason, undefined);
  const old = refused.map((hook) =>
    hook.name === "path_chown" ? { ...hook, state: "missing" as const } : hook
  );
  assert.match(
    on(old).reason!,
    /^owners are changed .*refused the program of hook inode_setattr\)$/,
  );
  assert.match(lossLines([status("file")], old).join("\n"), /inode_setattr, so owners .*p spec/);
});

Deno.test("lossLines() is silent about what a kernel never had, and about what no rule needs", () => {
  const rules = [status("file"), status("process")];
  assert.deepEqual(lossLines(rules, hooksBut("sb_mount", "file_truncate")), []);
  assert.deepEqual(lossLines([], hooksWith("file_open", "refused")), []);
  assert.deepEqual(lossLines([status("file", "Audit")], hooksWith("sb_mount", "refused")), []);
});

Deno.test("lossLines() says what is not enforced where a program was refused, by what, and names the rules", () => {
  const rules = [status("file"), status("process"), status("file", "Audit")];
  assert.deepEqual(lossLines(rules, hooksWith("file_open", "refused", "E2BIG")), [
    "not enforced: the kernel refused the program of hook file_open (E2BIG), so nothing is decided about opening files: " +
    "this concerns p spec.file.matchPaths[0], p spec.file.matchPaths[0]",
  ]);
  assert.deepEqual(lossLines(rules, hooksWith("sb_mount", "removed")), [
    "not enforced: someone removed the program of hook sb_mount, so a bind mount gives objects another path: " +
    "this concerns p spec.file.matchPaths[0], p spec.process.matchPaths[0]",
  ]);
  const many = Array.from({ length: 10 }, () => status("file"));
  assert.match(lossLines(many, hooksWith("file_open", "refused"))[0]!, / and 2 more rules$/);
});

Deno.test("lossLines() tells of self-protection, which no rule is about", () => {
  assert.deepEqual(lossLines([], hooksWith("task_kill", "refused")), [
    "not enforced: the kernel refused the program of hook task_kill, so containers can send signals to the agent",
  ]);
});

Deno.test("coverRules() takes those presets that a missing hook decides about", () => {
  const presetStatus = (preset: PresetName): RuleStatus => {
    const { policy, rule, state } = status("presets");
    return { policy, rule: { ...rule, target: { kind: "preset", preset } }, state };
  };
  const rules = [presetStatus("denyUserNamespaces"), presetStatus("blockRawDevices")];
  assert.deepEqual(coverRules(rules, hooksBut("file_open", "path_mknod")), rules);
  const [namespaces, devices] = coverRules(rules, hooksBut("userns_create", "preset_path_mknod"));
  assert.equal(namespaces!.state, "not enforced");
  assert.match(namespaces!.reason!, /no hook userns_create, so user namespaces are made/);
  assert.equal(devices!.state, "enforced");
  assert.match(devices!.reason!, /raw devices are made, and not opened/);
});
