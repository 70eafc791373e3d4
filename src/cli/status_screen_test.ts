import assert from "node:assert/strict";
import { sampleState } from "../http/sample_state.ts";
import type { AgentState } from "../http/state.ts";
import { policiesView, policyView, statusView, workloadsView } from "../http/views.ts";
import { statusScreen } from "./status_screen.ts";

function screen(over: Partial<AgentState> = {}): string {
  const state = sampleState(over);
  return statusScreen({
    status: statusView(state, new Date(state.about.startedAt.getTime() + 3_600_000 * 3)),
    policies: state.policies().map((policy) => policyView(state, policy)),
    diagnostics: policiesView(state).diagnostics,
    workloads: workloadsView(state).workloads,
  });
}

Deno.test("statusScreen() shows kernel, hooks, each rule's fate, workloads and counters", () => {
  const text = screen();
  assert.match(text, /^Ankylo 0\.1\.0 on node-1, up 3 h\nKernel 6\.12\.1, .*\nENFORCING\n/);
  assert.match(text, /1 of 2 programs attached/);
  assert.match(text, /hook file_truncate missing: this kernel has no such hook/);
  assert.match(text, /^ {4}Audit +\S+ +\/data\S*.* audited$/m);
  assert.match(text, /not enforced: network rules$/m);
  assert.match(text, /broken\.yaml:2:5: must be a map/);
  assert.match(text, /^ {2}idle +.* no policy$/m);
  assert.match(text, /12 denied, 3 audited$/m);
});

Deno.test("statusScreen() says NOT ENFORCING and why when no program is in the kernel", () => {
  const text = screen({ kernel: () => undefined, notReady: () => ["BPF LSM is off: add it"] });
  assert.match(text, /^NOT ENFORCING\n {2}- BPF LSM is off: add it$/m);
  assert.doesNotMatch(text, /^ENFORCING/m);
});

Deno.test("statusScreen() tells of losses only when there are some", () => {
  assert.doesNotMatch(screen(), /lost/);
  assert.match(screen({ counters: () => ({ alerts_lost: 5n }) }), /5 alerts lost because/);
});

Deno.test("statusScreen() lets no name drive the terminal", () => {
  assert.match(
    screen({ sources: () => [{ name: "x", connected: true, detail: "\x1b[31m" }] }),
    /\\u\{1b\}\[31m/,
  );
});
