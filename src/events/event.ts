/**
 * What the kernel saw, as values: the words of `bpf/agent_api.h` with names in place of numbers, so that no room
 * downstream needs the layouts.
 */

/** Names an exec for ever: the image that a process runs. Time since boot in ns; 0 and 0: unknown. */
export interface ExecRef {
  readonly timeNs: bigint;
  /** In the host's pid namespace. */
  readonly pid: number;
}

/** Facts that every record of a task carries. */
export interface TaskEvent {
  /** Container index; 0: none. */
  readonly container: number;
  /** CLOCK_BOOTTIME. */
  readonly timeNs: bigint;
  /** The image that acts; of an exec event the new one. */
  readonly exec: ExecRef;
  /** The image that the acting process was forked from. */
  readonly parent: ExecRef;
  /** Process (thread group) in the host's pid namespace. */
  readonly pid: number;
  readonly tid: number;
  readonly ppid: number;
  /** Process in its own pid namespace. */
  readonly nsPid: number;
  readonly nsPpid: number;
  /** In the initial user namespace. */
  readonly uid: number;
  /** `pts0`; empty without a controlling terminal. */
  readonly tty: string;
  /** A path or the arguments did not fit into the record. */
  readonly truncated: boolean;
  /** The container's set-up by its runtime. */
  readonly staging: boolean;
}

/** What the task does to the object: `enum op_class`. */
export type OpName =
  | "exec"
  | "mmap-exec"
  | "load"
  | "read"
  | "write"
  | "create"
  | "delete"
  | "rename"
  | "link"
  | "attributes"
  | "network"
  | "mount"
  | "connect"
  | "notify"
  | "credentials"
  | "capability"
  | "protected"
  | "syscall"
  | "dns"
  | "preset";

/** `enum verdict` without its source bit. */
export type VerdictName =
  | "none"
  | "allow"
  | "audit"
  | "block"
  | "posture-audit"
  | "posture-block"
  | "unknown-audit"
  | "unknown-block";

/** `enum reason`; `rule`: the row's verdict, whether by a rule or by posture. */
export type ReasonName =
  | "rule"
  | "ancestor"
  | "launder"
  | "unreachable"
  | "gave-up"
  | "stacking"
  | "alias"
  | "notify"
  | "credentials"
  | "image"
  | "pending"
  | "query"
  | "protected";

/** The kernel's name of the hook, without `security_`. */
export type HookName =
  | "bprm_check_security"
  | "mmap_file"
  | "file_open"
  | "path_truncate"
  | "file_truncate"
  | "path_rename"
  | "path_link"
  | "path_unlink"
  | "sb_mount"
  | "move_mount"
  | "sb_pivotroot"
  | "sb_kern_mount"
  | "path_notify"
  | "uring_override_creds"
  | "task_kill"
  | "file_send_sigiotask"
  | "ptrace_access_check"
  | "task_setrlimit"
  | "task_setscheduler"
  | "task_setnice"
  | "task_setioprio"
  | "bpf"
  | "bpf_map"
  | "bpf_prog"
  | "inode_create"
  | "inode_link"
  | "inode_unlink"
  | "inode_symlink"
  | "inode_mkdir"
  | "inode_rmdir"
  | "inode_mknod"
  | "inode_rename"
  | "inode_setattr"
  | "sb_remount"
  | "path_mkdir"
  | "path_rmdir"
  | "path_mknod"
  | "path_symlink"
  | "path_chmod"
  | "path_chown"
  | "inode_setxattr"
  | "inode_removexattr"
  | "sb_umount"
  | "file_receive"
  | "file_mprotect"
  | "inode_set_acl"
  | "inode_remove_acl"
  | "unix_stream_connect"
  | "socket_create"
  | "socket_bind"
  | "socket_listen"
  | "socket_connect"
  | "socket_accept"
  | "socket_sendmsg"
  | "capable"
  | "dns_egress"
  | "inode_follow_link"
  | "inode_readlink"
  | "userns_create"
  | "inode_init_security_anon"
  | "sys_enter";

/** Names a kind of decision: equal where rule, subject, object and container are. Opaque; unique among all that are known. */
export type DecisionKind = string;

/** A refused or audited operation. */
export interface DecisionEvent extends TaskEvent {
  readonly type: "decision";
  readonly kind: DecisionKind;
  /** Decisions of this kind that went without a record since its last one. */
  readonly suppressed: number;
  readonly denied: boolean;
  readonly generation: number;
  /** Index into the image's rows, source class added. */
  readonly row: number;
  /** Row of the new name, when the reason is `launder`. */
  readonly row2: number;
  /** f_flags of an open, mount flags of a mount, a socket's facts, a capability's or system call's number: see agent_api.h. */
  readonly openFlags: number;
  /** `enum op_class`, as `CompiledImage.explain` takes it. */
  readonly op: number;
  readonly opName: OpName;
  readonly verdict: VerdictName;
  /** The deciding rule has a fromSource. */
  readonly bySource: boolean;
  readonly hook: HookName;
  readonly reason: ReasonName;
  /**
   * The object, as the container's mount namespace names it. Of a DNS query the name, as zone files have it. Empty for a hook
   * that has none, and where it could not be read.
   */
  readonly path: string;
  /**
   * The other object. Of a rename or link the new name, or the old one when the new name was judged (`create`); of a moved
   * mount what moves; of pivot_root where the old root goes.
   */
  readonly path2: string | undefined;
  readonly cwd: string;
  /** Arguments of a system call, six numbers of 64 bits; `path` is its path argument, as text, and empty without one. */
  readonly call: readonly bigint[] | undefined;
  /** argv, argv[0] first: of the refused program for an exec, else of the acting one. Empty when the record has none. */
  readonly args: readonly string[];
}

export interface ExecEvent extends TaskEvent {
  readonly type: "exec";
  /** The process ran before the agent did: `args` is empty and `cwd` undefined. */
  readonly found: boolean;
  readonly path: string;
  readonly cwd: string | undefined;
  readonly args: readonly string[];
}

export interface ExitEvent extends TaskEvent {
  readonly type: "exit";
  /** Wait status as of wait(2). */
  readonly status: number;
}

/** A container's cgroup came or went. */
export interface ContainerEvent {
  readonly type: "container";
  /** Container index that the kernel gave. */
  readonly container: number;
  readonly timeNs: bigint;
  readonly cgroupId: bigint;
  readonly gone: boolean;
  /** From the root of the cgroup file system, for example `/default/web`. */
  readonly cgroupPath: string;
}

/** Decisions of one kind that went without a record, told afterwards. */
export interface SuppressedEvent {
  readonly type: "suppressed";
  /** How many; 1 or more. */
  readonly count: number;
  /** What the kernel still knows: there is no object's path, no process, no arguments. `suppressed` is `count - 1`. */
  readonly decision: DecisionEvent;
}

/** A process waits with its exec until its container is described. */
export interface HeldEvent {
  readonly type: "held";
  readonly container: number;
  /** In the host's pid namespace. */
  readonly pid: number;
  /** CLOCK_BOOTTIME at which the process began: with `pid` its name for ever. */
  readonly startNs: bigint;
}

export type AgentEvent =
  | DecisionEvent
  | SuppressedEvent
  | ExecEvent
  | ExitEvent
  | ContainerEvent
  | HeldEvent;
