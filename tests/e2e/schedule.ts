/**
 * Which scenarios a run takes, on which kernels, the longest first, so that those who share the work end together.
 *
 * What a rule refuses depends on the kernel: on its hooks, and on how its structures are read. Such claims are tried on
 * every kernel of the matrix. What the agent makes of policies, restarts and floods is the same code on each: the usual
 * run tries it on one, half of it on the oldest, half on the other; a full run on both.
 */

import { KERNEL_SERIES, KERNELS, type KernelSeries } from "../../scripts/vm/kernels.ts";

/** Kernels that a scenario runs on. */
export interface Planned {
  readonly usual: readonly KernelSeries[];
  readonly full: readonly KernelSeries[];
}

const MATRIX = KERNEL_SERIES.filter((series) => KERNELS[series].scenarios === "all");

/** All with one set of programs. 5.10 has its own, for which the scenarios below that name it are tried. */
const ALIKE = KERNEL_SERIES.filter((series) => series !== "5.10");

const onMatrix: Planned = { usual: MATRIX, full: MATRIX };
const onEach: Planned = { usual: MATRIX, full: ALIKE };
const onEachAnd510: Planned = { usual: MATRIX, full: KERNEL_SERIES };
const onEachAlways510: Planned = { usual: [...MATRIX, "5.10"], full: KERNEL_SERIES };
const onOne = (series: KernelSeries): Planned => ({ usual: [series], full: MATRIX });
const only = (...series: KernelSeries[]): Planned => ({ usual: series, full: series });

/** By name of the file in tests/e2e/scenarios. */
export const SCHEDULE: Readonly<Record<string, Planned>> = {
  persistence: onOne("6.12"),
  no_window: onOne("6.1"),
  evasion_names: onEachAnd510,
  self_protection: onEach,
  evasion_mounts: { usual: [...MATRIX, "7.x"], full: ALIKE },
  evasion_programs: onEachAnd510,
  agent_restart: onOne("6.12"),
  file_rules: onEachAlways510,
  allow_lists_block: onMatrix,
  evasion_identity: onEachAlways510,
  differential: onOne("6.12"),
  host_rules: onOne("6.12"),
  governance: onOne("6.12"),
  random_paths: onOne("6.1"),
  cgroup_v1: only("6.1"),
  races: { usual: [...MATRIX, "7.x"], full: ALIKE },
  policy_changes: onOne("6.1"),
  process_rules: { usual: ["6.12"], full: [...MATRIX, "5.10"] },
  pattern_rules: onOne("6.12"),
  network_rules: onOne("6.1"),
  dns_rules: { usual: ["6.12"], full: ["6.12", "6.18", "7.x"] },
  capability_rules: { usual: ["6.12"], full: [...MATRIX, "5.10"] },
  syscall_rules: onOne("6.12"),
  presets: { usual: ["6.12"], full: ALIKE },
  accounting: onOne("6.1"),
  precedence: onOne("6.12"),
  allow_lists_audit: onOne("6.12"),
  kernel_support: only(...KERNEL_SERIES),
  hook_coverage: only(...KERNEL_SERIES),
};

/** One run of one scenario. */
export interface Slot {
  readonly scenario: string;
  readonly kernel: KernelSeries;
}

/** What a run on these kernels consists of, in the order in which to begin. */
export function plan(kernels: readonly KernelSeries[], extent: keyof Planned): Slot[] {
  return Object.entries(SCHEDULE).flatMap(([scenario, planned]) =>
    planned[extent].filter((kernel) => kernels.includes(kernel))
      .map((kernel) => ({ scenario, kernel }))
  );
}
