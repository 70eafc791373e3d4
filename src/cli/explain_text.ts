/** An explanation for people. */
import type { DecisionView, ExplanationView, RuleView } from "../http/explanation_view.ts";
import { conditionText } from "../model/rule.ts";
import { type PosturedGroup, postureOf } from "../compile/rules.ts";
import { printable } from "./printable.ts";

/** What the program does, as a sentence with the object behind it. */
const DEEDS: Readonly<Record<string, string>> = {
  exec: "executes",
  load: "has a loader execute",
  "mmap-exec": "maps as code",
  read: "opens",
  write: "opens for writing",
  create: "makes",
  delete: "deletes",
  rename: "renames",
  link: "links",
  attributes: "changes attributes of",
  mount: "mounts over",
  connect: "connects to",
  socket: "uses a socket of kind",
  capability: "uses",
  syscall: "calls",
  dns: "asks DNS for",
  preset: "does what is a case of preset",
};

/** Allow rules that are named as makers of an allow-list. */
const ALLOWS_SHOWN = 3;

/** Several lines: what happens and by which rule, the rules that lost, and those that name the object in vain. */
export function explanationText(view: ExplanationView): string {
  const decisions = view.decisions.filter((decision, index) => index === 0 || says(decision));
  const lines = [
    headline(view),
    ...decisions.flatMap((decision) => [
      "",
      ...(decisions.length > 1 ? [`As to ${decision.access}, ${decision.group} rules:`] : []),
      ...decisionLines(decision),
    ]),
    ...otherLines(view),
    ...guardLines(view),
    ...(view.behindLink === undefined ? [] : ["", linkLine(view.behindLink)]),
    ...(view.mode === "audited" ? ["", audited(view)] : []),
    "",
    footer(view),
  ];
  return lines.map((line) => `${printable(line)}\n`).join("");
}

/** Of a rule that has been named already the place is known. */
function guardLines({ guard, decisions }: ExplanationView): string[] {
  if (guard === null) return [];
  const isNamed = decisions.some(({ winner }) => winner?.where === guard.where);
  return ["", GUARDED, ...(isNamed ? [] : ruleLines(guard, [], "  "))];
}

const GUARDED =
  "It keeps its name: renaming, linking or covering it is refused, because a Block rule names it or something below it.";

function linkLine(path: string): string {
  return `The kernel compares real paths. Many images have a link there: then ask about ${path}.`;
}

/** Whether a group of rules has anything to do with it. */
function says({ verdict, winner }: DecisionView): boolean {
  return verdict !== "none" || winner !== null;
}

function headline(view: ExplanationView): string {
  const { container, access, object, from, parent, outcome } = view;
  const argument = view.path === undefined ? "" : ` with ${view.path}`;
  const who = from === "" ? "a program that no rule names" : from;
  const child = parent === from ? "" : `, child of ${parent || "such a program"},`;
  const owner = view.owner ? " for its owner" : "";
  const terminal = view.terminal ? "" : " without a terminal";
  const place = container.name === "" ? "" : `${container.name}: `;
  const error = ERRORS[access] ?? 'with "Permission denied"';
  return `${place}${who}${child} ${DEEDS[access]} ${object}${argument}${owner}${terminal}: ${
    OUTCOMES[outcome]
  }${outcome === "refused" ? ` ${error}, and an alert of ` : ""}${
    outcome === "passes" ? "" : decider(view)
  }`;
}

/** What the program gets where it is not EACCES. */
const ERRORS: Readonly<Record<string, string>> = {
  // The kernel then does as for any program that has no such capability, whatever that is.
  capability: "as without it",
  // What a packet's filter refuses.
  dns: 'with "Operation not permitted", or without an answer over TCP',
};

const OUTCOMES: Readonly<Record<ExplanationView["outcome"], string>> = {
  refused: "REFUSED",
  reported: "passes, and raises an alert of ",
  passes: "passes, without an alert",
};

/** Whose name the alert has. A read-only entry of an allow-list is told as the posture's, as in KubeArmor. */
function decider({ decisions, outcome, guard }: ExplanationView): string {
  const decision = decisions.find((decision) => decision.outcome === outcome);
  if (decision === undefined) return guard!.policy;
  return decision.verdict.startsWith("posture") ? "DefaultPosture" : decision.winner!.policy;
}

function decisionLines({ verdict, group, winner, runnersUp, allowList }: DecisionView): string[] {
  if (winner === null) {
    if (allowList.length === 0 || group === "syscalls") {
      return [`  no ${group} rule of a policy that selects it decides`];
    }
    const shown = allowList.slice(0, ALLOWS_SHOWN);
    const more = allowList.length - shown.length;
    return [
      `  no ${group} rule names it, and the posture (posture.${
        postureOf(group as PosturedGroup)
      }) is ${verdict === "posture-block" ? "block" : "audit"} for what an allow-list leaves out`,
      "  the allow-list has",
      ...shown.flatMap((rule) => ruleLines(rule, [], "    ")),
      ...(more > 0 ? [`    and ${more} more`] : []),
    ];
  }
  return [
    "  decides:",
    ...ruleLines(winner, verdict === "posture-block" ? [EXCLUSIVE] : [], "    "),
    ...(runnersUp.length > 0 ? ["  would be next, in this order:"] : []),
    ...runnersUp.flatMap((rule) => ruleLines(rule, [`lost: ${rule.why}`], "    ")),
  ];
}

const EXCLUSIVE =
  "what an entry of an allow-list does not let pass by readOnly, ownerOnly or pts is refused, whatever the posture";

function otherLines({ others }: ExplanationView): string[] {
  if (others.length === 0) return [];
  return [
    "",
    "Names it too, and says nothing here:",
    ...others.flatMap((rule) => ruleLines(rule, [rule.why], "  ")),
  ];
}

function ruleLines(rule: RuleView, notes: readonly string[], indent: string): string[] {
  const { action, target, fromSource, where, policy } = rule;
  const by = fromSource.length === 0 ? "" : ` by ${fromSource.join(", ")}`;
  return [
    `${indent}${action} ${target}${conditionText(rule)}${by}`,
    `${indent}    ${where} ${rule.rule} of ${policy}`,
    ...notes.map((note) => `${indent}    ${note}`),
  ];
}

function audited({ host }: ExplanationView): string {
  return `The ${
    subjectOf(host)
  } is only audited (its label kubearmor-policy, or policyMode): nothing is refused there, and what would be is told as Audit (Block).`;
}

function subjectOf(host: ExplanationView["host"]): string {
  return host === undefined ? "container" : "node";
}

function footer({ generation, notInForce, mode, host }: ExplanationView): string {
  const subject = subjectOf(host);
  if (mode === "disabled") {
    return `The ${subject}'s label kubearmor-policy=disabled turns its policies off.`;
  }
  if (generation === null) return `No policy with an enforced rule selects the ${subject}.`;
  const image = `Policy image ${generation.toString(16).padStart(8, "0")}`;
  return notInForce === undefined
    ? `${image}, which the kernel holds for the ${subject}.`
    : `${image}. Not in force: ${notInForce}.`;
}
