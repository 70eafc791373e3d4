/**
 * The cache of everything the VM harness makes: root images, kernels, templates.
 *
 * An entry is a directory named by what went into it, so a changed input is another entry and no entry is ever
 * changed. It is built under a temporary name and renamed, so a killed build leaves nothing that looks finished.
 */

import { createHash } from "node:crypto";

/** Entries unused for this long are removed: a template weighs 300 MB, and every change of its inputs makes one. */
const UNUSED_DAYS_MAX = 7;

/** Where the repository is checked out. */
export const repositoryDir: string = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");

/** Where everything goes that belongs to this checkout. */
export const outputDir: string = `${repositoryDir}/.output`;

/** The folder shared by all checkouts: `ANKYLO_CACHE`, or `~/.cache/ankylo`. */
export function cacheDir(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return Deno.env.get("ANKYLO_CACHE") ?? `${home}/ankylo`;
}

/**
 * Returns the directory of a cache entry, building it first when it is not there.
 *
 * @param name what it is, for people: letters, digits, dots and hyphens
 * @param inputs everything that decides the content, as a JSON value
 * @param build fills the empty directory it is given; nothing is kept when it throws
 * @param entriesMax how many of this name are kept, the most recently used
 */
export async function cached(
  name: string,
  inputs: unknown,
  build: (dir: string) => Promise<void>,
  entriesMax = Infinity,
): Promise<string> {
  const key = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
  const vmDir = `${cacheDir()}/vm`;
  const dir = `${vmDir}/${name}-${key}`;
  if (await markUsed(dir)) return dir;
  await Deno.mkdir(vmDir, { recursive: true });
  using lock = await Deno.open(`${vmDir}/${name}.lock`, { create: true, write: true });
  await lock.lock(true);
  // Another process may have built it while this one waited.
  if (await markUsed(dir)) return dir;
  await removeUnused(vmDir, name, entriesMax - 1);
  const partial = `${vmDir}/partial-${name}-${Deno.pid}`;
  try {
    await Deno.mkdir(partial);
    await build(partial);
    await Deno.rename(partial, dir);
  } catch (error) {
    await Deno.remove(partial, { recursive: true }).catch(ignoreMissing);
    throw error;
  }
  return dir;
}

/** Digest of the content of some files, in order: equal for equal content, wherever it was made. */
export async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    using file = await Deno.open(path);
    for await (const chunk of file.readable) hash.update(chunk);
  }
  return hash.digest("hex");
}

/** The text of a file that lies beside the modules of the harness, for keys and for copying into images. */
export async function ownText(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(name, import.meta.url));
}

async function markUsed(dir: string): Promise<boolean> {
  try {
    await Deno.utime(dir, new Date(), new Date());
    return true;
  } catch (error) {
    ignoreMissing(error);
    return false;
  }
}

/** Removes what has not been used for long, and all entries of a name but the `keptMax` that were used last. */
async function removeUnused(vmDir: string, name: string, keptMax: number): Promise<void> {
  const oldest = Date.now() - UNUSED_DAYS_MAX * 86_400_000;
  const entries = await Array.fromAsync(Deno.readDir(vmDir));
  const used = await Promise.all(
    entries.filter((entry) => entry.isDirectory).map(async (entry) => {
      const { mtime } = await Deno.stat(`${vmDir}/${entry.name}`);
      return { name: entry.name, time: mtime?.getTime() ?? 0 };
    }),
  );
  const sameName = used.filter((entry) => entry.name.replace(/-[0-9a-f]{16}$/, "") === name)
    .sort((a, b) => b.time - a.time);
  const surplus = keptMax < sameName.length ? sameName.slice(keptMax) : [];
  for (const entry of used.filter((entry) => entry.time < oldest || surplus.includes(entry))) {
    await Deno.remove(`${vmDir}/${entry.name}`, { recursive: true });
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
