/**
 * What an installation says of itself, for the next agent: whose it is, and what became of each program. Both are frozen
 * maps among its pins.
 */

import { BpfMap, type Shim, u32Bytes } from "../../ffi/bpf.ts";
import {
  AGENT_FORMAT,
  AGENT_SETTINGS_SIZE,
  type AgentSettings,
  decodeAgentSettings,
  encodeAgentSettings,
} from "../../ffi/generated/agent_api.ts";
import { MAP_TYPE } from "../../ffi/map.ts";
import type { InstallationPins } from "./pins.ts";

/** A copy of the settings that the programs have as constants: format, build, hash keys. */
const SETTINGS_PIN = "settings_ro";

/** JSON of RecordedHook[]. Written last: an installation without it was never complete. */
const HOOKS_PIN = "hooks_ro";

/** BPF_OBJ_NAME_LEN of include/uapi/linux/bpf.h, without its NUL. */
const MAP_NAME_LENGTH_MAX = 15;

/** What became of a program at its place. */
export interface HookState {
  /** Of the hook, or of the program where it has no hook of its own. */
  readonly name: string;
  /** `missing`: not in this kernel; `refused`: by the kernel; `removed`: by someone, after it was attached. */
  readonly state: "attached" | "adopted" | "missing" | "refused" | "removed";
  readonly reason?: string;
}

/** As kept: `reason` is there when the kernel refused the program, which is then not attached. */
export interface RecordedHook {
  readonly name: string;
  readonly reason?: string;
}

/** Undefined when there are none, or they are of another format: another agent's. */
export function readSettings(shim: Shim, pins: InstallationPins): AgentSettings | undefined {
  const bytes = read(shim, pins, SETTINGS_PIN);
  if (bytes?.length !== AGENT_SETTINGS_SIZE) return undefined;
  const settings = decodeAgentSettings(new DataView(bytes.buffer));
  return settings.format === AGENT_FORMAT ? settings : undefined;
}

export function writeSettings(shim: Shim, pins: InstallationPins, settings: AgentSettings): void {
  write(shim, pins, SETTINGS_PIN, encodeAgentSettings(settings));
}

/** Undefined when the installation was never complete. */
export function readHooks(shim: Shim, pins: InstallationPins): readonly RecordedHook[] | undefined {
  const bytes = read(shim, pins, HOOKS_PIN);
  return bytes && JSON.parse(new TextDecoder().decode(bytes));
}

export function writeHooks(shim: Shim, pins: InstallationPins, hooks: readonly HookState[]): void {
  const recorded = hooks.filter(({ state }) => state !== "missing").map(({ name, state, reason }) =>
    state === "refused" ? { name, reason } : { name }
  );
  write(shim, pins, HOOKS_PIN, new TextEncoder().encode(JSON.stringify(recorded)));
}

function read(shim: Shim, pins: InstallationPins, name: string) {
  if (!pins.has("maps", name)) return undefined;
  using map = BpfMap.fromPin(shim, pins.path("maps", name));
  return map.lookup(u32Bytes(0));
}

/** Replaces what was there in one step. */
function write(shim: Shim, pins: InstallationPins, name: string, bytes: Uint8Array<ArrayBuffer>) {
  using map = BpfMap.create(shim, {
    type: MAP_TYPE.ARRAY,
    // Self-protection refuses containers what has the agent's name (bpf/protect.bpf.c).
    name: `ankylo_${name}`.slice(0, MAP_NAME_LENGTH_MAX),
    keySize: 4,
    valueSize: bytes.length,
    entries: 1,
  });
  map.update(u32Bytes(0), bytes);
  map.freeze();
  pins.replace("maps", name, (path) => map.pin(path));
}
