/** Has the kernel take the programs, with new maps or with those of an installation that is there. */

import { createHash, getRandomValues } from "node:crypto";
import { BpfError, type BpfMap, BpfObject, type Shim } from "../../ffi/bpf.ts";
import {
  AGENT_FORMAT,
  type AgentSettings,
  CGROUP_CPU,
  CGROUP_MEMORY,
  CGROUP_PIDS,
  CGROUP_UNIFIED,
  encodeAgentSettings,
  HASH_KEYS,
} from "../../ffi/generated/agent_api.ts";
import type { Programs } from "../../ffi/product.ts";
import { kernelSymbol } from "../../ffi/features.ts";
import { type CgroupHierarchy, KernelFiles } from "../../ffi/procfs.ts";
import { EINVAL, ENOENT } from "../lib/errno.ts";
import { errorText } from "../lib/log.ts";
import { deciderOf, DECIDING_HOOKS, stubOf } from "./hooks.ts";
import { isKeptByAddress, KERNEL_SYMBOLS } from "./probe.ts";
import type { HookState } from "./records.ts";

/** More than libbpf says of one failed load. */
const MESSAGES_BYTES_MAX = 16 << 10;

/** The kernel programs: those that are always loaded, and those that are when a policy needs them. */
export type ProgramObjects = Programs<Uint8Array>;

export interface LoadRequest {
  readonly object: Uint8Array;
  readonly settings: AgentSettings;
  /** Of DECIDING_HOOKS: those whose programs are wanted, where the object has them. */
  readonly hooks: ReadonlySet<string>;
  readonly functions: ReadonlySet<string>;
  /** Maps to use instead of new ones, by name. */
  readonly maps?: ReadonlyMap<string, BpfMap>;
  /** Places that have a stub already, by name; there may be some that this build does not know. */
  readonly stubs?: ReadonlySet<string>;
}

/** Loaded, and not attached. */
export interface Loaded extends Disposable {
  readonly elf: BpfObject;
  /** Deciding programs that the kernel refused, and that were left out. */
  readonly refused: readonly HookState[];
}

/** A map of the installation that is there has another layout than the programs are written for. */
export class LayoutError extends Error {
  override name = "LayoutError";
}

/**
 * Loads the programs. A deciding program that the kernel refuses is left out and reported.
 * @throws {LayoutError} one of `request.maps` does not fit
 * @throws {BpfError} the kernel refuses what everything depends on
 */
export function loadObject(shim: Shim, request: LoadRequest): Loaded {
  const refused: HookState[] = [];
  for (;;) {
    const elf = openObject(shim, request, refused);
    try {
      elf.load();
      return { elf, refused, [Symbol.dispose]: () => elf.close() };
    } catch (error) {
      elf.close();
      const name = error instanceof BpfError ? refusedHook(shim) : undefined;
      const again = refused.some((hook) => hook.name === name);
      if (name === undefined || again || !request.hooks.has(name)) throw error;
      refused.push({ name, state: "refused", reason: errorText(error) });
    }
  }
}

function openObject(shim: Shim, request: LoadRequest, refused: readonly HookState[]): BpfObject {
  const elf = BpfObject.open(shim, request.object, "ankylo");
  try {
    elf.setRodata("settings", encodeAgentSettings(request.settings));
    if (!isKeptByAddress(request)) elf.setEntriesMax("tasks_by_address", 1);
    const programs = new Set(elf.programs());
    const isOff = (name: string) =>
      !request.hooks.has(name) || refused.some((hook) => hook.name === name);
    for (const { name } of DECIDING_HOOKS.filter(({ name }) => isOff(name))) {
      if (!programs.has(deciderOf(name))) continue;
      elf.setAutoload(stubOf(name), false);
      elf.setAutoload(deciderOf(name), false);
    }
    for (const stub of [...request.stubs ?? []].map(stubOf)) {
      if (programs.has(stub)) elf.setAutoload(stub, false);
    }
    const maps = new Set(elf.maps());
    for (const [name, map] of request.maps ?? []) if (maps.has(name)) reuse(elf, name, map);
    return elf;
  } catch (error) {
    elf.close();
    throw error;
  }
}

function reuse(elf: BpfObject, name: string, map: BpfMap): void {
  try {
    elf.reuseMap(name, map);
  } catch (cause) {
    if (!(cause instanceof BpfError) || cause.errno !== EINVAL) throw cause;
    throw new LayoutError(`Reuse map "${name}": these programs are written for another`, { cause });
  }
}

/** libbpf names the program that the kernel refused; undefined when it is not a hook's. */
function refusedHook(shim: Shim): string | undefined {
  const bytes = new Uint8Array(MESSAGES_BYTES_MAX);
  const length = shim.symbols.ankylo_messages(bytes, bytes.length);
  const text = new TextDecoder().decode(bytes.subarray(0, length));
  return /prog '(?:hook|decide)_(\w+)': (?:BPF program load failed|failed to load)/.exec(text)?.[1];
}

/** SHA-256 of the programs. */
export function buildIdOf(objects: ProgramObjects): Uint8Array<ArrayBuffer> {
  const { main, onDemand } = objects;
  const id = buildIds.get(objects) ??
    new Uint8Array(createHash("sha256").update(main).update(onDemand).digest());
  buildIds.set(objects, id);
  return id.slice();
}

/** A start asks three times, and 700 KB take some 25 M instructions where the processor has none for SHA. */
const buildIds = new WeakMap<ProgramObjects, Uint8Array<ArrayBuffer>>();

const CONTROLLERS: Readonly<Record<CgroupHierarchy["controller"], number>> = {
  unified: CGROUP_UNIFIED,
  pids: CGROUP_PIDS,
  memory: CGROUP_MEMORY,
  cpu: CGROUP_CPU,
};

/** With keys of their own, which no container can know. */
export function newSettings(shim: Shim, buildId: Uint8Array): AgentSettings {
  const keys = {
    a: getRandomValues(new BigUint64Array(HASH_KEYS)),
    b: getRandomValues(new BigUint64Array(HASH_KEYS)),
  };
  const files = new KernelFiles(shim);
  const initMntNs = files.inodeOf("/proc/1/ns/mnt");
  const cgroups = files.cgroupHierarchy();
  const [renameLockAt, mountLockAt] = KERNEL_SYMBOLS.map((name) => addressOf(shim, name));
  return {
    ...{ keys, initMntNs, renameLockAt: renameLockAt!, mountLockAt: mountLockAt! },
    cgroupHierarchy: cgroups?.id ?? 0,
    cgroupController: CONTROLLERS[cgroups?.controller ?? "unified"],
    ...{ format: AGENT_FORMAT, buildId },
  };
}

function addressOf(shim: Shim, symbol: string): bigint {
  const address = kernelSymbol(shim, symbol);
  if (address !== undefined && address !== 0n) return address;
  throw new BpfError("Look up kernel symbol", symbol, -ENOENT);
}
