/** Names for what has a number and no path: kinds of sockets by the words of policies, capabilities as alerts call them. */
import {
  REFERENCE_CAPABILITIES,
  SOCKET_KINDS,
  SOCKET_OTHER,
} from "../../ffi/generated/agent_api.ts";
import { CAPABILITIES } from "../model/grammars.ts";
import { isPresetName, PRESET_NAMES } from "../model/presets.ts";
import { shorten } from "../model/validate.ts";
import { numberOfPreset, presetOfNumber, SOCKET_WORDS } from "./numbered.ts";

/** Of who speaks of TCP hardly anybody says that it is a stream: where a first word is one kind's alone, it is the name. */
const SOCKET_NAMES: readonly string[] = Array.from({ length: SOCKET_KINDS }, (_, kind) => {
  if (kind === SOCKET_OTHER) return "other";
  const words = SOCKET_WORDS[kind]!;
  const isAlone = Object.values(SOCKET_WORDS).filter(([first]) => first === words[0]).length === 1;
  return isAlone ? words[0]! : words.join("/");
});

/** "tcp", "icmp/raw", "CAP_NET_RAW", "exec": what the functions below read. */
export function nameOfNumber(number: number): string {
  const preset = presetOfNumber(number);
  if (preset !== undefined) return preset;
  if (number < SOCKET_KINDS) return SOCKET_NAMES[number]!;
  return `CAP_${CAPABILITIES[number - REFERENCE_CAPABILITIES]!.toUpperCase()}`;
}

/**
 * SOCKET_* of a name, in lower or upper case.
 * @throws {RangeError} no kind has it, or more than one: what, found against wanted
 */
export function readSocketKind(text: string): number {
  const wanted = text.toLowerCase();
  const kind = SOCKET_NAMES.indexOf(wanted);
  if (kind >= 0) return kind;
  const kinds = SOCKET_NAMES.filter((name) => name.startsWith(`${wanted}/`));
  throw new RangeError(
    `Cannot use socket "${shorten(text)}": must be one of ${
      (kinds.length > 0 ? kinds : SOCKET_NAMES).join(", ")
    }`,
  );
}

/**
 * REFERENCE_CAPABILITIES plus the number of a capability, in lower or upper case, with or without `cap_`.
 * @throws {RangeError} Linux has none of that name
 */
export function readCapability(text: string): number {
  const capability = CAPABILITIES.indexOf(text.toLowerCase().replace(/^cap_/, ""));
  if (capability >= 0) return REFERENCE_CAPABILITIES + capability;
  throw new RangeError(
    `Cannot use capability "${shorten(text)}": must be one of ${CAPABILITIES.join(", ")}`,
  );
}

/**
 * The number of a preset, by its name.
 * @throws {RangeError} there is none of that name
 */
export function readPreset(text: string): number {
  if (isPresetName(text)) return numberOfPreset(text);
  throw new RangeError(
    `Cannot use preset "${shorten(text)}": must be one of ${PRESET_NAMES.join(", ")}`,
  );
}
