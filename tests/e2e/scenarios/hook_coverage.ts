/**
 * Which LSM hooks each operation reaches, as the kernel itself tells: a counting program at every hook that BPF can attach
 * to, and each operation once. A kernel that moves, adds or drops a hook makes a difference in tests/golden/hooks, which
 * is for a person to read: does one of ours still see the operation?
 *
 * `ANKYLO_UPDATE_GOLDEN=1` writes the files anew.
 */

import assert from "node:assert/strict";
import { type KernelSeries, startVm } from "../../../scripts/vm/vm.ts";
import { EVERY_KERNEL, kernelsOf } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const coverage = {
  kernels: EVERY_KERNEL,
  golden: new URL("../../golden/hooks/", import.meta.url),
  update: Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1",
};

for (const kernel of kernelsOf(coverage)) {
  Deno.test(`${kernel} hook coverage: every operation reaches the hooks that it did`, async () => {
    const found = await runOperations(kernel);
    const file = new URL(`${kernel}.txt`, coverage.golden);
    if (coverage.update) await Deno.writeTextFile(file, found);
    const expected = await Deno.readTextFile(file);
    // Line by line, so that the difference names the operation.
    assert.deepEqual(found.split("\n"), expected.split("\n"));
  });
}

/** On one CPU: emulation does not patch the code of a hot hook safely while another runs it. */
const script =
  "echo 0 >/sys/devices/system/cpu/cpu1/online; /job/hooks 2>/tmp/error || cat /tmp/error";

/** The lines of tools/hooks, in the order of its operations. */
async function runOperations(kernel: KernelSeries): Promise<string> {
  const jobDir = await Deno.makeTempDir({ prefix: "ankylo-hooks-" });
  try {
    await Deno.copyFile(await compileTool("hooks"), `${jobDir}/hooks`);
    await Deno.writeTextFile(`${jobDir}/run.sh`, script);
    await using vm = await startVm({ kernel, jobDir });
    const lines = await Array.fromAsync(vm.lines);
    await vm.status;
    return lines.join("\n") + "\n";
  } finally {
    await Deno.remove(jobDir, { recursive: true });
  }
}
