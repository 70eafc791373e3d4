/** The node itself among the containers: its two indices, which no cgroup leads to. */

import { HOST_CONTAINER, HOST_EXEMPT } from "../../ffi/generated/agent_api.ts";
import type { Workload } from "../model/workload.ts";

/** In the place of a cgroup's id, none of which is so large: ids count up from 1. */
export const HOST_IDS: Readonly<Record<NonNullable<Workload["host"]>, bigint>> = {
  judged: 2n ** 64n - 1n,
  exempt: 2n ** 64n - 2n,
};

/** The index of the node's own; undefined for a cgroup's id. */
export function hostIndexOf(cgroupId: bigint): number | undefined {
  if (cgroupId === HOST_IDS.judged) return HOST_CONTAINER;
  return cgroupId === HOST_IDS.exempt ? HOST_EXEMPT : undefined;
}

/** Whether a container index is the node's own. */
export function isHostIndex(index: number): boolean {
  return index === HOST_CONTAINER || index === HOST_EXEMPT;
}
