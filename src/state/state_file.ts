/**
 * What was in force, kept on disk: for an agent that starts before the runtime answers, or while policies can't be read.
 *
 *   DIR/state   first a line "ankylo-state 1 SHA-256", then JSON
 *
 * The directory is 0700 and the file 0600, both the agent's own: who can write there decides what is enforced. A file is
 * taken whole or not at all.
 */

import { createHash } from "node:crypto";
import type { Workload } from "../model/workload.ts";

/** What was in force at one time. */
export interface SavedState {
  /** Of the machine, as in /etc/machine-id: elsewhere the state says nothing. */
  readonly machine: string;
  /** Unix time in ms. */
  readonly savedAtMs: number;
  /** The folder of the policy files, and of each file by name the text that was in force. */
  readonly folder: string;
  readonly policies: ReadonlyMap<string, string>;
  readonly workloads: readonly Workload[];
}

/** A state that is there and is not used; the message says why, as a phrase, and what to do. */
export class StateError extends Error {
  override name = "StateError";
}

const FILE = "state";
const MAGIC = "ankylo-state 1";
/** Policies have at most 1 MiB a file and are rarely over 100 KiB in all; a workload takes about 500 bytes. */
const STATE_BYTES_MAX = 64 << 20;
/** S_IRWXG | S_IRWXO. */
const OTHERS = 0o077;

/**
 * The state that was saved in the directory, or undefined when there is none.
 * @throws {StateError} it is damaged, of another format or machine, or others may have written it
 */
export async function readState(dir: string, machine: string): Promise<SavedState | undefined> {
  const path = `${dir}/${FILE}`;
  try {
    const info = await Deno.lstat(path);
    requireOurs(dir, await Deno.lstat(dir), "isDirectory");
    requireOurs(path, info, "isFile");
    if (info.size > STATE_BYTES_MAX) throw new StateError(`${path} has ${info.size} bytes`);
    const state = decode(path, await Deno.readFile(path));
    if (state.machine === machine) return state;
    throw new StateError(`${path} was saved on another machine`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof StateError || !(error instanceof Error)) throw error;
    throw new StateError(`${path} cannot be read: ${error.message}`, { cause: error });
  }
}

/**
 * Replaces what was saved, in one step, and returns when it is on the disk. Makes the directory if need be.
 * @throws {StateError} the directory is not the agent's own
 * @throws {Error} of the file system: ENOSPC, EROFS
 */
export async function writeState(dir: string, state: SavedState): Promise<void> {
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  requireOurs(dir, await Deno.lstat(dir), "isDirectory");
  const bytes = encode(state);
  if (bytes.length > STATE_BYTES_MAX) {
    throw new RangeError(`Save state: it has ${bytes.length} bytes, at most ${STATE_BYTES_MAX}`);
  }
  const partial = `${dir}/${FILE}.partial`;
  // Whatever lies there, a link too, is of an agent that was killed: it is not written through.
  await removeIfThere(partial);
  using file = await Deno.open(partial, { write: true, createNew: true, mode: 0o600 });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  await file.sync();
  await Deno.rename(partial, `${dir}/${FILE}`);
  using folder = await Deno.open(dir);
  await folder.sync();
}

/** Removes what was saved, and the directory if nothing else is in it. Returns whether there was something. */
export async function removeState(dir: string): Promise<boolean> {
  const found = [
    await removeIfThere(`${dir}/${FILE}`),
    await removeIfThere(`${dir}/${FILE}.partial`),
  ];
  // It stays when others keep something in it, or mounted something there.
  await Deno.remove(dir).catch(() => {});
  return found.includes(true);
}

async function removeIfThere(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function requireOurs(path: string, info: Deno.FileInfo, kind: "isDirectory" | "isFile"): void {
  const wanted = kind === "isFile" ? "a regular file" : "a directory";
  if (!info[kind]) throw new StateError(`${path} is not ${wanted}: remove it`);
  if (info.uid === Deno.uid() && ((info.mode ?? 0) & OTHERS) === 0) return;
  const mode = ((info.mode ?? 0) & 0o777).toString(8);
  const own = `chown ${Deno.uid()} and chmod go= if what is in it can be trusted`;
  throw new StateError(`others may write or read ${path} (user ${info.uid}, mode ${mode}): ${own}`);
}

function encode(state: SavedState): Uint8Array<ArrayBuffer> {
  const { workloads, policies, ...rest } = state;
  const body = JSON.stringify({
    ...rest,
    policies: Object.fromEntries(policies),
    workloads: workloads.map((workload) => ({ ...workload, cgroupId: `${workload.cgroupId}` })),
  });
  return new TextEncoder().encode(`${MAGIC} ${digestOf(body)}\n${body}`);
}

function decode(path: string, bytes: Uint8Array): SavedState {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\n");
  const [head, body] = [text.slice(0, Math.max(end, 0)), text.slice(end + 1)];
  if (!head.startsWith(`${MAGIC} `)) {
    throw new StateError(`${path} is not of this version's format`);
  }
  if (head !== `${MAGIC} ${digestOf(body)}`) {
    throw new StateError(`${path} is damaged: its SHA-256 is another`);
  }
  const { policies, workloads, ...rest } = JSON.parse(body);
  return {
    ...rest,
    policies: new Map(Object.entries(policies)),
    workloads: workloads.map((workload: Workload) => ({
      ...workload,
      cgroupId: BigInt(workload.cgroupId),
    })),
  };
}

function digestOf(body: string): string {
  return createHash("sha256").update(body).digest("hex");
}
