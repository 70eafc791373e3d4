/** Finds each setting's value: flags before environment before configuration file before defaults. */

import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from "yaml";
import { isLoopback } from "../lib/loopback.ts";
import { closest } from "../lib/suggest.ts";
import {
  DEFINITIONS,
  flagOf,
  SETTING_NAMES,
  type SettingName,
  type Settings,
  settingsOf,
  type SettingValues,
  variableOf,
} from "./config.ts";

export const DEFAULT_CONFIG_FILE = "/etc/ankylo/config.yaml";
export const CONFIG_VARIABLE = "ANKYLO_CONFIG";

/** A configuration file larger than this is a mistake. */
const FILE_BYTES_MAX = 1 << 20;

/** What KubeArmor calls settings that Ankylo has too; for hints. @see spec of KubeArmor's configuration file */
const KUBEARMOR_NAMES: Readonly<Record<string, SettingName>> = {
  defaultFilePosture: "posture.file",
  defaultNetworkPosture: "posture.network",
  defaultCapabilitiesPosture: "posture.capabilities",
  criSocket: "containerd",
  bpfFsPath: "bpffs",
  host: "hostname",
};

/** One thing that is wrong with the settings: `where` is file:line:column, a flag or a variable. */
export interface ConfigProblem {
  readonly where: string;
  readonly message: string;
  readonly hint?: string;
}

/** Settings that can't be used, with all that is wrong about them. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(problemText).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** A value as someone wrote it, and where: "flag --listen", "environment ANKYLO_LISTEN", "/etc/x.yaml:3:9", "default". */
interface Given {
  readonly text: string;
  readonly origin: string;
}

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

export interface ConfigSources {
  /** Setting name → text after the flag. */
  readonly flags: Readonly<Partial<Record<SettingName, string>>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly file?: ConfigFile;
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Text and origin of each, in the order of DEFINITIONS. */
  readonly given: ReadonlyMap<SettingName, Given>;
  /** The configuration file in use. */
  readonly file: string | undefined;
}

/**
 * Settings from their sources; pure.
 * @throws {ConfigError} naming every bad value, unknown key and misspelt variable at once
 */
export function resolveSettings(sources: ConfigSources): LoadedSettings {
  const problems: ConfigProblem[] = [];
  const fromFile = sources.file === undefined ? new Map() : readFile(sources.file, problems);
  reportVariables(sources.environment, problems);
  const given = new Map<SettingName, Given>();
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of SETTING_NAMES) {
    const found = fromFlag(name, sources.flags) ?? fromVariable(name, sources.environment) ??
      fromFile.get(name) ?? { text: DEFINITIONS[name].initial(), origin: "default" };
    given.set(name, found);
    try {
      values[name] = DEFINITIONS[name].parse(found.text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push({ where: found.origin, message: `Cannot use ${name}: ${error.message}` });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const settings = settingsOf(values as SettingValues);
  problems.push(...listenerProblems(settings, given));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings, given, file: sources.file?.path };
}

/**
 * Reads the configuration file and resolves. The file is `--config`, else ANKYLO_CONFIG, else the default one, which may be
 * absent.
 * @throws {ConfigError}
 */
export async function loadSettings(
  flags: ConfigSources["flags"],
  configFlag?: string,
  environment: ConfigSources["environment"] = Deno.env.toObject(),
): Promise<LoadedSettings> {
  const named = configFlag ?? environment[CONFIG_VARIABLE];
  const file = await openFile(named ?? DEFAULT_CONFIG_FILE, named === undefined);
  return resolveSettings({ flags, environment, ...(file && { file }) });
}

/** A table of all settings with where each came from, as `ankylo run --print-config` shows it. */
export function printSettings(loaded: LoadedSettings): string {
  const rows = [...loaded.given].map(([name, { text, origin }]) => [name, text, origin] as const);
  const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
  const [names, texts] = [width(0), width(1)];
  return rows.map(([name, text, origin]) =>
    `${name.padEnd(names)}  ${text.padEnd(texts)}  ${origin}\n`
  ).join("");
}

/** What is wrong with the TCP listener although each of its settings is right. */
function listenerProblems(
  { listen, http }: Settings,
  given: LoadedSettings["given"],
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (name: SettingName, message: string, hint: string) =>
    problems.push({
      where: given.get(name)!.origin,
      message: `Cannot use ${name}: ${message}`,
      hint,
    });
  const proven = http.tokenFile !== undefined || http.clientCa !== undefined;
  if (listen !== undefined && !isLoopback(listen.hostname) && !proven) {
    report(
      "listen",
      `other machines can reach it, so clients must prove who they are: current value is "${
        given.get("listen")!.text
      }"`,
      'set http.tokenFile, or http.clientCa with http.certificate and http.key; or use "127.0.0.1:8420" and an SSH tunnel',
    );
  }
  if (http.certificate !== undefined && http.key === undefined) {
    report("http.certificate", "it has no key", "set http.key to the file with its key");
  }
  if (http.key !== undefined && http.certificate === undefined) {
    report(
      "http.key",
      "it has no certificate",
      "set http.certificate to the file with its certificate",
    );
  }
  if (http.clientCa !== undefined && http.certificate === undefined) {
    const hint = "set http.certificate and http.key";
    report("http.clientCa", "clients show certificates to servers that have one only", hint);
  }
  return problems;
}

function problemText({ where, message, hint }: ConfigProblem): string {
  return `${where}: ${message}${hint === undefined ? "" : `\n  hint: ${hint}`}`;
}

async function openFile(path: string, mayBeAbsent: boolean): Promise<ConfigFile | undefined> {
  try {
    const { size } = await Deno.stat(path);
    if (size > FILE_BYTES_MAX) throw new RangeError(`larger than ${FILE_BYTES_MAX} bytes`);
    return { path, text: await Deno.readTextFile(path) };
  } catch (error) {
    if (mayBeAbsent && error instanceof Deno.errors.NotFound) return undefined;
    const message = `Cannot read configuration: ${(error as Error).message}`;
    throw new ConfigError([{ where: path, message }]);
  }
}

function fromFlag(name: SettingName, flags: ConfigSources["flags"]): Given | undefined {
  const text = flags[name];
  return text === undefined ? undefined : { text, origin: `flag ${flagOf(name)}` };
}

function fromVariable(
  name: SettingName,
  environment: ConfigSources["environment"],
): Given | undefined {
  const text = environment[variableOf(name)];
  return text === undefined ? undefined : { text, origin: `environment ${variableOf(name)}` };
}

/** A variable that is nearly a setting is a typo; one that is far from all may belong to someone else. */
function reportVariables(
  environment: ConfigSources["environment"],
  problems: ConfigProblem[],
): void {
  const known = [...SETTING_NAMES.map(variableOf), CONFIG_VARIABLE];
  const ends = known.map((variable) => variable.replace("ANKYLO_", ""));
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith("ANKYLO_") || known.includes(variable)) continue;
    const near = closest(variable.replace("ANKYLO_", ""), ends);
    if (near === undefined) continue;
    problems.push({
      where: `environment ${variable}`,
      message: "Unknown setting",
      hint: `did you mean ANKYLO_${near}?`,
    });
  }
}

/** The values that a file gives; what is wrong with the file goes to `problems`. */
function readFile(file: ConfigFile, problems: ConfigProblem[]): Map<SettingName, Given> {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file.path}:${line}:${col}`;
  };
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  for (const error of [...document.errors, ...document.warnings]) {
    problems.push({ where: place(error.pos[0]), message: `Cannot parse YAML: ${error.message}` });
  }
  const found = new Map<SettingName, Given>();
  const root = document.contents;
  if (document.errors.length > 0 || root === null) return found;
  if (isScalar(root) && root.value === null) return found;
  if (isMap(root)) readMap({ place, problems, found }, root as YAMLMap, "");
  else problems.push({ where: place(start(root)), message: "Cannot read: must be a mapping" });
  return found;
}

interface FileReading {
  readonly place: (offset: number) => string;
  readonly problems: ConfigProblem[];
  readonly found: Map<SettingName, Given>;
}

function readMap(reading: FileReading, map: YAMLMap, prefix: string): void {
  for (const pair of map.items as Pair<Node, Node | null>[]) {
    const name = `${prefix}${isScalar(pair.key) ? String(pair.key.value) : "?"}`;
    const value = pair.value;
    if (isMap(value) && SETTING_NAMES.some((known) => known.startsWith(`${name}.`))) {
      readMap(reading, value as YAMLMap, `${name}.`);
    } else if (!Object.hasOwn(DEFINITIONS, name)) {
      reading.problems.push(unknownKey(reading.place(start(pair.key)), name));
    } else {
      readValue(reading, name as SettingName, value ?? pair.key);
    }
  }
}

function readValue(reading: FileReading, name: SettingName, node: Node): void {
  const origin = reading.place(start(node));
  const text = scalarText(node) ?? listText(node);
  if (text === undefined) {
    reading.problems.push({ where: origin, message: `Cannot use ${name}: must be a single value` });
  } else if (reading.found.has(name)) {
    reading.problems.push({ where: origin, message: `Cannot use ${name}: it is given twice` });
  } else {
    reading.found.set(name, { text, origin });
  }
}

/** As written: `0755`, `yes` and `1e3` stay what the user sees. */
function scalarText(node: Node): string | undefined {
  if (!isScalar(node)) return undefined;
  return node.value === null ? "" : node.source ?? String(node.value);
}

function listText(node: Node): string | undefined {
  if (!isSeq(node)) return undefined;
  const texts = node.items.map((item) => scalarText(item as Node));
  return texts.includes(undefined) ? undefined : texts.join(",");
}

function start(node: Node): number {
  return node.range?.[0] ?? 0;
}

function unknownKey(where: string, name: string): ConfigProblem {
  const near = KUBEARMOR_NAMES[name] ?? closest(name, SETTING_NAMES);
  const hint = near === undefined
    ? `the settings are ${SETTING_NAMES.join(", ")}`
    : `did you mean "${near}"?`;
  return { where, message: `Unknown setting "${name}"`, hint };
}
