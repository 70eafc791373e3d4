/** How long telemetry gathers in the kernel's ring before it is read: a batch costs the agent ten times what a record does. */

import type { RingOptions } from "../ffi/ring.ts";

/** A quarter of a batch ends it. Alerts gather for half a millisecond, and one that needs an exec's record hurries telemetry. */
const COALESCE_US = 20_000;

/**
 * The same for what follows other telemetry when nobody reads it: then it only explains alerts, which wait 50 ms for it at
 * the most. The first after a rest comes as soon as ever, because /proc is asked about a parent outside of the container
 * while it lives.
 */
const UNREAD_COALESCE_US = 40_000;

/** `isRead`: whether anyone reads telemetry now. */
export function telemetryGathering(isRead: () => boolean): RingOptions {
  return { coalesceUs: COALESCE_US, flowUs: () => isRead() ? 0 : UNREAD_COALESCE_US };
}
