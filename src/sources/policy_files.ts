/** Policies from the files of a folder, read again whenever they change. */
import { join } from "node:path";
import { compareDiagnostics, type Diagnostic } from "../model/diagnostic.ts";
import { isGood, type Parsed, parsePolicies, withoutDuplicates } from "../model/parse.ts";
import type { Policy } from "../model/policy.ts";
import { systemClock } from "../lib/clock.ts";
import { type ChangeOptions, FolderChanges } from "./change.ts";
import { Departures } from "./departures.ts";

/** What the files of a folder ask for. */
export interface PolicySet {
  /**
   * In force: the valid ones, and those of the last good version of files that are bad now, by file, then place; behind
   * them those that left a moment ago.
   */
  readonly policies: readonly Policy[];
  readonly diagnostics: readonly Diagnostic[];
  /** Paths of the files that were considered, sorted. */
  readonly files: readonly string[];
  /** Of each file by name: the text of the version in force, for `PolicyOptions.known`. */
  readonly texts: ReadonlyMap<string, string>;
  /** Names of files of which a version in `PolicyOptions.known` is in force, because what is there is bad. */
  readonly kept: readonly string[];
}

export interface PolicyOptions extends ChangeOptions {
  /** Texts by file name that were in force when the agent ran last. */
  readonly known?: ReadonlyMap<string, string>;
  /** How long a policy has to be gone before it is withdrawn. Default 1 s. */
  readonly leavingMs?: number;
}

const LEAVING_MS = 1_000;

/** A ConfigMap holds at most 1 MiB in all; no one writes more by hand. */
const FILE_BYTES_MAX = 1 << 20;

/** Files of one folder. Behind it the folder is more likely the wrong one. */
const FILES_MAX = 1_000;

/**
 * Reads the folder, which need not exist yet, and then again after every change: a write in place, a rename, a
 * ConfigMap's swap, a folder removed and made anew. Yields first at once, later only when the result differs.
 *
 * A file that becomes bad keeps its last good version in force, which may be one of `options.known`; one that is deleted
 * takes its policies with it after `options.leavingMs`. A folder that vanishes keeps its policies, because that is no way
 * to delete one policy and a good way to lose them all.
 *
 * Ends when the signal aborts. Never throws for what the folder holds.
 */
export async function* watchPolicies(
  folder: string,
  options: PolicyOptions,
): AsyncGenerator<PolicySet, void, void> {
  const changes = new FolderChanges(folder, matters, options);
  const reader = new PolicyFolder(folder, options.known);
  const departures = new Departures(options.leavingMs ?? LEAVING_MS);
  const clock = options.clock ?? systemClock;
  let last: PolicySet | undefined;
  try {
    while (!options.signal.aborted) {
      changes.arm();
      const found = reader.read(changes.failure);
      const policies = departures.inForce(found.policies, clock.nowMs());
      const set = { ...found, policies };
      const isNew = last === undefined || !isEqual(set, last);
      if (isNew && !options.signal.aborted) yield set;
      last = set;
      await changes.next(departures.nextMs(clock.nowMs()));
    }
  } finally {
    await changes.close();
  }
}

/** Policies are compared by identity: `PolicyFolder` keeps what a new version of a file says as the one before. */
function isEqual(a: PolicySet, b: PolicySet): boolean {
  const rest = ({ diagnostics, files, kept }: PolicySet) =>
    JSON.stringify([diagnostics, files, kept]);
  return a.policies.length === b.policies.length &&
    a.policies.every((policy, index) => policy === b.policies[index]) && rest(a) === rest(b);
}

/** Whether a change of this name can change policies: a ConfigMap's files are links through `..data`. */
function matters(name: string): boolean {
  return name === "..data" || isPolicyFile(name);
}

/** Whether a file of this name holds policies: YAML or JSON, and not hidden, as editors' and ConfigMaps' own files are. */
export function isPolicyFile(name: string): boolean {
  return /^[^.#].*\.(ya?ml|json)$/i.test(name);
}

/** One version of a file. */
interface Version {
  readonly text: string;
  readonly parsed: Parsed;
  /** It comes from an agent before. */
  readonly known: boolean;
}

/** One file as it was last read. */
interface PolicyFile {
  readonly last: Version;
  /** The last version without an error, if there was one. */
  readonly good: Version | undefined;
}

/** A folder of policy files that remembers the last good version of each. */
export class PolicyFolder {
  readonly #folder: string;
  #files = new Map<string, PolicyFile>();

  constructor(folder: string, known: ReadonlyMap<string, string> = new Map()) {
    this.#folder = folder;
    for (const [name, text] of known) this.#files.set(name, fileOf(text, join(folder, name), true));
  }

  /**
   * Reads what changed since the last call. `watchFailure` is shown among the findings.
   *
   * Not asynchronous: the files are small and near, and a turn through the thread pool costs more than reading one.
   */
  read(watchFailure?: string): PolicySet {
    for (;;) {
      const version = versionOf(this.#folder);
      const findings: Diagnostic[] = [];
      if (watchFailure !== undefined) findings.push(watchFinding(this.#folder, watchFailure));
      const names = this.#list(findings);
      if (names !== undefined) this.#files = this.#readAll(names, findings);
      // Half of one version and half of the next is nobody's policy.
      if (versionOf(this.#folder) === version) return this.#set(findings);
    }
  }

  #readAll(names: readonly string[], findings: Diagnostic[]): Map<string, PolicyFile> {
    const files = new Map<string, PolicyFile>();
    for (const name of names) {
      const file = this.#file(name, findings);
      if (file !== undefined) files.set(name, file);
    }
    return files;
  }

  /** Names of the files to read, or undefined when the folder cannot be listed. */
  #list(findings: Diagnostic[]): string[] | undefined {
    try {
      const names = listPolicyFiles(this.#folder);
      if (names.length > FILES_MAX) findings.push(tooManyFiles(this.#folder, names));
      return names.slice(0, FILES_MAX);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const kept = [...this.#files.values()].flatMap((file) => inForce(file).parsed.policies)
        .length;
      findings.push(folderFinding(this.#folder, error, kept));
      return undefined;
    }
  }

  #file(name: string, findings: Diagnostic[]): PolicyFile | undefined {
    const path = join(this.#folder, name);
    const before = this.#files.get(name);
    let text: string;
    try {
      text = readPolicyText(path);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      findings.push(fileFinding(path, error, KEPT_HINT));
      return before;
    }
    if (before?.last.text === text) return isKnown(before) ? read(before) : before;
    const file = fileOf(text, path, false, before?.last.parsed);
    return { last: file.last, good: file.good ?? before?.good };
  }

  #set(findings: Diagnostic[]): PolicySet {
    const files = [...this.#files].sort(([a], [b]) => a < b ? -1 : 1);
    const policies: Policy[] = [];
    for (const [name, file] of files) {
      policies.push(...inForce(file).parsed.policies);
      findings.push(...file.last.parsed.diagnostics);
      if (inForce(file) !== file.last) findings.push(keptFinding(join(this.#folder, name), file));
    }
    const unique = withoutDuplicates(policies, (finding) => findings.push(finding));
    return {
      policies: unique,
      diagnostics: findings.sort(compareDiagnostics),
      files: files.map(([name]) => join(this.#folder, name)),
      texts: new Map(files.map(([name, file]) => [name, inForce(file).text])),
      kept: files.filter(([, file]) => isKnown(file)).map(([name]) => name),
    };
  }
}

/** The last good version, or of a file that never was good the documents without an error. */
function inForce(file: PolicyFile): Version {
  return file.good ?? file.last;
}

function isKnown(file: PolicyFile): boolean {
  return inForce(file).known;
}

/** A text that says what it said `before` keeps those values, so that nothing is compiled again. */
function fileOf(text: string, path: string, known: boolean, before?: Parsed): PolicyFile {
  const now = parsePolicies(text, path);
  const isSame = before !== undefined && JSON.stringify(now) === JSON.stringify(before);
  const last = { text, parsed: isSame ? before : now, known };
  return { last, good: isGood(last.parsed) ? last : undefined };
}

/** The same file, seen on the disk: nothing of it comes from an agent before any more. */
function read({ last, good }: PolicyFile): PolicyFile {
  const seen = { ...last, known: false };
  return { last: seen, good: good === last ? seen : good };
}

/** Tells versions apart that are exchanged as a whole: by renaming the folder, or a ConfigMap's `..data` in it. */
function versionOf(folder: string): string {
  try {
    const { dev, ino } = Deno.statSync(folder);
    return `${dev}:${ino}:${Deno.lstatSync(join(folder, "..data")).ino}`;
  } catch (error) {
    // A folder of plain files, or none; #list tells of what is wrong with it.
    if (error instanceof Error) return "";
    throw error;
  }
}

/** Names of the policy files in a folder, sorted. @throws {Deno.errors.NotFound} and others of `Deno.readDirSync` */
export function listPolicyFiles(folder: string): string[] {
  const names: string[] = [];
  for (const entry of Deno.readDirSync(folder)) {
    if (!entry.isDirectory && isPolicyFile(entry.name)) names.push(entry.name);
  }
  return names.sort();
}

/**
 * The text of a policy file; links are followed.
 *
 * @throws {Error} when it is no regular file, too large, no UTF-8 or unreadable
 */
export function readPolicyText(path: string): string {
  const info = Deno.statSync(path);
  // Opening a named pipe would wait for ever.
  if (!info.isFile) throw new Error("it is no regular file");
  if (info.size > FILE_BYTES_MAX) {
    throw new RangeError(`it has ${info.size} bytes, and at most ${FILE_BYTES_MAX} are read`);
  }
  const bytes = Deno.readFileSync(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TypeError("it is not encoded in UTF-8", { cause });
  }
}

const KEPT_HINT = "the last version that was read stays in force, if there was one";

// ---- findings about files and folders --------------------------------------------------------------------------------

function finding(
  severity: Diagnostic["severity"],
  file: string,
  message: string,
  hint: string,
): Diagnostic {
  return { severity, where: { file, line: 1, column: 1 }, field: "", message, hint };
}

/** A file that cannot be read: what `check` and the watcher say about it. */
export function fileFinding(path: string, error: Error, hint: string): Diagnostic {
  const message = `Cannot read file: ${reasonOf(error)}`;
  const split = error instanceof RangeError;
  return finding("error", path, message, split ? "split it into several files" : hint);
}

function keptFinding(path: string, file: PolicyFile): Diagnostic {
  const names = inForce(file).parsed.policies.map((policy) => policy.name).join(", ") ||
    "no policy";
  const message = `Found errors in this file: keeping its last good version, with ${names}`;
  return finding(
    "warning",
    path,
    message,
    "correct the errors below; the file is read again at once",
  );
}

function folderFinding(folder: string, error: Error, kept: number): Diagnostic {
  const missing = error instanceof Deno.errors.NotFound;
  if (missing && kept === 0) {
    return finding(
      "warning",
      folder,
      "Found no such folder: waiting for it",
      "make it with mkdir -p",
    );
  }
  const reason = missing ? "it is gone" : reasonOf(error);
  const message = `Cannot list folder: ${reason}: keeping its ${kept} policies`;
  return finding("error", folder, message, "make it again; an empty folder has no policies");
}

function tooManyFiles(folder: string, names: readonly string[]): Diagnostic {
  const message = `Cannot read all files: at most ${FILES_MAX} are read: it has ${names.length}`;
  return finding("error", folder, message, `"${names[FILES_MAX]}" and what follows is left out`);
}

function watchFinding(folder: string, reason: string): Diagnostic {
  const message = `Cannot watch folder: ${reason}: reading it again from time to time`;
  return finding(
    "warning",
    folder,
    message,
    "raise fs.inotify.max_user_watches or max_user_instances",
  );
}

/** Deno's messages name the system call's path and number behind a colon or a bracket; the file is known already. */
function reasonOf(error: Error): string {
  const words: [new () => Error, string][] = [
    [Deno.errors.NotFound, "it does not exist, or is a link to nothing"],
    [Deno.errors.PermissionDenied, "permission denied"],
    [Deno.errors.NotADirectory, "it is no folder"],
  ];
  return words.find(([type]) => error instanceof type)?.[1] ?? error.message;
}
