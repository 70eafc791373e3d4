/**
 * Writes the table of what each kernel lacks into README.md, from what `ankylo probe --verify --json` said on each of them
 * (tests/golden/kernels) and from what the agent says of a missing hook (src/kernel/hooks.ts).
 */

import { DECIDING_HOOKS } from "../src/kernel/hooks.ts";
import { checkPart, type MarkedPart, writePart } from "./marked.ts";
import { repositoryDir } from "./stale.ts";
import { KERNEL_SERIES, type KernelSeries } from "./vm/kernels.ts";

/** What was found on a kernel: see tests/e2e/scenarios/kernel_support.ts, which compares and renews it. */
export interface KernelSupport {
  /** `uname -r` of that day. */
  readonly release: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  /** Features without which nothing is enforced, each with what was found instead. */
  readonly missing: readonly string[];
  /** Hooks of DECIDING_HOOKS at which nothing can be attached. */
  readonly absent: readonly string[];
  /** The program that kept the verifier busiest, and the instructions that it followed; of a kernel that tells. */
  readonly largest?: { readonly program: string; readonly steps: number };
}

/** Where a series' facts lie, relative to the repository. */
export function supportFile(series: KernelSeries): string {
  return `tests/golden/kernels/${series}.json`;
}

/** What a missing hook means, for people; a hook whose work another does on that kernel is left out. */
export function lossesOf(absent: readonly string[]): string[] {
  return DECIDING_HOOKS.filter(({ name, need }) => absent.includes(name) && need !== "variant")
    .map(({ name, loss }) => `${loss} (no \`${name}\`)`);
}

/** Its hooks that another one stands in for there. */
function replacedOf(absent: readonly string[]): string[] {
  return DECIDING_HOOKS.filter(({ name, need }) => absent.includes(name) && need === "variant")
    .map(({ name, instead }) =>
      `no \`${name}\`: ${instead!.replace(/ too on this kernel$/, " too")}`
    );
}

/** The table, in Markdown. */
export function kernelTable(
  kernels: readonly (readonly [series: KernelSeries, support: KernelSupport])[],
): string {
  return [
    "| kernel | tested | what it can't do | what it does in another way | busiest program |",
    "| --- | --- | --- | --- | --- |",
    ...kernels.map(row),
  ].join("\n");
}

function row([series, support]: readonly [KernelSeries, KernelSupport]): string {
  const { release, date, missing, absent, largest } = support;
  const tested = `${release}, ${date}`;
  if (missing.length > 0) {
    return `| ${series} | ${tested} | nothing is enforced: ${missing.join("; ")} | | |`;
  }
  const losses = lossesOf(absent).join("; ") || "nothing is lost";
  const steps = largest === undefined
    ? "this kernel does not tell"
    : `\`${largest.program}\`, ${largest.steps.toLocaleString("en")}`;
  return `| ${series} | ${tested} | ${losses} | ${replacedOf(absent).join("; ")} | ${steps} |`;
}

async function readSupport(series: KernelSeries): Promise<KernelSupport> {
  return JSON.parse(await Deno.readTextFile(repositoryDir + supportFile(series)));
}

const PART: MarkedPart = {
  file: "README.md",
  begin: "<!-- kernels: by scripts/gen_kernel_table.ts -->",
  end: "<!-- kernels end -->",
  body: async () =>
    kernelTable(
      await Promise.all(
        KERNEL_SERIES.map(async (series) => [series, await readSupport(series)] as const),
      ),
    ),
  command: "deno run -A scripts/gen_kernel_table.ts",
};

/** @throws {Error} the table is not what the facts say */
export async function checkKernelTable(): Promise<void> {
  await checkPart(PART);
}

if (import.meta.main) await writePart(PART);
