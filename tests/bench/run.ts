/** Command `deno task bench`: measures the agent in VMs and prints one table, with the numbers as JSON beside it. */

import { Command } from "@commander-js/extra-typings";
import { filesUnder } from "../../scripts/stale.ts";
import { capture, run } from "../../scripts/vm/command.ts";
import { outputDir, repositoryDir } from "../../scripts/vm/store.ts";
import { startVm, type VmOptions } from "../../scripts/vm/vm.ts";
import { benchPolicies } from "./policies.ts";
import { type Finding, judge, missingRows, parseMeasurements, table } from "./report.ts";
import { ROWS } from "./rows.ts";

const KERNEL = "6.12";
/** Each VM takes about a minute and a half on a quiet core. */
const TIMEOUT_S = 1200;
const BUDGETS = `${repositoryDir}/tests/bench/budgets.json`;
const REPORT = `${outputDir}/reports/bench.json`;
/** Containers of the memory row that only `--full` measures: they take two minutes to start. */
const MANY_CONTAINERS = 50;

const command = new Command("bench")
  .description(
    "Measure what the agent costs, in guest instructions unless a row says otherwise, on Linux " +
      `${KERNEL}.\nThe numbers go to .output/reports/bench.json as well.`,
  )
  .option("--full", `also measure memory with ${MANY_CONTAINERS} containers`, false)
  .option("--only <part>", "instructions, wall or user")
  .option("--record", "write what was measured as the new budgets", false)
  .option("--check", "exit status 1 when a row is worse than its budget and 5 %", false)
  .addHelpText(
    "after",
    "\nA budget is what a row was last recorded at, not its goal: see tests/bench/rows.ts.",
  )
  .parse();

/** Runs a guest script, after lines that set its variables, and returns what it printed. */
async function inVm(
  script: string,
  variables: string,
  options: Partial<VmOptions>,
): Promise<string[]> {
  const jobDir = await Deno.makeTempDir({ prefix: "ankylo-bench-" });
  try {
    await writeJob(jobDir, script, variables);
    await using vm = await startVm({ kernel: KERNEL, timeoutS: TIMEOUT_S, jobDir, ...options });
    const lines = await Array.fromAsync(vm.lines);
    const status = await vm.status;
    if (status === 0) return lines;
    throw new Error(`Measure: ${script} ended with status ${status}:\n${lines.join("\n")}`);
  } finally {
    await Deno.remove(jobDir, { recursive: true });
  }
}

async function writeJob(dir: string, script: string, variables: string): Promise<void> {
  const guest = `${repositoryDir}/tests/bench/guest`;
  await Deno.mkdir(`${dir}/policies`);
  for (const [name, text] of Object.entries(benchPolicies())) {
    await Deno.writeTextFile(`${dir}/policies/${name}`, text);
  }
  await run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror"]
    .concat(["-o", `${dir}/bench`, `${guest}/bench.c`]));
  const parts = ["common.sh", script].map((name) => Deno.readTextFile(`${guest}/${name}`));
  await Deno.writeTextFile(`${dir}/run.sh`, [variables, ...await Promise.all(parts)].join("\n"));
}

const PARTS = {
  instructions: () => inVm("instructions.sh", "", { icount: true, memMiB: 1536 }),
  wall: () => {
    const containers = command.opts().full ? MANY_CONTAINERS : 0;
    const memMiB = containers > 0 ? 3072 : 1024;
    return inVm("wall.sh", `many_containers=${containers}`, { memMiB });
  },
  user: inUserSpace,
};

/** Programs of tests/bench/user, each of which measures a part of the agent alone. */
async function inUserSpace(): Promise<string[]> {
  const lines: string[] = [];
  for (const path of await filesUnder("tests/bench/user", [".ts"])) {
    const text = await capture([Deno.execPath(), "run", "-A", "--no-check", path], {
      cwd: repositoryDir,
      env: { NO_COLOR: "1" },
    });
    lines.push(...text.split("\n"));
  }
  return lines;
}

/** Values that follow from several that a guest printed. */
function withSums(measured: Map<string, number>): Map<string, number> {
  const alerts = measured.get("burst.alerts");
  const counted = measured.get("burst.counted");
  if (alerts !== undefined && counted !== undefined) measured.set("burst.told", alerts + counted);
  return measured;
}

async function main(): Promise<boolean> {
  const { only, record, check } = command.opts();
  const parts = Object.entries(PARTS).filter(([name]) => only === undefined || name === only);
  if (parts.length === 0) throw new RangeError(`--only must be one of ${Object.keys(PARTS)}`);
  const lines: string[] = [];
  for (const [name, measure] of parts) {
    console.error(`bench: ${name} ...`);
    lines.push(...await measure());
  }
  const budgets = JSON.parse(await Deno.readTextFile(BUDGETS)) as Record<string, number>;
  const findings = judge(ROWS, withSums(parseMeasurements(lines)), budgets);
  console.log(table(findings));
  await writeReport(findings);
  if (record) await writeBudgets(budgets, findings);
  const missing = only === undefined ? missingRows(ROWS, findings, budgets) : [];
  for (const id of missing) console.log(`not measured: ${id}`);
  for (const { row } of findings.filter(({ regressed }) => regressed)) {
    console.log(`worse than its budget and 5 %: ${row.id}`);
  }
  return !check || (missing.length === 0 && findings.every(({ regressed }) => !regressed));
}

async function writeReport(findings: readonly Finding[]): Promise<void> {
  const rows = findings.map(({ row, ...found }) => ({ ...row, ...found }));
  await Deno.mkdir(`${outputDir}/reports`, { recursive: true });
  await Deno.writeTextFile(REPORT, JSON.stringify(rows, undefined, 2) + "\n");
}

/** Four digits: more would change with every run. */
async function writeBudgets(
  budgets: Record<string, number>,
  findings: readonly Finding[],
): Promise<void> {
  for (const { row, figure } of findings.filter(({ row }) => row.checked)) {
    budgets[row.id] = Number(figure.toPrecision(4));
  }
  await Deno.writeTextFile(BUDGETS, JSON.stringify(budgets, undefined, 2) + "\n");
}

if (!await main()) Deno.exit(1);
