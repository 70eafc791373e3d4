/** Build steps that run only when an input changed. */

import { createHash } from "node:crypto";

/** What decides a product. */
export interface Inputs {
  /** Paths of files; their content counts. */
  files?: readonly string[];
  /** Anything else: versions, command lines. */
  texts?: readonly string[];
}

/** The root of the repository; every path in the build scripts is relative to it. */
export const repositoryDir: string = new URL("..", import.meta.url).pathname;

/**
 * Writes a product when it is missing or one of its inputs changed since it was made.
 *
 * The product appears by rename, so that others see it whole or not at all. One builder at a time: the rest wait for it
 * and then find nothing to do.
 *
 * @param make returns the product's bytes; the product is untouched when it throws
 * @returns whether `make` ran
 */
export async function writeIfStale(
  target: string,
  inputs: Inputs,
  make: () => Promise<Uint8Array>,
): Promise<boolean> {
  const path = `${repositoryDir}${target}`;
  const key = await keyOf(inputs);
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true });
  await lock.lock(true);
  if (await exists(path) && await readKey(path) === key) return false;
  const bytes = await make();
  await Deno.writeFile(`${path}.partial`, bytes);
  await Deno.rename(`${path}.partial`, path);
  await Deno.writeTextFile(`${path}.key`, key);
  return true;
}

/** Paths, relative to the repository, of the files under `dir` whose name ends in one of `suffixes`; sorted. */
export async function filesUnder(dir: string, suffixes: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(`${repositoryDir}${dir}`)) {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory) found.push(...await filesUnder(path, suffixes));
    else if (suffixes.some((suffix) => entry.name.endsWith(suffix))) found.push(path);
  }
  return found.sort();
}

async function keyOf(inputs: Inputs): Promise<string> {
  const hash = createHash("sha256");
  for (const file of inputs.files ?? []) {
    const path = file.startsWith("/") ? file : `${repositoryDir}${file}`;
    const content = createHash("sha256").update(await Deno.readFile(path)).digest("hex");
    hash.update(`file ${file} ${content}\n`);
  }
  for (const text of inputs.texts ?? []) hash.update(`text ${JSON.stringify(text)}\n`);
  return hash.digest("hex");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Undefined where there is no key to read: then the product is made anew. */
async function readKey(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(`${path}.key`).catch(() => undefined);
}
