import manifest from "../../deno.json" with { type: "json" };
import { packaging } from "../../ffi/product.ts";
import type { CommandIo } from "./io.ts";

/** As in deno.json. */
export const VERSION: string = manifest.version;

/** `ankylo version`. */
export function runVersion(io: CommandIo): void {
  const { deno, v8 } = Deno.version;
  io.out(`ankylo ${VERSION} (${packaging()}; deno ${deno}, v8 ${v8}, ${Deno.build.target})\n`);
}
