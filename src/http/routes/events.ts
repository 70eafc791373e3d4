/** What happens: alerts and telemetry as server-sent events. */
import type { Context, Hono } from "hono";
import type { SseFilter } from "../../sinks/sse_filter.ts";
import type { SseHub } from "../../sinks/sse_hub.ts";
import { oneOfEach, readParameters, requireAccept } from "../negotiate.ts";
import { ProblemError } from "../problem.ts";
import type { AgentState } from "../state.ts";

const ACTIONS = ["Block", "Audit"];
const OPERATIONS = ["Process", "File", "Network", "Capabilities", "Syscall"];
const EVENT_STREAM = "text/event-stream";
const STREAM_HEADERS = {
  "content-type": EVENT_STREAM,
  // Proxies of the nginx kind hold a response back until a buffer is full.
  "x-accel-buffering": "no",
};

export function addEventRoutes(app: Hono, state: AgentState): void {
  app.get(
    "/v1/alerts",
    (c) => stream(c, state.alerts, ["policy", "container", "action", "operation"]),
  );
  app.get("/v1/events", (c) => stream(c, state.events, ["container", "operation"]));
}

function stream(c: Context, hub: SseHub, parameters: readonly (keyof SseFilter)[]): Response {
  requireAccept(c, EVENT_STREAM);
  const filter = readFilter(c, parameters);
  // A HEAD is routed as its GET; a stream made for it would have no reader and stay.
  if (c.req.raw.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
  const body = hub.subscribe(filter, c.req.header("last-event-id"));
  if (body !== undefined) return new Response(body, { headers: STREAM_HEADERS });
  throw new ProblemError({
    status: 503,
    title: "Too many subscribers",
    detail: `${hub.counts.subscribers} streams are open`,
    hint: "close one, or try again later",
    headers: { "retry-after": "5" },
  });
}

function readFilter(c: Context, parameters: readonly (keyof SseFilter)[]): SseFilter {
  const filter = readParameters(c, parameters);
  if (filter.action) filter.action = oneOfEach("action", filter.action, ACTIONS);
  if (filter.operation) filter.operation = oneOfEach("operation", filter.operation, OPERATIONS);
  return filter;
}
