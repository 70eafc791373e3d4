/**
 * Damaged inputs for whatever reads what others wrote: policies and settings, records of the kernel, answers of containerd,
 * requests over HTTP. Prints its seed; the same seed makes the same inputs.
 *
 *   deno task fuzz --seconds 3600 --target http
 */

import { parseArgs } from "node:util";
import { outputDir } from "../../scripts/vm/store.ts";
import { damaged, Random } from "./random.ts";
import type { Target } from "./target.ts";
import { grpcTarget } from "./targets/grpc.ts";
import { httpTarget } from "./targets/http.ts";
import { recordsTarget } from "./targets/records.ts";
import { yamlTarget } from "./targets/yaml.ts";

export const TARGETS: readonly (() => Target)[] = [
  yamlTarget,
  recordsTarget,
  grpcTarget,
  httpTarget,
];

/** Inputs with something new that are kept, at most. */
const POOL_MAX = 5_000;
/** Reading any input of 64 KiB takes a fraction of this: more is a fault. */
const RUN_MS_MAX = 10_000;

export interface Found {
  readonly tries: number;
  /** Different things that came of them. */
  readonly kinds: number;
}

/** Tries damaged inputs for that long. @throws {Error} at the first fault, with the seed; the input is kept in a file */
export async function fuzz(target: Target, seed: number, seconds: number): Promise<Found> {
  const random = new Random(seed);
  const pool = await target.seeds();
  const kinds = new Set<string>();
  const untilMs = performance.now() + 1_000 * seconds;
  let tries = 0;
  for (const input of pool) kinds.add(await tryOne(target, seed, input as Uint8Array<ArrayBuffer>));
  while (tries === 0 || performance.now() < untilMs) {
    const input = damaged(random.pick(pool), random.pick(pool), target.tokens, random);
    const kind = await tryOne(target, seed, input);
    tries++;
    if (kinds.has(kind)) continue;
    kinds.add(kind);
    if (pool.length < POOL_MAX) pool.push(input);
  }
  return { tries, kinds: kinds.size };
}

async function tryOne(
  target: Target,
  seed: number,
  input: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const startMs = performance.now();
  try {
    const kind = await target.run(input);
    const tookMs = performance.now() - startMs;
    if (tookMs > RUN_MS_MAX) throw new Error(`it took ${Math.round(tookMs)} ms`);
    return kind;
  } catch (cause) {
    const path = `${outputDir}/fuzz/${target.name}-${seed}`;
    await Deno.mkdir(`${outputDir}/fuzz`, { recursive: true });
    await Deno.writeFile(path, input);
    const next = `put it into tests/fuzz/corpus/${target.name}/ once it is mended`;
    throw new Error(`fuzz ${target.name}: seed ${seed} found a fault: ${path}: ${next}`, { cause });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: String(new Random(Date.now()).next()) },
      target: { type: "string", default: TARGETS.map((make) => make().name).join(",") },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(
      "deno task fuzz [--seconds N, of each] [--seed N] [--target yaml,records,grpc,http]",
    );
    return;
  }
  const wanted = values.target.split(",");
  for (const make of TARGETS) {
    const target = make();
    if (!wanted.includes(target.name)) continue;
    console.log(`fuzz ${target.name}: seed ${values.seed}, ${values.seconds} s`);
    try {
      const { tries, kinds } = await fuzz(target, Number(values.seed), Number(values.seconds));
      console.log(`fuzz ${target.name}: ${tries} tries, ${kinds} kinds of outcome, no fault`);
    } finally {
      await target.close();
    }
  }
}

if (import.meta.main) await main();
