/** An agent's state for tests: two policies, two containers, a file with an error. */
import { POLICY, RULE, WORKLOAD } from "../alerts/samples.ts";
import { compileImage } from "../compile/compile.ts";
import { explain } from "../compile/explain.ts";
import { KEYS } from "../compile/test_policies.ts";
import { ManualClock } from "../lib/clock.ts";
import type { Policy } from "../model/policy.ts";
import { DEFAULT_GOVERNANCE } from "../model/governance.ts";
import { DEFAULT_POSTURE } from "../model/posture.ts";
import { SseHub } from "../sinks/sse_hub.ts";
import type { SeenOperation } from "../alerts/seen.ts";
import type { AgentState } from "./state.ts";

const OTHER: Policy = {
  ...POLICY,
  name: "watch-db",
  where: { file: "db.yaml", line: 3, column: 1 },
  rules: [{
    ...RULE,
    action: "Audit",
    target: { kind: "directory", path: "/data", recursive: true },
    where: { file: "db.yaml", line: 9, column: 7 },
  }, {
    ...RULE,
    group: "network",
    list: "matchProtocols",
    target: { kind: "other", list: "matchProtocols", text: "udp" },
    where: { file: "db.yaml", line: 14, column: 7 },
    notEnforced: "network rules",
  }],
};

const IDLE = { ...WORKLOAD, id: "idle-1", name: "idle", labels: {} };

const SEEN: SeenOperation = {
  ...{ workload: WORKLOAD, access: "exec", object: "/usr/bin/curl", terminal: false, count: 3 },
  ...{ from: "/usr/bin/bash", parent: "/usr/bin/bash" },
  ...{ firstMicros: 1_767_323_045_000_000, lastMicros: 1_767_323_100_000_000 },
};

/** `over` replaces getters. Close the hubs. */
export function sampleState(over: Partial<AgentState> = {}): AgentState {
  const clock = new ManualClock();
  return {
    about: {
      version: "0.1.0",
      buildId: "ab12",
      startedAt: new Date("2026-01-02T03:04:05Z"),
      hostName: "node-1",
      clusterName: "default",
    },
    notReady: () => [],
    kernel: () => ({
      kernel: "6.12.1",
      lsm: ["capability", "bpf"],
      mode: "installed",
      hooks: [
        { name: "file_open", state: "attached" },
        { name: "file_truncate", state: "missing", reason: "this kernel has no such hook" },
      ],
      missing: [],
    }),
    generation: () => 4,
    sources: () => [{ name: "containerd", connected: true, detail: "/run/containerd.sock" }],
    policies: () => [POLICY, OTHER],
    diagnostics: () => [{
      severity: "error",
      where: { file: "broken.yaml", line: 2, column: 5 },
      field: "spec.file",
      message: "must be a map",
      hint: "see the examples",
    }],
    rules: () => [
      { policy: POLICY, rule: RULE, state: "enforced" },
      { policy: OTHER, rule: OTHER.rules[0]!, state: "audited" },
      { policy: OTHER, rule: OTHER.rules[1]!, state: "not enforced", reason: "network rules" },
    ],
    selectedBy: (policy) => policy === POLICY ? [WORKLOAD.id] : [],
    workloads: () => [
      {
        workload: WORKLOAD,
        container: 7,
        generation: 0x1234,
        governance: DEFAULT_GOVERNANCE,
        ignoredLabels: [],
        policies: ["protect-web"],
        tasks: 3,
        decisions: { denied: 40, audited: 2, sent: 30, limited: 11, lost: 1 },
      },
      {
        workload: IDLE,
        container: undefined,
        generation: undefined,
        governance: { ...DEFAULT_GOVERNANCE, mode: "disabled" },
        ignoredLabels: ["kubearmor-file-posture=deny"],
        policies: [],
        tasks: undefined,
        decisions: undefined,
      },
    ],
    explain: (workload, ask) => {
      const image = workload === WORKLOAD
        ? compileImage([POLICY], DEFAULT_POSTURE, KEYS)
        : undefined;
      return explain(ask, image, workload === WORKLOAD ? [POLICY] : [], KEYS);
    },
    counters: () => ({ denied: 12n, audited: 3n, alerts_lost: 0n }),
    pipeline: () => ({ alerts: 15, logs: 40, malformed: 1, unexplained: 2 }),
    seen: () => ({ entries: [SEEN], dropped: 0, tooLong: 0 }),
    processes: () => ({ entries: 9, evicted: 0, unknown: 1 }),
    pending: () => ({ waiting: 1, released: 5, timedOut: 2, staging: 0 }),
    limits: () => ({ images: { used: 1, max: 4096 } }),
    alerts: new SseHub({ clock, life: "a1" }),
    events: new SseHub({ clock, life: "a1" }),
    ...over,
  };
}
