/** What `scripts/run` shows, as text. */

import { printable } from "../../src/cli/printable.ts";
import type { AgentPicture } from "../../src/cli/status_screen.ts";
import type { AlertRecord } from "./agent.ts";

const WIDTH = 100;

/** Colours for words; on paper they do nothing. */
export interface Palette {
  head(text: string): string;
  bad(text: string): string;
  good(text: string): string;
  dim(text: string): string;
}

const sgr = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`;
const plain = (text: string) => text;
export const COLOURS: Palette = { head: sgr(1), bad: sgr(31), good: sgr(32), dim: sgr(2) };
export const NO_COLOURS: Palette = { head: plain, bad: plain, good: plain, dim: plain };

/** One command, tried in both containers. */
export interface Act {
  command: string;
  web: ActResult;
  free: ActResult;
}

export interface ActResult {
  status: number;
  output: string;
}

/** Reads what stage.sh reports of an act: `WEB-STATUS WEB-OUTPUT FREE-STATUS FREE-OUTPUT COMMAND`. */
export function parseAct(text: string): Act {
  const [webStatus = "", webOutput = "", freeStatus = "", freeOutput = "", ...command] = text.split(
    " ",
  );
  return {
    command: command.join(" "),
    web: { status: Number(webStatus), output: decode(webOutput) },
    free: { status: Number(freeStatus), output: decode(freeOutput) },
  };
}

function decode(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)));
}

/** Which kernel enforces, and where that is. `place`: the end of a sentence. */
export function kernelLines(picture: AgentPicture, place: string, { head }: Palette): string[] {
  const { kernel, version } = picture.status;
  if (kernel === null) return [head(`Ankylo ${version} does not enforce`)];
  const on = kernel.hooks.filter(({ state }) => state === "attached" || state === "adopted");
  return [
    head(`Ankylo ${version} enforces on Linux ${kernel.release}, ${place}`),
    `  ${on.length} of ${kernel.hooks.length} programs attached; security modules ${
      kernel.lsm.join(", ")
    }`,
    ...kernel.missing.map((what) => `  this kernel lacks ${what}`),
  ];
}

type PolicyPicture = AgentPicture["policies"][number];
type RulePicture = PolicyPicture["rules"][number];

/** Which policies are loaded, and what each of their rules became; those that select a container first. */
export function policyLines(picture: AgentPicture, palette: Palette): string[] {
  const { enforced, audited, notEnforced } = picture.status.rules;
  const { policies } = picture;
  const selecting = policies.filter(({ workloads }) => workloads.length > 0);
  const others = policies.filter(({ workloads }) => workloads.length === 0);
  return [
    palette.head(`Policies: ${policies.length} from k8s/examples`) +
    ` (rules: ${enforced} enforced, ${audited} audited, ${notEnforced} not enforced)`,
    ...selecting.flatMap((policy) => onePolicy(policy, palette)),
    ...others.length > 0 ? [palette.dim("  For containers that do not run here:")] : [],
    ...others.flatMap((policy) => onePolicy(policy, palette)),
  ];
}

function onePolicy(policy: PolicyPicture, { head }: Palette): string[] {
  const names = policy.workloads.map(({ id, name }) => name ?? id).join(", ");
  const groups = Map.groupBy(policy.rules, (rule) => `${stateOf(rule)}: ${kindOf(rule)}`);
  const title = `  ${head(policy.name)}${names === "" ? "" : ` protects ${names}`}`;
  return [title, ...[...groups].flatMap(([kind, rules]) => ruleLines(kind, rules))];
}

function stateOf({ state, reason }: RulePicture): string {
  return printable(
    reason === undefined || state !== "not enforced" ? state : `${state}, ${reason}`,
  );
}

function kindOf({ action, rule, readOnly, fromSource }: RulePicture): string {
  const group = rule.replace(/^spec\./, "").split(/[.[]/)[0]!;
  const source = fromSource.length === 0 ? "" : ` by ${fromSource.join(" or ")}`;
  return printable(`${action} ${group}${readOnly ? " (read only)" : ""}${source}`);
}

/** The rules of one kind: their targets, wrapped below each other. */
function ruleLines(kind: string, rules: readonly RulePicture[]): string[] {
  const first = `    ${kind}  `;
  const lines = [first];
  for (const { target } of rules) {
    const word = printable(target);
    const line = lines.at(-1)!;
    const fits = line.length + word.length < WIDTH;
    if (fits) lines[lines.length - 1] = line + word + "  ";
    else lines.push(" ".repeat(8) + word + "  ");
  }
  return lines.map((line) => line.trimEnd());
}

/** One act: the command, then what each container said to it. */
export function actLines({ command, web, free }: Act, palette: Palette): string[] {
  return [
    `    $ ${printable(command)}`,
    `        web   ${resultText(web, palette)}`,
    `        free  ${resultText(free, palette)}`,
  ];
}

const REFUSALS = ["Permission denied", "Operation not permitted"];

function resultText({ status, output }: ActResult, { bad, good }: Palette): string {
  const text = shortened(printable(output.trim().split("\n").at(-1) ?? ""));
  if (status === 0) return `${good("succeeds")}${text === "" ? "" : `: ${text}`}`;
  // The runtime, written in Go, spells the C library's texts in lower case.
  const refusal = REFUSALS.find((words) => output.toLowerCase().includes(words.toLowerCase()));
  return refusal === undefined
    ? `${bad(`fails with status ${status}`)}: ${text}`
    : `${bad("refused by the kernel")}: ${refusal}`;
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** One alert in one line: when, what was done, to what, by which program, in which container, and why. */
export function alertLine(alert: AlertRecord, { bad, dim }: Palette): string {
  const field = (name: string) => printable(String(alert[name] ?? ""));
  const time = field("UpdatedTime").slice(11, 19);
  const { Access = field("Operation") } = (alert["Ankylo"] ?? {}) as { Access?: string };
  const program = field("Source").split(" ")[0]!;
  // Who executes is of no interest beside what is executed.
  const by = program === "" || Access === "exec" ? "" : ` by ${program}`;
  return `  ${dim(time)}  ${bad(field("Action"))}  ${field("ContainerName")}: ${
    printable(Access)
  } ${field("Resource")}${by}: ${field("Result")} (${field("PolicyName")})`;
}
