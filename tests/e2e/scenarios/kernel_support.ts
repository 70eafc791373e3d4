/**
 * What each kernel can do for the agent, and what its verifier has to do for each program: `ankylo probe --verify` there.
 * What is found is compared with tests/golden/kernels, from which README.md's table is made; the table of all programs goes
 * to .output/reports. `ANKYLO_UPDATE_GOLDEN=1` writes the files anew.
 */

import assert from "node:assert/strict";
import { type KernelSupport, supportFile } from "../../../scripts/gen_kernel_table.ts";
import { repositoryDir } from "../../../scripts/stale.ts";
import { outputDir } from "../../../scripts/vm/store.ts";
import { type KernelSeries, startVm } from "../../../scripts/vm/vm.ts";
import { EXIT_OK, EXIT_UNSUPPORTED } from "../../../src/cli/exit_codes.ts";
import type { ProbeReport } from "../../../src/kernel/probe.ts";
import { type VerifiedProgram, VERIFIER_STEPS_MAX } from "../../../src/kernel/verify.ts";
import { EVERY_KERNEL, kernelsOf } from "../harness.ts";

const support = {
  kernels: EVERY_KERNEL,
  update: Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1",
};

for (const kernel of kernelsOf(support)) {
  let probed: Promise<Probed> | undefined;
  const probeOnce = () => probed ??= probe(kernel);

  // Kernels tell since 5.16: of 5.10 it is only known that it takes the programs.
  const taken = kernel === "5.10" ? "any number of" : `more than ${VERIFIER_STEPS_MAX}`;
  const isTold = kernel !== "5.10";
  Deno.test(`${kernel} kernel support: no program is told to take the verifier ${taken} instructions`, async () => {
    const { canEnforce, programs } = await probeOnce();
    assert.equal(programs !== undefined, canEnforce);
    assert.equal(programs?.some(({ steps }) => steps > 0) ?? isTold, isTold);
    assert.deepEqual(programs?.filter(({ steps }) => steps > VERIFIER_STEPS_MAX) ?? [], []);
  });

  Deno.test(`${kernel} kernel support: it lacks what README.md says`, async () => {
    const found = supportOf(await probeOnce());
    const path = repositoryDir + supportFile(kernel);
    if (support.update) await Deno.writeTextFile(path, JSON.stringify(found, null, 2) + "\n");
    const expected: KernelSupport = JSON.parse(await Deno.readTextFile(path));
    assert.deepEqual(found.absent, expected.absent);
    assert.deepEqual(found.missing, expected.missing);
  });
}

/** `programs`: there where the kernel can enforce. */
type Probed = ProbeReport & { readonly programs?: readonly VerifiedProgram[] };

async function probe(kernel: KernelSeries): Promise<Probed> {
  const jobDir = await Deno.makeTempDir({ prefix: "ankylo-support-" });
  try {
    await Deno.writeTextFile(`${jobDir}/run.sh`, "ankylo probe --verify --json 2>&1\n");
    await using vm = await startVm({ kernel, jobDir });
    const text = (await Array.fromAsync(vm.lines)).join("\n");
    const status = await vm.status;
    assert.ok(text.startsWith("{"), text);
    const found: Probed = JSON.parse(text);
    assert.equal(status, found.canEnforce ? EXIT_OK : EXIT_UNSUPPORTED);
    const lines = found.programs?.map(({ name, steps }) => `${name}\t${steps}\n`) ?? [];
    await Deno.mkdir(`${outputDir}/reports`, { recursive: true });
    await Deno.writeTextFile(`${outputDir}/reports/verifier-${kernel}.tsv`, lines.join(""));
    return found;
  } finally {
    await Deno.remove(jobDir, { recursive: true });
  }
}

function supportOf({ release, features, hooks, programs }: Probed): KernelSupport {
  const largest = programs?.[0];
  return {
    release,
    date: new Date().toISOString().slice(0, 10),
    missing: features.filter(({ state }) => state === "missing")
      .map(({ name, found, hint }) => `${name}: ${found}, ${hint}`),
    absent: hooks.filter(({ state }) => state !== "ok").map(({ name }) => name),
    ...largest?.steps && { largest: { program: largest.name, steps: largest.steps } },
  };
}
