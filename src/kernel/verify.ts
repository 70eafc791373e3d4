/** What the kernel's verifier has to do for each program: it refuses a program that makes it follow too many instructions. */

import type { BpfObject, Shim } from "../../ffi/bpf.ts";
import { DECIDING_HOOKS, isAmongHooks } from "./hooks.ts";
import { loadObject, newSettings, type ProgramObjects } from "./loading.ts";
import type { KernelFacts } from "./probe.ts";
import type { HookState } from "./records.ts";
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
  /** Hooks whose programs it refused: what they decide about is not enforced. */
  readonly refused: readonly HookState[];
}

/**
 * Loads the programs that the kernel has places for, has them read some paths, attaches nothing, and lets go of them again.
 * The busiest comes first.
 * @throws {BpfError} the kernel refuses one on which everything depends
 * @throws {SelfTestError} they read paths wrongly
 */
export function verifyPrograms(shim: Shim, objects: ProgramObjects, facts: KernelFacts): Verified {
  const settings = newSettings(shim, new Uint8Array(32));
  const { functions } = facts;
  const hooks = new Set(
    DECIDING_HOOKS.filter((hook) => isAmongHooks(hook, facts.hooks)).map(({ name }) => name),
  );
  using main = loadObject(shim, { object: objects.main, settings, hooks, functions });
  const scratch = Deno.makeTempDirSync({ prefix: "ankylo-self-test-" });
  testWalker(shim, main.elf, settings.keys, scratch);
  using onDemand = loadObject(shim, { object: objects.onDemand, settings, hooks, functions });
  const refused = [...main.refused, ...onDemand.refused];
  const loaded = new Set([...hooks].filter((name) => !refused.some((hook) => hook.name === name)));
  const programs = [main, onDemand].flatMap(({ elf }) =>
    elf.programs().filter((name) => hasPlace(name, loaded))
      .map((name) => ({ name, steps: stepsOf(elf, name) }))
  ).sort((a, b) => b.steps - a.steps);
  return { programs, refused };
}

function stepsOf(elf: BpfObject, name: string): number {
  using program = elf.program(name);
  return program.info().instructionsVerified;
}

function hasPlace(program: string, hooks: ReadonlySet<string>): boolean {
  const hook = program.replace(/^(?:hook|decide)_/, "");
  return hooks.has(hook) || !DECIDING_HOOKS.some(({ name }) => name === hook);
}

/** The programs as a table, behind those that were refused, with what that means. */
export function verifiedText({ programs, refused }: Verified): string {
  const head = `${refused.map(refusedText).join("")}Paths are read rightly.\n`;
  if (programs.every(({ steps }) => steps === 0)) {
    const all = refused.length === 0 ? "all " : "";
    return `${head}The verifier took ${all}${programs.length} programs; this kernel does not tell what that took.\n`;
  }
  const width = Math.max(...programs.map(({ name }) => name.length));
  const line = ({ name, steps }: VerifiedProgram) =>
    `  ${name.padEnd(width)}  ${steps.toLocaleString("en").padStart(9)}\n`;
  return `${head}Instructions that the verifier followed\n${programs.map(line).join("")}`;
}

function refusedText({ name, reason }: HookState): string {
  const { loss, groups } = DECIDING_HOOKS.find((hook) => hook.name === name)!;
  const concerned = groups.length === 0 ? "the agent's safety" : `${groups.join(" and ")} rules`;
  return `Not enforced: the kernel refuses the program of hook ${name}, so ${loss}: this concerns ${concerned} (${reason})\n`;
}
