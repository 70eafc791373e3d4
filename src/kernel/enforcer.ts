/** Brings policies into the kernel and keeps them there. Everything about it outlives the agent but this object. */

import type { BpfMap, Shim } from "../../ffi/bpf.ts";
import {
  type AlertLimits,
  COUNT_ALERTS_LOST,
  COUNT_LIMITED,
  COUNT_NOTICES_LOST,
  HOST_CONTAINER,
  IMAGES_MAX,
  type Numbering,
  type TaskSurvey,
  WORD_PASSED,
  WORD_PENDING,
  WORD_REFUSED,
} from "../../ffi/generated/agent_api.ts";
import { KernelFiles } from "../../ffi/procfs.ts";
import type { CompiledImage, DesiredState, HashKeys } from "../compile/compile.ts";
import { type Workload, workloadKey } from "../model/workload.ts";
import { apply } from "./apply.ts";
import type { Account, PendingMode, Prefix } from "./engine_maps.ts";
import type { HostPrograms } from "./host_programs.ts";
import { readFacts } from "./facts.ts";
import { DECIDING_HOOKS, type OnDemandGroup } from "./hooks.ts";
import { Installation } from "./installation.ts";
import { Installed } from "./installed.ts";
import type { HeldProcess } from "./hold.ts";
import { buildIdOf, type ProgramObjects } from "./loading.ts";
import { groupsOf } from "./needs.ts";
import { type InstallationPins, PinDirectory } from "./pins.ts";
import { freeSlot, plan, type Step } from "./plan.ts";
import { type ProtectedPlaces, Protector } from "./protect.ts";
import { type Feature, type KernelFacts, probe } from "./probe.ts";
import type { HookState } from "./records.ts";
import { Retries } from "./retries.ts";
import { syscallEntries, syscallsIn } from "./syscall_table.ts";
import { readWord } from "./word.ts";

/** The running kernel can't enforce; the message names what it lacks, as a phrase. */
export class NotSupportedError extends Error {
  override name = "NotSupportedError";
  /** What is missing, one sentence each, with what to do. */
  readonly missing: readonly string[];

  constructor(features: readonly Feature[]) {
    super(`this kernel lacks ${features.map(({ name }) => name).join(", ")}`);
    this.missing = features.map(({ name, found, hint }) => `${name} is ${found}: ${hint}`);
  }
}

export interface KernelReport {
  /** `uname -r`. */
  readonly kernel: string;
  readonly lsm: readonly string[];
  /**
   * `installed`: by this agent; `adopted`: from one before; `renewed`: the same with this agent's programs in it;
   * `replaced`: by this agent, beside an older one until it enforced.
   */
  readonly mode: "installed" | "adopted" | "renewed" | "replaced";
  readonly hooks: readonly HookState[];
  /** What this kernel lacks, one sentence each. */
  readonly missing: readonly string[];
  /** SHA-256 of the programs, in hex. */
  readonly buildId: string;
}

/** What one call of `apply` changed. */
export interface ApplyResult {
  readonly steps: readonly Step[];
  /** Containers that share a cgroup with another one, whose policy governs both. */
  readonly shadowed: readonly Workload[];
}

/** Images of former policies that are still known by their generation, for events that come late. */
const FORMER_IMAGES_MIN = 16;

export interface EnforcerOptions {
  /** The pin directory, for example `/sys/fs/bpf/ankylo`. */
  readonly bpffs: string;
  /** As `readQuickFacts` finds them. */
  readonly facts: KernelFacts;
  /** Those for a kernel of these facts. */
  readonly objects: ProgramObjects;
  readonly alerts: AlertRate;
}

/** How many alerts of one kind go out: `burst` at once, then `perSecond`. */
export interface AlertRate {
  readonly burst: number;
  /** Undefined: as many as there are. */
  readonly perSecond: number | undefined;
}

export class Enforcer {
  readonly #shim: Shim;
  readonly #installation: Installation;
  readonly #facts: KernelFacts;
  readonly #objects: ProgramObjects;
  readonly #mode: KernelReport["mode"];
  /** Installations to remove as soon as this one enforces. */
  #older: readonly InstallationPins[];
  #installed: Installed;
  /** Container index → who it is, also a while after it is gone: its last events are still to come. */
  readonly #owners = new Map<number, Workload>();
  /** Generation → image, the latest used last. */
  readonly #images = new Map<number, CompiledImage>();
  readonly #retries = new Retries<OnDemandGroup>();
  /** System calls that the kernel looks at. */
  #syscalls: readonly number[];
  /** Whether this agent wrote them. */
  #hasListened = false;
  /** Decisions without a record, when `flushSuppressed` last ran, and whether it left some. */
  #unsent = 0n;
  #someUntold = true;

  private constructor(parts: {
    shim: Shim;
    installation: Installation;
    facts: KernelFacts;
    objects: ProgramObjects;
    mode: KernelReport["mode"];
    older: readonly InstallationPins[];
  }) {
    this.#shim = parts.shim;
    this.#installation = parts.installation;
    this.#facts = parts.facts;
    this.#objects = parts.objects;
    this.#mode = parts.mode;
    this.#older = parts.older;
    try {
      this.#installed = parts.installation.enforces
        ? Installed.read(parts.installation.maps)
        : Installed.empty();
      this.#syscalls = syscallsIn(parts.installation.maps.syscalls());
    } catch (error) {
      parts.installation.close();
      throw error;
    }
  }

  /**
   * Takes over what an agent left in the kernel, with its programs where they are the same and else with this agent's. What
   * is of another format stays beside a new installation, which enforces from the first `apply` on. At most one Enforcer
   * may be open on a pin directory.
   * @throws {NotSupportedError} the kernel lacks what everything depends on
   * @throws {BpfError} the kernel refuses the programs; what was there stays in force
   */
  static open(shim: Shim, options: EnforcerOptions): Enforcer {
    const enforcer = Enforcer.#open(shim, options);
    enforcer.#installation.maps.setAlertLimits(limitsOf(options.alerts));
    return enforcer;
  }

  static #open(shim: Shim, { bpffs, facts, objects }: EnforcerOptions): Enforcer {
    requireSupport(facts);
    const directory = PinDirectory.open(new KernelFiles(shim), bpffs);
    const found = directory.installations();
    const buildId = buildIdOf(objects);
    for (const pins of found) {
      const adopted = Installation.adopt(shim, pins, buildId, facts);
      const installation = adopted ?? Installation.renew(shim, pins, objects, facts);
      if (installation === undefined) continue;
      const older = found.filter((other) => other !== pins);
      const mode = adopted === undefined ? "renewed" : "adopted";
      return new Enforcer({ shim, installation, facts, objects, mode, older }).#withoutOlder();
    }
    const mode = found.some((pins) => pins.links().length > 0) ? "replaced" : "installed";
    try {
      const installation = Installation.load(shim, directory.create(), objects, facts);
      return new Enforcer({ shim, installation, facts, objects, mode, older: found });
    } catch (error) {
      // Looked for only now, because it takes a while: the more useful answer, if it is one.
      requireSupport(readFacts(shim));
      throw error;
    }
  }

  /** For the compiler: components are hashed with these, now and as long as the installation lives. */
  get keys(): HashKeys {
    return this.#installation.settings.keys;
  }

  /** Whether the programs are attached. */
  get enforces(): boolean {
    return this.#installation.enforces;
  }

  /** Whether an older installation enforces until the first `apply` of this one. */
  get replaces(): boolean {
    return !this.enforces && this.#mode === "replaced";
  }

  get report(): KernelReport {
    const { hooks, settings } = this.#installation;
    const missing = hooks.filter((hook) => this.#isLack(hook))
      .map(({ name, reason }) => `hook ${name}: ${reason}`);
    return {
      kernel: this.#facts.release,
      lsm: this.#facts.lsms ?? [],
      mode: this.#mode,
      hooks,
      missing,
      buildId: settings.buildId.toHex(),
    };
  }

  /** A variant that this kernel never had is no loss. What was refused or removed, lossLines() tells. */
  #isLack({ name, state }: HookState): boolean {
    const variant = DECIDING_HOOKS.some((hook) => hook.name === name && hook.need === "variant");
    return state === "missing" && (!variant || this.#facts.hooks.has(name));
  }

  /** Whether the kernel judges the node's own tasks. */
  get followsHost(): boolean {
    return this.#installed.words.has(HOST_CONTAINER);
  }

  /** Which programs make a host task exempt; before the first `apply` that names the node. */
  setHostPrograms(programs: HostPrograms): void {
    this.#installation.maps.setHostPrograms(programs, this.keys);
  }

  /** Where runtimes make containers' cgroups; before the first `apply`, so that no container is missed. */
  setPrefixes(prefixes: readonly Prefix[]): void {
    this.#installation.maps.setPrefixes(prefixes);
  }

  /**
   * Brings the kernel from what it holds to `desired`; each container changes in one step, and those that are not among
   * `workloads` keep what they have. Idempotent. The first call of a new installation attaches it.
   * @throws {ApplyError} the kernel refused a step: containers behind it keep their former policies
   * @throws {CapacityError} too many images or containers: nothing has changed
   */
  apply(desired: DesiredState, workloads: readonly Workload[]): ApplyResult {
    const { maps } = this.#installation;
    const { containers, shadowed } = containersOf(desired, workloads);
    const images = [...containers.values()].map(({ image }) => image);
    this.#remember(images.filter((image) => image !== undefined));
    // Before any image says so: a rule whose programs are not there would be none.
    this.#listen([...this.#syscalls, ...syscallsOf(images)]);
    const groups = groupsOf(images);
    this.#retries.need(groups);
    for (const group of groups) this.#require(group);
    this.#installed.refresh(maps, containers.keys());
    const wanted = new Map([...containers].map(([id, { image }]) => [id, image]));
    // Before the programs are attached nobody would count the exit of a task that was identified.
    const steps = plan(wanted, this.#installed, this.#installed.freeable(maps))
      .filter(({ kind }) => this.enforces || kind !== "identify");
    apply(steps, maps, this.#installed);
    for (const [cgroupId, { workload }] of containers) {
      this.#owners.set(this.#installed.indexOf(cgroupId)!, workload);
    }
    if (!this.enforces) this.#enforce();
    this.#listenToNoMore();
    return { steps, shadowed };
  }

  /** Whether the next `apply` tries something again that the kernel refused. */
  get isRetryDue(): boolean {
    return this.#retries.isAnyDue(this.#bootMs());
  }

  /** What the kernel refused stays reported until it takes it. */
  #require(group: OnDemandGroup): void {
    const nowMs = this.#bootMs();
    if (!this.#retries.isDue(group, nowMs)) return;
    const succeeded = this.#installation.require(group, this.#objects.onDemand, this.#facts);
    this.#retries.note(group, succeeded, nowMs);
  }

  #bootMs(): number {
    return Number(this.#shim.bootTimeNs() / 1_000_000n);
  }

  /** Where every image in the kernel is known, has it look at no more system calls than they tell of. */
  #listenToNoMore(): void {
    const words = [...this.#installed.words.values()].map(readWord);
    const images = words.flatMap((word) => word === undefined ? [] : word.generation)
      .map((generation) => this.#images.get(generation));
    if (images.includes(undefined)) return;
    this.#listen(syscallsOf(images));
    // Its tracepoint is dear for every task of the machine.
    if (this.#syscalls.length === 0) this.#installation.release("syscalls", this.#facts);
  }

  /** Has the kernel look at these system calls, by their numbers in SYSCALL_NAMES, and at no others. */
  #listen(syscalls: readonly number[]): void {
    const wanted = [...new Set(syscalls)].sort((a, b) => a - b);
    const isSame = wanted.join() === this.#syscalls.join();
    // Another build may have written other numbers and arguments under the same names.
    if (isSame && (this.#hasListened || wanted.length === 0)) return;
    this.#hasListened = true;
    this.#installation.maps.setSyscalls(syscallEntries(new Set(wanted)));
    this.#syscalls = wanted;
  }

  /** Attaches, and lets go of what enforced before. */
  #enforce(): void {
    this.#installation.attach();
    this.#installation.maps.identify();
    this.#installed.identified = true;
    this.#removeOlder();
  }

  /** The agent before may have been killed after it attached and before running tasks had their identities. */
  #withoutOlder(): this {
    if (this.#older.length > 0) this.#installation.maps.identify();
    this.#removeOlder();
    return this;
  }

  #removeOlder(): void {
    for (const pins of this.#older) pins.remove();
    this.#older = [];
  }

  /** The kernel said that a container's cgroup came or went. `index` 0: it found no free one. */
  onContainerEvent(index: number, cgroupId: bigint, gone: boolean): void {
    this.#installed.follow(index, cgroupId, gone);
    if (!gone && this.#owners.get(index)?.cgroupId !== cgroupId) this.#owners.delete(index);
    if (gone) this.sweep();
  }

  /** Frees indices and images that nothing uses any more. @throws {ApplyError} */
  sweep(): void {
    const { maps } = this.#installation;
    const steps = plan(new Map(), this.#installed, this.#installed.freeable(maps));
    apply(steps, maps, this.#installed);
    if (steps.length > 0) this.#listenToNoMore();
  }

  /** Has an image wait for the next policy; takes tens of milliseconds. @throws {BpfError} */
  prepare(): void {
    const slot = freeSlot(this.#installed.slots);
    if (slot < IMAGES_MAX) this.#installation.maps.prepare(slot);
  }

  /** Reads the kernel's state anew: events that tell of containers were lost. */
  resync(): void {
    this.#installed = Installed.read(this.#installation.maps);
    this.sweep();
  }

  /**
   * Tells the kernel that containers are being described now, or that they are not. A new one is held at its first program
   * for some seconds after the last call that said yes; otherwise, and when this process ends, `mode` applies to it.
   */
  beat(describes: boolean, mode: PendingMode): void {
    this.#installation.maps.setPulse(describes ? this.#shim.bootTimeNs() : 0n, mode);
  }

  /** Looks at all tasks: gives identities to those that have none, and has the kernel tell of those that it holds. */
  survey(): TaskSurvey {
    this.#installation.maps.identify();
    return this.#installation.maps.survey();
  }

  /** Whether a container's index waits for its description. */
  isPending(index: number): boolean {
    return (this.#installed.words.get(index) ?? WORD_PENDING) === WORD_PENDING;
  }

  /** From now on the programs of a container that nobody described pass, or its first is refused. */
  giveUp(index: number, mode: "audit" | "block"): void {
    if (!this.isPending(index)) return;
    const word = mode === "audit" ? WORD_PASSED : WORD_REFUSED;
    this.#installation.maps.setWord(index, word);
    this.#installed.words.set(index, word);
  }

  /** Continues a process that the kernel held. False: it has ended. @throws {BpfError} */
  resume({ pid, startNs }: HeldProcess): boolean {
    return new KernelFiles(this.#shim).continueProcess(pid, startNs);
  }

  /** Whose index it is or, until it is given out again, was. */
  containerOf(index: number): Workload | undefined {
    return this.#owners.get(index);
  }

  /** Index and generation of a described container; the generation is undefined where no policy is enforced. */
  placeOf(workload: Workload): { index: number; generation: number | undefined } | undefined {
    const index = this.#installed.indexOf(workload.cgroupId);
    if (index === undefined) return undefined;
    const word = this.#installed.words.get(index);
    return { index, generation: word === undefined ? undefined : readWord(word)?.generation };
  }

  /** The image of a generation in use or of one of the last ones. */
  imageOf(generation: number): CompiledImage | undefined {
    return this.#images.get(generation);
  }

  /** What became of the decisions of a container, by its index. */
  accountOf(index: number): Account {
    return this.#installation.maps.account(index);
  }

  /** Live tasks of a container, by its index. */
  tasksOf(index: number): number {
    return this.#installation.maps.use(index).tasks;
  }

  /** Has the kernel tell of what it left out, where that was the last of its kind; costs next to nothing when there is nothing. */
  flushSuppressed(): void {
    const { maps } = this.#installation;
    const unsent = maps.counter(COUNT_LIMITED) + maps.counter(COUNT_ALERTS_LOST);
    if (unsent === this.#unsent && !this.#someUntold) return;
    this.#unsent = unsent;
    this.#someUntold = maps.flushSuppressed() > 0;
  }

  /** Where the agent before stopped numbering its records; it lasts as long as the programs. */
  get numbering(): Numbering {
    return this.#installation.maps.numbering();
  }

  set numbering(numbering: Numbering) {
    this.#installation.maps.setNumbering(numbering);
  }

  /** Kernel counters since the installation, by name; both kinds of misses are the kernel's own count. */
  counters(): Record<string, bigint> {
    const { maps } = this.#installation;
    const { madeUp, rest } = this.#installation.misses();
    return { ...maps.counters(), recursion_misses: rest, misses_made_up: madeUp };
  }

  /** Containers and held processes that the kernel had no room to tell of, since the installation. */
  noticesLost(): bigint {
    return this.#installation.maps.counter(COUNT_NOTICES_LOST);
  }

  /** What is used of the kernel's tables. */
  usage(): { containers: number; images: number } {
    return { containers: this.#installed.words.size, images: this.#installed.slots.size };
  }

  /** Looks whether someone took programs out of the kernel. Returns those that are newly gone; the report has them too. */
  checkLinks(): string[] {
    return this.enforces ? this.#installation.checkLinks() : [];
  }

  /** Says what self-protection guards; call its `refresh` now and then. */
  protector(places: ProtectedPlaces): Protector {
    return new Protector(this.#shim, this.#installation.maps.protection, places);
  }

  /** For a RingReader. */
  ring(name: "ring_alerts" | "ring_events"): BpfMap {
    return this.#installation.maps.ring(name);
  }

  /** Leaves everything enforced. Idempotent. */
  close(): void {
    this.#installation.close();
  }

  /** The latest used go to the end; of the rest the newest are kept. */
  #remember(images: readonly CompiledImage[]): void {
    for (const image of images) {
      this.#images.delete(image.generation);
      this.#images.set(image.generation, image);
    }
    const kept = Math.max(FORMER_IMAGES_MIN, 3 * new Set(images).size);
    for (const generation of this.#images.keys()) {
      if (this.#images.size <= kept) break;
      this.#images.delete(generation);
    }
  }
}

/** Numbers of the system calls that some image tells of; some more than once. */
function syscallsOf(images: readonly (CompiledImage | undefined)[]): number[] {
  return [...new Set(images)].flatMap((image) => image?.syscalls ?? []);
}

const NS_PER_SECOND = 1_000_000_000;

function limitsOf({ burst, perSecond }: AlertRate): AlertLimits {
  const intervalNs = perSecond === undefined ? 0 : Math.ceil(NS_PER_SECOND / perSecond);
  return { intervalNs: BigInt(intervalNs), burstNs: BigInt(burst) * BigInt(intervalNs) };
}

/** Removes every installation. Returns what was removed, for people; empty: there was none. */
export function uninstall(shim: Shim, bpffs: string): string[] {
  return PinDirectory.find(new KernelFiles(shim), bpffs)?.removeAll() ?? [];
}

function requireSupport(facts: KernelFacts): void {
  const missing = probe(facts).features.filter(({ state }) => state === "missing");
  if (missing.length > 0) throw new NotSupportedError(missing);
}

interface Placed {
  readonly workload: Workload;
  readonly image: CompiledImage | undefined;
}

/**
 * The workload that governs each cgroup. Two may share one when they were configured so: the kernel can't tell them apart,
 * so the one with a policy governs.
 */
function containersOf(desired: DesiredState, workloads: readonly Workload[]) {
  const containers = new Map<bigint, Placed>();
  const shadowed: Workload[] = [];
  for (const workload of workloads) {
    const key = desired.workloads.get(workloadKey(workload));
    const image = key === undefined ? undefined : desired.images.get(key);
    const other = containers.get(workload.cgroupId);
    if (other !== undefined) shadowed.push(image === undefined ? workload : other.workload);
    if (other === undefined || image !== undefined) {
      containers.set(workload.cgroupId, { workload, image });
    }
  }
  return { containers, shadowed };
}
