/** Presets: what a policy refuses or has told by a name, without rules of its own. */

/** In the order of `enum preset` in bpf/agent_api.h. The first five are KubeArmor's, the others Ankylo's. */
export const PRESET_NAMES = [
  "filelessExec",
  "anonymousMapExec",
  "protectEnv",
  "protectProc",
  "exec",
  "protectRuntimeSocket",
  "blockRawDevices",
  "denyUserNamespaces",
  "denyIoUring",
  "protectKernelTunables",
] as const;

export type PresetName = typeof PRESET_NAMES[number];

/** What each is about, in half a sentence. */
export const PRESET_SUBJECTS: Readonly<Record<PresetName, string>> = {
  filelessExec: "executing what is on no disk: a memfd, a file on tmpfs, one without a name",
  anonymousMapExec: "making memory without a file executable",
  protectEnv: "reading another process' environment in /proc",
  protectProc: "opening another process' files in /proc",
  exec: "programs that enter the container from outside on a terminal",
  protectRuntimeSocket: "connecting to a container runtime's socket",
  blockRawDevices: "opening, making and mounting raw devices",
  denyUserNamespaces: "making user namespaces",
  denyIoUring: "making rings of io_uring",
  protectKernelTunables: "writing to the kernel's settings in /proc, /sys and their like",
};

/** Whether a preset has that name, letter by letter. */
export function isPresetName(name: string): name is PresetName {
  return PRESET_NAMES.some((known) => known === name);
}
