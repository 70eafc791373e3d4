import type { Hono } from "hono";
import { metricsOf } from "../metrics.ts";
import { requireAccept } from "../negotiate.ts";
import type { AgentState } from "../state.ts";

export function addMetricsRoute(app: Hono, state: AgentState): void {
  app.get("/metrics", async (c) => {
    requireAccept(c, "text/plain");
    const metrics = metricsOf(state);
    return c.body(await metrics.text(), 200, { "content-type": metrics.contentType });
  });
}
