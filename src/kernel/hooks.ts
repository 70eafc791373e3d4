/** The kernel programs: where each attaches, and what is lost where a kernel lacks the place. */
import type { PresetName } from "../model/presets.ts";
import type { JudgedGroup } from "../model/rule.ts";

/** A hook whose program decides: a stub that is attached, and the program in its slot. */
export interface DecidingHook {
  /** The kernel's name, without `security_`; of one that other programs decide at, too, with a word before it. */
  readonly name: string;
  /** The kernel's name, where that is another. */
  readonly lsmHook?: string;
  /** The hook, by its name here, without which this one is of no use. */
  readonly beside?: string;
  /**
   * `rules`: without it, rules of `groups` are not enforced. `guard`: without it they are, and `loss` says how a container
   * gets round Block rules. `variant`: not on every kernel; another hook does its work there. `protection`: no rule needs it,
   * the agent's safety does.
   */
  readonly need: "rules" | "guard" | "variant" | "protection";
  readonly groups: readonly (JudgedGroup | "syscalls")[];
  /** Of the group of presets: those that are its business. */
  readonly presets?: readonly PresetName[];
  readonly loss: string;
  /** Of a variant: what a kernel has that never had it. */
  readonly instead?: string;
  /** Of a variant: the hook of `instead`. */
  readonly standIn?: string;
  /** Its program is loaded when a policy in force has rules of this group, and stays; undefined: always. */
  readonly onDemand?: OnDemandGroup;
}

/** Rules whose hooks are called all the time, and which most nodes have none of; of presets those that share programs. */
export type OnDemandGroup =
  | "network"
  | "dns"
  | "capabilities"
  | "syscalls"
  | "presets-programs"
  | "presets-memory"
  | "presets-files"
  | "presets-links"
  | "presets-devices"
  | "presets-sockets"
  | "presets-namespaces"
  | "presets-rings";

/** Of DECIDING_HOOKS those that are tracepoints and no LSM hooks: they decide what is told. */
export const TRACEPOINTS: readonly string[] = ["sys_enter"];

/** Of DECIDING_HOOKS those of control groups, attached to the root of cgroup2. */
export const CGROUP_HOOKS: readonly string[] = ["dns_egress"];

/** Hooks of presets at which no other program decides. */
const OWN_PRESET_HOOKS: readonly string[] = [
  "inode_follow_link",
  "inode_readlink",
  "userns_create",
  "inode_init_security_anon",
];

const FILE_PRESETS: readonly PresetName[] = [
  "protectEnv",
  "protectProc",
  "blockRawDevices",
  "protectKernelTunables",
];

/** In the order in which they are attached. */
export const DECIDING_HOOKS: readonly DecidingHook[] = [
  rules("bprm_check_security", ["process"], "nothing is decided about programs"),
  rules("mmap_file", ["process"], "the dynamic loader runs blocked programs"),
  rules("file_open", ["file"], "nothing is decided about opening files"),
  rules("path_truncate", ["file"], "files are truncated whatever the rules say"),
  variant(
    "file_truncate",
    "open files are truncated whatever the rules say",
    "path_truncate",
    "open files",
  ),
  rules("path_rename", ["process", "file"], "objects of rules get other names"),
  rules("path_link", ["process", "file"], "objects of rules get other names"),
  rules("path_unlink", ["file"], "files are deleted whatever the rules say"),
  rules("path_rmdir", ["file"], "directories are deleted whatever the rules say"),
  rules("path_mkdir", ["file"], "directories are made whatever the rules say"),
  rules("path_mknod", ["file"], "files and devices are made whatever the rules say"),
  rules("path_symlink", ["file"], "symbolic links are made whatever the rules say"),
  rules("path_chmod", ["process", "file"], "modes are changed whatever the rules say"),
  variant(
    "path_chown",
    "owners are changed whatever the rules say",
    "inode_setattr",
    "owners",
  ),
  guard("inode_setxattr", "extended attributes are changed"),
  guard("inode_removexattr", "extended attributes are removed"),
  variant(
    "inode_set_acl",
    "access control lists are changed whatever the rules say",
    "inode_setxattr",
    "access control lists",
  ),
  variant(
    "inode_remove_acl",
    "access control lists are removed whatever the rules say",
    "inode_removexattr",
    "access control lists",
  ),
  guard("unix_stream_connect", "unix sockets are connected to, whatever their path"),
  guard("file_mprotect", "memory mapped from a file gets other uses after the rules were asked"),
  guard("file_receive", "descriptors of files are taken from other processes"),
  guard("sb_mount", "a bind mount gives objects another path"),
  guard("move_mount", "a moved mount gives objects another path"),
  guard("sb_umount", "objects lose their names with their mount, or show what was under it"),
  guard("sb_pivotroot", "pivot_root gives objects another path"),
  guard("sb_kern_mount", "an overlay of the container's own gives objects another path"),
  guard("path_notify", "fanotify marks hand out descriptors of blocked files"),
  guard("uring_override_creds", "io_uring personalities hide opens from the rules"),
  protection("task_kill", "containers can send signals to the agent"),
  protection("file_send_sigiotask", "containers can have the kernel send signals to the agent"),
  protection("ptrace_access_check", "containers can trace the agent and each other"),
  protection("task_setrlimit", "containers can change the agent's limits"),
  protection("task_setscheduler", "containers can change the agent's scheduling"),
  protection("task_setnice", "containers can change the agent's priority"),
  protection("task_setioprio", "containers can change the agent's priority for disks"),
  protection("bpf", "containers can get the agent's links"),
  protection("bpf_map", "containers can change the agent's maps"),
  protection("bpf_prog", "containers can get the agent's programs"),
  protection("inode_create", "containers can make files in the agent's directories"),
  protection("inode_link", "containers can link the agent's files"),
  protection("inode_unlink", "containers can remove the agent's files and pins"),
  protection("inode_symlink", "containers can make links in the agent's directories"),
  protection("inode_mkdir", "containers can make directories in the agent's"),
  protection("inode_rmdir", "containers can remove the agent's directories and pins"),
  protection("inode_mknod", "containers can make files in the agent's directories"),
  protection("inode_rename", "containers can rename the agent's files and directories"),
  protection("sb_remount", "containers can make the pins read-only"),
  protection("inode_setattr", "containers can truncate the agent's files"),
  onDemand("network", "socket_create", "sockets are made whatever the rules say"),
  onDemand("network", "socket_bind", "sockets that are there are bound whatever the rules say"),
  onDemand("network", "socket_listen", "sockets that are there listen whatever the rules say"),
  onDemand("network", "socket_connect", "sockets that are there connect whatever the rules say"),
  onDemand("network", "socket_accept", "sockets that are there accept whatever the rules say"),
  onDemand("network", "socket_sendmsg", "sockets that are there send whatever the rules say"),
  {
    ...onDemand("dns", "dns_sendmsg", "rules about names are not enforced"),
    ...{ lsmHook: "socket_sendmsg", beside: "dns_egress" },
  },
  onDemand("dns", "dns_egress", "names are asked for whatever the rules say"),
  onDemand("capabilities", "capable", "capabilities are used whatever the rules say"),
  onDemand("syscalls", "sys_enter", "system calls are not told of"),
  preset("presets-programs", "bprm_check_security", ["filelessExec", "exec"], {
    loss: "nothing is decided about programs without a file, nor about those from outside",
  }),
  preset("presets-memory", "mmap_file", ["anonymousMapExec", "filelessExec"], {
    loss: "memory without a file is mapped as code, and a dynamic loader runs what has no file",
  }),
  preset("presets-memory", "file_mprotect", ["anonymousMapExec", "filelessExec"], {
    loss: "memory without a file becomes code",
  }),
  preset("presets-files", "file_open", FILE_PRESETS, {
    loss: "nothing is decided about opening such files",
  }),
  preset("presets-files", "file_receive", FILE_PRESETS, {
    need: "guard",
    loss: "descriptors of such files are taken from other processes",
  }),
  preset("presets-links", "inode_follow_link", ["protectProc"], {
    loss: "the links of other processes are followed",
  }),
  preset("presets-links", "inode_readlink", ["protectProc"], {
    loss: "the links of other processes are read",
  }),
  preset("presets-devices", "path_mknod", ["blockRawDevices"], {
    need: "guard",
    loss: "raw devices are made, and not opened",
  }),
  preset("presets-devices", "sb_kern_mount", ["blockRawDevices"], {
    need: "guard",
    loss: "file systems on raw devices are mounted",
  }),
  preset("presets-sockets", "unix_stream_connect", ["protectRuntimeSocket"], {
    loss: "runtimes' sockets are connected to",
  }),
  preset("presets-namespaces", "userns_create", ["denyUserNamespaces"], {
    loss: "user namespaces are made",
  }),
  preset("presets-rings", "inode_init_security_anon", ["denyIoUring"], {
    loss: "rings of io_uring are made",
  }),
];

/** In the order of their programs. */
export const ON_DEMAND_GROUPS: readonly OnDemandGroup[] = [
  ...new Set(DECIDING_HOOKS.flatMap(({ onDemand }) => onDemand ?? [])),
];

/** Presets by the group of programs that any of them needs. */
export function presetsOf(group: OnDemandGroup): readonly PresetName[] {
  return DECIDING_HOOKS.filter(({ onDemand }) => onDemand === group)
    .flatMap(({ presets }) => presets ?? []);
}

/** Whether a hook has its place among those of a kernel, as `KernelFacts.hooks` has them. */
export function isAmongHooks(hook: DecidingHook, hooks: ReadonlySet<string>): boolean {
  return hooks.has(lsmHookOf(hook)) && (hook.beside === undefined || hooks.has(hook.beside));
}

/** Whether a hook is one of LSM's. */
export function isLsmHook(name: string): boolean {
  return !TRACEPOINTS.includes(name) && !CGROUP_HOOKS.includes(name);
}

/** The kernel's name of a hook. */
export function lsmHookOf({ name, lsmHook }: DecidingHook): string {
  return lsmHook ?? name;
}

/** Whether a hook's program is among those that are loaded from the start. */
export function isAlways({ onDemand }: DecidingHook): boolean {
  return onDemand === undefined;
}

/** Programs that say which container a task belongs to. All must be there before anything is decided. */
export const IDENTITY_PROGRAMS: readonly FollowingProgram[] = [
  { program: "identity_task_alloc", lsmHook: "task_alloc" },
  { program: "identity_task_free", lsmHook: "task_free" },
  { program: "identity_newtask", madeUpBy: "decide_bprm_check_security" },
  { program: "identity_wakeup_new" },
  { program: "identity_free" },
  { program: "identity_committed_creds", lsmHook: "bprm_committed_creds" },
  { program: "identity_attach" },
  { program: "identity_cgroup_mkdir" },
  { program: "identity_cgroup_rmdir" },
];

/** Programs that tell of processes. Without them alerts name fewer facts; decisions are the same. */
export const MONITOR_PROGRAMS: readonly FollowingProgram[] = [
  { program: "monitor_exit", madeUpBy: "identity_free" },
];

/** Run by the agent, never attached: one over all tasks after the others are attached, one over kinds of decisions. */
export const ITERATOR_PROGRAMS = {
  identify: "identity_iterate",
  flush: "account_flush",
  register: "protect_register",
} as const;

/** A program that follows what happens: identities, telemetry. */
export interface FollowingProgram {
  readonly program: string;
  /** The LSM hook in its section; absent for a tracepoint. */
  readonly lsmHook?: string;
  /** The program that does later what this one missed, where the kernel leaves it out. */
  readonly madeUpBy?: string;
}

/** Whether another program makes up for what the program of a place missed. */
export function isMadeUpFor(place: string): boolean {
  return [...IDENTITY_PROGRAMS, ...MONITOR_PROGRAMS]
    .some(({ program, madeUpBy }) => program === place && madeUpBy !== undefined);
}

/** Where something is attached: a stub, with the program that runs in its slot. */
export interface Place {
  /** Of a deciding hook the hook's, else the program's. */
  readonly name: string;
  readonly program: string;
}

/**
 * All places of what is always loaded on a kernel that has these hooks, in the order in which they are attached: who is who,
 * then what decides.
 */
export function placesOn(hooks: ReadonlySet<string>): Place[] {
  const following = [...IDENTITY_PROGRAMS, ...MONITOR_PROGRAMS];
  return [
    ...following.map(({ program }) => ({ name: program, program })),
    ...decidingPlaces(hooks, isAlways),
  ];
}

/** The same of a group that is loaded on demand. */
export function groupPlacesOn(hooks: ReadonlySet<string>, group: OnDemandGroup): Place[] {
  return decidingPlaces(hooks, ({ onDemand }) => onDemand === group);
}

function decidingPlaces(
  hooks: ReadonlySet<string>,
  isWanted: (hook: DecidingHook) => boolean,
): Place[] {
  return DECIDING_HOOKS.filter((hook) => isAmongHooks(hook, hooks) && isWanted(hook))
    .map(({ name }) => ({ name, program: deciderOf(name) }));
}

/** What is attached at a place. */
export function stubOf(place: string): string {
  return `hook_${place}`;
}

/** The place of a stub. */
export function placeOfStub(stub: string): string {
  return stub.replace(/^hook_/, "");
}

/** What decides, in the hook's slot. */
export function deciderOf(hook: string): string {
  return `decide_${hook}`;
}

export function slotOf(place: string): string {
  return `slot_${place}`;
}

/** Every LSM hook that the agent uses. */
export const LSM_HOOKS: readonly string[] = [
  ...new Set([
    ...IDENTITY_PROGRAMS.flatMap(({ lsmHook }) => lsmHook ?? []),
    ...DECIDING_HOOKS.map(lsmHookOf).filter(isLsmHook),
  ]),
];

function rules(name: string, groups: DecidingHook["groups"], loss: string): DecidingHook {
  return { name, need: "rules", groups, loss };
}

function onDemand(
  group: "network" | "dns" | "capabilities" | "syscalls",
  name: string,
  loss: string,
): DecidingHook {
  return { ...rules(name, [group], loss), onDemand: group };
}

function preset(
  group: OnDemandGroup,
  lsmHook: string,
  presets: readonly PresetName[],
  { need = "rules", loss }: { readonly need?: "rules" | "guard"; readonly loss: string },
): DecidingHook {
  const common = { need, groups: ["presets"], presets, loss, onDemand: group } as const;
  if (OWN_PRESET_HOOKS.includes(lsmHook)) return { name: lsmHook, ...common };
  return { name: `preset_${lsmHook}`, lsmHook, ...common };
}

/** `standIn`: the hook that decides about `subject` on kernels that never had this one. */
function variant(name: string, loss: string, standIn: string, subject: string): DecidingHook {
  const instead = `${standIn} decides about ${subject} too on this kernel`;
  return { name, need: "variant", groups: ["file"], loss, instead, standIn };
}

function guard(name: string, loss: string): DecidingHook {
  return { name, need: "guard", groups: ["process", "file"], loss };
}

function protection(name: string, loss: string): DecidingHook {
  return { name, need: "protection", groups: [], loss };
}
