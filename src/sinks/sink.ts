/** Where finished records go. A sink takes what it can, counts what it can't, and never holds the others up. */

import type { JsonRecord } from "../alerts/json_record.ts";
import type { RecordFacets } from "../alerts/pipeline.ts";

export interface Sink {
  /** `seq`: contiguous, ascending. `record` is used up when the call returns. */
  publish(seq: number, record: JsonRecord, facets: RecordFacets): void;
  /** Idempotent. What was published before is still delivered where that needs no waiting. */
  close(): void;
}
