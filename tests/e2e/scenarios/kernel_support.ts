/**
 * What the verifier has to do for each program on each kernel, by `ankylo probe --verify` there. The whole table goes to
 * .output/reports.
 */

import assert from "node:assert/strict";
import { outputDir } from "../../../scripts/vm/store.ts";
import { type KernelSeries, startVm } from "../../../scripts/vm/vm.ts";
import type { ProbeReport } from "../../../src/kernel/probe.ts";
import { type VerifiedProgram, VERIFIER_STEPS_MAX } from "../../../src/kernel/verify.ts";
import { kernelsOf } from "../harness.ts";

/** Not 5.10, where nothing can be loaded. */
const support = {
  kernels: ["6.1", "6.12", "6.18", "7.x"] as const,
};

for (const kernel of kernelsOf(support)) {
  Deno.test(`${kernel} kernel support: no program takes the verifier more than ${VERIFIER_STEPS_MAX} instructions`, async () => {
    const { programs } = await probe(kernel);
    assert.ok(programs.length > 0);
    assert.deepEqual(programs.filter(({ steps }) => steps > VERIFIER_STEPS_MAX), []);
  });
}

type Probed = ProbeReport & { readonly programs: readonly VerifiedProgram[] };

async function probe(kernel: KernelSeries): Promise<Probed> {
  const jobDir = await Deno.makeTempDir({ prefix: "ankylo-support-" });
  try {
    await Deno.writeTextFile(`${jobDir}/run.sh`, "ankylo probe --verify --json 2>&1\n");
    await using vm = await startVm({ kernel, jobDir });
    const text = (await Array.fromAsync(vm.lines)).join("\n");
    assert.equal(await vm.status, 0, text);
    const found: Probed = JSON.parse(text);
    const lines = found.programs.map(({ name, steps }) => `${name}\t${steps}\n`);
    await Deno.mkdir(`${outputDir}/reports`, { recursive: true });
    await Deno.writeTextFile(`${outputDir}/reports/verifier-${kernel}.tsv`, lines.join(""));
    return found;
  } finally {
    await Deno.remove(jobDir, { recursive: true });
  }
}
