import { BpfError, openShim, type Shim } from "../../ffi/bpf.ts";
import type { Settings } from "../config/config.ts";
import { uninstall } from "../kernel/enforcer.ts";
import { EPERM } from "../lib/errno.ts";
import { AgentRunsError, lockInstance } from "../lib/instance_lock.ts";
import { removeState } from "../state/state_file.ts";
import { EXIT_OK } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";

/**
 * `ankylo uninstall`: takes the programs out of the kernel, and what was saved from the disk; from then on nothing is
 * enforced.
 * @throws {AgentRunsError} an agent runs, and `force` is off
 */
export async function runUninstall(
  { bpffs, state }: Pick<Settings, "bpffs" | "state">,
  { force }: { force: boolean },
  io: CommandIo,
): Promise<number> {
  using _lock = await lockUnless(force, io);
  using shim = openShim();
  const removed = removeFrom(shim, bpffs);
  if (state !== undefined && await removeState(state)) removed.push(`what was saved in ${state}`);
  for (const what of removed) io.out(`Removed ${what}\n`);
  io.out(
    removed.length === 0
      ? `Nothing is installed at ${bpffs}\n`
      : "Nothing is enforced any more. `ankylo run` enforces again.\n",
  );
  return EXIT_OK;
}

function removeFrom(shim: Shim, bpffs: string): string[] {
  try {
    return uninstall(shim, bpffs);
  } catch (error) {
    if (!(error instanceof BpfError) || error.errno !== EPERM) throw error;
    const why =
      "the kernel refuses it: either this is not root on the host, or an agent runs with protect: host";
    throw new Error(`Cannot uninstall: ${why}\n  hint: stop the agent first`, { cause: error });
  }
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
