/** Why something passes or fails in a container: `ankylo explain` asks this. */
import type { Hono } from "hono";
import { IS_OWNER, NO_TERMINAL } from "../../../ffi/generated/agent_api.ts";
import { ACCESSES, type Answer, type Ask, readAsk } from "../../compile/explain.ts";
import type { RuleRef } from "../../compile/rules.ts";
import { policyKey } from "../../model/policy.ts";
import { shorten } from "../../model/validate.ts";
import { explanationView } from "../explanation_view.ts";
import { badParameter, didYouMean, readTexts, requireAccept } from "../negotiate.ts";
import { ProblemError } from "../problem.ts";
import type { AgentState, WorkloadStatus } from "../state.ts";

const PARAMETERS = [
  "container",
  "host",
  "access",
  "object",
  "path",
  "from",
  "parent",
  "owner",
  "terminal",
] as const;

export function addExplainRoute(app: Hono, state: AgentState): void {
  app.get("/v1/explain", (c) => {
    requireAccept(c, "application/json");
    const texts = readTexts(c, PARAMETERS);
    const status = isSet(texts, "host", false)
      ? findNode(texts, state)
      : findWorkload(required(texts, "container"), containersOf(state));
    const ask = askOf(texts);
    const answer = state.explain(status.workload, ask);
    const why = whyNotInForce(state, status, answer) ?? whatIsLost(state, answer);
    return c.json(explanationView(answer, status.workload, why));
  });
}

type Texts = Partial<Record<(typeof PARAMETERS)[number], string>>;

function required(texts: Texts, name: (typeof PARAMETERS)[number]): string {
  const text = texts[name];
  if (text !== undefined) return text;
  throw badParameter(
    `${name}: is missing`,
    `for example /v1/explain?container=web&access=exec&object=/bin/sh; access is one of ${
      Object.keys(ACCESSES).join(", ")
    }`,
  );
}

/** A parameter that is `true` or `false`. */
function isSet(texts: Texts, name: "host" | "owner" | "terminal", otherwise: boolean): boolean {
  const text = texts[name] ?? String(otherwise);
  if (text === "true" || text === "false") return text === "true";
  throw badParameter(`${name}: must be "true" or "false": current value is "${shorten(text)}"`);
}

function askOf(texts: Texts): Ask {
  const [access, object] = [required(texts, "access"), required(texts, "object")];
  const circumstances = (isSet(texts, "owner", false) ? IS_OWNER : 0) |
    (isSet(texts, "terminal", true) ? 0 : NO_TERMINAL);
  try {
    return readAsk({ ...texts, access, object, circumstances });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const [message, hint] = error.message.split("\n  hint: ");
    const isKnown = Object.hasOwn(ACCESSES, access);
    throw badParameter(message!, isKnown ? hint : didYouMean(access, Object.keys(ACCESSES)));
  }
}

function containersOf(state: AgentState): WorkloadStatus[] {
  return state.workloads().filter(({ workload }) => workload.host === undefined);
}

/** The node itself, which is known while a host policy selects it. */
function findNode({ container }: Texts, state: AgentState): WorkloadStatus {
  if (container !== undefined) throw badParameter("host: can't be used with container");
  const found = state.workloads().find(({ workload }) => workload.host === "judged");
  if (found !== undefined) return found;
  const detail =
    "No host policy selects this node, or containerd has not listed its containers yet";
  const hint = "ankylo status lists policies and what they select";
  throw new ProblemError({ status: 404, title: "Not found", detail, hint });
}

/** By id, by name, or by the beginning of an id. */
function findWorkload(wanted: string, all: readonly WorkloadStatus[]): WorkloadStatus {
  const by = (test: (workload: WorkloadStatus["workload"]) => boolean) =>
    all.filter(({ workload }) => test(workload));
  const tries = [
    by(({ id }) => id === wanted),
    by(({ name }) => name === wanted),
    by(({ id }) => wanted.length >= ID_DIGITS_MIN && id.startsWith(wanted)),
  ];
  const found = tries.find((some) => some.length > 0) ?? [];
  if (found.length === 1) return found[0]!;
  throw found.length === 0 ? unknown(wanted, all) : ambiguous(wanted, found);
}

/** Fewer would rather be somebody's short name. */
const ID_DIGITS_MIN = 6;

function unknown(wanted: string, all: readonly WorkloadStatus[]): ProblemError {
  const names = all.map(({ workload }) => workload.name);
  const hint = didYouMean(wanted, names) ??
    (names.length === 0
      ? "no containers are known"
      : `known are ${names.slice(0, 10).join(", ")}${names.length > 10 ? ", …" : ""}`);
  const detail = `No container is named "${shorten(wanted)}"`;
  return new ProblemError({ status: 404, title: "Not found", detail, hint });
}

function ambiguous(wanted: string, found: readonly WorkloadStatus[]): ProblemError {
  const ids = found.map(({ workload }) =>
    `${workload.namespace}/${workload.podName} ${workload.id}`
  );
  return badParameter(
    `${found.length} containers are named "${shorten(wanted)}": ${ids.join(", ")}`,
    "give the id, or its beginning",
  );
}

function whyNotInForce(
  state: AgentState,
  { container, generation }: WorkloadStatus,
  answer: Answer,
): string | undefined {
  if (state.kernel() === undefined) return "nothing is enforced on this kernel";
  if (container === undefined) return "the kernel does not know the container yet";
  return generation === answer.generation
    ? undefined
    : "the kernel still holds another version of its policy";
}

/** What this kernel lacks for the rules that decide. */
function whatIsLost(state: AgentState, { explanations }: Answer): string | undefined {
  const winners = new Set(explanations.flatMap(({ winner }) => winner ? [textOf(winner)] : []));
  return state.rules().find((status) =>
    status.state === "not enforced" && winners.has(textOf(status))
  )?.reason;
}

/** Equal for a rule that was read again: an image that was compiled before holds what was read then. */
function textOf({ policy, rule }: RuleRef): string {
  return JSON.stringify([policyKey(policy), rule]);
}
