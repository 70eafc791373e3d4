/** What alerts of presets say, in KubeArmor's words where it has the preset, and in the same style where it has not. */
import { MAPPED_FLAGS_AT, MAPPED_PROTECTION_BITS } from "../../ffi/generated/agent_api.ts";
import type { DecisionEvent } from "../events/event.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import { flagNames, type Names } from "./flags.ts";

interface Wording {
  readonly enforcer: string;
  readonly operation: "Process" | "File" | "Syscall";
  /** Resource of what is no object. */
  readonly resource?: string;
  /** It is about memory, and tells how that is mapped. */
  readonly isMapping?: true;
}

const WORDINGS: Readonly<Record<PresetName, Wording>> = {
  filelessExec: { enforcer: "PRESET-FilelessExecutionPreset", operation: "Process" },
  anonymousMapExec: {
    enforcer: "PRESET-AnonMapExecutionPreset",
    operation: "File",
    isMapping: true,
  },
  protectEnv: { enforcer: "PRESET-ProtectEnvPreset", operation: "File" },
  protectProc: { enforcer: "PRESET-ProtectProcPreset", operation: "File" },
  exec: { enforcer: "PRESET-ExecPreset", operation: "Process" },
  protectRuntimeSocket: { enforcer: "PRESET-ProtectRuntimeSocketPreset", operation: "File" },
  blockRawDevices: { enforcer: "PRESET-BlockRawDevicesPreset", operation: "File" },
  denyUserNamespaces: {
    enforcer: "PRESET-DenyUserNamespacesPreset",
    operation: "Syscall",
    resource: "user namespace",
  },
  denyIoUring: {
    enforcer: "PRESET-DenyIoUringPreset",
    operation: "Syscall",
    resource: "io_uring",
  },
  protectKernelTunables: { enforcer: "PRESET-ProtectKernelTunablesPreset", operation: "File" },
};

/** The wording of a preset's decision; undefined for another's. */
export function presetWording({ opName, reason, row }: DecisionEvent): Wording | undefined {
  const name = opName === "preset" && reason === "rule" ? PRESET_NAMES[row] : undefined;
  return name && WORDINGS[name];
}

/** Links are known without their mount, so that their path begins in procfs. */
const IN_PROCFS: readonly string[] = ["inode_follow_link", "inode_readlink"];

/** What was acted on. A memfd has a name, and lies nowhere. */
export function presetPath({ path, hook }: DecisionEvent): string {
  if (IN_PROCFS.includes(hook) && path !== "") return `/proc${path}`;
  return path.startsWith("/memfd:") ? path.slice(1) : path;
}

const PROTECTIONS: Names = [
  [1, "PROT_READ"],
  [2, "PROT_WRITE"],
  [4, "PROT_EXEC"],
  [8, "PROT_SEM"],
];

/** @see include/uapi/linux/mman.h and include/uapi/asm-generic/mman.h */
const MAP_FLAGS: Names = [
  [0x01, "MAP_SHARED"],
  [0x02, "MAP_PRIVATE"],
  [0x10, "MAP_FIXED"],
  [0x20, "MAP_ANONYMOUS"],
  [0x40, "MAP_32BIT"],
  [0x100, "MAP_GROWSDOWN"],
  [0x800, "MAP_DENYWRITE"],
  [0x1000, "MAP_EXECUTABLE"],
  [0x2000, "MAP_LOCKED"],
  [0x4000, "MAP_NORESERVE"],
  [0x8000, "MAP_POPULATE"],
  [0x10000, "MAP_NONBLOCK"],
  [0x20000, "MAP_STACK"],
  [0x40000, "MAP_HUGETLB"],
  [0x80000, "MAP_SYNC"],
  [0x100000, "MAP_FIXED_NOREPLACE"],
];

/** `PROT_READ|PROT_EXEC,PROT_READ|PROT_EXEC,MAP_PRIVATE|MAP_ANONYMOUS`: asked for, applied, and how it is mapped. */
export function mappedText(facts: number): string {
  const protection = (at: number) => facts >>> at & (1 << MAPPED_PROTECTION_BITS) - 1;
  const flags = flagNames(facts >>> MAPPED_FLAGS_AT, MAP_FLAGS);
  const asked = flagNames(protection(0), PROTECTIONS);
  const applied = flagNames(protection(MAPPED_PROTECTION_BITS), PROTECTIONS);
  return [asked, applied, flags].map((names) => names.join("|")).join(",");
}

/** `8:1`, of a device's number as the kernel keeps it. */
export function deviceText(device: number): string {
  return `${device >>> 20}:${device & 0xfffff}`;
}
