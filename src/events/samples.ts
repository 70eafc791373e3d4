/** Encoded records for tests: the generated encoders with defaults, and text laid out as the kernel does. */
import * as api from "../../ffi/generated/agent_api.ts";
import { RECORD_PREFIX_BYTES } from "../../ffi/ring.ts";
import { RecordCursor } from "./batch.ts";

const UTF8 = new TextEncoder();

/** `/usr/bin/sh` as the kernel writes it: `sh\0bin\0usr\0`. */
export function names(path: string): Uint8Array {
  const parts = path.split("/").filter((part) => part !== "").reverse();
  return UTF8.encode(parts.map((part) => part + "\0").join(""));
}

export function words(args: readonly string[]): Uint8Array {
  return UTF8.encode(args.map((arg) => arg + "\0").join(""));
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function header(type: number, over: Partial<api.EventHeader> = {}): api.EventHeader {
  const tty = new Uint8Array(16);
  tty.set(UTF8.encode("pts0"));
  return {
    type,
    flags: 0,
    container: 7,
    timeNs: 5_000_000_000n,
    exec: { timeNs: 4_000_000_000n, pid: 4242 },
    parent: { timeNs: 3_000_000_000n, pid: 4100 },
    pid: 4242,
    tid: 4242,
    ppid: 4100,
    nsPid: 12,
    nsPpid: 1,
    uid: 0,
    tty,
    ...over,
  };
}

/** A system call as the kernel tells it: its path argument as it was spoken, and its arguments. */
export function spokenCall(spoken: string, call: readonly bigint[], start = "/root") {
  const path = new Uint8Array(api.ARGUMENT_PATH_BYTES);
  path.set(UTF8.encode(spoken));
  const numbers = BigUint64Array.from({ length: api.SYSCALL_ARGUMENTS }, (_, at) => call[at] ?? 0n);
  const path2 = new Uint8Array(numbers.buffer);
  return { path, path2, cwd: names("/root"), args: names(start) };
}

/** The fields that such a record has beside. */
export function callFields(number: number): DecisionFields {
  return {
    ...{ op: api.OP_SYSCALL, hook: api.HOOK_SYS_ENTER, verdict: api.VERDICT_AUDIT },
    ...{ object: BigInt(number), openFlags: number, header: { flags: 0 } },
  };
}

/** A name as a DNS query's record has it. */
export function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(api.QUERY_NAME_BYTES);
  let at = 0;
  for (const label of name.split(".").filter((label) => label !== "")) {
    bytes[at] = label.length;
    bytes.set(UTF8.encode(label), at + 1);
    at += 1 + label.length;
  }
  return bytes;
}

export interface DecisionText {
  readonly path: Uint8Array;
  readonly path2?: Uint8Array;
  readonly cwd?: Uint8Array;
  readonly args?: Uint8Array;
}

/** Fields of a decision's record that a test cares for; those of its kind stand beside the others. */
export interface DecisionFields
  extends Partial<Omit<api.DecisionEvent, "header" | "kind">>, Partial<api.AlertKind> {
  readonly header?: Partial<api.EventHeader>;
}

/** A refused open of `text.path`, unless `over` says otherwise. */
export function decisionRecord(text: DecisionText, over: DecisionFields = {}) {
  const { path, path2 = new Uint8Array(), cwd = new Uint8Array(), args = new Uint8Array() } = text;
  const { header: headerOver, ...fixed } = over;
  const bytes = api.encodeDecisionEvent({
    suppressed: 0n,
    row2: 0,
    openFlags: 0,
    pathBytes: path.length,
    path2Bytes: path2.length,
    cwdBytes: cwd.length,
    argsBytes: args.length,
    ...fixed,
    kind: kind(fixed),
    header: header(api.EVENT_DECISION, { flags: api.EVENT_DENIED, ...headerOver }),
  });
  return concat(bytes, path, path2, cwd, args);
}

/** `count` decisions of the kind that a `decisionRecord` with the same fields has. */
export function suppressedRecord(count: number, over: Partial<api.AlertKind> = {}) {
  const { container } = kind(over);
  const none = { timeNs: 0n, pid: 0 };
  const zeros = { exec: none, parent: none, pid: 0, tid: 0, ppid: 0, nsPid: 0, nsPpid: 0 };
  return api.encodeSuppressedEvent({
    header: header(api.EVENT_SUPPRESSED, {
      ...zeros,
      container,
      flags: api.EVENT_DENIED,
      tty: new Uint8Array(16),
    }),
    kind: kind(over),
    suppressed: BigInt(count),
  });
}

function kind(over: Partial<api.AlertKind>): api.AlertKind {
  return {
    exe: over.exe ?? 0x1111_2222_3333_4444n,
    object: over.object ?? 0x5555_6666_7777_8888n,
    container: over.container ?? 7,
    generation: over.generation ?? 0x1234,
    row: over.row ?? 3,
    op: over.op ?? api.OP_READ,
    verdict: over.verdict ?? api.VERDICT_BLOCK,
    hook: over.hook ?? api.HOOK_FILE_OPEN,
    reason: over.reason ?? api.REASON_ROW,
  };
}

export function execRecord(
  text: { path: string; cwd?: string; args?: readonly string[] },
  over: Partial<api.EventHeader> = {},
) {
  const path = names(text.path), cwd = names(text.cwd ?? "/"), args = words(text.args ?? []);
  const bytes = api.encodeExecEvent({
    header: header(api.EVENT_EXEC, over),
    pathBytes: path.length,
    cwdBytes: cwd.length,
    argsBytes: args.length,
  });
  return concat(bytes, path, cwd, args);
}

export function exitRecord(over: Partial<api.EventHeader> = {}, code = 0) {
  return api.encodeExitEvent({ header: header(api.EVENT_EXIT, over), code });
}

/** A process that began 3.5 s after boot. */
export function heldRecord(over: Partial<api.EventHeader> = {}) {
  return api.encodeHeldEvent({ header: header(api.EVENT_HELD, over), startNs: 3_500_000_000n });
}

export function containerRecord(cgroupPath: string, gone = false) {
  const text = UTF8.encode(cgroupPath);
  const bytes = api.encodeContainerEvent({
    header: header(api.EVENT_CONTAINER),
    cgroupId: 0x1_0000_0007n,
    gone: gone ? 1 : 0,
    pathBytes: text.length,
  });
  return concat(bytes, text);
}

/** Records as a ring gives them: see ffi/ring.ts. */
export function batchOf(...records: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const strideOf = ({ length }: Uint8Array) => RECORD_PREFIX_BYTES + Math.ceil(length / 8) * 8;
  const bytes = new Uint8Array(records.reduce((sum, record) => sum + strideOf(record), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const record of records) {
    view.setUint32(at, record.length, true);
    bytes.set(record, at + RECORD_PREFIX_BYTES);
    at += strideOf(record);
  }
  return bytes;
}

/** A record as it lies in a batch. */
export function viewOf(record: Uint8Array): RecordCursor {
  const cursor = new RecordCursor(batchOf(record));
  cursor.next();
  return cursor;
}
