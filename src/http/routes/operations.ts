/** What the agent has seen containers do: `ankylo check --against` asks this. */
import type { Hono } from "hono";
import { readParameters, requireAccept } from "../negotiate.ts";
import { operationsView } from "../operations_view.ts";
import type { AgentState } from "../state.ts";

export function addOperationsRoute(app: Hono, state: AgentState): void {
  app.get("/v1/operations", (c) => {
    requireAccept(c, "application/json");
    readParameters(c, []);
    return c.json(operationsView(state, new Date()));
  });
}
