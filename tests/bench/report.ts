/** The bench's table: measured values beside goals and budgets; pure. */

import type { Row, Unit } from "./rows.ts";

/** How much worse than its budget a checked row may be. */
export const ROOM = 1.05;
/** What a ratio may be worse by in any case: runs of one build differ by less than half of it. */
const RATIO_NOISE = 0.02;

/** A row with its number. */
export interface Finding {
  readonly row: Row;
  /** As measured. */
  readonly value: number;
  /** Without an agent; only where the row has that. */
  readonly noAgent?: number;
  /** What goal and budget are compared with: `value`, or its ratio to `noAgent`. */
  readonly figure: number;
  /** The figure that was last recorded. */
  readonly budget?: number;
  readonly goalMet: boolean;
  /** The row is checked and worse than its budget and the room. */
  readonly regressed: boolean;
}

/** Reads lines `@bench ID VALUE`; of several for one id the median counts. @throws {Error} at "@fatal TEXT" */
export function parseMeasurements(lines: readonly string[]): Map<string, number> {
  const all = new Map<string, number[]>();
  for (const line of lines) {
    if (line.startsWith("@fatal ")) throw new Error(`Measure: ${line.slice("@fatal ".length)}`);
    const [, id, number] = /^@bench (\S+) (\S+)$/.exec(line) ?? [];
    if (id === undefined) continue;
    const value = Number(number);
    if (Number.isNaN(value)) throw new Error(`Measure: "${id}" must be a number: "${number}"`);
    all.set(id, [...all.get(id) ?? [], value]);
  }
  return new Map([...all].map(([id, values]) => [id, median(values)]));
}

/** The middle value, the lower of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}

/** What was found for the rows that were measured, in their order. */
export function judge(
  rows: readonly Row[],
  measured: ReadonlyMap<string, number>,
  budgets: Readonly<Record<string, number>>,
): Finding[] {
  return rows.flatMap((row) => {
    const value = measured.get(row.id);
    const noAgent = row.noAgent === undefined ? undefined : measured.get(row.noAgent);
    if (value === undefined || (row.noAgent !== undefined && noAgent === undefined)) return [];
    const figure = noAgent === undefined ? value : value / noAgent;
    const budget = budgets[row.id];
    return [{
      row,
      value,
      ...noAgent !== undefined && { noAgent },
      figure,
      ...budget !== undefined && { budget },
      goalMet: row.goal === undefined || !isWorse(row, figure, row.goal),
      regressed: row.checked && budget !== undefined && isWorse(row, figure, limitOf(row, budget)),
    }];
  });
}

function isWorse(row: Row, figure: number, limit: number): boolean {
  return row.atLeast ? figure < limit : figure > limit;
}

/** A ratio's room is 5 % of what the agent adds, or the noise: of the whole it would hide a doubling of that. */
function limitOf(row: Row, budget: number): number {
  if (row.atLeast) return budget / ROOM;
  if (row.noAgent === undefined) return budget * ROOM;
  return budget + Math.max((budget - 1) * (ROOM - 1), RATIO_NOISE);
}

/** Rows that are checked and were not measured: a bench that stopped measuring must not look like a good one. */
export function missingRows(
  rows: readonly Row[],
  findings: readonly Finding[],
  budgets: Readonly<Record<string, number>>,
): string[] {
  const found = new Set(findings.map(({ row }) => row.id));
  return rows.filter(({ id, checked }) => checked && id in budgets && !found.has(id))
    .map(({ id }) => id);
}

/** The table as text. */
export function table(findings: readonly Finding[]): string {
  const head = ["what", "no agent", "Ankylo", "ratio", "goal", "", "budget", "KubeArmor"];
  const lines = [head, ...findings.map(cells)];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines.map((line) =>
    line.map((cell, i) => i === 0 || i > 4 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))
      .join("  ").trimEnd()
  ).join("\n");
}

function cells({ row, value, noAgent, figure, budget, goalMet, regressed }: Finding): string[] {
  const unit = row.unit === "ratio" ? "instructions" : row.unit;
  const limit = (number: number) => `${row.atLeast ? "≥" : "≤"} ${text(number, row.unit)}`;
  return [
    row.what,
    noAgent === undefined ? "–" : text(noAgent, unit),
    text(value, unit),
    noAgent === undefined ? "" : text(figure, "ratio"),
    row.goal === undefined ? "–" : limit(row.goal),
    row.goal === undefined ? "" : goalMet ? "met" : "NOT MET",
    `${budget === undefined ? "–" : text(budget, row.unit)}${regressed ? " WORSE" : ""}`,
    row.kubeArmor ?? "–",
  ];
}

function text(number: number, unit: Unit): string {
  switch (unit) {
    case "ratio":
      return `${number.toFixed(3)} ×`;
    case "instructions":
      return number >= 1e9 ? `${(number / 1e9).toFixed(2)} G` : grouped(number);
    case "ms":
      return `${number.toFixed(1)} ms`;
    case "MB":
      return `${number.toFixed(1)} MB`;
    case "percent":
      return `${number.toFixed(1)} %`;
    case "per second":
      return `${grouped(number)}/s`;
    case "count":
      return grouped(number);
  }
}

function grouped(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}
