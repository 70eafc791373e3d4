/** Which records a subscriber wants: every named facet must be met, by any of its values. */
import type { RecordFacets } from "../alerts/pipeline.ts";

/** Absent: not filtered by. A container is named by name or id. */
export interface SseFilter {
  readonly policy?: readonly string[];
  readonly container?: readonly string[];
  readonly action?: readonly string[];
  readonly operation?: readonly string[];
}

/** `Audit` meets `Audit (Block)` too: both let the operation pass. */
export function matchesFilter(filter: SseFilter, facets: RecordFacets): boolean {
  return isAmong(filter.policy, facets.policy) &&
    isAmong(filter.action, facets.action.split(" ", 1)[0]!) &&
    isAmong(filter.operation, facets.operation) &&
    (filter.container === undefined ||
      facets.containers.some((name) => filter.container!.includes(name)));
}

function isAmong(wanted: readonly string[] | undefined, value: string): boolean {
  return wanted === undefined || wanted.includes(value);
}

/** Equal filters give equal keys, so that their subscribers can share bytes. */
export function filterKey({ policy, container, action, operation }: SseFilter): string {
  return JSON.stringify([policy, container, action, operation].map((list) => list?.toSorted()));
}
