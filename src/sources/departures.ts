/** Policies that are no longer in any file, for a little longer. */
import { type Policy, policyKey } from "../model/policy.ts";

/**
 * Who replaces a file often takes it away first, or empties it: `mv` from another file system, `cp`, some editors. Between the
 * two steps nobody has withdrawn anything, so a policy that is gone stays in force until it has been gone for a while.
 */
export class Departures {
  readonly #leavingMs: number;
  /** By key, what was in force last. `goneMs`: when it was first missed. */
  #last = new Map<string, { policy: Policy; goneMs: number | undefined }>();

  /** `leavingMs`: how long a policy has to be gone before it is withdrawn. */
  constructor(leavingMs: number) {
    this.#leavingMs = leavingMs;
  }

  /** What is in force at `nowMs` when the files hold these policies: these, and behind them those that left just now. */
  inForce(policies: readonly Policy[], nowMs: number): Policy[] {
    const next = new Map<string, { policy: Policy; goneMs: number | undefined }>();
    for (const policy of policies) next.set(policyKey(policy), { policy, goneMs: undefined });
    for (const [key, { policy, goneMs = nowMs }] of this.#last) {
      if (!next.has(key) && nowMs - goneMs < this.#leavingMs) next.set(key, { policy, goneMs });
    }
    this.#last = next;
    return [...next.values()].map(({ policy }) => policy);
  }

  /** Milliseconds from `nowMs` on until the next one is withdrawn, unless it comes back; undefined: none is leaving. */
  nextMs(nowMs: number): number | undefined {
    const ends = [...this.#last.values()]
      .flatMap(({ goneMs }) => goneMs === undefined ? [] : [goneMs + this.#leavingMs - nowMs]);
    return ends.length === 0 ? undefined : Math.max(0, Math.min(...ends));
  }
}
