/** Brings policies and workloads, as they change, into the kernel: one state at a time, the latest wins. */

import {
  compile,
  type DesiredState,
  type HashKeys,
  type RuleStatus,
  withRails,
} from "../compile/compile.ts";
import { type Answer, type Ask, explain } from "../compile/explain.ts";
import { Backoff } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import type { Policy } from "../model/policy.ts";
import {
  type Governance,
  type GovernanceDefaults,
  governanceOf,
  ignoredLabels,
} from "../model/governance.ts";
import type { Rule } from "../model/rule.ts";
import { selects } from "../model/selector.ts";
import { type Workload, workloadKey } from "../model/workload.ts";
import type { Step } from "./plan.ts";

/** Where states go: the Enforcer, or nothing where the kernel can't enforce. */
export interface ReconcileTarget {
  readonly keys: HashKeys;
  /** Why the programs of this kernel can't judge what the rule names; undefined: they can. */
  lacks(rule: Rule): string | undefined;
  apply(
    desired: DesiredState,
    workloads: readonly Workload[],
  ): { readonly steps: readonly Step[]; readonly shadowed: readonly Workload[] };
}

export interface ReconcilerOptions {
  readonly target: ReconcileTarget;
  /** Whether to wait for all workloads before the first state: those that are not named keep what they have anyway. */
  readonly waitsForAll: () => boolean;
  readonly governance: GovernanceDefaults;
  /** The node itself, and what its policies go with. */
  readonly host?: {
    readonly workloads: readonly Workload[];
    readonly rails: Policy | undefined;
    /** Whether the kernel judges the node's own tasks already. */
    readonly isFollowed: () => boolean;
  };
  readonly clock: Clock;
  readonly onApplied: (steps: readonly Step[], shadowed: readonly Workload[]) => void;
  /** The state before stays in force, and attempts go on. Told once for each reason. */
  readonly onFailure: (error: Error) => void;
}

/**
 * Changes that come together are applied together. Not longer: a container starts meanwhile, and its policy has to be
 * there before its program is.
 */
const GATHER_MS = 2;
const WAITING = "waiting until containerd has listed its containers";
const RETRY = { firstMs: 500, limitMs: 30_000 };

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #closed = new AbortController();
  readonly #backoff = new Backoff(RETRY);
  /** By runtime's namespace and id. */
  readonly #workloads = new Map<string, Workload>();
  #policies: readonly Policy[] | undefined;
  #listed = false;
  #changed = false;
  #running: Promise<void> | undefined;
  /** Ends the wait before another attempt: what changed may be what was wrong. */
  #retry = new AbortController();
  #desired: DesiredState | undefined;
  #failure: Error | undefined;
  #generation = 0;
  #complete = false;
  readonly #applied = Promise.withResolvers<void>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /**
   * All policies that should be in force. They have come together already, so that they are applied before this returns,
   * unless the state before was refused or workloads are waited for.
   */
  setPolicies(policies: readonly Policy[]): void {
    this.#policies = policies.map((policy) => this.#withoutLacks(policy));
    if (!this.#mayBegin || this.#failure !== undefined) return this.#change();
    this.#attempt();
    this.#begin();
  }

  /** The policy with the reason at each rule that would be enforced and can't be here. */
  #withoutLacks(policy: Policy): Policy {
    const lacks = policy.rules.map((rule) =>
      rule.notEnforced === undefined ? this.#options.target.lacks(rule) : undefined
    );
    if (lacks.every((reason) => reason === undefined)) return policy;
    const rules = policy.rules.map((rule, index) => {
      const reason = lacks[index];
      return reason === undefined ? rule : { ...rule, notEnforced: reason };
    });
    return { ...policy, rules };
  }

  setWorkload(workload: Workload): void {
    this.#workloads.set(workloadKey(workload), workload);
    this.#change();
  }

  /** Its image stays in the kernel until its last task is gone. */
  deleteWorkload(runtimeNamespace: string, id: string): void {
    if (this.#workloads.delete(workloadKey({ runtimeNamespace, id }))) this.#change();
  }

  /**
   * All workloads that run are known, or can't be: before this nothing replaces an older installation, because a new one
   * must be complete before it does.
   */
  setListed(): void {
    this.#listed = true;
    this.#change();
  }

  /** Applies the present state once more: what the kernel refused of it may be possible now. */
  repeat(): void {
    this.#change();
  }

  /** Settles once a state with all workloads that run is in force. */
  get applied(): Promise<void> {
    return this.#applied.promise;
  }

  /** Whether such a state was in force, so that all that was there at the start is enforced. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The state in force, or the one compiled last where nothing can be enforced. */
  get desired(): DesiredState | undefined {
    return this.#desired;
  }

  /** All that should be in force; empty before they are known. */
  get policies(): readonly Policy[] {
    return this.#policies ?? [];
  }

  /** Workloads that the policy selects, whether or not a rule of it is enforced. */
  selectedBy(policy: Policy): Workload[] {
    return this.workloads.filter((workload) => selects(policy, workload));
  }

  policiesOf(workload: Workload): Policy[] {
    return this.policies.filter((policy) => selects(policy, workload));
  }

  /** Why something passes or fails in the workload, by its image in the state in force. */
  explain(workload: Workload, ask: Ask): Answer {
    const key = this.#desired?.workloads.get(workloadKey(workload));
    const image = key === undefined ? undefined : this.#desired?.images.get(key);
    const { host, target } = this.#options;
    const { mode } = this.governanceOf(workload);
    const policies = withRails(this.policiesOf(workload), workload, host?.rails);
    return explain(ask, image, policies, target.keys, mode);
  }

  ignoredLabels(workload: Workload): string[] {
    return ignoredLabels(workload, this.#options.governance);
  }

  governanceOf(workload: Workload): Governance {
    return governanceOf(workload, this.#options.governance);
  }

  /** Containers, and the node itself while a host policy selects it. */
  get workloads(): readonly Workload[] {
    const hosts = this.#hosts.filter((host) => this.policiesOf(host).length > 0);
    return [...this.containers, ...hosts];
  }

  get containers(): readonly Workload[] {
    return [...this.#workloads.values()];
  }

  /**
   * Not before all containers are known, as their tasks are none of the node's; but at once where an agent before has sorted them
   * out, so that what the kernel tells of the node can be explained.
   */
  get #hosts(): readonly Workload[] {
    const { host } = this.#options;
    return host !== undefined && (this.#listed || host.isFollowed()) ? host.workloads : [];
  }

  /** Says of the rules of host policies what they wait for. */
  #withWaiting(desired: DesiredState): DesiredState {
    if (this.#options.host === undefined || this.#hosts.length > 0) return desired;
    const rules = desired.rules.map((status): RuleStatus =>
      status.policy.kind !== "KubeArmorHostPolicy" || status.state === "not enforced"
        ? status
        : { ...status, state: "not enforced", reason: WAITING }
    );
    return { ...desired, rules };
  }

  /** States applied that changed something, the first included; 0: none yet. */
  get generation(): number {
    return this.#generation;
  }

  /** Why the latest state is not in force; undefined: it is. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** What is under way is finished; nothing begins any more. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  #change(): void {
    this.#changed = true;
    this.#retry.abort();
    this.#begin();
  }

  get #mayBegin(): boolean {
    if (this.#policies === undefined || this.#closed.signal.aborted) return false;
    return this.#listed || !this.#options.waitsForAll();
  }

  /** Applies what has changed, soon, where anything may be applied. */
  #begin(): void {
    if (!this.#changed || !this.#mayBegin) return;
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async #run(): Promise<void> {
    while (this.#changed) {
      if (this.#failure !== undefined) await this.#waitForRetry();
      await this.#options.clock.sleep(GATHER_MS, this.#closed.signal);
      if (this.#closed.signal.aborted) return;
      // Policies may have taken what was gathered along.
      if (this.#changed) this.#attempt();
    }
  }

  async #waitForRetry(): Promise<void> {
    const either = AbortSignal.any([this.#closed.signal, this.#retry.signal]);
    await this.#options.clock.sleep(this.#backoff.next(), either);
  }

  #attempt(): void {
    this.#changed = false;
    this.#retry = new AbortController();
    this.#failure = this.#reconcile();
    if (this.#failure === undefined) this.#backoff.reset();
  }

  /** Compiles and applies the present state. Returns what hindered it. */
  #reconcile(): Error | undefined {
    const { target, governance, host, onApplied, onFailure } = this.#options;
    // The node also when no policy selects it any more, so that what was in force ends.
    const workloads = [...this.containers, ...this.#hosts];
    const complete = this.#listed;
    try {
      const desired = compile(this.#policies!, workloads, governance, target.keys, host?.rails);
      const { steps, shadowed } = target.apply(desired, workloads);
      this.#desired = this.#withWaiting(desired);
      if (steps.length > 0 || this.#generation === 0) this.#generation++;
      if (complete) {
        this.#complete = true;
        this.#applied.resolve();
      }
      onApplied(steps, shadowed);
      return undefined;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#changed = true;
      if (error.message !== this.#failure?.message) onFailure(error);
      return error;
    }
  }
}
