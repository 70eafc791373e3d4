/** Command `deno task vm`: runs a job directory on a real kernel with containerd. */

import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { type Forward, parseKernelSeries, startVm, VmError, type VmOptions } from "./vm/vm.ts";

/** Exit status when the VM failed rather than its job, as container tools use it. */
const VM_FAILED_STATUS = 125;

function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`must be a whole number: "${text}"`);
  return Number(text);
}

function parseForward(text: string, before: readonly Forward[]): Forward[] {
  const match = /^(\d+):(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError(`must be HOSTPORT:GUESTPORT: "${text}"`);
  return [...before, { hostPort: Number(match[1]), guestPort: Number(match[2]) }];
}

const command = new Command("vm")
  .description(
    "Run DIR/run.sh as root in a VM with a real kernel, containerd and the image\n" +
      "docker.io/library/busybox:latest, print its output and exit with its status.\n" +
      "DIR is copied to /job; .output/ankylo, if built, is at /usr/local/bin/ankylo.",
  )
  .requiredOption("--job <dir>", "directory with run.sh")
  .option("--kernel <series>", "kernel series", "6.12")
  .option("--mem <MiB>", "guest memory; the job directory counts", parseCount, 1024)
  .option("--cpus <n>", "guest CPUs", parseCount, 2)
  .option("--timeout <s>", "end the VM after so many seconds, 0 for never", parseCount, 300)
  .option("--icount", "one CPU whose clock counts instructions, 1 ns each", false)
  .option(
    "--forward <host:guest>",
    "make a guest port reachable at 127.0.0.1; the guest must listen on 0.0.0.0",
    parseForward,
    [] as Forward[],
  )
  .addHelpText(
    "after",
    "\nExit status: that of run.sh; 125 when the VM failed; 130 after Ctrl-C.\n" +
      "ANKYLO_KVM=1 uses KVM instead of emulation. ANKYLO_CACHE moves the cache.",
  )
  .parse();

async function main(): Promise<number> {
  const { job, kernel, mem, cpus, timeout, icount, forward } = command.opts();
  const options: VmOptions = {
    ...{ kernel: parseKernelSeries(kernel), jobDir: job, memMiB: mem, cpus },
    ...{ timeoutS: timeout, icount, forwards: forward },
  };
  await using vm = await startVm(options);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => void vm.stop());
  }
  for await (const line of vm.lines) console.log(line);
  return await vm.status;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof VmError || error instanceof RangeError)) throw error;
  if (error instanceof VmError && error.console !== "") {
    console.error(`Console of the VM:\n${error.console}\n`);
  }
  console.error(error.message);
  Deno.exit(VM_FAILED_STATUS);
}
