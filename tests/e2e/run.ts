/** Command `deno task test:e2e`: runs the scenarios on one kernel or on all. */

import { Command } from "@commander-js/extra-typings";
import { KERNELS, parseKernelSeries } from "../../scripts/vm/vm.ts";
import { outputDir, repositoryDir } from "../../scripts/vm/store.ts";
import { KERNELS_VARIABLE } from "./harness.ts";

const command = new Command("test:e2e")
  .description("Run the end-to-end scenarios of tests/e2e in VMs.")
  .argument("[filter]", "run only tests whose name contains this, or matches /this/")
  .option("--kernel <series>", `${Object.keys(KERNELS).join(", ")}, or matrix for all`, "6.12")
  .parse();

const [filter] = command.processedArgs;
const { kernel } = command.opts();
if (kernel !== "matrix") kernel.split(",").forEach(parseKernelSeries);

const binary = Deno.env.get("ANKYLO_BINARY") ?? `${outputDir}/ankylo`;
if (!await Deno.stat(binary).then(() => true, () => false)) {
  console.error(`Run end-to-end tests: "${binary}" is missing: run "deno task build" first`);
  Deno.exit(1);
}
const scenarios = (await Array.fromAsync(Deno.readDir(`${repositoryDir}/tests/e2e/scenarios`)))
  .map((entry) => `tests/e2e/scenarios/${entry.name}`).filter((path) => path.endsWith(".ts"))
  .sort();
// Of this run alone: another may be under way, and one that never came to its tests leaves no report.
const report = `${outputDir}/e2e-${Deno.pid}.xml`;
const { code } = await new Deno.Command(Deno.execPath(), {
  args: [
    ...["test", "-A", `--junit-path=${report}`],
    ...filter === undefined ? [] : ["--filter", filter],
    ...scenarios,
  ],
  cwd: repositoryDir,
  env: { [KERNELS_VARIABLE]: kernel },
}).spawn().status;
console.log(await summary(report));
await Deno.remove(report).catch(() => {});
Deno.exit(code);

/** "N passed, N failed", from the report's first element; what the filter left out is neither. */
async function summary(path: string): Promise<string> {
  const report = await Deno.readTextFile(path).catch(() => undefined);
  if (report === undefined) return "no test ran";
  const [head] = /<testsuites [^>]*>/.exec(report) ?? [""];
  const skipped = report.split("<skipped/>").length - 1;
  const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  return `${count("tests") - skipped - failed} passed, ${failed} failed`;
}
