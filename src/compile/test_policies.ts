/** Short ways to write policies, keys and questions in this room's tests. */
import { HASH_KEYS } from "../../ffi/generated/agent_api.ts";
import type { Protocol } from "../model/grammars.ts";
import { DEFAULT_GOVERNANCE, type GovernanceDefaults } from "../model/governance.ts";
import type { Policy } from "../model/policy.ts";
import { DEFAULT_POSTURE, type Posture } from "../model/posture.ts";
import type { Action, Rule } from "../model/rule.ts";
import type { HashKeys } from "./hash.ts";

export const AUDIT: Posture = DEFAULT_POSTURE;
export const BLOCK: Posture = { file: "block", network: "block", capabilities: "block" };

/** All containers under one posture. */
export function under(posture: Posture): GovernanceDefaults {
  return { ...DEFAULT_GOVERNANCE, posture, trustsLabels: true };
}

/** What a test says about a rule; the rest is filled in. */
export interface RuleText {
  readonly group?: "process" | "file";
  /**
   * With a trailing slash a directory, with two a recursive one; else a path. "/" is the path, "//" and "///" directories.
   * "net:tcp" is a protocol, "cap:net_raw" a capability, "glob:/a*" a pattern, "name:sh" a program,
   * "dns:a.b" a domain.
   */
  readonly at: string;
  readonly action?: Action;
  readonly readOnly?: boolean;
  readonly ownerOnly?: boolean;
  readonly terminalOnly?: boolean;
  readonly from?: readonly string[];
  readonly notEnforced?: string;
}

export function rule(text: RuleText, index = 0): Rule {
  const target = targetOf(text.at);
  return {
    ...placeOf(target, text),
    index,
    target,
    action: text.action ?? "Block",
    readOnly: text.readOnly ?? false,
    ...(text.ownerOnly === true && { ownerOnly: true as const }),
    ...(text.terminalOnly === true && { terminalOnly: true as const }),
    fromSource: text.from ?? [],
    severity: 5,
    tags: [],
    message: "",
    where: { file: "test.yaml", line: index + 1, column: 1 },
    ...(text.notEnforced === undefined ? {} : { notEnforced: text.notEnforced }),
  };
}

function placeOf({ kind }: Rule["target"], { group }: RuleText): Pick<Rule, "group" | "list"> {
  if (kind === "protocol") return { group: "network", list: "matchProtocols" };
  if (kind === "domain") return { group: "network", list: "matchDNSQueries" };
  if (kind === "capability") return { group: "capabilities", list: "matchCapabilities" };
  if (kind === "name") return { group: "process", list: "matchPaths" };
  if (kind === "pattern") return { group: group ?? "file", list: "matchPatterns" };
  return { group: group ?? "file", list: kind === "path" ? "matchPaths" : "matchDirectories" };
}

function targetOf(at: string): Rule["target"] {
  if (at.startsWith("net:")) return { kind: "protocol", protocol: at.slice(4) as Protocol };
  if (at.startsWith("cap:")) return { kind: "capability", capability: at.slice(4) };
  if (at.startsWith("dns:*.")) return { kind: "domain", domain: at.slice(6), belowOnly: true };
  if (at.startsWith("dns:")) return { kind: "domain", domain: at.slice(4) };
  if (at.startsWith("glob:")) return { kind: "pattern", pattern: at.slice(5) };
  if (at.startsWith("name:")) return { kind: "name", name: at.slice(5) };
  const [, path, slashes] = /^(\/|\/.*?[^/])(\/{0,2})$/.exec(at) ?? [];
  if (path === undefined) throw new TypeError(`Cannot read target "${at}"`);
  if (slashes === "") return { kind: "path", path };
  return { kind: "directory", path, recursive: slashes === "//" };
}

export function policy(name: string, ...rules: readonly RuleText[]): Policy {
  return {
    kind: "KubeArmorPolicy",
    namespace: "",
    name,
    selector: { matchLabels: {}, containerNames: [] },
    rules: rules.map(rule),
    where: { file: `${name}.yaml`, line: 1, column: 1 },
  };
}

/** Keys that anyone can make again: splitmix64 (Steele, Lea and Flood, 2014), all of `a`, then all of `b`. */
export function keysFrom(seed: bigint): HashKeys {
  let state = seed;
  const next = () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  const a = BigUint64Array.from({ length: HASH_KEYS }, next);
  const b = BigUint64Array.from({ length: HASH_KEYS }, next);
  return { a, b };
}

export const KEYS: HashKeys = keysFrom(1n);

/** Writes rules of one group. */
export const about = (group: "process" | "file") => (at: string, more: Partial<RuleText> = {}) => {
  return { group, at, ...more };
};

/** All paths below one, of these names, so many names deep at most. */
export function below(path: string, names: readonly string[], depth: number): string[] {
  if (depth === 0) return [];
  return names.flatMap((name) => [
    `${path}/${name}`,
    ...below(`${path}/${name}`, names, depth - 1),
  ]);
}
