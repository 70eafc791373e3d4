/** Builds what the unit tests load: the shim, and the programs of ffi/ and bpf/tests/. */

import { buildBpfTests } from "./build_bpf.ts";
import { buildShim } from "./build_shim.ts";

/** Compiles what is stale; an untouched tree takes a fraction of a second. */
export async function buildForTests(): Promise<void> {
  await buildShim();
  await buildBpfTests();
}

if (import.meta.main) await buildForTests();
