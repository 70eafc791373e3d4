/**
 * What each exec ran: executable, arguments, working directory, by exec reference, so that a later event of the same
 * image can be told whole. Fed by exec and exit events, bounded, and never asked for a decision.
 */
import type { ExecEvent, ExecRef, TaskEvent } from "./event.ts";

/** What /proc says about a process that runs; each undefined when it is gone or hidden. */
export interface Procfs {
  /** Executable as its own mount namespace names it. */
  exe(pid: number): string | undefined;
  /** argv, argv[0] first. */
  cmdline(pid: number): readonly string[] | undefined;
  cwd(pid: number): string | undefined;
}

export interface ProcessEntry {
  /** Names `ref` in the tree. */
  readonly key: string;
  readonly ref: ExecRef;
  readonly parent: ExecRef;
  /** Container index. */
  readonly container: number;
  readonly uid: number;
  readonly exe: string;
  /** argv, argv[0] first; empty when unknown. */
  readonly args: readonly string[];
  /** At exec; undefined when unknown. */
  readonly cwd: string | undefined;
  /** Kept here because the parent's own entry may go first. Undefined when unknown. */
  readonly parentExe: string | undefined;
}

export interface ProcessTreeLimits {
  /** Images that run. More than that are dropped oldest first and counted. 65,536 are some 30 MB. */
  readonly entriesMax: number;
  /** Images kept after their process went, for events that are still on the way and for children that still run them. */
  readonly retiredMax: number;
  readonly retiredMs: number;
}

export const PROCESS_TREE_LIMITS: ProcessTreeLimits = {
  entriesMax: 65_536,
  retiredMax: 8_192,
  retiredMs: 5_000,
};

export interface ProcessTreeCounts {
  /** Images held now, retired ones included. */
  readonly entries: number;
  /** Entries dropped because a limit was reached, before their time. */
  readonly evicted: number;
  /** Look-ups that neither the tree nor /proc could answer. */
  readonly unknown: number;
}

/** How often in its time a retired image that is asked for is moved behind those that are not. */
const TOUCHES = 5;

interface Retired {
  readonly entry: ProcessEntry;
  /** Clock at which the process went, or at which the entry was last asked for. */
  atMs: number;
}

/** `nowMs`: a monotonic clock in ms. */
export class ProcessTree {
  readonly #procfs: Procfs;
  readonly #nowMs: () => number;
  readonly #limits: ProcessTreeLimits;
  /** Running images, oldest first. */
  readonly #live = new Map<string, ProcessEntry>();
  /** Images whose process went, longest gone first. */
  readonly #retired = new Map<string, Retired>();
  /** The image that each process runs now, where it has executed one since it was forked. */
  readonly #current = new Map<number, string>();
  #evicted = 0;
  #unknown = 0;

  constructor(procfs: Procfs, nowMs: () => number, limits = PROCESS_TREE_LIMITS) {
    this.#procfs = procfs;
    this.#nowMs = nowMs;
    this.#limits = limits;
  }

  get counts(): ProcessTreeCounts {
    const entries = this.#live.size + this.#retired.size;
    return { entries, evicted: this.#evicted, unknown: this.#unknown };
  }

  /** Takes a new image in. The one that the process ran before retires. */
  onExec(event: ExecEvent): ProcessEntry {
    const { exec, parent, container, uid, path, args, cwd } = event;
    // A parent outside every container is in no record; it is asked for while it lives, once an image.
    const parentExe = this.#find(parent)?.exe ?? this.#procfs.exe(event.ppid);
    const base = { key: keyOf(exec), ref: exec, parent, container, uid, exe: path, parentExe };
    const entry = event.found
      ? { ...base, args: this.#procfs.cmdline(event.pid) ?? [], cwd: this.#procfs.cwd(event.pid) }
      : { ...base, args, cwd };
    this.#add(entry, event.pid);
    return entry;
  }

  /** The image stays for a while: its last events may lie in the other ring, and its children may still run it. */
  onExit(pid: number): void {
    const key = this.#current.get(pid);
    if (key !== undefined) this.#retire(key, pid);
  }

  /** Whether the tree itself knows the image, without asking /proc. An unknown reference (0, 0) is never known. */
  knows(ref: ExecRef): boolean {
    return this.#find(ref) !== undefined;
  }

  /** Whether `entry` is what `actor` would still find. */
  holds(entry: ProcessEntry): boolean {
    return (this.#live.get(entry.key) ?? this.#touchRetired(entry.key)) === entry;
  }

  /** The image that the process runs, if it has executed one since it was forked. */
  current(pid: number): ProcessEntry | undefined {
    const key = this.#current.get(pid);
    return key === undefined ? undefined : this.#live.get(key);
  }

  /** The image that acts in `event`: from the tree, else from /proc while the process runs. */
  actor(event: TaskEvent): ProcessEntry | undefined {
    const found = this.#find(event.exec) ?? this.#fromProcfs(event);
    if (found === undefined) this.#unknown++;
    return found;
  }

  /** Executable that the acting process was forked from: from the tree, else from /proc by the parent's process id. */
  parentExe(event: TaskEvent): string | undefined {
    const inTree = this.#find(event.parent)?.exe ?? this.#find(event.exec)?.parentExe;
    const exe = inTree ?? this.#procfs.exe(event.ppid);
    if (exe === undefined) this.#unknown++;
    return exe;
  }

  #find(ref: ExecRef): ProcessEntry | undefined {
    if (isUnknown(ref)) return undefined;
    const key = keyOf(ref);
    return this.#live.get(key) ?? this.#touchRetired(key);
  }

  /** A retired image that is still asked for has children that run it: its time begins anew. */
  #touchRetired(key: string): ProcessEntry | undefined {
    const retired = this.#retired.get(key);
    if (retired === undefined) return undefined;
    const nowMs = this.#nowMs();
    // Not each time: moving an entry of a large Map to its end costs more than all the rest of an event.
    if (nowMs - retired.atMs > this.#limits.retiredMs / TOUCHES) {
      retired.atMs = nowMs;
      this.#retired.delete(key);
      this.#retired.set(key, retired);
    }
    return retired.entry;
  }

  #fromProcfs(event: TaskEvent): ProcessEntry | undefined {
    // A process that has executed something else since: /proc would name the wrong image.
    const current = this.#current.get(event.pid);
    if (current !== undefined && current !== keyOf(event.exec)) return undefined;
    const exe = this.#procfs.exe(event.pid);
    if (exe === undefined) return undefined;
    const { exec, parent, container, uid, pid } = event;
    const entry: ProcessEntry = {
      key: keyOf(exec),
      ref: exec,
      parent,
      container,
      uid,
      exe,
      args: this.#procfs.cmdline(pid) ?? [],
      cwd: this.#procfs.cwd(pid),
      parentExe: this.#find(parent)?.exe ?? this.#procfs.exe(event.ppid),
    };
    if (exec.pid === pid) this.#add(entry, pid);
    else if (!isUnknown(exec)) this.#addRetired(entry); // A child that runs its parent's image.
    return entry;
  }

  #add(entry: ProcessEntry, pid: number): void {
    const { key } = entry;
    const before = this.#current.get(pid);
    if (before !== undefined && before !== key) this.#retire(before, pid);
    this.#retired.delete(key);
    this.#live.delete(key);
    this.#live.set(key, entry);
    this.#current.set(pid, key);
    while (this.#live.size > this.#limits.entriesMax) this.#evictOldest();
  }

  #retire(key: string, pid: number): void {
    this.#current.delete(pid);
    const entry = this.#live.get(key);
    if (entry === undefined) return;
    this.#live.delete(key);
    this.#addRetired(entry);
  }

  #addRetired(entry: ProcessEntry): void {
    this.#retired.set(entry.key, { entry, atMs: this.#nowMs() });
    this.#expire();
  }

  #expire(): void {
    const { retiredMs, retiredMax } = this.#limits;
    const since = this.#nowMs() - retiredMs;
    for (const [key, { atMs }] of this.#retired) {
      const due = atMs <= since;
      if (!due && this.#retired.size <= retiredMax) break;
      if (!due) this.#evicted++;
      this.#retired.delete(key);
    }
  }

  #evictOldest(): void {
    const [key, { ref }] = this.#live.entries().next().value!;
    this.#live.delete(key);
    if (this.#current.get(ref.pid) === key) this.#current.delete(ref.pid);
    this.#evicted++;
  }
}

/** References of images that ran before the kernel kept count are 0 and 0. */
export function isUnknown(ref: ExecRef): boolean {
  return ref.timeNs === 0n && ref.pid === 0;
}

function keyOf(ref: ExecRef): string {
  return `${ref.timeNs}:${ref.pid}`;
}
