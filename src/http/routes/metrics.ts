import type { Hono } from "hono";
import { requireAccept } from "../negotiate.ts";
import type { AgentState } from "../state.ts";

export function addMetricsRoute(app: Hono, state: AgentState): void {
  app.get("/metrics", async (c) => {
    requireAccept(c, "text/plain");
    // Some 10 MB of memory that an agent which nobody scrapes does not need.
    const { metricsOf } = await import("../metrics.ts");
    const metrics = metricsOf(state);
    return c.body(await metrics.text(), 200, { "content-type": metrics.contentType });
  });
}
