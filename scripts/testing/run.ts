/** Command `scripts/test`: builds, checks, tests, and boots VMs; ends with "N passed, N failed". */

import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { plan, type Slot } from "../../tests/e2e/schedule.ts";
import { outputDir, repositoryDir } from "../vm/store.ts";
import {
  KERNEL_SERIES,
  KERNELS,
  type KernelSeries,
  parseKernelSeries,
  prepareKernel,
  prepareVm,
} from "../vm/vm.ts";
import { failureText, parseJunit, sum, type Tally, tallyText } from "./report.ts";

/** Every part ends, whatever hangs in it; the slowest takes a tenth of this on two quiet cores. */
const PART_SECONDS_MAX = 2400;

const SCENARIOS_DIR = "tests/e2e/scenarios";
const REPORTS_DIR = `${outputDir}/reports`;

function parseCount(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("must be a number from 1 on");
  return Number(text);
}

function parseKernels(text: string): KernelSeries[] {
  try {
    return text.split(",").map(parseKernelSeries);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const command = new Command("./scripts/test")
  .description(
    "Build, check and test everything, on real kernels in micro-VMs too. The last line is " +
      '"N passed, N failed"; the exit status is 0 when nothing failed.',
  )
  .option("--kernel <series>", "kernels for the end-to-end tests", parseKernels, KERNEL_SERIES)
  .option("--jobs <n>", "VMs at a time; each keeps about one CPU busy", parseCount, 2)
  .option(
    "--full",
    "also what the usual run tries on one kernel only, and all that is measured",
    false,
  )
  .option("--no-e2e", "leave out what needs VMs")
  .parse();

/** One part's work; what it throws counts as one failure. */
type Part = [name: string, run: () => Promise<Tally>];

const tallies: Tally[] = [];

async function runPart([name, run]: Part): Promise<Tally> {
  const start = performance.now();
  console.error(`test: ${name} ...`);
  const tally = await run().catch((error: unknown): Tally => {
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    return { passed: 0, skipped: 0, failures: [{ name, text }] };
  });
  const seconds = Math.round((performance.now() - start) / 1000);
  const report = [`  ${name}: ${tallyText(tally)} (${seconds} s)`];
  console.log([...report, ...tally.failures.map(failureText)].join("\n"));
  tallies.push(tally);
  return tally;
}

interface Ended {
  success: boolean;
  output: string;
}

/** Runs this Deno. Colours are for people, and reports are for files. */
async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const { success, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["--foreground", "--kill-after=10", `${PART_SECONDS_MAX}`, Deno.execPath(), ...args],
    cwd: repositoryDir,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { success, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** A command that passes or fails as a whole. */
function whole(name: string, ...args: string[]): Part {
  return [name, async () => {
    const { success, output } = await deno(args);
    const failures = success ? [] : [{ name, text: output }];
    return { passed: success ? 1 : 0, skipped: 0, failures };
  }];
}

/** Some test files, in one run of `deno test`. */
function tests(
  name: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Part {
  return [name, async () => {
    const report = `${REPORTS_DIR}/${name.replaceAll(/[^\w.]+/g, "-")}.xml`;
    // An older report that stays would be read as this run's.
    await Deno.remove(report).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    const options = ["test", "-A", "--no-check", "--reporter=dot", `--junit-path=${report}`];
    const { success, output } = await deno([...options, ...args], env);
    const tally = await readReport(report);
    // A file that could not even be loaded is in no report.
    if (tally !== undefined && success === (tally.failures.length === 0)) return tally;
    return sum([
      tally ?? sum([]),
      { passed: 0, skipped: 0, failures: [{ name, text: output }] },
    ]);
  }];
}

async function readReport(path: string): Promise<Tally | undefined> {
  try {
    return parseJunit(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function scenario({ scenario, kernel }: Slot): Part {
  return tests(`e2e ${kernel} ${scenario}`, [`${SCENARIOS_DIR}/${scenario}.ts`], {
    ANKYLO_E2E_KERNELS: kernel,
  });
}

/** Makes what most scenarios start from; what a few need is made by the first of them. */
async function prepareVms(kernels: readonly KernelSeries[]): Promise<Tally> {
  for (const kernel of kernels.filter((series) => KERNELS[series].scenarios === "all")) {
    await prepareVm({ kernel });
  }
  return { passed: 0, skipped: 0, failures: [] };
}

/**
 * Downloads the kernels that come last while the CPUs have other work. What fails here fails again, and is told, in the
 * scenarios that need it.
 */
async function fetchKernels(kernels: readonly KernelSeries[]): Promise<void> {
  for (const kernel of kernels) await prepareKernel(kernel).catch(() => {});
}

/** What tells soonest that something is wrong comes first. */
const CHECKS: readonly Part[] = [
  whole("format", "fmt", "--check"),
  whole("lint", "lint"),
  whole("types", "check"),
  whole("borders, lengths, generated sources", "run", "-A", "scripts/check.ts"),
  tests("unit and golden", ["--parallel", "--ignore=tests/integration"]),
  tests("integration", ["tests/integration"]),
];

/** Without `--full` only what another load on this machine does not change: instructions. */
function bench(full: boolean): Part {
  return whole("bench", "task", "bench", "--check", ...full ? [] : ["--only", "instructions"]);
}

/** Runs parts in order, until there are none; several may share a queue. */
async function work(queue: Part[]): Promise<void> {
  for (let part = queue.shift(); part !== undefined; part = queue.shift()) await runPart(part);
}

async function main(): Promise<boolean> {
  const { e2e, full, jobs, kernel } = command.opts();
  const kernels = e2e ? kernel : [];
  await Deno.mkdir(REPORTS_DIR, { recursive: true });
  // Booting and compiling keep one CPU busy each.
  const vms = runPart(["make VMs", () => prepareVms(kernels)]);
  const built = await runPart(whole("build", "run", "-A", "--no-check", "scripts/build_binary.ts"));
  await runPart(whole("build for tests", "run", "-A", "--no-check", "scripts/build_test.ts"));
  const checked = work([...CHECKS]);
  const ready = await vms;
  const fetched = fetchKernels(kernels);
  // Without an agent or a VM every scenario would fail for the same reason.
  const usable = built.failures.length + ready.failures.length === 0;
  const scenarios = usable ? plan(kernels, full ? "full" : "usual").map(scenario) : [];
  const queue = [...usable && kernels.includes("6.12") ? [bench(full)] : [], ...scenarios];
  // One CPU is the checks' until they have ended.
  const others = Array.from({ length: jobs - 1 }, () => work(queue));
  await Promise.all([fetched, checked.then(() => work(queue)), ...others]);
  const total = sum(tallies);
  console.log(`${total.passed} passed, ${total.failures.length} failed`);
  return total.failures.length === 0;
}

Deno.exit(await main() ? 0 : 1);
