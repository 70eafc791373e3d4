/**
 * A decision as KubeArmor's alert: its field names, in its order, absent where Go's encoder would leave them out.
 *
 * Fields of our own stand in one object, `Ankylo`, at the end, where a reader who knows KubeArmor's schema does not
 * stumble over them.
 */
import { HOST_EXEMPT } from "../../ffi/generated/agent_api.ts";
import type { Actor } from "../events/enrich.ts";
import type { DecisionEvent, HookName, ReasonName, VerdictName } from "../events/event.ts";
import { isHostIndex } from "../kernel/host_index.ts";
import { ruleField, targetText } from "../model/rule.ts";
import type { Workload } from "../model/workload.ts";
import { mountFlagsText, openFlagsText } from "./flags.ts";
import { isPosture, type RuleRef } from "./match.ts";
import { capabilityName, socketWords } from "./numbered.ts";
import { deviceText, mappedText, presetPath, presetWording } from "./preset.ts";
import { syscallWords } from "./syscall.ts";
import {
  ARGUMENTS_MAX,
  commandLine,
  cwdText,
  dataFields,
  execEvent,
  orAbsent,
  pidFields,
  type Reporter,
  timeFields,
  userFields,
  workloadFields,
} from "./record.ts";

export interface AlertInput {
  /** From 1, one more for each alert of this agent. */
  readonly seq: number;
  readonly event: DecisionEvent;
  /** Time of the event, ns since the Unix epoch. */
  readonly unixNs: bigint;
  readonly actor: Actor;
  /** Undefined when no runtime has described the container. */
  readonly workload: Workload | undefined;
  /** Undefined for the default posture. */
  readonly rule: RuleRef | undefined;
  /** Told afterwards for decisions without a record of their own: process, path and arguments are an earlier one's. */
  readonly isSummary?: boolean;
}

export type Alert = ReturnType<typeof buildAlert>;

/** Name that KubeArmor gives to a decision that no rule took. */
export const DEFAULT_POSTURE_NAME = "DefaultPosture";

/** PolicyName of what no policy asked for: an act on the agent, or on another container's tasks. */
export const PROTECTION_NAME = "SelfProtection";

/** The alert in the order of its JSON. Undefined fields are not in the JSON. */
export function buildAlert(input: AlertInput, reporter: Reporter) {
  const { event, actor, rule } = input;
  const isExec = isExecution(event);
  const wording = presetWording(event);
  return {
    ...timeFields(input.unixNs, reporter),
    ...workloadFields(input.workload),
    ...pidFields(event),
    ParentProcessName: orAbsent(actor.parentExe),
    ProcessName: orAbsent(isExec ? presetPath(event) : actor.exe),
    ...policyFields(event, rule),
    Type: isHostIndex(event.container) ? "MatchedHostPolicy" : "MatchedPolicy",
    Source: orAbsent(isExec ? actor.parentExe || actor.exe : commandLine(actor.exe, actor.args)),
    Operation: operationOf(event),
    Resource: orAbsent(resourceOf(event, rule)),
    ...dataOf(event, rule),
    Enforcer: wording?.enforcer ?? (event.opName === "syscall" ? "eBPF Monitor" : "BPFLSM"),
    Action: actionOf(event),
    Result: resultOf(event),
    Cwd: cwdText(actor.cwd),
    TTY: orAbsent(event.tty),
    ExecEvent: execEvent(event.exec, actor.exe),
    KubeArmorVersion: orAbsent(reporter.version),
    NodeID: orAbsent(reporter.nodeId),
    ...userFields(event, reporter),
    Ankylo: ankyloFields(input),
  };
}

/**
 * The text of what the caller got: EACCES from policies, as of KubeArmor's BPF enforcer, EPERM from self-protection. Of a DNS query
 * KubeArmor's word, too, though a packet's filter can give EPERM only.
 */
function resultOf({ denied, reason }: DecisionEvent) {
  if (!denied) return "Passed";
  return reason === "protected" ? "Operation not permitted" : "Permission denied";
}

/** What was acted on, as KubeArmor names it. */
function resourceOf(event: DecisionEvent, rule: RuleRef | undefined): string {
  switch (event.opName) {
    case "exec":
      return refusedCommand(event);
    case "network":
      return socketWords(event.openFlags, rule).map((word) => word.join("=")).join(" ");
    case "capability":
      return capabilityName(event.openFlags);
    case "dns":
      return rule === undefined ? event.path : targetText(rule.rule.target);
    case "preset":
      return presetResource(event);
    default:
      return event.path;
  }
}

/** Whether a program is executed, which is then the alert's process. */
function isExecution({ opName, hook }: DecisionEvent): boolean {
  return opName === "exec" || opName === "preset" && hook === "bprm_check_security";
}

function presetResource(event: DecisionEvent): string {
  const path = presetPath(event);
  if (isExecution(event)) return refusedCommand({ ...event, path });
  return path || (presetWording(event)?.resource ?? "");
}

/** The kernel reads no more than 20 arguments behind argv[0], and can't tell whether there were others. */
function refusedCommand({ path, args, truncated }: DecisionEvent): string {
  return commandLine(path, args, truncated || args.length > ARGUMENTS_MAX);
}

/** What refused or told: a policy, or what stands in for one. */
export function policyNameOf(event: DecisionEvent, ref: RuleRef | undefined): string {
  if (event.reason === "protected") return PROTECTION_NAME;
  return ref?.policy.name ?? DEFAULT_POSTURE_NAME;
}

function policyFields(event: DecisionEvent, ref: RuleRef | undefined) {
  if (ref === undefined) return { PolicyName: policyNameOf(event, ref) };
  const { policy, rule } = ref;
  return {
    PolicyName: policy.name,
    Severity: rule.severity === 0 ? undefined : String(rule.severity),
    Tags: orAbsent(rule.tags.join(",")),
    ATags: rule.tags.length === 0 ? undefined : rule.tags,
    Message: orAbsent(rule.message),
  };
}

/**
 * KubeArmor's classes: what a process rule governs is Process, the rest File, the guards of paths included. Of
 * self-protection's: acts on tasks are Process, bpf(2) is Syscall.
 */
export function operationOf(
  event: DecisionEvent,
): "Process" | "File" | "Network" | "Capabilities" | "Syscall" {
  const { opName, hook } = event;
  const wording = presetWording(event);
  if (wording !== undefined) return wording.operation;
  if (opName === "network" || opName === "dns") return "Network";
  if (opName === "capability") return "Capabilities";
  if (opName === "syscall") return "Syscall";
  if (hook === "bpf" || hook === "bpf_map" || hook === "bpf_prog") return "Syscall";
  if (TASK_HOOKS.test(hook)) return "Process";
  return opName === "exec" || opName === "mmap-exec" || opName === "load" ? "Process" : "File";
}

const TASK_HOOKS = /^(?:task_|ptrace_access_check$|file_send_sigiotask$)/;

/** Verdicts that refuse, but in an audited container. */
const REFUSING: readonly VerdictName[] = ["block", "posture-block", "unknown-block"];

/** `Audit (Block)` is KubeArmor's word for what would have been refused in a container that is not only audited. */
function actionOf(event: DecisionEvent): "Block" | "Audit" | "Audit (Block)" {
  if (event.denied) return "Block";
  return REFUSING.includes(event.verdict) ? "Audit (Block)" : "Audit";
}

/** KubeArmor's names where it has the hook, and the same style where it has not. */
const LSM_NAMES: Readonly<Record<HookName, string>> = {
  bprm_check_security: "SECURITY_BPRM_CHECK",
  mmap_file: "MMAP_FILE",
  file_open: "FILE_OPEN",
  path_truncate: "FILE_TRUNCATE",
  file_truncate: "FILE_TRUNCATE",
  path_rename: "FILE_RENAME",
  path_link: "FILE_LINK",
  path_unlink: "FILE_UNLINK",
  sb_mount: "SB_MOUNT",
  move_mount: "MOVE_MOUNT",
  sb_pivotroot: "SB_PIVOTROOT",
  sb_kern_mount: "SB_KERN_MOUNT",
  path_notify: "PATH_NOTIFY",
  uring_override_creds: "URING_OVERRIDE_CREDS",
  task_kill: "TASK_KILL",
  file_send_sigiotask: "FILE_SEND_SIGIOTASK",
  ptrace_access_check: "PTRACE_ACCESS_CHECK",
  task_setrlimit: "TASK_SETRLIMIT",
  task_setscheduler: "TASK_SETSCHEDULER",
  task_setnice: "TASK_SETNICE",
  task_setioprio: "TASK_SETIOPRIO",
  bpf: "BPF",
  bpf_map: "BPF_MAP",
  bpf_prog: "BPF_PROG",
  inode_create: "INODE_CREATE",
  inode_link: "INODE_LINK",
  inode_unlink: "INODE_UNLINK",
  inode_symlink: "INODE_SYMLINK",
  inode_mkdir: "INODE_MKDIR",
  inode_rmdir: "INODE_RMDIR",
  inode_mknod: "INODE_MKNOD",
  inode_rename: "INODE_RENAME",
  inode_setattr: "INODE_SETATTR",
  sb_remount: "SB_REMOUNT",
  path_mkdir: "FILE_MKDIR",
  path_rmdir: "FILE_RMDIR",
  path_mknod: "FILE_MKNOD",
  path_symlink: "FILE_SYMLINK",
  path_chmod: "FILE_CHMOD",
  path_chown: "FILE_CHOWN",
  inode_setxattr: "FILE_SETXATTR",
  inode_removexattr: "FILE_REMOVEXATTR",
  sb_umount: "SB_UMOUNT",
  file_receive: "FILE_RECEIVE",
  file_mprotect: "FILE_MPROTECT",
  inode_set_acl: "FILE_SET_ACL",
  inode_remove_acl: "FILE_REMOVE_ACL",
  unix_stream_connect: "UNIX_STREAM_CONNECT",
  socket_create: "SOCKET_CREATE",
  socket_bind: "SOCKET_BIND",
  socket_listen: "SOCKET_LISTEN",
  socket_connect: "SOCKET_CONNECT",
  socket_accept: "SOCKET_ACCEPT",
  socket_sendmsg: "SOCKET_SENDMSG",
  capable: "CAPABLE",
  dns_egress: "SOCKET_SENDMSG",
  inode_follow_link: "INODE_FOLLOW_LINK",
  inode_readlink: "INODE_READLINK",
  userns_create: "USERNS_CREATE",
  inode_init_security_anon: "INODE_INIT_SECURITY_ANON",
  sys_enter: "SYS_ENTER",
};

/** Capabilities have no key of their own in Data: KubeArmor writes the bare name. */
function dataOf(event: DecisionEvent, rule: RuleRef | undefined) {
  if (event.opName === "network") {
    const lsm = ["lsm", LSM_NAMES[event.hook]] as const;
    return dataFields([lsm, ...socketWords(event.openFlags, rule)]);
  }
  if (event.opName === "dns") {
    return dataFields([["lsm", LSM_NAMES[event.hook]], ["domain", event.path]]);
  }
  if (event.opName === "syscall") return dataFields(syscallWords(event));
  if (event.opName === "preset") return presetData(event);
  const fields = dataFields(dataWords(event));
  if (event.opName !== "capability") return fields;
  return { ...fields, Data: `${fields.Data} ${capabilityName(event.openFlags)}` };
}

/** Of memory that becomes code KubeArmor tells the bare flags. A summary does not know them. */
function presetData(event: DecisionEvent) {
  const { hook, openFlags } = event;
  const lsm = ["lsm", LSM_NAMES[hook]] as const;
  if (presetWording(event)?.isMapping && openFlags !== 0) {
    return { Data: mappedText(openFlags), EventData: {} };
  }
  const isDevice = (hook === "path_mknod" || hook === "sb_kern_mount") && openFlags !== 0;
  return dataFields([lsm, ...(isDevice ? [["device", deviceText(openFlags)] as const] : [])]);
}

/** The other object comes last: its path may hold spaces. */
function dataWords(event: DecisionEvent): (readonly [string, string])[] {
  const lsm = ["lsm", LSM_NAMES[event.hook]] as const;
  const detail = DETAIL_NAMES[event.hook];
  if (detail !== undefined) return [lsm, [detail, String(event.openFlags)]];
  return event.path2 === undefined ? [lsm] : [lsm, [otherName(event), event.path2]];
}

/** Number that self-protection tells beside the target. */
const DETAIL_NAMES: Readonly<Partial<Record<HookName, string>>> = {
  task_kill: "signal",
  ptrace_access_check: "mode",
  task_setrlimit: "resource",
  bpf: "link",
  bpf_map: "map",
  bpf_prog: "program",
};

function otherName({ hook, opName }: DecisionEvent): string {
  if (hook === "move_mount") return "source";
  if (hook === "sb_pivotroot") return "putold";
  return opName === "create" ? "oldpath" : "newpath";
}

/** What a reader of the alert asks first when no rule names the object. */
const EXPLANATIONS: Readonly<Record<Exclude<ReasonName, "rule">, string>> = {
  "ancestor": "The directory holds an object that a Block rule names: it must keep its name",
  "launder":
    "A program that a Block rule names would get a name that no rule names, or could get one unnoticed",
  "unreachable": "The object has no path in the container, so no rule could judge it",
  "gave-up": "The path changed faster than it could be read, so no rule could judge it",
  "stacking":
    "Through a file system stacked on others, objects of Block rules would get other names",
  "alias": "The mount would give objects of Block rules other names",
  "notify": "A mark on a whole file system hands out descriptors of objects that Block rules name",
  "credentials": "io_uring under other credentials would hide opens from the Block rules",
  "query": "The name in the DNS query can't be read, so no rule could judge it",
  "image": "No complete policy could be read for the container",
  "pending": "No runtime has described the container, so it is not known which policy governs it",
  "protected":
    "The agent protects its process, files and kernel objects, and every container's tasks from other containers",
};

function ankyloFields(input: AlertInput) {
  const { event, actor, rule, workload } = input;
  return {
    Seq: input.seq,
    Suppressed: event.suppressed === 0 ? undefined : event.suppressed,
    Summary: input.isSummary ? true : undefined,
    Reason: event.reason === "rule" && isPosture(event) ? "posture" : event.reason,
    Explanation: event.reason === "rule" ? undefined : EXPLANATIONS[event.reason],
    Access: event.opName,
    Hook: event.hook,
    Flags: input.isSummary ? undefined : flagsText(event),
    Rule: rule === undefined ? undefined : ruleText(rule),
    FromSource: event.bySource ? true : undefined,
    Caller: isExecution(event) ? orAbsent(actor.exe) : undefined,
    ContainerIndex: workload === undefined && !isHostIndex(event.container)
      ? event.container
      : undefined,
    Exempt: event.container === HOST_EXEMPT ? true : undefined,
    Generation: event.generation,
    Staging: event.staging ? true : undefined,
    Truncated: event.truncated ? true : undefined,
  };
}

function flagsText(event: DecisionEvent): string | undefined {
  if (event.hook === "file_open" || event.hook === "file_receive") {
    return openFlagsText(event.openFlags);
  }
  return event.hook === "sb_mount" ? orAbsent(mountFlagsText(event.openFlags)) : undefined;
}

/** `web.yaml:12:9 spec.file.matchPaths[0]`: where the rule stands. */
function ruleText({ rule }: RuleRef): string {
  const { file, line, column } = rule.where;
  return `${file}:${line}:${column} ${ruleField(rule)}`;
}
