/**
 * One set of programs and maps in the kernel: put there by this agent, or found from one before.
 *
 * A new one is complete before it is attached, and attached before an older one goes: while both are, both must let an
 * operation pass, so there is no instant at which less is refused than either refuses. An installation of another build
 * but the same format needs no second one: its programs are exchanged where they are, and all state stays.
 */

import {
  BpfError,
  BpfMap,
  type BpfObject,
  BpfProgram,
  type Shim,
  u32Bytes,
} from "../../ffi/bpf.ts";
import type { AgentSettings } from "../../ffi/generated/agent_api.ts";
import { KernelFiles, PathDescriptor } from "../../ffi/procfs.ts";
import { missesOfLink } from "../../ffi/program.ts";
import { ENOENT } from "../lib/errno.ts";
import { errorText } from "../lib/log.ts";
import { ENGINE_MAPS, type EngineMapName, EngineMaps, type Iterators } from "./engine_maps.ts";
import {
  CGROUP_HOOKS,
  DECIDING_HOOKS,
  groupPlacesOn,
  IDENTITY_PROGRAMS,
  isAmongHooks,
  isMadeUpFor,
  ITERATOR_PROGRAMS,
  ON_DEMAND_GROUPS,
  type OnDemandGroup,
  type Place,
  placeOfStub,
  placesOn,
  slotOf,
  stubOf,
} from "./hooks.ts";
import {
  buildIdOf,
  LayoutError,
  type Loaded,
  loadObject,
  newSettings,
  type ProgramObjects,
} from "./loading.ts";
import type { InstallationPins } from "./pins.ts";
import type { KernelFacts } from "./probe.ts";
import { protectLink, protectObject } from "./protect.ts";
import {
  type HookState,
  readHooks,
  readSettings,
  type RecordedHook,
  writeHooks,
  writeSettings,
} from "./records.ts";
import { testWalker } from "./self_test.ts";

type OpenMaps = Record<EngineMapName, BpfMap>;

interface Parts {
  readonly maps: EngineMaps;
  readonly settings: AgentSettings;
  readonly pins: InstallationPins;
  readonly hooks: readonly HookState[];
  /** Stubs to attach. */
  readonly unattached?: BpfProgram[];
}

export class Installation {
  readonly maps: EngineMaps;
  readonly settings: AgentSettings;
  readonly pins: InstallationPins;
  readonly #shim: Shim;
  hooks: readonly HookState[];
  #unattached: BpfProgram[];
  #enforces: boolean;

  private constructor(shim: Shim, parts: Parts) {
    this.#shim = shim;
    this.maps = parts.maps;
    this.settings = parts.settings;
    this.pins = parts.pins;
    this.hooks = parts.hooks;
    this.#unattached = parts.unattached ?? [];
    this.#enforces = parts.unattached === undefined;
  }

  /** Whether its programs are attached. */
  get enforces(): boolean {
    return this.#enforces;
  }

  /**
   * An installation that an agent of the same programs left behind, or undefined when it is another's or not complete:
   * something that was attached is not any more, or a slot is empty. Loads nothing.
   */
  static adopt(
    shim: Shim,
    pins: InstallationPins,
    buildId: Uint8Array,
    facts: KernelFacts,
  ): Installation | undefined {
    const settings = readSettings(shim, pins);
    const hooks = settings && readHooks(shim, pins);
    if (settings === undefined || hooks === undefined || pins.isChanging) return undefined;
    if (!equalBytes(settings.buildId, buildId)) return undefined;
    const attached = hooks.filter(({ reason }) => reason === undefined).map(({ name }) => name);
    const isThere = (place: string) =>
      pins.has("links", stubOf(place)) && slotIsFull(shim, pins, place);
    if (!attached.every(isThere)) return undefined;
    const iterators = openIterators((name) =>
      BpfProgram.fromPin(shim, pins.path("programs", name))
    );
    const maps = new EngineMaps(shim, openPinned(shim, pins), iterators);
    const states = [...hooks.map(adoptedState), ...absentHooks(facts)];
    return new Installation(shim, { maps, settings, pins, hooks: states });
  }

  /**
   * Exchanges the programs of an installation that enforces for those of `objects`, and attaches what it lacks. Maps, keys and
   * identities stay, so nothing is unguarded for an instant and no task is forgotten. Interrupted, it can be repeated.
   * @returns undefined when it is of another format, was never complete or can't be mended: nothing has changed then
   * @throws {BpfError} the kernel refuses what everything depends on: what is there goes on
   * @throws {SelfTestError} the new programs read paths wrongly: what is there goes on
   */
  static renew(
    shim: Shim,
    pins: InstallationPins,
    objects: ProgramObjects,
    facts: KernelFacts,
  ): Installation | undefined {
    const found = readSettings(shim, pins);
    if (found === undefined || readHooks(shim, pins) === undefined) return undefined;
    if (!ENGINE_MAPS.every((name) => pins.has("maps", name))) return undefined;
    // A stub whose slot is lost refuses containers everything, and only another stub can have another slot.
    const isWhole = (stub: string) => pins.has("maps", slotOf(placeOfStub(stub)));
    if (!pins.links().every(isWhole)) return undefined;
    const settings = { ...found, buildId: buildIdOf(objects) };
    const maps = openPinned(shim, pins);
    try {
      const parts = { pins, settings, maps, facts };
      using loads = new DisposableStack();
      const load = (object: Uint8Array, places: readonly Place[]) =>
        loads.use(loadWithPins(shim, parts, object, places));
      const main = load(objects.main, placesFor(facts));
      testWalker(shim, main.elf, settings.keys, pins.scratch);
      const groups = ON_DEMAND_GROUPS.map((group) => groupPlacesOn(facts.hooks, group))
        .filter((places) => places.some(({ name }) => pins.has("links", stubOf(name))));
      const others = groups.map((places) => load(objects.onDemand, places));
      return exchange(shim, { ...parts, main, others });
    } catch (error) {
      for (const name of ENGINE_MAPS) maps[name].close();
      if (error instanceof LayoutError) return undefined;
      throw error;
    }
  }

  /**
   * Loads the programs with new maps and keys, and pins the maps; nothing is attached. A deciding program that the
   * kernel refuses is left out and reported.
   * @throws {BpfError} the kernel refuses what everything depends on; the pins of this installation are removed
   * @throws {SelfTestError} the programs read paths wrongly; the same
   */
  static load(
    shim: Shim,
    pins: InstallationPins,
    objects: ProgramObjects,
    facts: KernelFacts,
  ): Installation {
    try {
      const settings = newSettings(shim, buildIdOf(objects));
      using loaded = loadObject(shim, {
        object: objects.main,
        settings,
        hooks: facts.hooks,
        functions: facts.functions,
      });
      const { elf, refused } = loaded;
      testWalker(shim, elf, settings.keys, pins.scratch);
      const places = placesFor(facts).filter(({ name }) => !isAmong(refused, name));
      for (const place of places) fillSlot(elf, pins, place);
      const maps = openMaps((name) => elf.map(name));
      for (const name of ENGINE_MAPS) maps[name].pin(pins.path("maps", name));
      const iterators = openIterators((name) => elf.program(name));
      for (const program of Object.values(iterators)) {
        program.pin(pins.path("programs", program.name));
      }
      writeSettings(shim, pins, settings);
      protectObject(shim, maps.protected_ids, elf);
      const hooks = [...refused, ...absentHooks(facts)];
      const unattached = places.map(({ name }) => elf.program(stubOf(name)));
      const engine = new EngineMaps(shim, maps, iterators);
      return new Installation(shim, { maps: engine, settings, pins, hooks, unattached });
    } catch (error) {
      pins.remove();
      throw error;
    }
  }

  /** Takes over programs that run already, and stubs that do not. */
  static exchanged(shim: Shim, parts: Required<Parts>): Installation {
    return new Installation(shim, parts);
  }

  /**
   * Has the programs of a group in the kernel that are loaded on demand, attached as soon as the others are; they stay as long
   * as these. What the kernel refuses is left out and reported, and another call tries it again. Interrupted, it can be repeated.
   * @returns whether nothing was refused
   */
  require(group: OnDemandGroup, object: Uint8Array, facts: KernelFacts): boolean {
    const known = this.hooks.filter(({ state }) => state !== "refused");
    const isThere = ({ name }: Place) =>
      isAmong(known, name) || this.#unattached.some((stub) => stub.name === stubOf(name));
    const wanted = groupPlacesOn(facts.hooks, group).filter((place) => !isThere(place));
    if (wanted.length === 0) return true;
    const others = this.hooks.filter((hook) => !wanted.some(({ name }) => name === hook.name));
    this.hooks = [...this.#load(object, wanted, facts), ...others];
    if (this.#enforces) this.attach();
    return wanted.every(({ name }) => !this.#isRefused(name));
  }

  #isRefused(name: string): boolean {
    return this.hooks.some((hook) => hook.name === name && hook.state === "refused");
  }

  /** Takes the stubs of a group from their places again: nobody needs it any more. Their programs stay in the slots. */
  release(group: OnDemandGroup, facts: KernelFacts): void {
    const places = groupPlacesOn(facts.hooks, group).map(({ name }) => name);
    const stubs = places.map(stubOf).filter((stub) => this.pins.has("links", stub));
    if (stubs.length === 0) return;
    this.pins.removeLinks(stubs);
    this.hooks = this.hooks.filter(({ name }) => !places.includes(name));
    writeHooks(this.#shim, this.pins, this.hooks);
  }

  /** Fills slots, and leaves the stubs to attach. Returns what became of places where there is nothing to attach. */
  #load(object: Uint8Array, places: readonly Place[], facts: KernelFacts): HookState[] {
    const { pins, settings } = this;
    let maps: OpenMaps | undefined;
    try {
      maps = openPinned(this.#shim, pins);
      using loaded = loadWithPins(this.#shim, { pins, settings, maps, facts }, object, places);
      const states = fillPlaces(this.#shim, { pins, maps }, loaded);
      this.#unattached.push(...stubsBut(states, loaded));
      return states;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const reason = errorText(error);
      return places.map(({ name }) => ({ name, state: "refused", reason }));
    } finally {
      for (const name of ENGINE_MAPS) maps?.[name].close();
    }
  }

  /**
   * Attaches the programs and pins the links: who is who first, for tasks that run already too, then what decides. A hook
   * that refuses is reported and left out, unless identities depend on it.
   * @throws {BpfError} the kernel refused an identity program: nothing is attached, and a later call may succeed
   */
  attach(): void {
    const decides = ({ name }: BpfProgram) =>
      DECIDING_HOOKS.some((hook) => hook.name === placeOfStub(name));
    const following = this.#unattached.filter((stub) => !decides(stub));
    const states = following.map((stub) => this.#attachStub(stub));
    // A task with another installation's identity alone would be refused what its container may do.
    if (following.length > 0) this.maps.identify();
    states.push(...this.#unattached.filter(decides).map((stub) => this.#attachStub(stub)));
    this.#closeStubs();
    this.#enforces = true;
    this.hooks = [...states, ...this.hooks];
    writeHooks(this.#shim, this.pins, this.hooks);
  }

  #attachStub(stub: BpfProgram): HookState {
    const name = placeOfStub(stub.name);
    try {
      using cgroups = CGROUP_HOOKS.includes(name) ? this.#openCgroups() : undefined;
      using link = stub.attach(cgroups);
      link.pin(this.pins.path("links", stub.name));
      protectLink(this.maps.protection.ids, link);
      return { name, state: "attached" };
    } catch (error) {
      if (IDENTITY_PROGRAMS.some(({ program }) => program === name)) {
        this.pins.removeLinks(this.#unattached.map((program) => program.name));
        throw error;
      }
      return { name, state: "refused", reason: errorText(error) };
    }
  }

  /** The root of cgroup2: a program attached there is called for every container, and for those to come. */
  #openCgroups(): PathDescriptor {
    const root = new KernelFiles(this.#shim).cgroupHierarchy()?.root ?? "/sys/fs/cgroup";
    return PathDescriptor.open(this.#shim, root);
  }

  /** Whether every program that was attached still is: what is not is a removed one from now on, and named here. */
  checkLinks(): string[] {
    const pinned = new Set(this.pins.links().map(placeOfStub));
    const isLost = ({ name, state }: HookState) =>
      (state === "attached" || state === "adopted") && !pinned.has(name);
    const lost = this.hooks.filter(isLost).map(({ name }) => name);
    const reason = "someone removed it from the kernel: start the agent anew to put it back";
    this.hooks = this.hooks.map((hook) =>
      lost.includes(hook.name) ? { name: hook.name, state: "removed", reason } : hook
    );
    return lost;
  }

  /**
   * How often the kernel left a program out because it was running on that CPU already, of all together: of those that another
   * program makes up for, and of the rest.
   */
  misses(): { readonly madeUp: bigint; readonly rest: bigint } {
    const sum = (stubs: readonly string[]) =>
      stubs.reduce((sum, stub) => sum + this.#missesOf(stub), 0n);
    const links = this.pins.links();
    const isMadeUp = (stub: string) => isMadeUpFor(placeOfStub(stub));
    return { madeUp: sum(links.filter(isMadeUp)), rest: sum(links.filter((s) => !isMadeUp(s))) };
  }

  /** 0 for a link that someone removes meanwhile: checkLinks() tells of that. */
  #missesOf(stub: string): bigint {
    try {
      return missesOfLink(this.#shim, this.pins.path("links", stub));
    } catch (error) {
      if (error instanceof BpfError && error.errno === ENOENT) return 0n;
      throw error;
    }
  }

  /** Leaves everything in the kernel that is pinned. */
  close(): void {
    this.#closeStubs();
    this.maps.close();
  }

  #closeStubs(): void {
    for (const stub of this.#unattached) stub.close();
    this.#unattached = [];
  }
}

/** What the programs of an installation that is there share. */
interface Pinned {
  readonly pins: InstallationPins;
  readonly settings: AgentSettings;
  readonly maps: OpenMaps;
  readonly facts: KernelFacts;
}

/** An object, with the places of its programs. */
interface LoadedPlaces extends Loaded {
  readonly places: readonly Place[];
}

/** Loads an object's programs of these places with the maps of an installation, and stubs where none is attached. */
function loadWithPins(
  shim: Shim,
  { pins, settings, maps, facts }: Pinned,
  object: Uint8Array,
  places: readonly Place[],
): LoadedPlaces {
  using slots = openSlots(shim, pins, places);
  const reused = new Map<string, BpfMap>([...Object.entries(maps), ...slots.byName]);
  const stubs = new Set(pins.links().map(placeOfStub));
  const hooks = new Set(places.map(({ name }) => name));
  const { functions } = facts;
  const request = { object, settings, hooks, functions, maps: reused, stubs };
  return { ...loadObject(shim, request), places };
}

/**
 * Puts loaded programs into their slots. A place whose new program was refused keeps the old one. Returns the states of those
 * where nothing is left to attach.
 */
function fillPlaces(
  shim: Shim,
  { pins, maps }: Pick<Pinned, "pins" | "maps">,
  { elf, refused, places }: LoadedPlaces,
): HookState[] {
  const states: HookState[] = [];
  for (const place of places.filter(({ name }) => !isAmong(refused, name))) {
    fillSlot(elf, pins, place);
    if (pins.has("links", stubOf(place.name))) states.push({ name: place.name, state: "attached" });
  }
  protectObject(shim, maps.protected_ids, elf);
  return [...states, ...refused.map((refusal) => afterRefusal(pins, refusal))];
}

function stubsBut(states: readonly HookState[], { elf, places }: LoadedPlaces): BpfProgram[] {
  return places.filter(({ name }) => !isAmong(states, name))
    .map(({ name }) => elf.program(stubOf(name)));
}

interface Exchange extends Pinned {
  readonly main: LoadedPlaces;
  /** Of groups that are loaded on demand, and are there. */
  readonly others: readonly LoadedPlaces[];
}

/** Puts the loaded programs in the place of those that run. */
function exchange(shim: Shim, parts: Exchange): Installation {
  const { pins, settings, facts, main: { elf } } = parts;
  const loads = [parts.main, ...parts.others];
  // Until it is taken away again, whatever is found here is neither build's.
  pins.beginChange();
  const hooks = loads.flatMap((loaded) => fillPlaces(shim, parts, loaded));
  const iterators = openIterators((name) => elf.program(name));
  for (const program of Object.values(iterators)) {
    pins.replace("programs", program.name, (path) => program.pin(path));
  }
  const unattached = loads.flatMap((loaded) => stubsBut(hooks, loaded));
  const engine = new EngineMaps(shim, parts.maps, iterators);
  const all = [...hooks, ...absentHooks(facts)];
  const renewed = Installation.exchanged(shim, {
    ...{ maps: engine, settings, pins, hooks: all, unattached },
  });
  try {
    renewed.attach();
    const places = loads.flatMap((loaded) => loaded.places);
    const known = new Set(places.map(({ name }) => stubOf(name)));
    pins.removePlaces(pins.links().filter((stub) => !known.has(stub)));
    writeSettings(shim, pins, settings);
    pins.endChange();
  } catch (error) {
    renewed.close();
    throw error;
  }
  return renewed;
}

function afterRefusal(pins: InstallationPins, { name, reason }: HookState): HookState {
  if (!pins.has("links", stubOf(name))) return { name, state: "refused", reason: reason! };
  const kept = `the program of the build before goes on, because this one's was refused: ${reason}`;
  return { name, state: "attached", reason: kept };
}

function adoptedState({ name, reason }: RecordedHook): HookState {
  return reason === undefined ? { name, state: "adopted" } : { name, state: "refused", reason };
}

function placesFor(facts: KernelFacts): Place[] {
  return placesOn(facts.hooks);
}

function isAmong(hooks: readonly HookState[], name: string): boolean {
  return hooks.some((hook) => hook.name === name);
}

function absentHooks(facts: KernelFacts): HookState[] {
  return DECIDING_HOOKS.filter((hook) => !isAmongHooks(hook, facts.hooks))
    .map(({ name, loss, instead }) => (
      { name, state: "missing", reason: `not in this kernel: ${instead ?? loss}` }
    ));
}

/** Before the stub is attached, and pinned: the kernel empties an array of programs that no one holds. */
function fillSlot(elf: BpfObject, pins: InstallationPins, { name, program }: Place): void {
  using loaded = elf.program(program);
  using slot = elf.map(slotOf(name));
  slot.setProgram(0, loaded);
  if (!pins.has("maps", slotOf(name))) slot.pin(pins.path("maps", slotOf(name)));
}

function slotIsFull(shim: Shim, pins: InstallationPins, place: string): boolean {
  if (!pins.has("maps", slotOf(place))) return false;
  using slot = BpfMap.fromPin(shim, pins.path("maps", slotOf(place)));
  return slot.lookup(u32Bytes(0)) !== undefined;
}

/** The slots that are pinned, of these places. */
function openSlots(shim: Shim, pins: InstallationPins, places: readonly Place[]) {
  const byName = new Map<string, BpfMap>();
  const close = () => byName.forEach((map) => map.close());
  try {
    for (const name of places.map((place) => slotOf(place.name))) {
      if (pins.has("maps", name)) byName.set(name, BpfMap.fromPin(shim, pins.path("maps", name)));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { byName, [Symbol.dispose]: close };
}

function openPinned(shim: Shim, pins: InstallationPins): OpenMaps {
  return openMaps((name) => BpfMap.fromPin(shim, pins.path("maps", name)));
}

function openIterators(open: (name: string) => BpfProgram): Iterators {
  const opened: BpfProgram[] = [];
  const next = (name: keyof typeof ITERATOR_PROGRAMS) => {
    const program = open(ITERATOR_PROGRAMS[name]);
    opened.push(program);
    return program;
  };
  try {
    return { identify: next("identify"), flush: next("flush"), register: next("register") };
  } catch (error) {
    for (const program of opened) program.close();
    throw error;
  }
}

function openMaps(open: (name: EngineMapName) => BpfMap): OpenMaps {
  const opened: [EngineMapName, BpfMap][] = [];
  try {
    for (const name of ENGINE_MAPS) opened.push([name, open(name)]);
  } catch (error) {
    for (const [, map] of opened) map.close();
    throw error;
  }
  return Object.fromEntries(opened) as OpenMaps;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
