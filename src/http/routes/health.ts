/** Is it alive, is it ready, what does it do: for kubelets, load balancers and people. */
import type { Hono } from "hono";
import { readParameters, requireAccept } from "../negotiate.ts";
import { ProblemError } from "../problem.ts";
import type { AgentState } from "../state.ts";
import { statusView } from "../views.ts";

export function addHealthRoutes(app: Hono, state: AgentState): void {
  app.get("/healthz", (c) => c.text("ok\n"));

  app.get("/readyz", (c) => {
    const missing = state.notReady();
    if (missing.length === 0) return c.text("ready\n");
    throw new ProblemError({
      status: 503,
      title: "Not ready",
      detail: missing.join("; "),
      members: { missing },
    });
  });

  app.get("/v1/status", (c) => {
    requireAccept(c, "application/json");
    readParameters(c, []);
    return c.json(statusView(state, new Date()));
  });
}
