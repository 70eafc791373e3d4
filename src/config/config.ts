/**
 * The settings: names, meaning, defaults and what values they take.
 *
 * Each has one name in three spellings: `posture.file` in the configuration file, `ANKYLO_POSTURE_FILE` in the
 * environment, `--posture-file` on the command line.  Every value begins as text, the defaults too, and goes
 * through the same parser.
 */

import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../lib/log.ts";
import { closest } from "../lib/suggest.ts";
import type { GovernanceDefaults } from "../model/governance.ts";
import {
  type Posture,
  POSTURE_ACTIONS,
  POSTURE_CLASSES,
  type PostureAction,
} from "../model/posture.ts";

/** `disabled` is for containers' labels only: an agent without policies needs none. */
export const AGENT_MODES = ["enabled", "audited"] as const;
export const PENDING_MODES = ["audit", "block", "hold"] as const;
export const VISIBILITIES = ["process", "file", "network", "capabilities"] as const;
export const PROTECTIONS = ["containers", "host"] as const;
export type Visibility = typeof VISIBILITIES[number];

/** Where the agent listens for HTTP over TCP. */
export interface ListenAddress {
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Files by which clients of the TCP address prove who they are, and the agent who it is. Paths; undefined: not used. */
export interface HttpFiles {
  readonly tokenFile: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
}

/** Settings as the agent uses them. What is undefined was turned `off`. */
export interface Settings {
  readonly policies: string;
  readonly governance: GovernanceDefaults;
  /** Of this node, for host policies' selectors. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** Programs that no host policy judges unless it is forced; absolute paths. */
  readonly hostExempt: readonly string[];
  readonly visibility: readonly Visibility[];
  readonly pendingContainers: typeof PENDING_MODES[number];
  /** How long a process may be held until its container is described. */
  readonly pendingTimeoutMs: number;
  /** `auto`: wherever a distribution puts it. */
  readonly containerd: string | undefined;
  readonly listen: ListenAddress | undefined;
  readonly socket: string | undefined;
  readonly http: HttpFiles;
  readonly bpffs: string;
  /** Alerts of one kind: so many at once, then so many a second; undefined: no limit. */
  readonly alerts: { readonly burst: number; readonly perSecond: number | undefined };
  /** From whom the agent is protected: containers only, or host processes too. */
  readonly protect: typeof PROTECTIONS[number];
  readonly state: string | undefined;
  readonly cluster: string;
  readonly hostname: string;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
}

/** A setting: `parse` throws RangeError whose message says what was wanted and what was found. */
export interface Definition<T> {
  readonly parse: (text: string) => T;
  readonly initial: () => string;
  /** What stands behind the flag in help, for example `<dir>`. */
  readonly argument: string;
  readonly about: string;
}

/** Every setting by its name in the configuration file, in the order of help and `--print-config`. */
export const DEFINITIONS = {
  "policies": define(parsePath, "/etc/ankylo/policies", "<dir>", "directory with policy files"),
  "posture.file": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "what happens to processes and files that an allow-list does not name",
  ),
  "posture.network": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "the same for network rules",
  ),
  "posture.capabilities": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "the same for capabilities",
  ),
  "posture.namespaces": define(
    parseNamespacePostures,
    "none",
    "<list>",
    "another posture for containers of a namespace: web.file=block,web.network=audit; or none",
  ),
  "policyMode": define(
    oneOf(AGENT_MODES),
    "enabled",
    "<enabled|audited>",
    "audited: nothing is refused, and what would be is told as Audit (Block)",
  ),
  "trustLabels": define(
    oneOf(["off", "on"] as const),
    "off",
    "<off|on>",
    "whether labels kubearmor-policy and kubearmor-…-posture of containers count: images may bring them",
  ),
  "posture.hostFile": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "what happens to processes and files that an allow-list of host policies does not name",
  ),
  "posture.hostNetwork": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "the same for network rules of host policies",
  ),
  "posture.hostCapabilities": define(
    oneOf(POSTURE_ACTIONS),
    "audit",
    "<audit|block>",
    "the same for capabilities",
  ),
  "nodeLabels": define(
    parseLabels,
    "none",
    "<key=value,...|none>",
    "labels of this node, which host policies select by; its host name is one by itself",
  ),
  "hostExempt": define(
    parsePaths,
    "none",
    "<path,...|none>",
    "programs that host policies leave alone when root starts them, beside kubelet and container runtimes",
  ),
  "visibility": define(
    parseVisibility,
    "process",
    "<kinds>",
    `telemetry of /v1/events: ${VISIBILITIES.join(", ")} or none`,
  ),
  "pendingContainers": define(
    oneOf(PENDING_MODES),
    "audit",
    "<audit|block|hold>",
    "what happens to a new container while no agent can describe it, or none has in time",
  ),
  "pendingTimeout": define(
    parseSeconds,
    "10",
    "<seconds>",
    "how long a new container is held until its runtime has described it",
  ),
  "containerd": define(
    parseContainerd,
    "auto",
    "<path|auto|off>",
    "containerd's socket; auto: wherever containerd, k3s, docker and others have it",
  ),
  "listen": define(
    parseListen,
    "127.0.0.1:8420",
    "<host:port|off>",
    "address of the HTTP API; one that other machines reach needs http.tokenFile or http.clientCa",
  ),
  "http.tokenFile": define(
    parsePathOrOff,
    "off",
    "<path|off>",
    "file with the token that clients of the TCP address send as Authorization: Bearer",
  ),
  "http.certificate": define(
    parsePathOrOff,
    "off",
    "<path|off>",
    "PEM file with the certificate of the TCP address, which then is https",
  ),
  "http.key": define(parsePathOrOff, "off", "<path|off>", "PEM file with the certificate's key"),
  "http.clientCa": define(
    parsePathOrOff,
    "off",
    "<path|off>",
    "PEM file with the authorities that clients' certificates must come from",
  ),
  "socket": define(
    parsePathOrOff,
    "/run/ankylo/ankylo.sock",
    "<path|off>",
    "unix socket of the HTTP API",
  ),
  "bpffs": define(
    parsePath,
    "/sys/fs/bpf/ankylo",
    "<dir>",
    "where the kernel's programs stay while no agent runs",
  ),
  "alerts.burst": define(
    parseCount,
    "100",
    "<number>",
    "alerts that one subject causes on one object at once before they are counted instead",
  ),
  "alerts.perSecond": define(
    parseRate,
    "10",
    "<number|off>",
    "the same per second after the burst; off: no limit",
  ),
  "protect": define(
    oneOf(PROTECTIONS),
    "containers",
    "<containers|host>",
    "who can't touch the agent: containers; or host processes too, but init and those that started it",
  ),
  "state": define(
    parsePathOrOff,
    "/var/lib/ankylo",
    "<dir|off>",
    "where policies and containers are kept on disk for the next start",
  ),
  "cluster": define(parseText, "default", "<name>", "ClusterName in alerts"),
  "hostname": define(
    parseText,
    shortHostname,
    "<name>",
    "HostName in alerts, and the name that host policies select this node by",
  ),
  "log.level": define(
    oneOf(LOG_LEVELS),
    "info",
    `<${LOG_LEVELS.join("|")}>`,
    "least severe log line",
  ),
  "log.format": define(oneOf(LOG_FORMATS), "text", "<text|json>", "form of log lines"),
} as const satisfies Record<string, Definition<unknown>>;

export type SettingName = keyof typeof DEFINITIONS;
export const SETTING_NAMES = Object.keys(DEFINITIONS) as SettingName[];
export type SettingValues = {
  readonly [K in SettingName]: ReturnType<typeof DEFINITIONS[K]["parse"]>;
};

/** `pendingContainers` → `pending-containers`, `posture.file` → `posture-file`. */
function dashed(name: string): string {
  return name.replaceAll(".", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Spelling on the command line, with its dashes. */
export function flagOf(name: string): string {
  return `--${dashed(name)}`;
}

/** Spelling in the environment. */
export function variableOf(name: string): string {
  return `ANKYLO_${dashed(name).replaceAll("-", "_").toUpperCase()}`;
}

/** The settings in the shape in which the agent uses them. */
export function settingsOf(values: SettingValues): Settings {
  return {
    policies: values.policies,
    governance: {
      posture: {
        file: values["posture.file"],
        network: values["posture.network"],
        capabilities: values["posture.capabilities"],
      },
      mode: values.policyMode,
      namespaces: values["posture.namespaces"],
      trustsLabels: values.trustLabels === "on",
      host: {
        file: values["posture.hostFile"],
        network: values["posture.hostNetwork"],
        capabilities: values["posture.hostCapabilities"],
      },
    },
    nodeLabels: values.nodeLabels,
    hostExempt: values.hostExempt,
    visibility: values.visibility,
    pendingContainers: values.pendingContainers,
    pendingTimeoutMs: values.pendingTimeout * 1000,
    containerd: values.containerd,
    listen: values.listen,
    socket: values.socket,
    http: {
      tokenFile: values["http.tokenFile"],
      certificate: values["http.certificate"],
      key: values["http.key"],
      clientCa: values["http.clientCa"],
    },
    bpffs: values.bpffs,
    alerts: { burst: values["alerts.burst"], perSecond: values["alerts.perSecond"] },
    protect: values.protect,
    state: values.state,
    cluster: values.cluster,
    hostname: values.hostname,
    log: { level: values["log.level"], format: values["log.format"] },
  };
}

function define<T>(
  parse: (text: string) => T,
  initial: string | (() => string),
  argument: string,
  about: string,
): Definition<T> {
  const initialOf = typeof initial === "string" ? () => initial : initial;
  return { parse, initial: initialOf, argument, about };
}

/** KubeArmor's rule for `host`: up to the first dot. */
function shortHostname(): string {
  return Deno.hostname().split(".")[0]!;
}

function refuse(wanted: string, found: string): RangeError {
  return new RangeError(`must be ${wanted}: current value is "${found}"`);
}

function parseText(text: string): string {
  if (text.trim() === "") throw refuse("a name", text);
  return text;
}

function parsePath(text: string): string {
  if (!text.startsWith("/")) throw refuse("an absolute path", text);
  return text.length > 1 ? text.replace(/\/+$/, "") : text;
}

function parsePathOrOff(text: string): string | undefined {
  if (text === "off") return undefined;
  if (!text.startsWith("/")) throw refuse('an absolute path or "off"', text);
  return text;
}

function parseContainerd(text: string): string | undefined {
  return text === "auto" ? text : parsePathOrOff(text);
}

function parseListen(text: string): ListenAddress | undefined {
  if (text === "off") return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw refuse('"host:port" or "off", for example "127.0.0.1:8420"', text);
  }
  return { hostname: match[1] ?? match[2]!, port };
}

function oneOf<T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    const near = closest(text, choices);
    const wanted = `one of ${choices.join(", ")}`;
    throw near === undefined
      ? refuse(wanted, text)
      : new RangeError(`${refuse(wanted, text).message}, did you mean "${near}"?`);
  };
}

/** `web.file=block,web.network=audit`. */
function parseNamespacePostures(text: string): ReadonlyMap<string, Partial<Posture>> {
  const postures = new Map<string, Partial<Posture>>();
  if (text === "none") return postures;
  for (const part of text.split(",").map((part) => part.trim())) {
    const [, namespace, name, value] = /^([a-z0-9_-]+)\.([a-z]+)=([a-z]+)$/.exec(part) ?? [];
    const action = POSTURE_ACTIONS.find((known): known is PostureAction => known === value);
    const posture = POSTURE_CLASSES.find((known) => known === name);
    if (namespace === undefined || posture === undefined || action === undefined) {
      throw refuse(
        'NAMESPACE.CLASS=ACTION, several with commas, or "none", for example "web.file=block" ' +
          `(classes: ${POSTURE_CLASSES.join(", ")}; actions: ${POSTURE_ACTIONS.join(", ")})`,
        part,
      );
    }
    postures.set(namespace, { ...postures.get(namespace), [posture]: action });
  }
  return postures;
}

/** Alerts of one kind. The largest is more than a node can send. */
const COUNT_MAX = 1_000_000;

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > COUNT_MAX) {
    throw refuse(`a whole number from 1 to ${COUNT_MAX}`, text);
  }
  return count;
}

function parseRate(text: string): number | undefined {
  return text === "off" ? undefined : parseCount(text);
}

function parseVisibility(text: string): readonly Visibility[] {
  const words = text.split(",").map((word) => word.trim());
  if (words.length === 1 && words[0] === "none") return [];
  return [...new Set(words.map(oneOf(VISIBILITIES)))];
}

function wordsOf(text: string): string[] {
  return text === "none" ? [] : text.split(",").map((word) => word.trim());
}

function parseLabels(text: string): Readonly<Record<string, string>> {
  const bad = wordsOf(text).find((word) => !/^[^=\s]+=[^=\s]*$/.test(word));
  if (bad !== undefined) throw refuse('labels as "key=value,key=value", or "none"', text);
  return Object.fromEntries(wordsOf(text).map((word) => word.split("=") as [string, string]));
}

function parsePaths(text: string): readonly string[] {
  return wordsOf(text).map((word) => {
    if (!/^\/.*[^/]$/.test(word)) {
      throw refuse('absolute paths with commas between, or "none"', text);
    }
    return word;
  });
}

/** An hour is longer than anybody waits for a container. */
const SECONDS_MAX = 3600;

function parseSeconds(text: string): number {
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > SECONDS_MAX) {
    throw refuse(`a whole number of seconds from 1 to ${SECONDS_MAX}`, text);
  }
  return seconds;
}
