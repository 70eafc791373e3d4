/** What the agent opens before it is one: what the last run left, and the kernel's side. */

import type { Shim } from "../ffi/bpf.ts";
import { programBytes } from "../ffi/product.ts";
import type { Reporter } from "./alerts/record.ts";
import { Users } from "./alerts/users.ts";
import type { Settings } from "./config/config.ts";
import { Enforcement } from "./kernel/enforcement.ts";
import { readQuickFacts } from "./kernel/facts.ts";
import { HostProcfs } from "./kernel/host_procfs.ts";
import { programsFor } from "./kernel/probe.ts";
import { systemClock } from "./lib/clock.ts";
import type { Log } from "./lib/log.ts";
import { Memory } from "./memory.ts";

/** What the last run saved, when it is this machine's. */
export async function openMemory(settings: Settings, log: Log, shim: Shim): Promise<Memory> {
  const machine = new HostProcfs(shim).readText("/etc/machine-id")?.trim() ?? "";
  const { state: dir, policies: folder } = settings;
  return await Memory.open({ dir, folder, machine, clock: systemClock, log });
}

/** Who reports. */
export function reporterOf(
  { cluster, hostname }: Settings,
  procfs: HostProcfs,
  version: string,
): Reporter {
  // The node's own file also for an agent in a container.
  const users = new Users(
    () => procfs.readText("/proc/1/root/etc/passwd"),
    () => systemClock.nowMs(),
  );
  return {
    clusterName: cluster,
    hostName: hostname,
    nodeId: procfs.readText("/etc/machine-id")?.trim() ?? "",
    version: `ankylo ${version}`,
    userName: (uid) => users.nameOf(uid),
  };
}

/** The programs that this kernel takes, in the kernel; or why there are none. */
export async function openKernel(shim: Shim, { bpffs, alerts }: Settings): Promise<Enforcement> {
  const facts = readQuickFacts(shim);
  // Where there are none, Enforcement says why.
  const objects = await programBytes(programsFor(facts) ?? "5.17");
  return Enforcement.open(shim, { bpffs, alerts, facts, objects });
}
