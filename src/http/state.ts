/**
 * What the HTTP API shows, as getters: the agent implements them over its rooms, tests over plain values.
 * Each is called per request and answers from memory, its own or the kernel's.
 */
import type { PipelineCounts } from "../alerts/pipeline.ts";
import type { SeenLately } from "../alerts/seen.ts";
import type { RuleStatus } from "../compile/compile.ts";
import type { Answer, Ask } from "../compile/explain.ts";
import type { ProcessTreeCounts } from "../events/process_tree.ts";
import type { PendingCounts } from "../kernel/pending.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import type { Policy } from "../model/policy.ts";
import type { Governance } from "../model/governance.ts";
import type { Workload } from "../model/workload.ts";
import type { SseHub } from "../sinks/sse_hub.ts";

export interface AgentState {
  readonly about: AgentAbout;
  /** What is missing until the policies are in force, as sentences for people; empty: ready. */
  notReady(): readonly string[];
  /** Undefined until the programs are in the kernel. */
  kernel(): KernelStatus | undefined;
  /** Counts the states that were applied to the kernel; 0: none yet. */
  generation(): number;
  sources(): readonly SourceStatus[];
  /** Loaded policies, those without an enforced rule too. */
  policies(): readonly Policy[];
  /** Of every file that was read, in force or not. */
  diagnostics(): readonly Diagnostic[];
  /** Of every rule of every loaded policy, with what this kernel lacks taken into account. */
  rules(): readonly RuleStatus[];
  /** Ids of the workloads that the policy selects. */
  selectedBy(policy: Policy): readonly string[];
  workloads(): readonly WorkloadStatus[];
  /** Why something passes or fails in the workload, by the image that was compiled for it. */
  explain(workload: Workload, ask: Ask): Answer;
  /** The kernel programs' counters by name, for example `denied`. */
  counters(): Readonly<Record<string, bigint>>;
  pipeline(): PipelineCounts;
  /** What containers did lately, as far as it is recorded. */
  seen(): SeenLately;
  processes(): ProcessTreeCounts;
  /** New containers' processes that are held until the container is described. */
  pending(): PendingCounts;
  /** What may fill up, by name. */
  limits(): Readonly<Record<string, Usage>>;
  readonly alerts: SseHub;
  readonly events: SseHub;
}

export interface AgentAbout {
  readonly version: string;
  /** SHA-256 of the kernel programs, in hex. */
  readonly buildId: string;
  readonly startedAt: Date;
  readonly hostName: string;
  readonly clusterName: string;
}

export interface KernelStatus {
  /** As `uname -r` says. */
  readonly kernel: string;
  readonly lsm: readonly string[];
  /** Whether the programs were put there by this agent, were found from one before, were exchanged in place or replaced others. */
  readonly mode: "installed" | "adopted" | "renewed" | "replaced";
  readonly hooks: readonly HookStatus[];
  /** What this kernel lacks, as sentences for people. */
  readonly missing: readonly string[];
}

export interface HookStatus {
  readonly name: string;
  readonly state: "attached" | "adopted" | "missing" | "refused" | "removed";
  readonly reason?: string;
}

export interface SourceStatus {
  /** For example `policy files`, `containerd`. */
  readonly name: string;
  readonly connected: boolean;
  /** Where it reads, or why it does not. */
  readonly detail: string;
}

export interface WorkloadStatus {
  readonly workload: Workload;
  /** Container index in the kernel; undefined while it has none. */
  readonly container: number | undefined;
  /** Of its policy image; undefined: no policy is enforced on it. */
  readonly generation: number | undefined;
  readonly governance: Governance;
  /** Labels that should govern it and do not, as `key=value`. */
  readonly ignoredLabels: readonly string[];
  /** Names of the policies that select it. */
  readonly policies: readonly string[];
  /** Live tasks, threads too, that the kernel knows as its own, wherever they went; undefined while it has no index. */
  readonly tasks: number | undefined;
  /** What became of its decisions; undefined while it has no index. */
  readonly decisions: DecisionCounts | undefined;
}

/** denied + audited = sent + limited + lost, as soon as no decision is under way. */
export interface DecisionCounts {
  readonly denied: number;
  readonly audited: number;
  /** With an alert of their own. */
  readonly sent: number;
  /** Told by number: their kind had used up its rate. */
  readonly limited: number;
  /** Told by number: the ring had no room. */
  readonly lost: number;
}

export interface Usage {
  readonly used: number;
  readonly max: number;
}
