/** The real maps behind KernelMaps. */

import { BpfMap, type BpfProgram, type Shim, u32Bytes } from "../../ffi/bpf.ts";
import {
  type AlertLimits,
  CGROUP_PREFIX_BYTES,
  CGROUP_PREFIXES_MAX,
  CONTAINER_ACCOUNT_SIZE,
  COUNTER_NAMES,
  COUNTERS,
  decodeContainerAccount,
  decodeContainerUse,
  decodeNumbering,
  decodeTaskSurvey,
  encodeAgentPulse,
  encodeAlertLimits,
  encodeCgroupPrefix,
  encodeContainerUse,
  encodeNumbering,
  IMAGE_ENTRY_BYTES,
  IMAGES_MAX,
  type Numbering,
  PENDING_AUDIT,
  PENDING_BLOCK,
  PENDING_HOLD,
  SYSCALL_NUMBERS,
  type TaskSurvey,
  WORD_FREE,
} from "../../ffi/generated/agent_api.ts";
import type { HashKeys } from "../compile/hash.ts";
import { type HostPrograms, programsByHash } from "./host_programs.ts";
import type { ContainerUse, ImageHandle, KernelMaps } from "./kernel_maps.ts";
import type { ProtectionParts } from "./protect.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Begins with the name by which self-protection knows maps without a pin (bpf/protect.bpf.c). */
const IMAGE_NAME = "ankylo_image";

/** Images lie in the lowest free slots: behind so many empty ones there are hardly any that no word names. */
const EMPTY_SLOTS_MAX = 16;

/** 8 KiB, for some 270 names: most policies' images are smaller. */
const SPARE_ENTRIES = 64;

/** Maps of an installation that the agent reads or writes, by name; all are pinned. */
export const ENGINE_MAPS = [
  "tasks",
  "tasks_by_address",
  "cgroups",
  "containers",
  "container_use",
  "images",
  "syscall_table",
  "counters",
  "host_programs",
  "cgroup_prefixes",
  "accounts",
  "alert_limits",
  "alert_kinds",
  "numbering",
  "agent_pulse",
  "task_survey",
  "senders",
  "ring_alerts",
  "ring_events",
  "protection",
  "protected_objects",
  "protected_ids",
] as const;
export type EngineMapName = typeof ENGINE_MAPS[number];

/** What applies to containers that nobody has described, while no agent is there to do it. */
export type PendingMode = "audit" | "block" | "hold";

const PENDING_MODES: Readonly<Record<PendingMode, number>> = {
  audit: PENDING_AUDIT,
  block: PENDING_BLOCK,
  hold: PENDING_HOLD,
};

/** Where a runtime makes cgroups: see `struct cgroup_prefix`. */
export interface Prefix {
  readonly text: string;
  readonly depth: number;
}

/** What became of one container's decisions: denied + audited = sent + limited + lost. */
export interface Account {
  readonly denied: number;
  readonly audited: number;
  /** With a record of its own. */
  readonly sent: number;
  /** Without: the kind had used up its rate. */
  readonly limited: number;
  /** Without: there was no room in the ring. */
  readonly lost: number;
}

/** Programs that the agent runs, over all tasks and over all kinds of decisions. */
export interface Iterators {
  readonly identify: BpfProgram;
  readonly flush: BpfProgram;
  readonly register: BpfProgram;
}

export class EngineMaps implements KernelMaps {
  readonly #shim: Shim;
  readonly #maps: Readonly<Record<EngineMapName, BpfMap>>;
  readonly #iterators: Iterators;
  /** An empty image in a slot that no word names. */
  #spare: { readonly slot: number; readonly image: BpfMap } | undefined;
  /** The one that waited, filled: it lies in its slot already. */
  #filled: BpfMap | undefined;

  /** Takes over the handles. */
  constructor(shim: Shim, maps: Readonly<Record<EngineMapName, BpfMap>>, iterators: Iterators) {
    this.#shim = shim;
    this.#maps = maps;
    this.#iterators = iterators;
  }

  /** For a Protector. */
  get protection(): ProtectionParts {
    const { protection, protected_objects: objects, protected_ids: ids } = this.#maps;
    return { protection, objects, ids, register: this.#iterators.register };
  }

  /** For a RingReader, which maps its pages. */
  ring(name: "ring_alerts" | "ring_events"): BpfMap {
    return this.#maps[name];
  }

  words(): Map<number, bigint> {
    const values = this.#maps.containers.readArray();
    const used = new Map<number, bigint>();
    new BigUint64Array(values.buffer, values.byteOffset, values.length / 8).forEach(
      (word, index) => {
        if (index > 0 && word !== WORD_FREE) used.set(index, word);
      },
    );
    return used;
  }

  setWord(index: number, word: bigint): void {
    this.#maps.containers.update(u32Bytes(index), u64Bytes(word));
  }

  use(index: number): ContainerUse {
    const bytes = this.#maps.container_use.lookup(u32Bytes(index))!;
    const { tasks, gone } = decodeContainerUse(new DataView(bytes.buffer));
    return { tasks, gone: gone !== 0 };
  }

  resetUse(index: number): void {
    this.#maps.accounts.update(u32Bytes(index), new Uint8Array(CONTAINER_ACCOUNT_SIZE));
    this.#maps.container_use.update(
      u32Bytes(index),
      encodeContainerUse({ tasks: 0, gone: 0, begun: 0 }),
    );
  }

  cgroups(): Map<bigint, number> {
    const cgroups = new Map<bigint, number>();
    for (const key of this.#maps.cgroups.keys()) {
      const index = this.indexOf(u64Of(key));
      if (index !== undefined) cgroups.set(u64Of(key), index);
    }
    return cgroups;
  }

  indexOf(cgroupId: bigint): number | undefined {
    const value = this.#maps.cgroups.lookup(u64Bytes(cgroupId));
    return value && u32Of(value);
  }

  setIndex(cgroupId: bigint, index: number): void {
    this.#maps.cgroups.update(u64Bytes(cgroupId), u32Bytes(index));
  }

  deleteIndex(cgroupId: bigint): void {
    this.#maps.cgroups.delete(u64Bytes(cgroupId));
  }

  slots(named?: ReadonlySet<number>): number[] {
    const slots: number[] = [];
    for (let slot = 0, empty = 0; slot < IMAGES_MAX; slot++) {
      const isFull = named?.has(slot) || this.#maps.images.lookup(u32Bytes(slot)) !== undefined;
      if (isFull) slots.push(slot);
      empty = isFull ? 0 : empty + 1;
      if (named !== undefined && empty === EMPTY_SLOTS_MAX) break;
    }
    return slots;
  }

  /**
   * Has an empty image wait in a free slot. To put one there takes until all readers of the kernel have gone on, tens of
   * milliseconds that the next small policy does not wait for then: filling the one that is there takes none.
   */
  prepare(slot: number): void {
    if (this.#spare?.slot === slot) return;
    if (this.#spare !== undefined) this.clearImage(this.#spare.slot);
    const image = this.#newImage(SPARE_ENTRIES);
    this.putImage(slot, image);
    this.#spare = { slot, image };
  }

  createImage(slot: number, bytes: Uint8Array): ImageHandle {
    const entries = bytes.length / IMAGE_ENTRY_BYTES;
    const isReady = this.#spare?.slot === slot && entries <= SPARE_ENTRIES;
    const image = isReady ? this.#spare!.image : this.#newImage(entries);
    if (isReady) this.#spare = undefined;
    try {
      const keys = new Uint8Array(
        Uint32Array.from({ length: entries }, (_, entry) => entry).buffer,
      );
      // The header last: nobody finds the generation of an image that is not complete.
      image.updateBatch(keys.subarray(4), bytes.subarray(IMAGE_ENTRY_BYTES) as Bytes);
      image.updateBatch(keys.subarray(0, 4), bytes.subarray(0, IMAGE_ENTRY_BYTES) as Bytes);
      image.freeze();
      if (isReady) this.#filled = image;
      return image;
    } catch (error) {
      image.close();
      throw error;
    }
  }

  #newImage(entries: number): BpfMap {
    return BpfMap.createInner(this.#shim, IMAGE_NAME, IMAGE_ENTRY_BYTES, entries);
  }

  putImage(slot: number, image: ImageHandle): void {
    // It lies there.
    if (image === this.#filled) return void (this.#filled = undefined);
    this.#maps.images.setMap(slot, image as BpfMap);
    this.#forgetSpare(slot);
  }

  awaitReaders(slot: number): void {
    // To change a map of maps takes until then (maybe_wait_bpf_programs in kernel/bpf/syscall.c), be the change none.
    using image = this.#maps.images.innerMap(slot);
    if (image !== undefined) this.#maps.images.setMap(slot, image);
  }

  clearImage(slot: number): void {
    this.#maps.images.delete(u32Bytes(slot));
    this.#forgetSpare(slot);
  }

  #forgetSpare(slot: number): void {
    if (this.#spare?.slot !== slot) return;
    this.#spare.image.close();
    this.#spare = undefined;
  }

  identify(): void {
    this.#iterators.identify.runIterator();
  }

  /** Sends a record for each kind of decision that fell quiet with some untold. Returns how many kinds it had to leave. */
  flushSuppressed(): number {
    return this.#iterators.flush.runIterator(this.#maps.alert_kinds);
  }

  /** Where the agent before stopped numbering its records; life 0: there was none. */
  numbering(): Numbering {
    const bytes = this.#maps.numbering.lookup(u32Bytes(0))!;
    return decodeNumbering(new DataView(bytes.buffer));
  }

  setNumbering(numbering: Numbering): void {
    this.#maps.numbering.update(u32Bytes(0), encodeNumbering(numbering));
  }

  /** Which system calls policies name: see `struct syscall_table`. */
  setSyscalls(entries: readonly number[]): void {
    const table = new Uint32Array(2 * SYSCALL_NUMBERS);
    table.set(entries);
    this.#maps.syscall_table.update(u32Bytes(0), new Uint8Array(table.buffer));
  }

  /** What the last `setSyscalls` of any agent wrote; zeros where there was none. */
  syscalls(): Uint32Array {
    return new Uint32Array(this.#maps.syscall_table.lookup(u32Bytes(0))!.buffer);
  }

  setAlertLimits(limits: AlertLimits): void {
    this.#maps.alert_limits.update(u32Bytes(0), encodeAlertLimits(limits));
  }

  /** Since the index was given out. Exact up to 2^53. */
  account(index: number): Account {
    const bytes = this.#maps.accounts.lookup(u32Bytes(index))!;
    const account = decodeContainerAccount(new DataView(bytes.buffer));
    return {
      denied: Number(account.denied),
      audited: Number(account.audited),
      sent: Number(account.sent),
      limited: Number(account.limited),
      lost: Number(account.lost),
    };
  }

  /** What the kernel knows of the agent. `beatNs`: CLOCK_BOOTTIME, 0 when nobody describes containers. */
  setPulse(beatNs: bigint, pending: PendingMode): void {
    const value = encodeAgentPulse({ beatNs, pending: PENDING_MODES[pending] });
    this.#maps.agent_pulse.update(u32Bytes(0), value);
  }

  /** What `identify` saw in its last run. */
  survey(): TaskSurvey {
    const bytes = this.#maps.task_survey.lookup(u32Bytes(0))!;
    return decodeTaskSurvey(new DataView(bytes.buffer));
  }

  /** Replaces all programs that make a host task exempt: see `enum exemption`. */
  setHostPrograms(programs: HostPrograms, keys: HashKeys): void {
    const map = this.#maps.host_programs;
    const wanted = programsByHash(programs, keys);
    // Those that stay are there all the time.
    for (const key of [...map.keys()]) if (!wanted.has(u64Of(key))) map.delete(key);
    for (const [hash, exemption] of wanted) map.update(u64Bytes(hash), u32Bytes(exemption));
  }

  /** Replaces all prefixes. @throws {RangeError} more than CGROUP_PREFIXES_MAX, or a text that is too long */
  setPrefixes(prefixes: readonly Prefix[]): void {
    if (prefixes.length > CGROUP_PREFIXES_MAX) {
      throw new RangeError(`Cannot set cgroup prefixes: ${prefixes.length} are too many`);
    }
    for (let i = 0; i < CGROUP_PREFIXES_MAX; i++) {
      this.#maps.cgroup_prefixes.update(u32Bytes(i), prefixBytes(prefixes[i]));
    }
  }

  /** Since the installation, summed over CPUs; by name, for example `alerts_lost`. */
  counters(): Record<string, bigint> {
    const counters: Record<string, bigint> = {};
    for (let i = 0; i < COUNTERS; i++) {
      const name = COUNTER_NAMES[i]?.replace(/^COUNT_/, "").toLowerCase();
      if (name !== undefined) counters[name] = this.counter(i);
    }
    return counters;
  }

  /** One of `enum counter`. */
  counter(index: number): bigint {
    const perCpu = new BigUint64Array(this.#maps.counters.lookup(u32Bytes(index))!.buffer);
    return perCpu.reduce((sum, count) => sum + count, 0n);
  }

  close(): void {
    this.#spare?.image.close();
    for (const iterator of Object.values(this.#iterators)) iterator.close();
    for (const name of ENGINE_MAPS) this.#maps[name].close();
  }
}

function prefixBytes(prefix: Prefix | undefined): Bytes {
  const text = new Uint8Array(CGROUP_PREFIX_BYTES - 2);
  if (prefix === undefined) return encodeCgroupPrefix({ length: 0, depth: 0, text });
  const bytes = new TextEncoder().encode(prefix.text);
  if (bytes.length > text.length) {
    throw new RangeError(`Cannot set cgroup prefix "${prefix.text}": over ${text.length} bytes`);
  }
  text.set(bytes);
  return encodeCgroupPrefix({ length: bytes.length, depth: prefix.depth, text });
}

function u64Bytes(value: bigint): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

function u64Of(bytes: Bytes): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

function u32Of(bytes: Bytes): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
