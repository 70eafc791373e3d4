/** What should be: policies with what became of each rule, and the workloads they select. */
import type { Context, Hono } from "hono";
import type { Policy } from "../../model/policy.ts";
import { shorten } from "../../model/validate.ts";
import { badParameter, didYouMean, readParameters, requireAccept } from "../negotiate.ts";
import { ProblemError } from "../problem.ts";
import type { AgentState } from "../state.ts";
import { policiesView, policyView, workloadsView } from "../views.ts";

export function addPolicyRoutes(app: Hono, state: AgentState): void {
  app.get("/v1/policies", (c) => {
    requireAccept(c, "application/json");
    readParameters(c, []);
    return c.json(policiesView(state));
  });

  app.get("/v1/policies/:name", (c) => {
    requireAccept(c, "application/json");
    return c.json(policyView(state, findPolicy(c, state)));
  });

  app.get("/v1/workloads", (c) => {
    requireAccept(c, "application/json");
    readParameters(c, []);
    return c.json(workloadsView(state));
  });
}

/** A name is unique by kind and namespace only; where that matters the parameters tell which is meant. */
function findPolicy(c: Context, state: AgentState): Policy {
  const name = c.req.param("name")!;
  const { kind, namespace } = readParameters(c, ["kind", "namespace"]);
  const named = state.policies().filter((policy) => policy.name === name);
  const found = named.filter((policy) =>
    (kind?.includes(policy.kind) ?? true) && (namespace?.includes(policy.namespace) ?? true)
  );
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw notFound(name, state);
  const candidates = found.map((policy) => `${policy.kind} ${policy.namespace}/${policy.name}`);
  throw badParameter(
    `${found.length} policies are named "${shorten(name)}": ${candidates.join(", ")}`,
    "add ?kind= or ?namespace=",
  );
}

function notFound(name: string, state: AgentState): ProblemError {
  const hint = didYouMean(name, state.policies().map((policy) => policy.name)) ??
    "a policy whose file has errors is not loaded: see diagnostics in /v1/policies";
  const detail = `No policy is named "${shorten(name)}"`;
  return new ProblemError({ status: 404, title: "Not found", detail, hint });
}
