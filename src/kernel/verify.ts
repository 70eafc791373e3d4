/** What the kernel's verifier has to do for each program: it refuses a program that makes it follow too many instructions. */

import { BpfObject, type Shim } from "../../ffi/bpf.ts";
import { type AgentSettings, encodeAgentSettings } from "../../ffi/generated/agent_api.ts";
import { DECIDING_HOOKS } from "./hooks.ts";
import { newSettings, type ProgramObjects } from "./loading.ts";
import type { KernelFacts } from "./probe.ts";
import { testWalker } from "./self_test.ts";

/** The kernel's limit is 1,000,000; a tenth leaves room for kernels whose verifier follows more paths. */
export const VERIFIER_STEPS_MAX = 100_000;

/** One loaded program. */
export interface VerifiedProgram {
  readonly name: string;
  /** Instructions that the verifier followed, each as often as it came by; 0 on kernels before 5.16, which do not tell. */
  readonly steps: number;
}

/** What a kernel made of the programs. */
export interface Verified {
  readonly programs: readonly VerifiedProgram[];
  /** Whether they were seen to read paths rightly: kernels before 5.14 can't have them try. */
  readonly readPaths: boolean;
}

/**
 * Loads the programs that the kernel has places for, has them read some paths, attaches nothing, and lets go of them again.
 * The busiest comes first.
 * @throws {BpfError} the kernel refuses one
 * @throws {SelfTestError} they read paths wrongly
 */
export function verifyPrograms(
  shim: Shim,
  objects: ProgramObjects,
  facts: Pick<KernelFacts, "hooks">,
): Verified {
  const settings = newSettings(shim, new Uint8Array(32));
  using main = load(shim, objects.main, settings, facts);
  const scratch = Deno.makeTempDirSync({ prefix: "ankylo-self-test-" });
  const readPaths = testWalker(shim, main.elf, settings.keys, scratch);
  using onDemand = load(shim, objects.onDemand, settings, facts);
  const programs = [main, onDemand].flatMap(({ elf, programs }) =>
    programs.map((name) => ({ name, steps: stepsOf(elf, name) }))
  ).sort((a, b) => b.steps - a.steps);
  return { programs, readPaths };
}

/** An object's programs that the kernel has places for. */
function load(
  shim: Shim,
  object: Uint8Array,
  settings: AgentSettings,
  facts: Pick<KernelFacts, "hooks">,
) {
  const elf = BpfObject.open(shim, object, "ankylo");
  const absent = elf.programs().filter((name) => !hasPlace(name, facts));
  for (const name of absent) elf.setAutoload(name, false);
  elf.setRodata("settings", encodeAgentSettings(settings));
  elf.load();
  const programs = elf.programs().filter((name) => !absent.includes(name));
  return { elf, programs, [Symbol.dispose]: () => elf.close() };
}

function stepsOf(elf: BpfObject, name: string): number {
  using program = elf.program(name);
  return program.info().instructionsVerified;
}

function hasPlace(program: string, { hooks }: Pick<KernelFacts, "hooks">): boolean {
  const hook = program.replace(/^(?:hook|decide)_/, "");
  return hooks.has(hook) || !DECIDING_HOOKS.some(({ name }) => name === hook);
}

/** The programs as a table. */
export function verifiedText({ programs, readPaths }: Verified): string {
  const paths = readPaths ? "Paths are read rightly.\n" : "";
  if (programs.every(({ steps }) => steps === 0)) {
    return `${paths}The verifier took all ${programs.length} programs; this kernel does not tell what that took.\n`;
  }
  const width = Math.max(...programs.map(({ name }) => name.length));
  const line = ({ name, steps }: VerifiedProgram) =>
    `  ${name.padEnd(width)}  ${steps.toLocaleString("en").padStart(9)}\n`;
  return `${paths}Instructions that the verifier followed\n${programs.map(line).join("")}`;
}
