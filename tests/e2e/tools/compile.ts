/** Compiles the small programs beside this file: what a scenario needs of the kernel and busybox does not offer. */

import { outputDir } from "../../../scripts/vm/store.ts";

/**
 * Compiles `NAME.c`, or what is in the folder `NAME`, unless the program is newer than that and tool.h, and returns its path, for a scenario's
 * `files`: it runs as /files/NAME.
 *
 * @throws {Error} when gcc refuses it
 */
export async function compileTool(name: string): Promise<string> {
  const folder = new URL(".", import.meta.url).pathname;
  const target = `${outputDir}/e2e-tools/${name}`;
  const inputs = [`${folder}tool.h`, ...await inputsOf(folder, name)];
  const changed = Math.max(...await Promise.all(inputs.map(modified)));
  if (await modified(target) > changed) return target;
  await Deno.mkdir(`${outputDir}/e2e-tools`, { recursive: true });
  const { success, stderr } = await new Deno.Command("gcc", {
    args: ["-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror"]
      .concat(["-o", `${target}.${Deno.pid}`, ...inputs.filter((path) => path.endsWith(".c"))]),
  }).output();
  if (!success) {
    throw new Error(`Compile "${name}.c": gcc says:\n${new TextDecoder().decode(stderr)}`);
  }
  await Deno.rename(`${target}.${Deno.pid}`, target);
  return target;
}

async function inputsOf(folder: string, name: string): Promise<string[]> {
  const info = await Deno.stat(`${folder}${name}`).catch(() => undefined);
  if (info === undefined) return [`${folder}${name}.c`];
  const files = await Array.fromAsync(Deno.readDir(`${folder}${name}`));
  return files.map((file) => `${folder}${name}/${file.name}`).sort();
}

/** Time of the last change in ms, 0 for a file that does not exist. */
async function modified(path: string): Promise<number> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info?.mtime?.getTime() ?? 0;
}
