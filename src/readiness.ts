/** What the agent says of itself: whether all that was there at its start is enforced, and what it has room for. */

import { HOST_CONTAINER, IMAGES_MAX } from "../ffi/generated/agent_api.ts";
import { PROCESS_TREE_LIMITS, type ProcessTree } from "./events/process_tree.ts";
import { lossLines } from "./kernel/coverage.ts";
import type { Enforcement } from "./kernel/enforcement.ts";
import type { Reconciler } from "./kernel/reconciler.ts";
import { errorText, type Log } from "./lib/log.ts";

/** What readiness depends on. */
export interface Progress {
  readonly enforcement: Enforcement;
  readonly reconciler: Reconciler;
  readonly policiesRead: boolean;
  readonly workloadsListed: boolean;
  /** Programs that someone took out of the kernel. */
  readonly lostLinks: readonly string[];
}

/** Why the agent is not ready; empty when all policies and containers of the start are enforced, and the latest change is. */
export function notReady(progress: Progress): string[] {
  const { enforcement, reconciler, lostLinks } = progress;
  const { failure, generation, complete } = reconciler;
  const listing = "containerd has not listed its containers yet" +
    (enforcement.enforcer?.replaces
      ? ": until then the programs of the agent before enforce its policies"
      : "");
  const when = (missing: boolean, text: string) => missing ? [text] : [];
  return [
    ...(enforcement.enforcer === undefined ? enforcement.missing : []),
    ...when(!progress.policiesRead, "policies have not been read yet"),
    ...when(!progress.workloadsListed, listing),
    ...when(!complete && failure === undefined, "policies have not been applied yet"),
    ...(failure === undefined ? [] : [
      `the latest policies are not in force, keeping generation ${generation}: ${
        errorText(failure)
      }`,
    ]),
    ...when(lostLinks.length > 0, `programs were removed from the kernel: ${lostLinks.join(", ")}`),
    ...lossesOf(progress),
  ];
}

function lossesOf({ enforcement, reconciler }: Pick<Progress, "enforcement" | "reconciler">) {
  return lossLines(reconciler.desired?.rules ?? [], enforcement.report?.hooks ?? []);
}

/** Logs what is not enforced: a loss once while it lasts, as some come with the first policy that needs a program. */
export class LossLog {
  readonly #log: Log;
  #told: ReadonlySet<string> = new Set();

  constructor(log: Log) {
    this.#log = log;
  }

  tell(progress: Pick<Progress, "enforcement" | "reconciler">): void {
    const isNew = (text: string) => !this.#told.has(text);
    const { missing = [] } = progress.enforcement.report ?? {};
    const losses = lossesOf(progress);
    for (const lack of missing.filter(isNew)) this.#log.warn("Kernel lacks", { missing: lack });
    for (const loss of losses.filter(isNew)) {
      this.#log.error("Policies are not enforced in full", { loss });
    }
    this.#told = new Set([...missing, ...losses]);
  }
}

/** What is used of the tables that have a bound. */
export function limitsOf(enforcement: Enforcement, tree: ProcessTree) {
  const { containers = 0, images = 0 } = enforcement.enforcer?.usage() ?? {};
  return {
    // The indices above are the node's own.
    containers: { used: containers, max: HOST_CONTAINER },
    images: { used: images, max: IMAGES_MAX },
    processes: { used: tree.counts.entries, max: PROCESS_TREE_LIMITS.entriesMax },
  };
}
