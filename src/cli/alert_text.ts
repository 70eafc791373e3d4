/** An alert as text, in the form that users of KubeArmor's `karmor logs` know. */

import { printable } from "./printable.ts";

/** Order of the known fields; others follow as the record has them. */
const FIRST = [
  "ClusterName",
  "HostName",
  "NamespaceName",
  "PodName",
  "Labels",
  "ContainerName",
  "ContainerID",
  "ContainerImage",
  "Type",
  "PolicyName",
  "Severity",
  "Message",
  "Source",
  "Resource",
  "Operation",
  "Action",
  "Data",
  "EventData",
  "Enforcer",
  "Result",
];

/** The time stands in the headline. */
const LEFT_OUT = new Set(["Timestamp", "UpdatedTime"]);

/**
 * A headline, a line per field that says something, and an empty line. Control characters are escaped: paths and
 * arguments are what an attacker wrote, and this goes to a terminal.
 */
export function alertText(alert: Readonly<Record<string, unknown>>): string {
  const time = String(alert["UpdatedTime"] ?? "").replace("T", " ").replace("Z", "");
  const names = new Set([...FIRST, ...Object.keys(alert)]);
  const lines = [...names].filter((name) => !LEFT_OUT.has(name) && says(alert[name]))
    .map((name) => `${name}: ${valueText(alert[name])}\n`);
  return `== Alert / ${printable(time)} ==\n${lines.join("")}\n`;
}

function says(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== "";
}

function valueText(value: unknown): string {
  return printable(typeof value === "object" ? JSON.stringify(value) : String(value));
}
