/**
 * Makes `.output/bpf/vmlinux.h`, every type of the kernel as C, which the programs in bpf/ are compiled against.
 *
 * The types are those of the newest kernel that the tests boot, not those of the machine that builds: the object is
 * then the same wherever it is built. libbpf relocates field offsets to the running kernel at load.
 */

import { captureBytes } from "./vm/command.ts";
import { vmlinuxPath } from "./vm/kernel.ts";
import { writeIfStale } from "./stale.ts";

/** Its types are the superset: what 6.1 names otherwise is handled in bpf/include/core_fixes.bpf.h. */
const SERIES = "6.12";

/** Where the header is, for `-I`. */
export const vmlinuxHeader = ".output/bpf/vmlinux.h";

/** Makes the header unless it is there already, made from the same kernel. */
export async function generateVmlinuxHeader(): Promise<void> {
  // The cache names a kernel's directory by what went into it, so its path is its identity.
  const vmlinux = await vmlinuxPath(SERIES);
  await writeIfStale(vmlinuxHeader, { texts: [vmlinux] }, async () => {
    const format = ["btf", "dump", "file", vmlinux, "format", "c"];
    return await captureBytes(["bpftool", ...format]);
  });
}

if (import.meta.main) await generateVmlinuxHeader();
