/**
 * Presets of policies: what they say, and how an image says it. No preset has a source, a path or a posture, so that all there is to
 * say about one is whether it is in force, and whether it refuses.
 */
import {
  PRESETS_REFUSING,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import type { Judgement } from "./evaluate.ts";
import { enforcedRules, type RuleRef } from "./rules.ts";

/** The specification: what becomes of an act that a preset is about, in a container that exactly `policies` select. */
export function evaluatePreset(preset: PresetName, policies: readonly Policy[]): Judgement {
  const naming = enforcedRules(policies).filter(({ rule }) =>
    rule.target.kind === "preset" && rule.target.preset === preset
  );
  const blocking = naming.find(({ rule }) => rule.action === "Block");
  if (blocking !== undefined) return { verdict: VERDICT_BLOCK, rule: blocking };
  const [auditing] = naming;
  return auditing === undefined
    ? { verdict: VERDICT_NONE }
    : { verdict: VERDICT_AUDIT, rule: auditing };
}

/** Presets in force, by number: the rule that decides, a Block before an Audit, then as given. */
export type PresetRules = ReadonlyMap<number, RuleRef>;

/** Of the rules of one container, in the order of enforcedRules(). */
export function presetRules(rules: readonly RuleRef[]): PresetRules {
  const deciding = new Map<number, RuleRef>();
  for (const ref of rules) {
    const { target, action } = ref.rule;
    if (target.kind !== "preset") continue;
    const number = PRESET_NAMES.indexOf(target.preset);
    const known = deciding.get(number);
    const isStricter = action === "Block" && known?.rule.action !== "Block";
    if (known === undefined || isStricter) deciding.set(number, ref);
  }
  return deciding;
}

/** `presets` of the image's header. */
export function presetBits(presets: PresetRules): number {
  let bits = 0;
  for (const [number, { rule }] of presets) {
    bits |= 1 << number;
    if (rule.action === "Block") bits |= 1 << PRESETS_REFUSING + number;
  }
  return bits >>> 0;
}
