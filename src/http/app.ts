/**
 * The HTTP API. It only reads: every method but GET and HEAD is refused, so there is nothing that a forged request
 * could change.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, Hono, type Next } from "hono";
import type { Log } from "../lib/log.ts";
import { isLoopback } from "../lib/loopback.ts";
import { shorten } from "../model/validate.ts";
import { didYouMean } from "./negotiate.ts";
import { ProblemError, problemResponse } from "./problem.ts";
import { addEventRoutes } from "./routes/events.ts";
import { addExplainRoute } from "./routes/explain.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addMetricsRoute } from "./routes/metrics.ts";
import { addOperationsRoute } from "./routes/operations.ts";
import { addPolicyRoutes } from "./routes/policies.ts";
import type { AgentState } from "./state.ts";

/** What there is, for the index and for who mistypes a path. */
const ROUTES: Readonly<Record<string, string>> = {
  "/healthz": "200 while the agent runs",
  "/readyz": "200 once the policies are in force, else 503 with what is missing",
  "/v1/status": "kernel, hooks, sources, counters, limits",
  "/v1/policies": "loaded policies and the errors in their files",
  "/v1/policies/{name}": "one policy: what became of each rule, and what it selects",
  "/v1/workloads": "known containers and their policies",
  "/v1/explain":
    "why something passes or fails: ?container= ?access= ?object= ?path= ?from= ?parent=",
  "/v1/operations": "different operations that containers did lately, as far as they are recorded",
  "/v1/alerts": "alerts as server-sent events; ?policy= ?container= ?action= ?operation=",
  "/v1/events": "execs and exits as server-sent events; ?container= ?operation=",
  "/metrics": "Prometheus metrics",
};

export interface AppOptions {
  /** For faults of the agent's own, which the client is told of without detail. */
  readonly log?: Log;
  /** What clients of the TCP address must send as bearer token; undefined: nothing. */
  readonly token?: string | undefined;
  /** Whether clients of the TCP address have shown a certificate that the agent trusts: a browser of somebody else's has none. */
  readonly certified?: boolean;
}

/** The application over `state`; give its `fetch` to {@linkcode serve}, or call `request` in a test. */
export function createApp(state: AgentState, options: AppOptions = {}): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    if (!isUnix(c)) await requireClient(c, options, next);
    else await answerRequest(c, next);
    c.res.headers.set("cache-control", "no-store");
    c.res.headers.set("x-content-type-options", "nosniff");
  });
  app.get("/", (c) => c.json({ name: "ankylo", version: state.about.version, paths: ROUTES }));
  addHealthRoutes(app, state);
  addPolicyRoutes(app, state);
  addExplainRoute(app, state);
  addOperationsRoute(app, state);
  addEventRoutes(app, state);
  addMetricsRoute(app, state);
  app.notFound((c) => problemResponse(notFound(c.req.path)));
  app.onError((error, c) => {
    if (error instanceof ProblemError) return problemResponse(error.problem);
    options.log?.error("Cannot answer a request", { path: c.req.path, error });
    const detail = "The agent's log has the details";
    return problemResponse({ status: 500, title: "Internal error", detail });
  });
  return app;
}

async function answerRequest(c: Context, next: Next): Promise<void> {
  requireNoBody(c);
  requireReading(c);
  await next();
}

/** Whether a kubelet's probe may ask without a token. It learns yes or no. */
const PROBES: readonly string[] = ["/healthz", "/readyz"];

/** Over TCP: with the token; where none is asked for, with a certificate or from this machine. */
async function requireClient(c: Context, options: AppOptions, next: Next): Promise<void> {
  const { token, certified = false } = options;
  if (token === undefined) {
    if (!certified) requireLocalHost(c);
    return await answerRequest(c, next);
  }
  if (hasToken(c, token)) return await answerRequest(c, next);
  if (!PROBES.includes(c.req.path)) throw unauthorized(c);
  await answerRequest(c, next);
  const { status } = c.res;
  c.res = new Response(status === 200 ? "yes\n" : "no\n", { status });
}

/** Takes as long for a token that begins right as for any other: digests are compared, not texts. */
function hasToken(c: Context, token: string): boolean {
  const sent = /^Bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  return timingSafeEqual(digest(sent ?? ""), digest(token));
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function unauthorized(c: Context): ProblemError {
  const sent = c.req.header("authorization");
  return new ProblemError({
    status: 401,
    title: "Unauthorized",
    detail: sent === undefined
      ? "The request has no token"
      : "The request's Authorization is not the agent's token",
    hint: 'send "Authorization: Bearer TOKEN" with the token of the agent\'s http.tokenFile',
    headers: { "www-authenticate": "Bearer" },
  });
}

/** Nothing here reads one, so nothing shall wait for one. */
function requireNoBody(c: Context): void {
  const length = c.req.header("content-length");
  if ((length ?? "0") === "0" && c.req.header("transfer-encoding") === undefined) return;
  if (c.req.raw.method !== "GET" && c.req.raw.method !== "HEAD") return requireReading(c);
  throw new ProblemError({
    status: 413,
    title: "Content too large",
    detail: "A request has no body here",
    headers: { connection: "close" },
  });
}

function isUnix(c: Context): boolean {
  return (c.env as ServeEnvironment | undefined)?.transport === "unix";
}

/**
 * A web page can make a browser resolve its own name to 127.0.0.1 and then read what it gets from there; the Host
 * header still names the page. Over the unix socket, which no browser speaks, the name is free.
 */
function requireLocalHost(c: Context): void {
  const host = c.req.header("host");
  if (host === undefined || isLoopback(host.replace(/:\d+$/, ""))) return;
  throw new ProblemError({
    status: 421,
    title: "Misdirected request",
    detail: `Host must name this machine's loopback: current value is "${shorten(host)}"`,
    hint: "use http://127.0.0.1 or http://localhost",
  });
}

/** Given to the application with each request. */
export interface ServeEnvironment {
  readonly transport: "tcp" | "unix";
}

function requireReading(c: Context): void {
  const { method } = c.req.raw;
  if (method === "GET" || method === "HEAD" || !isKnown(c.req.path)) return;
  throw new ProblemError({
    status: 405,
    title: "Method not allowed",
    detail: `${shorten(c.req.path)} can only be read: method is ${method}`,
    hint: "policies change by their files, settings by flags, environment or configuration file",
    headers: { allow: "GET, HEAD" },
  });
}

function isKnown(path: string): boolean {
  return path === "/" || path in ROUTES || /^\/v1\/policies\/[^/]+$/.test(path);
}

function notFound(path: string) {
  const hint = didYouMean(path, Object.keys(ROUTES)) ?? "GET / lists all paths";
  return { status: 404, title: "Not found", detail: `There is nothing at ${shorten(path)}`, hint };
}
