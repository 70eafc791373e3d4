/** Bytes of a ring record to an event. A record that makes no sense is counted and passed over: it never ends the reading. */
import type { Buffer } from "node:buffer";
import * as api from "../../ffi/generated/agent_api.ts";
import type { Memory, RecordView } from "./batch.ts";
import type {
  AgentEvent,
  ContainerEvent,
  DecisionEvent,
  ExecEvent,
  ExecRef,
  ExitEvent,
  HeldEvent,
  HookName,
  OpName,
  ReasonName,
  SuppressedEvent,
  TaskEvent,
  VerdictName,
} from "./event.ts";
import { Remembered } from "./remembered.ts";
import { nameText, paddedText, pathOf, textOf, wordsOf } from "./text.ts";

/** For who asks an image about a program: `CompiledImage.explain(row, OP_EXEC)`. */
export const OP_EXEC = api.OP_EXEC;

export interface DecodeCounts {
  readonly decoded: number;
  /** Too short, lengths that do not fit, or a number that this agent's format does not have. */
  readonly malformed: number;
}

/** Decodes records and counts them. The result shares nothing with the record's buffer. */
export class EventDecoder {
  #decoded = 0;
  #malformed = 0;

  get counts(): DecodeCounts {
    return { decoded: this.#decoded, malformed: this.#malformed };
  }

  /** `record`: one record of `ring_alerts` or `ring_events`. Undefined when it is malformed; never throws. */
  decode(record: RecordView): AgentEvent | undefined {
    const event = decodeEvent(record);
    if (event === undefined) this.#malformed++;
    else this.#decoded++;
    return event;
  }
}

/** One record as an event; undefined when it is malformed. Bytes behind the text are slack of the ring and ignored. */
export function decodeEvent(record: RecordView): AgentEvent | undefined {
  if (record.length < api.EVENT_HEADER_SIZE) return undefined;
  switch (record.view.getUint16(record.start + HEADER.type, true)) {
    case api.EVENT_DECISION:
      return decodeDecisionEvent(record);
    case api.EVENT_EXEC:
      return decodeExecEvent(record);
    case api.EVENT_EXIT:
      return decodeExitEvent(record);
    case api.EVENT_CONTAINER:
      return decodeContainerEvent(record);
    case api.EVENT_SUPPRESSED:
      return decodeSuppressedEvent(record);
    case api.EVENT_HELD:
      return decodeHeldEvent(record);
    default:
      return undefined;
  }
}

const HEADER = api.EVENT_HEADER_OFFSETS;
const DECISION = api.DECISION_EVENT_OFFSETS;
const SUPPRESSED = api.SUPPRESSED_EVENT_OFFSETS;
const EXEC = api.EXEC_EVENT_OFFSETS;

function decodeDecisionEvent(record: RecordView): DecisionEvent | undefined {
  if (record.length < api.DECISION_EVENT_SIZE) return undefined;
  const { view, start } = record;
  const pathBytes = view.getUint16(start + DECISION.pathBytes, true);
  const path2Bytes = view.getUint16(start + DECISION.path2Bytes, true);
  const cwdBytes = view.getUint16(start + DECISION.cwdBytes, true);
  const argsBytes = view.getUint16(start + DECISION.argsBytes, true);
  const text = new TextParts(record, api.DECISION_EVENT_SIZE);
  if (!text.holds(pathBytes + path2Bytes + cwdBytes + argsBytes)) return undefined;
  const numbers = {
    suppressed: numberAt(view, start + DECISION.suppressed),
    row2: view.getUint32(start + DECISION.row2, true),
    openFlags: view.getUint32(start + DECISION.openFlags, true),
  };
  if (view.getUint8(start + DECISION.kind + api.ALERT_KIND_OFFSETS.op) === api.OP_SYSCALL) {
    if (pathBytes !== api.ARGUMENT_PATH_BYTES || path2Bytes !== CALL_BYTES) return undefined;
    const bytes = { cwdBytes, argsBytes };
    return decisionOf(record, start + DECISION.kind, { ...numbers, ...callOf(text, bytes) });
  }
  if (view.getUint8(start + DECISION.kind + api.ALERT_KIND_OFFSETS.op) === api.OP_DNS) {
    if (pathBytes !== api.QUERY_NAME_BYTES) return undefined;
    const isRead = view.getUint8(start + DECISION.kind + api.ALERT_KIND_OFFSETS.reason) !==
      api.REASON_QUERY;
    const name = text.bytes(pathBytes);
    return decisionOf(record, start + DECISION.kind, {
      ...numbers,
      ...{ call: undefined, path2: undefined, args: text.words(argsBytes) },
      path: isRead ? nameText(name) : "",
      cwd: text.path(cwdBytes),
    });
  }
  return decisionOf(record, start + DECISION.kind, {
    ...numbers,
    call: undefined,
    path: pathBytes === 0 ? undefined : text.path(pathBytes),
    path2: path2Bytes === 0 ? undefined : text.path(path2Bytes),
    cwd: text.path(cwdBytes),
    args: text.words(argsBytes),
  });
}

const CALL_BYTES = 8 * api.SYSCALL_ARGUMENTS;

/** What a record of a system call tells. */
function callOf(text: TextParts, { cwdBytes, argsBytes }: { cwdBytes: number; argsBytes: number }) {
  const spoken = text.padded(api.ARGUMENT_PATH_BYTES);
  const call = text.numbers(api.SYSCALL_ARGUMENTS);
  const cwd = text.path(cwdBytes);
  const start = text.path(argsBytes);
  const path = spoken === "" && argsBytes === 0 ? "" : joinedPath(start, spoken);
  return { call, cwd, path, path2: undefined, args: [] };
}

/** A path as a program wrote it, from where it begins, without `.` and `..`; links in it are not followed. */
function joinedPath(start: string, spoken: string): string {
  const names: string[] = [];
  for (const name of `${start}/${spoken}`.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** What a decision's record has and a summary has not. */
interface DecisionDetails extends
  Pick<
    DecisionEvent,
    "suppressed" | "row2" | "openFlags" | "path2" | "call" | "cwd" | "args"
  > {
  /** Undefined: there are no names. */
  readonly path: string | undefined;
}

/** The decision whose kind lies at `at`; undefined when a number is none of this format's. */
function decisionOf(record: RecordView, at: number, details: DecisionDetails) {
  const kind = kinds.read(record, at, at + api.ALERT_KIND_SIZE);
  if (kind === undefined) return undefined;
  const flags = record.view.getUint16(record.start + HEADER.flags, true);
  return {
    ...taskEvent(record),
    type: "decision" as const,
    kind: kind.kind,
    suppressed: details.suppressed,
    denied: (flags & api.EVENT_DENIED) !== 0,
    generation: kind.generation,
    row: kind.row,
    row2: details.row2,
    openFlags: kind.facts ?? details.openFlags,
    op: kind.op,
    opName: kind.opName,
    verdict: kind.verdict,
    bySource: kind.bySource,
    hook: kind.hook,
    reason: kind.reason,
    path: details.path ?? (isObjectless(kind) ? "" : "/"),
    path2: details.path2,
    call: details.call,
    cwd: details.cwd,
    args: details.args,
  };
}

/** A u64 that is far below 2^53. */
function numberAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** A kind's fields; undefined when a number is none of this format's. */
function readKind(bytes: Buffer, at: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { generation, row, op, object, ...numbers } = api.decodeAlertKind(view, at);
  const { verdict: given, hook: hookNumber, reason: reasonNumber } = numbers;
  const opName = OPS[op];
  const verdict = VERDICTS[given & ~(api.VERDICT_SOURCE | api.VERDICT_AUDITED)];
  const hook = HOOKS[hookNumber];
  const reason = REASONS[reasonNumber];
  if (!opName || !verdict || !hook || !reason) return undefined;
  return {
    // Its bytes, each as a character.
    kind: bytes.toString("latin1", at, at + api.ALERT_KIND_SIZE),
    ...{ generation, row, op, opName, verdict, hook, reason },
    // What has no path is told apart by what it is.
    facts: NUMBERED_OPS.includes(op) ? Number(object & 0xffff_ffffn) : undefined,
    bySource: (given & api.VERDICT_SOURCE) !== 0,
  };
}

/** Of what has no path. */
const NUMBERED_OPS: readonly number[] = [api.OP_NETWORK, api.OP_CAPABILITY, api.OP_SYSCALL];

const kinds = new Remembered(1_024, readKind);

function decodeSuppressedEvent(record: RecordView): SuppressedEvent | undefined {
  if (record.length < api.SUPPRESSED_EVENT_SIZE) return undefined;
  const { view, start } = record;
  const count = numberAt(view, start + SUPPRESSED.suppressed);
  const nothing = { row2: 0, openFlags: 0, path2: undefined, call: undefined, cwd: "", args: [] };
  const details = { ...nothing, path: "", suppressed: count - 1 };
  const decision = decisionOf(record, start + SUPPRESSED.kind, details);
  if (decision === undefined || count < 1) return undefined;
  return { type: "suppressed", count, decision };
}

function decodeExecEvent(record: RecordView): ExecEvent | undefined {
  if (record.length < api.EXEC_EVENT_SIZE) return undefined;
  const { view, start } = record;
  const pathBytes = view.getUint16(start + EXEC.pathBytes, true);
  const cwdBytes = view.getUint16(start + EXEC.cwdBytes, true);
  const argsBytes = view.getUint16(start + EXEC.argsBytes, true);
  const text = new TextParts(record, api.EXEC_EVENT_SIZE);
  if (!text.holds(pathBytes + cwdBytes + argsBytes)) return undefined;
  const found = (view.getUint16(start + HEADER.flags, true) & api.EVENT_FOUND) !== 0;
  const path = text.path(pathBytes);
  const cwd = text.path(cwdBytes);
  const args = text.words(argsBytes);
  return { ...taskEvent(record), type: "exec", found, path, cwd: found ? undefined : cwd, args };
}

function decodeExitEvent(record: RecordView): ExitEvent | undefined {
  if (record.length < api.EXIT_EVENT_SIZE) return undefined;
  const status = record.view.getUint32(record.start + api.EXIT_EVENT_OFFSETS.code, true);
  return { ...taskEvent(record), type: "exit", status };
}

/** The process that ended, where the record says that and is whole; else undefined. For who needs nothing more of it. */
export function exitedPid({ view, start, length }: RecordView): number | undefined {
  if (length < api.EXIT_EVENT_SIZE) return undefined;
  if (view.getUint16(start + HEADER.type, true) !== api.EVENT_EXIT) return undefined;
  return view.getUint32(start + HEADER.pid, true);
}

function decodeContainerEvent(record: RecordView): ContainerEvent | undefined {
  if (record.length < api.CONTAINER_EVENT_SIZE) return undefined;
  const { header, cgroupId, gone, pathBytes } = api.decodeContainerEvent(record.view, record.start);
  const text = new TextParts(record, api.CONTAINER_EVENT_SIZE);
  if (!text.holds(pathBytes)) return undefined;
  const { container, timeNs } = header;
  const cgroupPath = text.plain(pathBytes);
  return { type: "container", container, timeNs, cgroupId, gone: gone !== 0, cgroupPath };
}

function decodeHeldEvent({ view, start, length }: RecordView): HeldEvent | undefined {
  if (length < api.HELD_EVENT_SIZE) return undefined;
  const { header: { container, pid }, startNs } = api.decodeHeldEvent(view, start);
  return { type: "held", container, pid, startNs };
}

/**
 * To be spread first: V8 clones what begins a literal, and adds field by field what comes later in it.
 *
 * Field by field itself: the generated decoder makes an array for the terminal's name, which costs as much as all the rest.
 */
function taskEvent(record: RecordView): TaskEvent {
  const { view, start } = record;
  const flags = view.getUint16(start + HEADER.flags, true);
  return {
    container: view.getUint32(start + HEADER.container, true),
    timeNs: view.getBigUint64(start + HEADER.timeNs, true),
    exec: execRefs.read(record, start + HEADER.exec, start + HEADER.exec + api.EXEC_REF_SIZE),
    parent: execRefs.read(record, start + HEADER.parent, start + HEADER.parent + api.EXEC_REF_SIZE),
    pid: view.getUint32(start + HEADER.pid, true),
    tid: view.getUint32(start + HEADER.tid, true),
    ppid: view.getUint32(start + HEADER.ppid, true),
    nsPid: view.getUint32(start + HEADER.nsPid, true),
    nsPpid: view.getUint32(start + HEADER.nsPpid, true),
    uid: view.getUint32(start + HEADER.uid, true),
    tty: record.bytes[start + HEADER.tty] === 0
      ? ""
      : ttys.read(record, start + HEADER.tty, start + api.EVENT_HEADER_SIZE),
    truncated: (flags & api.EVENT_TRUNCATED) !== 0,
    staging: (flags & api.EVENT_STAGING) !== 0,
  };
}

const execRefs = new Remembered(1_024, (bytes, at): ExecRef => {
  const { timeNs, pid } = api.decodeExecRef(
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    at,
  );
  return { timeNs, pid };
});
const ttys = new Remembered(64, (bytes, start, end) => paddedText(bytes.subarray(start, end)));

/** The text behind a record's fixed part, taken piece by piece. */
class TextParts {
  readonly #memory: Memory;
  readonly #end: number;
  #at: number;

  constructor(record: RecordView, fixedBytes: number) {
    this.#memory = record;
    this.#end = record.start + record.length;
    this.#at = record.start + fixedBytes;
  }

  holds(bytes: number): boolean {
    return this.#at + bytes <= this.#end;
  }

  path(bytes: number): string {
    return pathOf(this.#memory, this.#at, this.#at += bytes);
  }

  words(bytes: number): readonly string[] {
    return wordsOf(this.#memory, this.#at, this.#at += bytes);
  }

  padded(bytes: number): string {
    return paddedText(this.#memory.bytes.subarray(this.#at, this.#at += bytes));
  }

  bytes(count: number): Uint8Array {
    return this.#memory.bytes.subarray(this.#at, this.#at += count);
  }

  /** Of 64 bits each. */
  numbers(count: number): readonly bigint[] {
    const { buffer, byteOffset } = this.#memory.bytes;
    const view = new DataView(buffer, byteOffset + this.#at, 8 * count);
    this.#at += 8 * count;
    return Array.from({ length: count }, (_, index) => view.getBigUint64(8 * index, true));
  }

  plain(bytes: number): string {
    return textOf(this.#memory.bytes, this.#at, this.#at += bytes);
  }
}

/** No names at all would read as the root; a preset's object has one, wherever it lies. */
function isObjectless({ hook, op }: { readonly hook: HookName; readonly op: number }): boolean {
  return WITHOUT_OBJECT.has(hook) || op === api.OP_PRESET;
}

/** Their records name no object. */
const WITHOUT_OBJECT: ReadonlySet<HookName> = new Set([
  "sb_kern_mount",
  "uring_override_creds",
  "bpf",
  "bpf_map",
  "bpf_prog",
  "socket_create",
  "socket_bind",
  "socket_listen",
  "socket_connect",
  "socket_accept",
  "socket_sendmsg",
  "capable",
  "dns_egress",
  "sys_enter",
]);

const OPS: Readonly<Record<number, OpName>> = {
  [api.OP_EXEC]: "exec",
  [api.OP_MMAP_EXEC]: "mmap-exec",
  [api.OP_LOAD]: "load",
  [api.OP_READ]: "read",
  [api.OP_WRITE]: "write",
  [api.OP_CREATE]: "create",
  [api.OP_DELETE]: "delete",
  [api.OP_RENAME]: "rename",
  [api.OP_LINK]: "link",
  [api.OP_ATTR]: "attributes",
  [api.OP_NETWORK]: "network",
  [api.OP_MOUNT]: "mount",
  [api.OP_CONNECT]: "connect",
  [api.OP_NOTIFY]: "notify",
  [api.OP_CREDS]: "credentials",
  [api.OP_CAPABILITY]: "capability",
  [api.OP_PROTECTED]: "protected",
  [api.OP_SYSCALL]: "syscall",
  [api.OP_DNS]: "dns",
  [api.OP_PRESET]: "preset",
};

const VERDICTS: Readonly<Record<number, VerdictName>> = {
  [api.VERDICT_NONE]: "none",
  [api.VERDICT_ALLOW]: "allow",
  [api.VERDICT_AUDIT]: "audit",
  [api.VERDICT_BLOCK]: "block",
  [api.VERDICT_POSTURE_AUDIT]: "posture-audit",
  [api.VERDICT_POSTURE_BLOCK]: "posture-block",
  [api.VERDICT_UNKNOWN_AUDIT]: "unknown-audit",
  [api.VERDICT_UNKNOWN_BLOCK]: "unknown-block",
};

const REASONS: Readonly<Record<number, ReasonName>> = {
  [api.REASON_ROW]: "rule",
  [api.REASON_ANCESTOR]: "ancestor",
  [api.REASON_LAUNDER]: "launder",
  [api.REASON_UNREACHABLE]: "unreachable",
  [api.REASON_GAVE_UP]: "gave-up",
  [api.REASON_STACKING]: "stacking",
  [api.REASON_ALIAS]: "alias",
  [api.REASON_NOTIFY]: "notify",
  [api.REASON_CREDS]: "credentials",
  [api.REASON_IMAGE]: "image",
  [api.REASON_PENDING]: "pending",
  [api.REASON_QUERY]: "query",
  [api.REASON_PROTECTED]: "protected",
};

const HOOKS: Readonly<Record<number, HookName>> = {
  [api.HOOK_BPRM_CHECK]: "bprm_check_security",
  [api.HOOK_MMAP_FILE]: "mmap_file",
  [api.HOOK_FILE_OPEN]: "file_open",
  [api.HOOK_PATH_TRUNCATE]: "path_truncate",
  [api.HOOK_FILE_TRUNCATE]: "file_truncate",
  [api.HOOK_PATH_RENAME]: "path_rename",
  [api.HOOK_PATH_LINK]: "path_link",
  [api.HOOK_PATH_UNLINK]: "path_unlink",
  [api.HOOK_SB_MOUNT]: "sb_mount",
  [api.HOOK_MOVE_MOUNT]: "move_mount",
  [api.HOOK_SB_PIVOTROOT]: "sb_pivotroot",
  [api.HOOK_SB_KERN_MOUNT]: "sb_kern_mount",
  [api.HOOK_PATH_NOTIFY]: "path_notify",
  [api.HOOK_URING_OVERRIDE_CREDS]: "uring_override_creds",
  [api.HOOK_TASK_KILL]: "task_kill",
  [api.HOOK_FILE_SEND_SIGIOTASK]: "file_send_sigiotask",
  [api.HOOK_PTRACE_ACCESS_CHECK]: "ptrace_access_check",
  [api.HOOK_TASK_SETRLIMIT]: "task_setrlimit",
  [api.HOOK_TASK_SETSCHEDULER]: "task_setscheduler",
  [api.HOOK_TASK_SETNICE]: "task_setnice",
  [api.HOOK_TASK_SETIOPRIO]: "task_setioprio",
  [api.HOOK_BPF]: "bpf",
  [api.HOOK_BPF_MAP]: "bpf_map",
  [api.HOOK_BPF_PROG]: "bpf_prog",
  [api.HOOK_INODE_CREATE]: "inode_create",
  [api.HOOK_INODE_LINK]: "inode_link",
  [api.HOOK_INODE_UNLINK]: "inode_unlink",
  [api.HOOK_INODE_SYMLINK]: "inode_symlink",
  [api.HOOK_INODE_MKDIR]: "inode_mkdir",
  [api.HOOK_INODE_RMDIR]: "inode_rmdir",
  [api.HOOK_INODE_MKNOD]: "inode_mknod",
  [api.HOOK_INODE_RENAME]: "inode_rename",
  [api.HOOK_INODE_SETATTR]: "inode_setattr",
  [api.HOOK_SB_REMOUNT]: "sb_remount",
  [api.HOOK_PATH_MKDIR]: "path_mkdir",
  [api.HOOK_PATH_RMDIR]: "path_rmdir",
  [api.HOOK_PATH_MKNOD]: "path_mknod",
  [api.HOOK_PATH_SYMLINK]: "path_symlink",
  [api.HOOK_PATH_CHMOD]: "path_chmod",
  [api.HOOK_PATH_CHOWN]: "path_chown",
  [api.HOOK_INODE_SETXATTR]: "inode_setxattr",
  [api.HOOK_INODE_REMOVEXATTR]: "inode_removexattr",
  [api.HOOK_SB_UMOUNT]: "sb_umount",
  [api.HOOK_FILE_RECEIVE]: "file_receive",
  [api.HOOK_FILE_MPROTECT]: "file_mprotect",
  [api.HOOK_INODE_SET_ACL]: "inode_set_acl",
  [api.HOOK_INODE_REMOVE_ACL]: "inode_remove_acl",
  [api.HOOK_UNIX_STREAM_CONNECT]: "unix_stream_connect",
  [api.HOOK_SOCKET_CREATE]: "socket_create",
  [api.HOOK_SOCKET_BIND]: "socket_bind",
  [api.HOOK_SOCKET_LISTEN]: "socket_listen",
  [api.HOOK_SOCKET_CONNECT]: "socket_connect",
  [api.HOOK_SOCKET_ACCEPT]: "socket_accept",
  [api.HOOK_SOCKET_SENDMSG]: "socket_sendmsg",
  [api.HOOK_CAPABLE]: "capable",
  [api.HOOK_SYS_ENTER]: "sys_enter",
  [api.HOOK_DNS_EGRESS]: "dns_egress",
  [api.HOOK_INODE_FOLLOW_LINK]: "inode_follow_link",
  [api.HOOK_INODE_READLINK]: "inode_readlink",
  [api.HOOK_USERNS_CREATE]: "userns_create",
  [api.HOOK_INODE_INIT_SECURITY_ANON]: "inode_init_security_anon",
};
