/**
 * One set of programs and maps in the kernel: put there by this agent, or found from one before.
 *
 * A new one is complete before it is attached, and attached before an older one goes: while both are, both must let an
 * operation pass, so there is no instant at which less is refused than either refuses.
 */

import { createHash, getRandomValues } from "node:crypto";
import { BpfError, BpfMap, BpfObject, BpfProgram, type Shim, u32Bytes } from "../../ffi/bpf.ts";
import {
  AGENT_FORMAT,
  AGENT_SETTINGS_SIZE,
  type AgentSettings,
  CGROUP_CPU,
  CGROUP_MEMORY,
  CGROUP_PIDS,
  CGROUP_UNIFIED,
  decodeAgentSettings,
  encodeAgentSettings,
  HASH_KEYS,
} from "../../ffi/generated/agent_api.ts";
import { MAP_TYPE } from "../../ffi/map.ts";
import { type CgroupHierarchy, KernelFiles } from "../../ffi/procfs.ts";
import { errorText } from "../lib/log.ts";
import { ENGINE_MAPS, type EngineMapName, EngineMaps, type Iterators } from "./engine_maps.ts";
import {
  deciderOf,
  DECIDING_HOOKS,
  type DecidingHook,
  IDENTITY_PROGRAMS,
  ITERATOR_PROGRAMS,
  MONITOR_PROGRAMS,
  slotOf,
  stubOf,
} from "./hooks.ts";
import type { InstallationPins } from "./pins.ts";
import type { KernelFacts } from "./probe.ts";
import { protectLink, protectObject } from "./protect.ts";

/** A copy of the settings that the programs have as constants, for the next agent to know whose they are. */
const SETTINGS_PIN = "settings_ro";

/** More than libbpf says of one failed load. */
const MESSAGES_BYTES_MAX = 16 << 10;

/** What became of a program at its place. */
export interface HookState {
  /** Of the hook, or of the program where it has no hook of its own. */
  readonly name: string;
  readonly state: "attached" | "adopted" | "missing" | "refused";
  readonly reason?: string;
}

export class Installation {
  readonly maps: EngineMaps;
  readonly settings: AgentSettings;
  readonly pins: InstallationPins;
  hooks: readonly HookState[];
  /** Programs to attach. */
  #unattached: BpfProgram[];
  #enforces: boolean;

  private constructor(parts: {
    maps: EngineMaps;
    settings: AgentSettings;
    pins: InstallationPins;
    hooks: readonly HookState[];
    unattached?: BpfProgram[];
  }) {
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
   * a link that this kernel can have is missing, or a slot is empty. Loads nothing.
   */
  static adopt(shim: Shim, pins: InstallationPins, buildId: Uint8Array, facts: KernelFacts) {
    const settings = readSettings(shim, pins);
    if (settings?.format !== AGENT_FORMAT) return undefined;
    if (!equalBytes(settings.buildId, buildId)) return undefined;
    const expected = attachedPrograms(facts);
    if (!expected.every((program) => pins.has("links", program))) return undefined;
    if (!presentHooks(facts).every(({ name }) => slotIsFull(shim, pins, name))) return undefined;
    const missing = absentHooks(facts);
    const found = expected.map((name) => ({ name: placeOf(name), state: "adopted" }) as const);
    const iterators = openIterators((name) =>
      BpfProgram.fromPin(shim, pins.path("programs", name))
    );
    const maps = openEngineMaps((name) => BpfMap.fromPin(shim, pins.path("maps", name)));
    const hooks = [...found, ...missing];
    return new Installation({ maps: new EngineMaps(shim, maps, iterators), settings, pins, hooks });
  }

  /**
   * Loads the programs with new maps and keys, and pins the maps; nothing is attached. A deciding program that the
   * kernel refuses is left out and reported.
   * @throws {BpfError} the kernel refuses what everything depends on; the pins of this installation are removed
   */
  static load(shim: Shim, pins: InstallationPins, object: Uint8Array, facts: KernelFacts) {
    const refused: HookState[] = [];
    for (;;) {
      const left = new Set(
        [...facts.hooks].filter((hook) => !refused.some(({ name }) => name === hook)),
      );
      try {
        const installation = loadOnce(shim, pins, object, { ...facts, hooks: left });
        installation.hooks = [...refused, ...absentHooks(facts)];
        return installation;
      } catch (error) {
        pins.remove();
        const name = error instanceof BpfError ? refusedHook(shim) : undefined;
        if (name === undefined || !left.has(name)) throw error;
        refused.push({ name, state: "refused", reason: errorText(error) });
        pins.make();
      }
    }
  }

  /** Takes over what was loaded and pinned. */
  static loaded(parts: {
    maps: EngineMaps;
    settings: AgentSettings;
    pins: InstallationPins;
    unattached: BpfProgram[];
  }) {
    return new Installation({ ...parts, hooks: [] });
  }

  /**
   * Attaches the programs and pins the links: who is who first, then what decides. A hook that refuses is reported and
   * left out, unless identities depend on it.
   * @throws {BpfError} the kernel refused an identity program: nothing is attached, and a later call may succeed
   */
  attach(): void {
    const states: HookState[] = [];
    for (const program of this.#unattached) {
      try {
        using link = program.attach();
        link.pin(this.pins.path("links", program.name));
        protectLink(this.maps.protection.ids, link);
        states.push({ name: placeOf(program.name), state: "attached" });
      } catch (error) {
        if (IDENTITY_PROGRAMS.some((identity) => identity.program === program.name)) {
          this.pins.removeLinks();
          throw error;
        }
        const reason = errorText(error);
        states.push({ name: placeOf(program.name), state: "refused", reason });
      }
    }
    this.#closePrograms();
    this.#enforces = true;
    this.hooks = [...states, ...this.hooks];
  }

  /** Whether every program that was attached still is: what is not is a missing hook from now on, and named here. */
  checkLinks(): string[] {
    const pinned = new Set(this.pins.links().map(placeOf));
    const isLost = ({ name, state }: HookState) =>
      (state === "attached" || state === "adopted") && !pinned.has(name);
    const lost = this.hooks.filter(isLost).map(({ name }) => name);
    const reason = "someone removed it from the kernel: start the agent anew to put it back";
    this.hooks = this.hooks.map((hook) =>
      lost.includes(hook.name) ? { name: hook.name, state: "missing", reason } : hook
    );
    return lost;
  }

  /** Leaves everything in the kernel that is pinned. */
  close(): void {
    this.#closePrograms();
    this.maps.close();
  }

  #closePrograms(): void {
    for (const program of this.#unattached) program.close();
    this.#unattached = [];
  }
}

function loadOnce(
  shim: Shim,
  pins: InstallationPins,
  object: Uint8Array,
  facts: KernelFacts,
): Installation {
  const settings = newSettings(shim, buildIdOf(object));
  using elf = BpfObject.open(shim, object, "ankylo");
  elf.setRodata("settings", encodeAgentSettings(settings));
  for (const { name } of DECIDING_HOOKS.filter(({ name }) => !facts.hooks.has(name))) {
    elf.setAutoload(stubOf(name), false);
    elf.setAutoload(deciderOf(name), false);
  }
  elf.load();
  for (const { name } of presentHooks(facts)) fillSlot(elf, pins, name);
  const maps = openEngineMaps((name) => elf.map(name));
  for (const name of ENGINE_MAPS) maps[name].pin(pins.path("maps", name));
  pinSettings(shim, pins, settings);
  protectObject(shim, maps.protected_ids, elf);
  const iterators = openIterators((name) => elf.program(name));
  for (const iterator of Object.values(iterators)) {
    iterator.pin(pins.path("programs", iterator.name));
  }
  const unattached = attachedPrograms(facts).map((name) => elf.program(name));
  return Installation.loaded({
    maps: new EngineMaps(shim, maps, iterators),
    settings,
    pins,
    unattached,
  });
}

/** libbpf names the program that the kernel refused; undefined when it is not a hook's. */
function refusedHook(shim: Shim): string | undefined {
  const bytes = new Uint8Array(MESSAGES_BYTES_MAX);
  const length = shim.symbols.ankylo_messages(bytes, bytes.length);
  const text = new TextDecoder().decode(bytes.subarray(0, length));
  return /prog '(?:hook|decide)_(\w+)': (?:BPF program load failed|failed to load)/.exec(text)?.[1];
}

/** SHA-256 of the programs. */
export function buildIdOf(object: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(object).digest());
}

/** Programs with a link on this kernel, in the order in which they are attached. */
function attachedPrograms(facts: KernelFacts): string[] {
  return [
    ...[...IDENTITY_PROGRAMS, ...MONITOR_PROGRAMS].map(({ program }) => program),
    ...presentHooks(facts).map(({ name }) => stubOf(name)),
  ];
}

function presentHooks(facts: KernelFacts): DecidingHook[] {
  return DECIDING_HOOKS.filter(({ name }) => facts.hooks.has(name));
}

function absentHooks(facts: KernelFacts): HookState[] {
  return DECIDING_HOOKS.filter(({ name }) => !facts.hooks.has(name))
    .map(({ name, loss }) => ({ name, state: "missing", reason: `not in this kernel: ${loss}` }));
}

/** A stub is known by its hook, other programs by their own name. */
function placeOf(program: string): string {
  return program.replace(/^hook_/, "");
}

/** Before the stub is attached, and pinned: the kernel empties an array of programs that no one holds. */
function fillSlot(elf: BpfObject, pins: InstallationPins, hook: string): void {
  using decider = elf.program(deciderOf(hook));
  using slot = elf.map(slotOf(hook));
  slot.setProgram(0, decider);
  slot.pin(pins.path("maps", slotOf(hook)));
}

function slotIsFull(shim: Shim, pins: InstallationPins, hook: string): boolean {
  if (!pins.has("maps", slotOf(hook))) return false;
  using slot = BpfMap.fromPin(shim, pins.path("maps", slotOf(hook)));
  return slot.lookup(u32Bytes(0)) !== undefined;
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

function openEngineMaps(open: (name: EngineMapName) => BpfMap): Record<EngineMapName, BpfMap> {
  const opened: [EngineMapName, BpfMap][] = [];
  try {
    for (const name of ENGINE_MAPS) opened.push([name, open(name)]);
  } catch (error) {
    for (const [, map] of opened) map.close();
    throw error;
  }
  return Object.fromEntries(opened) as Record<EngineMapName, BpfMap>;
}

const CONTROLLERS: Readonly<Record<CgroupHierarchy["controller"], number>> = {
  unified: CGROUP_UNIFIED,
  pids: CGROUP_PIDS,
  memory: CGROUP_MEMORY,
  cpu: CGROUP_CPU,
};

function newSettings(shim: Shim, buildId: Uint8Array): AgentSettings {
  const keys = {
    a: getRandomValues(new BigUint64Array(HASH_KEYS)),
    b: getRandomValues(new BigUint64Array(HASH_KEYS)),
  };
  const files = new KernelFiles(shim);
  const cgroups = files.cgroupHierarchy();
  const initMntNs = files.inodeOf("/proc/1/ns/mnt");
  return {
    keys,
    initMntNs,
    format: AGENT_FORMAT,
    cgroupHierarchy: cgroups?.id ?? 0,
    cgroupController: CONTROLLERS[cgroups?.controller ?? "unified"],
    buildId,
  };
}

/** Last of the maps: an installation without it is not complete. */
function pinSettings(shim: Shim, pins: InstallationPins, settings: AgentSettings): void {
  using map = BpfMap.create(shim, {
    type: MAP_TYPE.ARRAY,
    name: SETTINGS_PIN,
    keySize: 4,
    valueSize: AGENT_SETTINGS_SIZE,
    entries: 1,
  });
  map.update(u32Bytes(0), encodeAgentSettings(settings));
  map.freeze();
  map.pin(pins.path("maps", SETTINGS_PIN));
}

/** Undefined when they are not there or of another size: another agent's. */
function readSettings(shim: Shim, pins: InstallationPins): AgentSettings | undefined {
  if (!pins.has("maps", SETTINGS_PIN)) return undefined;
  using map = BpfMap.fromPin(shim, pins.path("maps", SETTINGS_PIN));
  if (map.info.valueSize !== AGENT_SETTINGS_SIZE) return undefined;
  return decodeAgentSettings(new DataView(map.lookup(u32Bytes(0))!.buffer));
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
