/** Bytes of a ring record to an event. A record that makes no sense is counted and passed over: it never ends the reading. */
import { Buffer } from "node:buffer";
import * as api from "../../ffi/generated/agent_api.ts";
import type {
  AgentEvent,
  ContainerEvent,
  DecisionEvent,
  DecisionKind,
  ExecEvent,
  ExitEvent,
  HookName,
  OpName,
  ReasonName,
  SuppressedEvent,
  TaskEvent,
  VerdictName,
} from "./event.ts";
import { paddedText, pathOf, textOf, wordsOf } from "./text.ts";

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
  decode(record: Uint8Array): AgentEvent | undefined {
    const event = decodeEvent(record);
    if (event === undefined) this.#malformed++;
    else this.#decoded++;
    return event;
  }
}

/** One record as an event; undefined when it is malformed. Bytes behind the text are slack of the ring and ignored. */
export function decodeEvent(record: Uint8Array): AgentEvent | undefined {
  if (record.byteLength < api.EVENT_HEADER_SIZE) return undefined;
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  switch (view.getUint16(api.EVENT_HEADER_OFFSETS.type, true)) {
    case api.EVENT_DECISION:
      return decodeDecisionEvent(view);
    case api.EVENT_EXEC:
      return decodeExecEvent(view);
    case api.EVENT_EXIT:
      return decodeExitEvent(view);
    case api.EVENT_CONTAINER:
      return decodeContainerEvent(view);
    case api.EVENT_SUPPRESSED:
      return decodeSuppressedEvent(view);
    default:
      return undefined;
  }
}

function decodeDecisionEvent(view: DataView): DecisionEvent | undefined {
  if (view.byteLength < api.DECISION_EVENT_SIZE) return undefined;
  const fixed = api.decodeDecisionEvent(view);
  const kind = kindFacts(fixed.kind);
  const { pathBytes, path2Bytes, cwdBytes, argsBytes } = fixed;
  const text = new TextParts(view, api.DECISION_EVENT_SIZE);
  if (kind === undefined) return undefined;
  if (!text.holds(pathBytes + path2Bytes + cwdBytes + argsBytes)) return undefined;
  return {
    type: "decision",
    ...taskEvent(fixed.header),
    ...kind,
    denied: isDenied(fixed.header),
    suppressed: Number(fixed.suppressed),
    row2: fixed.row2,
    openFlags: fixed.openFlags,
    path: pathBytes === 0 && WITHOUT_OBJECT.has(kind.hook) ? "" : text.path(pathBytes),
    path2: path2Bytes === 0 ? undefined : text.path(path2Bytes),
    cwd: text.path(cwdBytes),
    args: text.words(argsBytes),
  };
}

/** What the kind of a decision says about it; undefined when a number is none of this format's. */
function kindFacts(kind: api.AlertKind) {
  const { generation, row, op, exe, object, container } = kind;
  const opName = OPS[op];
  const verdict = VERDICTS[kind.verdict & ~api.VERDICT_SOURCE];
  const hook = HOOKS[kind.hook];
  const reason = REASONS[kind.reason];
  if (!opName || !verdict || !hook || !reason) return undefined;
  const bySource = (kind.verdict & api.VERDICT_SOURCE) !== 0;
  const numbers = [container, generation, row, op, kind.verdict, kind.hook, kind.reason];
  const name: DecisionKind = `${exe}:${object}:${numbers.join(":")}`;
  return { kind: name, generation, row, op, opName, verdict, bySource, hook, reason };
}

function decodeSuppressedEvent(view: DataView): SuppressedEvent | undefined {
  if (view.byteLength < api.SUPPRESSED_EVENT_SIZE) return undefined;
  const { header, kind, suppressed } = api.decodeSuppressedEvent(view);
  const facts = kindFacts(kind);
  const count = Number(suppressed);
  if (facts === undefined || count < 1) return undefined;
  const nothing = { row2: 0, openFlags: 0, path: "", path2: undefined, cwd: "", args: [] };
  return {
    type: "suppressed",
    count,
    decision: {
      type: "decision",
      ...taskEvent(header),
      ...facts,
      denied: isDenied(header),
      ...nothing,
      suppressed: count - 1,
    },
  };
}

function decodeExecEvent(view: DataView): ExecEvent | undefined {
  if (view.byteLength < api.EXEC_EVENT_SIZE) return undefined;
  const { header, pathBytes, cwdBytes, argsBytes } = api.decodeExecEvent(view);
  const text = new TextParts(view, api.EXEC_EVENT_SIZE);
  if (!text.holds(pathBytes + cwdBytes + argsBytes)) return undefined;
  const found = (header.flags & api.EVENT_FOUND) !== 0;
  const path = text.path(pathBytes);
  const cwd = text.path(cwdBytes);
  const args = text.words(argsBytes);
  return { type: "exec", ...taskEvent(header), found, path, cwd: found ? undefined : cwd, args };
}

function decodeExitEvent(view: DataView): ExitEvent | undefined {
  if (view.byteLength < api.EXIT_EVENT_SIZE) return undefined;
  const { header, code } = api.decodeExitEvent(view);
  return { type: "exit", ...taskEvent(header), status: code };
}

function decodeContainerEvent(view: DataView): ContainerEvent | undefined {
  if (view.byteLength < api.CONTAINER_EVENT_SIZE) return undefined;
  const { header, cgroupId, gone, pathBytes } = api.decodeContainerEvent(view);
  const text = new TextParts(view, api.CONTAINER_EVENT_SIZE);
  if (!text.holds(pathBytes)) return undefined;
  const { container, timeNs } = header;
  const cgroupPath = text.plain(pathBytes);
  return { type: "container", container, timeNs, cgroupId, gone: gone !== 0, cgroupPath };
}

function isDenied(header: api.EventHeader): boolean {
  return (header.flags & api.EVENT_DENIED) !== 0;
}

function taskEvent(header: api.EventHeader): TaskEvent {
  return {
    container: header.container,
    timeNs: header.timeNs,
    exec: header.exec,
    parent: header.parent,
    pid: header.pid,
    tid: header.tid,
    ppid: header.ppid,
    nsPid: header.nsPid,
    nsPpid: header.nsPpid,
    uid: header.uid,
    tty: paddedText(header.tty),
    truncated: (header.flags & api.EVENT_TRUNCATED) !== 0,
    staging: (header.flags & api.EVENT_STAGING) !== 0,
  };
}

/** The text behind a record's fixed part, taken piece by piece. */
class TextParts {
  readonly #bytes: Buffer;
  #at: number;

  constructor(view: DataView, start: number) {
    this.#bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
    this.#at = start;
  }

  holds(bytes: number): boolean {
    return this.#at + bytes <= this.#bytes.length;
  }

  path(bytes: number): string {
    return pathOf(this.#bytes, this.#at, this.#at += bytes);
  }

  words(bytes: number): string[] {
    return wordsOf(this.#bytes, this.#at, this.#at += bytes);
  }

  plain(bytes: number): string {
    return textOf(this.#bytes, this.#at, this.#at += bytes);
  }
}

/** Their records name no object, and no names at all would read as the root. */
const WITHOUT_OBJECT: ReadonlySet<HookName> = new Set(["sb_kern_mount", "uring_override_creds"]);

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
  [api.OP_IOCTL]: "ioctl",
  [api.OP_MOUNT]: "mount",
  [api.OP_CONNECT]: "connect",
  [api.OP_NOTIFY]: "notify",
  [api.OP_CREDS]: "credentials",
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
};
