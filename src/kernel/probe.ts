/** What a kernel can do for Ankylo, from facts about it; pure. */

import type { CgroupHierarchy } from "../../ffi/procfs.ts";
import type { ProgramsName } from "../../ffi/product.ts";
import { DECIDING_HOOKS, IDENTITY_PROGRAMS, isAmongHooks, isLsmHook } from "./hooks.ts";

/** As `readFacts` finds them, or as a test makes them up. */
export interface KernelFacts {
  /** `uname -r`. */
  readonly release: string;
  /** Active security modules in their order, or undefined where securityfs can't be read. */
  readonly lsms: readonly string[] | undefined;
  /** The kernel describes its own types. */
  readonly btf: boolean;
  /** Of LSM_HOOKS, TRACEPOINTS and CGROUP_HOOKS: those that BPF programs can attach to. */
  readonly hooks: ReadonlySet<string>;
  /** Of KERNEL_FUNCTIONS: those that the kernel describes. */
  readonly functions: ReadonlySet<string>;
  /** Of KERNEL_SYMBOLS: those that the kernel lists; undefined: nobody looked. */
  readonly symbols: ReadonlySet<string> | undefined;
  /** Where runtimes make containers' cgroups. */
  readonly cgroups: CgroupHierarchy | undefined;
  readonly bpffs: boolean;
  readonly root: boolean;
}

/** What tells which programs a kernel takes, and, of 6.2, that look-ups in task storage never fail. */
export const KERNEL_FUNCTIONS = [
  "bpf_loop",
  "bpf_per_cpu_ptr",
  "migrate_disable",
  "create_io_thread",
  "bpf_cgrp_storage_get",
] as const;

/**
 * The programs for a kernel; undefined: there are none. bpf_loop came with 5.17, later than all else that the first cannot do
 * without. Those for 5.10, which brought bpf_per_cpu_ptr, keep scratch per CPU: sound where programs are not preempted, which
 * was until 5.11 made migrate_disable a function of its own. The kernels in between get neither. With create_io_thread, which
 * 5.10.162 got from 5.12, io_uring's workers are tasks of who uses it; what kernel threads do for a container is not judged.
 */
export function programsFor(
  { functions }: Pick<KernelFacts, "functions">,
): ProgramsName | undefined {
  if (functions.has("bpf_loop")) return "5.17";
  const isSound = functions.has("create_io_thread") && !functions.has("migrate_disable");
  return isSound && functions.has("bpf_per_cpu_ptr") ? "5.10" : undefined;
}

/** Whether identities are kept by their tasks' addresses: what is_kept_by_address of bpf/include/tasks.bpf.h finds. */
export function isKeptByAddress({ functions }: Pick<KernelFacts, "functions">): boolean {
  return !functions.has("bpf_cgrp_storage_get");
}

/** Locks whose counters tell the path walker that a path changed under it. */
export const KERNEL_SYMBOLS = ["rename_lock", "mount_lock"] as const;

/**
 * `ok`; `missing`: nothing is enforced without it; `weaker`: the rest is enforced; `absent`: not there and not needed.
 */
export type FeatureState = "ok" | "missing" | "weaker" | "absent";

export interface Feature {
  readonly name: string;
  readonly state: FeatureState;
  /** What was found. */
  readonly found: string;
  /** What it means and what to do; there unless ok. */
  readonly hint?: string;
}

export interface ProbeReport {
  readonly release: string;
  readonly features: readonly Feature[];
  /** LSM hooks of DECIDING_HOOKS with their states. */
  readonly hooks: readonly Feature[];
  readonly canEnforce: boolean;
}

/** The report on a kernel. */
export function probe(facts: KernelFacts): ProbeReport {
  const features = [
    feature("root", facts.root, "running as root", "not root", "run as root"),
    lsmFeature(facts),
    feature(
      "BTF",
      facts.btf,
      "/sys/kernel/btf/vmlinux",
      "none",
      "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    ),
    feature(
      "cgroups",
      facts.cgroups !== undefined,
      cgroupsText(facts.cgroups),
      "not mounted",
      "containers are told apart by their cgroups: mount cgroup2 at /sys/fs/cgroup",
    ),
    feature(
      "bpffs",
      facts.bpffs,
      "available",
      "not available",
      "use a kernel built with CONFIG_BPF_SYSCALL=y",
    ),
    programsFeature(facts),
    ...symbolFeatures(facts),
    identityFeature(facts),
    pathFeature(facts),
  ];
  const lsmHooks = DECIDING_HOOKS.filter(({ name }) => isLsmHook(name));
  const hooks = lsmHooks.map((hook) => {
    const found = isAmongHooks(hook, facts.hooks);
    if (found) return { name: hook.name, state: "ok", found: "attachable" } as const;
    const state = hook.need === "variant" ? "absent" : "weaker";
    const hint = hook.instead ?? hook.loss;
    return { name: hook.name, state, found: "not in this kernel", hint } as const;
  });
  const canEnforce = features.every(({ state }) => state !== "missing");
  return { release: facts.release, features, hooks, canEnforce };
}

function cgroupsText(hierarchy: CgroupHierarchy | undefined): string {
  if (hierarchy === undefined) return "";
  const { controller, root } = hierarchy;
  return controller === "unified" ? `cgroup2 at ${root}` : `cgroup v1, ${controller} at ${root}`;
}

function feature(
  name: string,
  ok: boolean,
  found: string,
  notFound: string,
  hint: string,
): Feature {
  return ok ? { name, state: "ok", found } : { name, state: "missing", found: notFound, hint };
}

/** Without `bpf` in the list the kernel attaches LSM programs and never calls them. */
function lsmFeature({ lsms }: KernelFacts): Feature {
  const found = lsms?.join(",") ?? "unknown, since securityfs is not mounted";
  if (lsms === undefined) {
    const hint = "run mount -t securityfs securityfs /sys/kernel/security";
    return { name: "BPF LSM", state: "missing", found, hint };
  }
  if (lsms.includes("bpf")) return { name: "BPF LSM", state: "ok", found };
  // `capability` is always on and is not named on the command line.
  const wanted = [...lsms.filter((lsm) => lsm !== "capability"), "bpf"].join(",");
  const hint = `add "lsm=${wanted}" to the kernel command line and reboot ` +
    "(the kernel must have CONFIG_BPF_LSM=y)";
  return { name: "BPF LSM", state: "missing", found, hint };
}

/** `path_notify` is not one of them: it is there without CONFIG_SECURITY_PATH (include/linux/lsm_hook_defs.h). */
const PATH_HOOK = /^path_(?!notify)/;

function programsFeature(facts: KernelFacts): Feature {
  const programs = programsFor(facts);
  const found = programs === "5.10" ? "those for 5.10" : "those for 5.17 and later";
  const hint = "use a kernel 5.17 or later, or 5.10.162 or later of 5.10";
  return feature("programs", programs !== undefined, found, "none for this kernel", hint);
}

function symbolFeatures({ symbols }: KernelFacts): Feature[] {
  if (symbols === undefined) return [];
  const hint =
    "paths can't be read safely without it: use a kernel built with CONFIG_KALLSYMS_ALL=y";
  return KERNEL_SYMBOLS.map((symbol) =>
    feature(symbol, symbols.has(symbol), "in kallsyms", "not in kallsyms", hint)
  );
}

function identityFeature({ hooks }: KernelFacts): Feature {
  const missing = IDENTITY_PROGRAMS.flatMap(({ lsmHook }) => lsmHook ?? [])
    .filter((hook) => !hooks.has(hook));
  const found = missing.length === 0 ? "attachable" : `no ${missing.join(", ")}`;
  return feature("identity hooks", missing.length === 0, found, found, "use a newer kernel");
}

/**
 * Rules are about names, and a kernel without CONFIG_SECURITY_PATH asks nobody when names change: each rule could be got
 * round by a rename, so none is enforced. What single hooks among these are for, DECIDING_HOOKS says.
 */
function pathFeature({ hooks }: KernelFacts): Feature {
  const ok = DECIDING_HOOKS.some(({ name }) => PATH_HOOK.test(name) && hooks.has(name));
  const hint =
    "objects of rules are renamed, linked, deleted and made without anyone being asked, " +
    "so no rule is enforced: use a kernel built with CONFIG_SECURITY_PATH=y, which AppArmor, " +
    "Landlock and TOMOYO bring with them";
  return feature("path hooks", ok, "attachable", "not in this kernel", hint);
}

/** The report as a table, with what to do at the end. `isWhole`: no program is known to be refused. */
export function probeText(report: ProbeReport, isWhole = true): string {
  const rows = [...report.features, ...report.hooks];
  const width = Math.max(...rows.map(({ name }) => name.length));
  const line = ({ name, state, found }: Feature) =>
    `  ${state.padEnd(7)}  ${name.padEnd(width)}  ${found}\n`;
  const hints = rows.filter(({ hint, state }) => hint !== undefined && state !== "absent")
    .map(({ name, hint }) => `  ${name}: ${hint}\n`);
  const verdict = report.canEnforce
    ? `Ankylo can enforce here${isWhole ? "" : ", but not all of it"}.\n`
    : "Ankylo cannot enforce here. It still runs: it checks policies, lists workloads and says what is missing.\n";
  return `Kernel ${report.release}\n${report.features.map(line).join("")}` +
    `LSM hooks\n${report.hooks.map(line).join("")}${verdict}${
      hints.length > 0 ? `What to do\n${hints.join("")}` : ""
    }`;
}
