/** What the guest tells of a round, and how it differs from what was expected. */

import { gunzipSync } from "node:zlib";
import type { AlertRecord } from "../outcome.ts";
import { CONTAINERS, type List, type Round } from "./round.ts";
import type { ExpectedAlert } from "./specification.ts";

/** What one container's list came to. */
interface Performed {
  /** See tools/differ.c. */
  readonly letters: string;
  /** The errors that no letter tells, by number of the operation. */
  readonly errors: Map<number, string>;
}

const DIFFERENCES_SHOWN = 12;

/** Part of a round's alerts, in percent, that may name no program; on a loaded machine 7 were seen, and 37 before telemetry was hurried. */
const UNNAMED_MAX = 60;
/** Of fewer alerts a part says nothing. */
const UNNAMED_LEAST = 50;

/** Undefined when everything is as expected. `output`: of guest/rounds.sh. */
export function differenceOf(round: Round, output: string): string | undefined {
  const { performed, alerts } = readOutput(output);
  const differences = round.lists.flatMap((list) => {
    const found = performed.get(list.container);
    if (found === undefined) return [`${list.container}: nothing was done`];
    const mine = alerts.filter(({ ContainerName }) => ContainerName === list.container);
    return [...wrongVerdicts(list, found), ...wrongAlerts(list, mine)];
  }).concat(tooManyUnnamed(alerts));
  if (differences.length === 0) return undefined;
  const shown = differences.slice(0, DIFFERENCES_SHOWN).join("\n");
  return `seed ${round.seed}: ${differences.length} differences:\n${shown}`;
}

function wrongVerdicts({ container, operations }: List, { letters, errors }: Performed): string[] {
  const isFiles = CONTAINERS[container] === "files";
  return operations.flatMap(({ line, refused }, index) => {
    const letter = letters[index] ?? "nothing";
    const wasRefused = (isFiles ? "x" : "xp").includes(letter);
    // A socket may fail for the network's own reasons: nobody listens.
    const wasDone = isFiles ? letter === "." : !wasRefused;
    if (refused ? wasRefused : wasDone) return [];
    const found = errors.get(index) ?? letter;
    const wanted = refused ? "refused" : "done";
    return [`${container} #${index} "${line}": expected ${wanted}, found ${found}`];
  });
}

/** The first alert that differs: a container's come one after another, as its operations do. */
function wrongAlerts(
  { container, operations }: List,
  alerts: readonly AlertRecord[],
): string[] {
  const wanted = operations.flatMap((operation, index) =>
    operation.alerts.map((alert) => ({ operation, index, alert }))
  ).map((expected, place) => ({
    ...expected,
    text: textOf(asTold(expected.alert, alerts[place])),
  }));
  const found = alerts.map((alert) => textOf(factsOf(alert)));
  const length = Math.max(wanted.length, found.length);
  const first = Array.from({ length }, (_, place) => place)
    .find((place) => wanted[place]?.text !== found[place]);
  if (first === undefined) return [];
  const { operation, index } = wanted[first] ?? { operation: operations.at(-1)!, index: -1 };
  return [
    `${container} #${index} "${operation.line}": alert ${first} of ${wanted.length} expected, ` +
    `${found.length} found:\n    expected ${wanted[first]?.text ?? "none more"}` +
    `\n    found    ${found[first] ?? "none"}\n    before   ${found[first - 1] ?? "none"}`,
  ];
}

/** What asTold() forgives of a few is a fault in many. */
function tooManyUnnamed(alerts: readonly AlertRecord[]): string[] {
  const unnamed = alerts.filter((alert) => alert["ProcessName"] === undefined).length;
  if (alerts.length < UNNAMED_LEAST || unnamed * 100 <= alerts.length * UNNAMED_MAX) return [];
  return [
    `${unnamed} of ${alerts.length} alerts have no ProcessName: at most ${UNNAMED_MAX} % may lack it`,
  ];
}

/** On a busy machine an agent may not know the program of a process that lived for a moment: then the alert names none. */
function asTold(alert: ExpectedAlert, told: AlertRecord | undefined): ExpectedAlert {
  return told !== undefined && told["ProcessName"] === undefined
    ? { ...alert, process: "" }
    : alert;
}

/** The fields that follow from the policies, in the order of ExpectedAlert. */
function factsOf(alert: AlertRecord): ExpectedAlert {
  const ankylo = alert["Ankylo"] as Record<string, unknown>;
  const text = (value: unknown) => value === undefined ? "" : String(value);
  const isExec = ankylo["Access"] === "exec";
  const resource = text(alert["Resource"]);
  return {
    action: alert["Action"] as "Block" | "Audit",
    operation: text(alert["Operation"]),
    access: text(ankylo["Access"]),
    reason: text(ankylo["Reason"]),
    // Of what was executed without its arguments.
    resource: isExec ? resource.split(" ")[0]! : resource,
    lsm: /lsm=(\S*)/.exec(text(alert["Data"]))?.[1] ?? "",
    policy: text(alert["PolicyName"]),
    rule: text(ankylo["Rule"]).replace(/^.*\//, ""),
    severity: text(alert["Severity"]),
    tags: text(alert["Tags"]),
    message: text(alert["Message"]),
    bySource: ankylo["FromSource"] === true,
    process: text(alert["ProcessName"]),
    result: alert["Result"] as ExpectedAlert["result"],
  };
}

function textOf(alert: ExpectedAlert): string {
  return Object.entries(alert).filter(([, value]) => value !== "" && value !== false)
    .map(([key, value]) => `${key}=${value}`).sort().join(" ");
}

/** @throws {SyntaxError} when the output is not what rounds.sh prints */
export function readOutput(output: string) {
  const performed = new Map<string, Performed>();
  let alerts: AlertRecord[] | undefined;
  let container = "", before = 0;
  for (const line of output.trim().split("\n")) {
    const [word = "", second = "", ...rest] = line.split(" ");
    if (word === "list") container = second;
    else if (word === "alerts") alerts = unpack(second);
    else if (word === "did") {
      const { letters, errors } = performed.get(container) ?? { letters: "", errors: new Map() };
      before = letters.length;
      performed.set(container, { letters: letters + second, errors });
    } else if (/^\d+$/.test(word)) {
      performed.get(container)!.errors.set(before + Number(word), [second, ...rest].join(" "));
    } else if (line !== "") throw new SyntaxError(`Read round: found "${line.slice(0, 200)}"`);
  }
  if (alerts === undefined) throw new SyntaxError("Read round: no alerts");
  return { performed, alerts };
}

function unpack(base64: string): AlertRecord[] {
  const text = new TextDecoder().decode(gunzipSync(Uint8Array.from(atob(base64), toByte)));
  return text.trim().split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AlertRecord);
}

function toByte(letter: string): number {
  return letter.charCodeAt(0);
}
