import assert from "node:assert/strict";
import { OP_CAPABILITY, OP_READ } from "../../ffi/generated/agent_api.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import { DECIDING_HOOKS } from "./hooks.ts";
import { groupsOf } from "./needs.ts";

function image(...presets: readonly PresetName[]) {
  const nothing = { judgesSockets: false, judgesNames: false, syscalls: [] };
  return { opsLive: 1 << OP_READ, ...nothing, presets };
}

Deno.test("groupsOf() asks for nothing without rules that need it", () => {
  assert.deepEqual(groupsOf([undefined, image()]), []);
});

Deno.test("groupsOf() asks for what any image needs", () => {
  const network = { ...image(), judgesSockets: true };
  const names = { ...image(), judgesNames: true };
  const capabilities = { ...image(), opsLive: 1 << OP_CAPABILITY };
  const syscalls = { ...image(), syscalls: [3] };
  assert.deepEqual(groupsOf([network, undefined, capabilities]), ["network", "capabilities"]);
  assert.deepEqual(groupsOf([syscalls]), ["syscalls"]);
  assert.deepEqual(groupsOf([names]), ["dns"]);
});

Deno.test("groupsOf() asks for the programs of each preset, and of no other", () => {
  assert.deepEqual(groupsOf([image("exec")]), ["presets-programs"]);
  assert.deepEqual(groupsOf([image("filelessExec")]), ["presets-programs", "presets-memory"]);
  assert.deepEqual(groupsOf([image("protectProc")]), ["presets-files", "presets-links"]);
  assert.deepEqual(groupsOf([image("denyIoUring")]), ["presets-rings"]);
});

for (const preset of PRESET_NAMES) {
  Deno.test(`preset ${preset} has a program without which it is not enforced`, () => {
    const hooks = DECIDING_HOOKS.filter(({ presets }) => presets?.includes(preset));
    assert.ok(hooks.some(({ need }) => need === "rules"));
    const groups = groupsOf([image(preset)]);
    assert.deepEqual(new Set(hooks.map(({ onDemand }) => onDemand)), new Set(groups));
  });
}
