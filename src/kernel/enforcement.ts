/** The Enforcer, or the reason why there is none: an agent on a kernel that can't enforce still runs and says so. */

import { BpfError, type Shim } from "../../ffi/bpf.ts";
import type { DesiredState, HashKeys } from "../compile/compile.ts";
import { randomKeys } from "../compile/hash.ts";
import { errorText } from "../lib/log.ts";
import { isMatchedTarget, type Rule } from "../model/rule.ts";
import type { Workload } from "../model/workload.ts";
import {
  type ApplyResult,
  Enforcer,
  type EnforcerOptions,
  type KernelReport,
  NotSupportedError,
} from "./enforcer.ts";
import { buildIdOf } from "./loading.ts";
import { programsFor } from "./probe.ts";
import type { ReconcileTarget } from "./reconciler.ts";
import { SelfTestError } from "./self_test.ts";

export class Enforcement implements ReconcileTarget, Disposable {
  readonly enforcer: Enforcer | undefined;
  /** What hinders enforcement, as a phrase; undefined: nothing. */
  readonly why: string | undefined;
  /** The same in full, one sentence each with what to do. */
  readonly missing: readonly string[];
  /** SHA-256 of the programs, in hex. */
  readonly buildId: string;
  readonly keys: HashKeys;

  /** Whether the programs know patterns. */
  readonly #takesPatterns: boolean;

  private constructor(
    buildId: string,
    enforcer: Enforcer | undefined,
    why?: string,
    missing: readonly string[] = [],
    takesPatterns = true,
  ) {
    this.#takesPatterns = takesPatterns;
    this.buildId = buildId;
    this.enforcer = enforcer;
    this.why = why;
    this.missing = missing;
    // Without a kernel policies are compiled all the same, so that their rules are checked and shown.
    this.keys = enforcer?.keys ?? randomKeys();
  }

  /** Nothing is enforced, and `why` says so. */
  static none(buildId: string, why: string, missing: readonly string[] = [why]): Enforcement {
    return new Enforcement(buildId, undefined, why, missing);
  }

  /** Opens the Enforcer where the kernel allows. Throws only what is a mistake of the agent's own. */
  static open(shim: Shim, options: EnforcerOptions): Enforcement {
    const buildId = buildIdOf(options.objects).toHex();
    try {
      const takesPatterns = programsFor(options.facts) !== "5.10";
      return new Enforcement(buildId, Enforcer.open(shim, options), undefined, [], takesPatterns);
    } catch (error) {
      if (error instanceof NotSupportedError) {
        return Enforcement.none(buildId, error.message, error.missing);
      }
      if (error instanceof SelfTestError) {
        return Enforcement.none(buildId, "paths can't be read rightly here", [error.message]);
      }
      if (!(error instanceof BpfError)) throw error;
      const missing = [`the kernel refused the programs: ${errorText(error)}`];
      return Enforcement.none(buildId, "the kernel refused the programs", missing);
    }
  }

  /** Whether the programs are attached. */
  get enforces(): boolean {
    return this.enforcer?.enforces ?? false;
  }

  get report(): KernelReport | undefined {
    return this.enforcer?.report;
  }

  lacks({ target }: Rule): string | undefined {
    if (this.#takesPatterns || !isMatchedTarget(target)) return undefined;
    return "the programs for 5.10 know no patterns and no execname: its verifier does not take them";
  }

  apply(desired: DesiredState, workloads: readonly Workload[]): ApplyResult {
    return this.enforcer?.apply(desired, workloads) ?? { steps: [], shadowed: [] };
  }

  /** Leaves what is enforced in force. */
  [Symbol.dispose](): void {
    this.enforcer?.close();
  }
}
