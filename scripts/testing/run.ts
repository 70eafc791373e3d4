/** Command `scripts/test`: builds, checks, tests, and boots VMs; ends with "N passed, N failed". */

import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { outputDir, repositoryDir } from "../vm/store.ts";
import {
  KERNEL_SERIES,
  KERNELS,
  type KernelSeries,
  parseKernelSeries,
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

/** Each scenario on each kernel that it is for: as many at a time as `--jobs` says. */
async function runScenarios(kernels: readonly KernelSeries[], jobs: number): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(`${repositoryDir}/${SCENARIOS_DIR}`)))
    .map((entry) => entry.name).filter((name) => name.endsWith(".ts")).sort();
  const namesKernels = new Map(
    await Promise.all(names.map(async (name) => {
      const text = await Deno.readTextFile(`${repositoryDir}/${SCENARIOS_DIR}/${name}`);
      return [name, /^ *kernels:/m.test(text)] as const;
    })),
  );
  const queue = names.flatMap((name) =>
    kernels.filter((kernel) => KERNELS[kernel].scenarios === "all" || namesKernels.get(name)).map((
      kernel,
    ) =>
      tests(`e2e ${kernel} ${name.replace(/\.ts$/, "")}`, [`${SCENARIOS_DIR}/${name}`], {
        ANKYLO_E2E_KERNELS: kernel,
      })
    )
  );
  const worker = async () => {
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) await runPart(part);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

async function prepareVms(kernels: readonly KernelSeries[]): Promise<Tally> {
  for (const kernel of kernels) await prepareVm({ kernel });
  return { passed: 0, skipped: 0, failures: [] };
}

async function main(): Promise<boolean> {
  const { e2e, jobs, kernel } = command.opts();
  const kernels = e2e ? kernel : [];
  await Deno.mkdir(REPORTS_DIR, { recursive: true });
  // Booting and compiling keep one CPU busy each.
  const vms = runPart(["make VMs", () => prepareVms(kernels)]);
  const built = await runPart(whole("build", "run", "-A", "--no-check", "scripts/build_binary.ts"));
  await runPart(whole("build for tests", "run", "-A", "--no-check", "scripts/build_test.ts"));
  const ready = await vms;
  await runPart(whole("format", "fmt", "--check"));
  await runPart(whole("lint", "lint"));
  await runPart(whole("types", "check"));
  await runPart(whole("borders, lengths, generated sources", "run", "-A", "scripts/check.ts"));
  await runPart(tests("unit and golden", ["--parallel", "--ignore=tests/integration"]));
  await runPart(tests("integration", ["tests/integration"]));
  // Without an agent or a VM every scenario would fail for the same reason.
  if (built.failures.length + ready.failures.length === 0) {
    if (kernels.includes("6.12")) await runPart(whole("bench", "task", "bench", "--check"));
    await runScenarios(kernels, jobs);
  }
  const total = sum(tallies);
  console.log(`${total.passed} passed, ${total.failures.length} failed`);
  return total.failures.length === 0;
}

Deno.exit(await main() ? 0 : 1);
