/** Compiles the small programs beside this file: what a scenario needs of the kernel and busybox does not offer. */

import { outputDir } from "../../../scripts/vm/store.ts";

/**
 * Compiles `NAME.c` unless the program is newer than it and tool.h, and returns its path, for a scenario's `files`: it runs as /files/NAME.
 *
 * @throws {Error} when gcc refuses it
 */
export async function compileTool(name: string): Promise<string> {
  const folder = new URL(".", import.meta.url).pathname;
  const target = `${outputDir}/e2e-tools/${name}`;
  const sources = await Promise.all([`${name}.c`, "tool.h"].map((file) => modified(folder + file)));
  if (await modified(target) > Math.max(...sources)) return target;
  await Deno.mkdir(`${outputDir}/e2e-tools`, { recursive: true });
  const { success, stderr } = await new Deno.Command("gcc", {
    args: ["-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror"]
      .concat(["-o", `${target}.${Deno.pid}`, `${folder}${name}.c`]),
  }).output();
  if (!success) {
    throw new Error(`Compile "${name}.c": gcc says:\n${new TextDecoder().decode(stderr)}`);
  }
  await Deno.rename(`${target}.${Deno.pid}`, target);
  return target;
}

/** Time of the last change in ms, 0 for a file that does not exist. */
async function modified(path: string): Promise<number> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info?.mtime?.getTime() ?? 0;
}
