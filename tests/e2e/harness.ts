/** Turns a scenario into tests: one for each act and kernel, all from one VM. See scenario.ts for what to write. */

import assert from "node:assert/strict";
import {
  KERNEL_SERIES,
  KERNELS,
  type KernelSeries,
  parseKernelSeries,
  startVm,
} from "../../scripts/vm/vm.ts";
import { outputDir } from "../../scripts/vm/store.ts";
import { difference, matchAlerts, type Outcome, parseOutcome } from "./outcome.ts";
import { planActs, type PlannedAct, planScript, type Scenario } from "./scenario.ts";
import { ProofLog } from "./proof_log.ts";
import { setting } from "./settings.ts";

export type { Act, AlertPattern, ContainerSpec, Expectation, Scenario } from "./scenario.ts";

/** The variable by which run.ts names the kernels, separated by commas. */
export const KERNELS_VARIABLE = "ANKYLO_E2E_KERNELS";

/** For a scenario that shows what differs between kernels. */
export const EVERY_KERNEL: readonly KernelSeries[] = KERNEL_SERIES;

/** Of all that need one of them: for every list of options the agent is started once more, on every kernel. */
export const STRICT_AGENT: readonly string[] = [
  ...["--pending-containers", "hold", "--posture-file", "block"],
];

const USUAL_KERNELS = KERNEL_SERIES.filter((series) => KERNELS[series].scenarios === "all");

/** A scenario that takes longer than this hangs; one that is made longer by its variables may need more. */
const TIMEOUT_S = setting("ANKYLO_E2E_TIMEOUT", 1_200);

/** An act that takes longer never ends: see patience in guest/driver.sh. */
const PATIENCE_S = setting("ANKYLO_E2E_PATIENCE", 60);

/** Registers a scenario's tests. The VM runs when the first of them does, so a filter also saves the VM. */
export function scenario(scenario: Scenario): void {
  const acts = planActs(scenario.acts);
  for (const kernel of kernelsOf(scenario)) {
    let run: Promise<Outcome> | undefined;
    const proofs = new ProofLog(scenario.name, kernel, acts.map(({ claim }) => claim));
    const outcome = () => run ??= proofs.begin().then(() => runScenario(scenario, acts, kernel));
    for (const act of acts) {
      Deno.test(`${kernel} ${scenario.name}: ${act.claim}`, async () => {
        checkAct(act, acts, await outcome());
        await proofs.passed(act.claim);
      });
    }
    if ((scenario.otherAlerts ?? "fail") === "fail") {
      Deno.test(`${kernel} ${scenario.name}: no alert but those expected`, async () => {
        checkNoOtherAlerts(acts, await outcome());
      });
    }
  }
}

/** A kernel that is named gets every scenario that is not confined to others; the matrix gives each to its own. */
export function kernelsOf({ kernels }: Pick<Scenario, "kernels">): readonly KernelSeries[] {
  const text = Deno.env.get(KERNELS_VARIABLE) ?? "6.12";
  if (text === "matrix") return kernels ?? USUAL_KERNELS;
  return text.split(",").map(parseKernelSeries).filter((kernel) =>
    kernels?.includes(kernel) ?? true
  );
}

async function runScenario(
  scenario: Scenario,
  acts: readonly PlannedAct[],
  kernel: KernelSeries,
): Promise<Outcome> {
  const jobDir = await Deno.makeTempDir({ prefix: "ankylo-e2e-" });
  try {
    await writeJob(scenario, acts, jobDir);
    await using vm = await startVm({
      kernel,
      jobDir,
      ...scenario.agentStarts === "last" ? {} : { agent: scenario.agentOptions ?? [] },
      timeoutS: TIMEOUT_S,
      ...scenario.memMiB === undefined ? {} : { memMiB: scenario.memMiB },
    });
    const lines = await Array.fromAsync(logged(vm.lines, `${kernel} ${scenario.name}`));
    await vm.status;
    return parseOutcome(lines);
  } finally {
    await Deno.remove(jobDir, { recursive: true });
  }
}

/** Writes a VM's lines to .output/e2e as they come, with the seconds since its start: for those who watch or measure. */
async function* logged(lines: AsyncIterable<string>, name: string): AsyncGenerator<string> {
  await Deno.mkdir(`${outputDir}/e2e`, { recursive: true });
  using log = await Deno.create(`${outputDir}/e2e/${name.replaceAll(/[^\w.]+/g, "-")}.log`);
  const start = performance.now();
  const encoder = new TextEncoder();
  for await (const line of lines) {
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    await log.write(encoder.encode(`${seconds} ${line}\n`));
    yield line;
  }
}

async function writeJob(scenario: Scenario, acts: readonly PlannedAct[], dir: string) {
  await Deno.mkdir(`${dir}/policies`);
  await Deno.mkdir(`${dir}/files`);
  for (const [name, text] of Object.entries(scenario.policies)) {
    await Deno.writeTextFile(`${dir}/policies/${name}`, text);
  }
  for (const path of scenario.files ?? []) {
    await Deno.copyFile(path, `${dir}/files/${path.split("/").at(-1)}`);
  }
  const driver = await Deno.readTextFile(new URL("guest/driver.sh", import.meta.url));
  const script = [`PATIENCE=${PATIENCE_S}`, driver, planScript(scenario, acts)].join("\n");
  await Deno.writeTextFile(`${dir}/run.sh`, script);
}

function checkAct(act: PlannedAct, acts: readonly PlannedAct[], outcome: Outcome): void {
  if (outcome.fatal) assert.fail(`${outcome.fatal}\n${agentLog(outcome)}`);
  const happened = outcome.acts.get(act.id);
  assert.ok(happened, `the act was not reached\n${agentLog(outcome)}`);
  const found = difference(act.expect, happened);
  if (found !== undefined) assert.fail(`${where(act)}: ${found}\n${agentLog(outcome)}`);
  const missing = matchAlerts(acts, outcome).missing.get(act.id) ?? [];
  if (missing.length === 0) return;
  const arrived = outcome.alerts.slice(happened.alertsBefore, happened.alertsAfter);
  assert.fail(
    `${where(act)}: expected alert ${missing.map(show).join(" and ")}:\n` +
      `found ${arrived.map(show).join("\n") || "none"}\n${agentLog(outcome)}`,
  );
}

function checkNoOtherAlerts(acts: readonly PlannedAct[], outcome: Outcome): void {
  if (outcome.fatal) assert.fail(outcome.fatal);
  const { unexpected } = matchAlerts(acts, outcome);
  if (unexpected.length > 0) assert.fail(`unexpected:\n${unexpected.map(show).join("\n")}`);
}

function where(act: PlannedAct): string {
  return `in ${act.in}, ${JSON.stringify(act.run)}`;
}

/** An alert or a pattern, as JSON, with regular expressions as they were written. */
function show(value: unknown): string {
  return JSON.stringify(value, (_, item) => item instanceof RegExp ? `${item}` : item);
}

function agentLog(outcome: Outcome): string {
  const lines = outcome.agentLog.trim().split("\n").slice(-15);
  return `--- the agent's last lines\n${lines.join("\n")}`;
}
