import type { Workload } from "../../model/workload.ts";

/** One thing that a container runtime's watcher found out. */
export type WorkloadChange =
  /** Connected; all containers follow, each as an Apply. Until InitDone, what was known before stays true. */
  | { readonly kind: "Init"; readonly socket: string; readonly version: string }
  /** This container runs, or something about it changed. */
  | { readonly kind: "Apply"; readonly workload: Workload }
  /** Its first process ended, or it is gone. Two namespaces may have a container of the same id. */
  | { readonly kind: "Delete"; readonly id: string; readonly runtimeNamespace: string }
  /** Every container that runs was an Apply since Init, and every one that vanished while disconnected a Delete. */
  | { readonly kind: "InitDone" }
  /** All of the runtime's namespaces, in order, whenever they change. */
  | { readonly kind: "Namespaces"; readonly names: readonly string[] }
  /** A container that runs but that can't be a workload, or only in part: told once for each reason. */
  | {
    readonly kind: "Problem";
    readonly id: string;
    readonly runtimeNamespace: string;
    readonly message: string;
  }
  /** The runtime can't be reached, or no longer; told once for each reason, while attempts go on. */
  | { readonly kind: "Unreachable"; readonly reason: string };
