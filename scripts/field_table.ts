/** The table of policy fields: which act proves each, and what it gave on each kernel when that was last kept. */

import type { Field } from "../src/model/fields.ts";
import { PROOFS, PROVEN_ELSEWHERE, testedAs } from "../tests/e2e/proofs.ts";
import { markdownTable } from "./marked.ts";
import { stateOf } from "./policy_states.ts";
import { repositoryDir } from "./stale.ts";
import { KERNEL_SERIES, type KernelSeries } from "./vm/kernels.ts";
import { outputDir } from "./vm/store.ts";

/** Claims of acts that prove fields. */
interface ScenarioResults {
  /** YYYY-MM-DD of the run. */
  readonly date: string;
  readonly passed: readonly string[];
  readonly failed: readonly string[];
}

/** Of one kernel, by the scenario's name. */
export type KernelResults = Readonly<
  Record<string, ScenarioResults>
>;

export type Results = Readonly<Partial<Record<KernelSeries, KernelResults>>>;

/** Where runs leave their results: `KERNEL SCENARIO.json`. */
export const proofsDir = `${outputDir}/proofs`;

function goldenFile(series: KernelSeries): string {
  return `${repositoryDir}tests/golden/fields/${series}.json`;
}

/** What is kept in the repository. */
export async function readResults(): Promise<Results> {
  const all = await Promise.all(
    KERNEL_SERIES.map(async (series) =>
      [series, JSON.parse(await Deno.readTextFile(goldenFile(series)))] as const
    ),
  );
  return Object.fromEntries(all);
}

/** Takes over what runs left in .output; scenarios that did not run keep their results. @throws {Error} nothing ran */
export async function recordResults(): Promise<void> {
  if (!await Deno.stat(proofsDir).then(() => true, () => false)) {
    throw new Error(`Record results: no scenario has run: "${proofsDir}" is not there`);
  }
  const kept = await readResults();
  for (const series of KERNEL_SERIES) {
    const results: Record<string, unknown> = { ...kept[series] };
    for await (const { name } of Deno.readDir(proofsDir)) {
      if (!name.startsWith(`${series} `)) continue;
      Object.assign(results, JSON.parse(await Deno.readTextFile(`${proofsDir}/${name}`)));
    }
    const sorted = Object.fromEntries(Object.entries(results).sort(([a], [b]) => a < b ? -1 : 1));
    await Deno.writeTextFile(goldenFile(series), JSON.stringify(sorted, null, 2) + "\n");
  }
}

/** What stands for a field in the table. */
type Proof =
  | { readonly scenario: string; readonly claim: string }
  | { readonly why: string; readonly test: string }
  | { readonly reason: string };

/** The act that proves the field (by the name that `testedAs()` gives it), the test, or why there is none; undefined: nothing. */
export function proofOf(name: string, fields: readonly Field[]): Proof | undefined {
  for (const [scenario, proofs] of Object.entries(PROOFS)) {
    const claim = proofs[name];
    if (claim !== undefined) return { scenario, claim };
  }
  const elsewhere = PROVEN_ELSEWHERE[name];
  if (elsewhere !== undefined) return elsewhere;
  const states = fields.filter(({ path }) => testedAs(path) === name).map(stateOf);
  const isNone = states.every(({ state }) => state === "not enforced");
  return isNone ? { reason: `not enforced: ${states[0]!.reason}` } : undefined;
}

/** @throws {Error} a field has no proof */
export function fieldTable(fields: readonly Field[], results: Results): string {
  const names = [...new Set(fields.map(({ path }) => testedAs(path)))];
  const rows = names.map((name) => {
    const proof = proofOf(name, fields);
    if (proof === undefined) {
      throw new Error(
        `Prove field "${name}": no act does: name one in tests/e2e/proofs.ts, or another test and why`,
      );
    }
    return [`\`${name.slice("spec.".length)}\``, ...cellsOf(proof, results)];
  });
  return markdownTable(["field", "proven by", ...KERNEL_SERIES], rows);
}

function cellsOf(proof: Proof, results: Results): string[] {
  if ("reason" in proof) return [proof.reason, ...KERNEL_SERIES.map(() => "")];
  if ("test" in proof) return [`\`${proof.test}\`: ${proof.why}`, ...KERNEL_SERIES.map(() => "")];
  const { scenario, claim } = proof;
  const cells = KERNEL_SERIES.map((series) => {
    const ran = results[series]?.[scenario];
    if (ran?.passed.includes(claim)) return "passed";
    return ran?.failed.includes(claim) ? "**failed**" : "";
  });
  return [`${scenario}: ${claim}`, ...cells];
}
