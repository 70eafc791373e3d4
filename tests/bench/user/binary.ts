/** Measures the size of the single file. */

import { outputDir } from "../../../scripts/vm/store.ts";

const { size } = await Deno.stat(Deno.env.get("ANKYLO_BINARY") ?? `${outputDir}/ankylo`);
console.log(`@bench binary ${size / 1e6}`);
