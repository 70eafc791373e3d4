import { openShim } from "../../ffi/bpf.ts";
import type { Settings } from "../config/config.ts";
import { uninstall } from "../kernel/enforcer.ts";
import { AgentRunsError, lockInstance } from "../lib/instance_lock.ts";
import { EXIT_OK } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";

/**
 * `ankylo uninstall`: takes the programs out of the kernel; from then on nothing is enforced.
 * @throws {AgentRunsError} an agent runs, and `force` is off
 */
export async function runUninstall(
  { bpffs }: Pick<Settings, "bpffs">,
  { force }: { force: boolean },
  io: CommandIo,
): Promise<number> {
  using _lock = await lockUnless(force, io);
  using shim = openShim();
  const removed = uninstall(shim, bpffs);
  for (const what of removed) io.out(`Removed ${what}\n`);
  io.out(
    removed.length === 0
      ? `Nothing is installed at ${bpffs}\n`
      : "Nothing is enforced any more. `ankylo run` enforces again.\n",
  );
  return EXIT_OK;
}

async function lockUnless(force: boolean, io: CommandIo): Promise<Disposable | undefined> {
  try {
    return await lockInstance();
  } catch (error) {
    if (!(error instanceof AgentRunsError)) throw error;
    if (!force) {
      throw new AgentRunsError(
        `Cannot uninstall: ${error.message}\n  hint: stop it first, or use --force`,
        { cause: error.cause },
      );
    }
    io.err(`${error.message}: it goes on without enforcing anything\n`);
    return undefined;
  }
}
