/** Where finished records go. A sink takes what it can, counts what it can't, and never holds the others up. */

import type { RecordFacets } from "../alerts/pipeline.ts";

export interface Sink {
  /** `seq`: from 1, contiguous, ascending. `json`: one object, without a newline. */
  publish(seq: number, json: string, facets: RecordFacets): void;
  /** Idempotent. What was published before is still delivered where that needs no waiting. */
  close(): void;
}
