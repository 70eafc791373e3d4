import { openShim, type Shim } from "../../ffi/bpf.ts";
import { programBytes, type ProgramsName } from "../../ffi/product.ts";
import { readFacts } from "../kernel/facts.ts";
import { type KernelFacts, probe, probeText, programsFor } from "../kernel/probe.ts";
import { verifiedText, verifyPrograms } from "../kernel/verify.ts";
import { EXIT_OK, EXIT_UNSUPPORTED } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";

/**
 * `ankylo probe`: says what this kernel can do and lacks. With `verify` the kernel also loads the programs, for a moment;
 * nothing is attached, and where it refuses some the status says so.
 * @throws {BpfError} it refuses one on which everything depends
 * @throws {SelfTestError} they read paths wrongly
 */
export async function runProbe(
  options: { json: boolean; verify: boolean },
  io: CommandIo,
): Promise<number> {
  using shim = openShim();
  const facts = readFacts(shim);
  const report = probe(facts);
  const name = options.verify && report.canEnforce ? programsFor(facts) : undefined;
  const verified = name === undefined ? undefined : await verify(shim, name, facts);
  const isWhole = (verified?.refused ?? []).length === 0;
  const verifiedLines = verified === undefined ? "" : verifiedText(verified);
  if (options.json) io.out(`${JSON.stringify({ ...report, ...verified }, null, 2)}\n`);
  else io.out(probeText(report, isWhole) + verifiedLines);
  return report.canEnforce && isWhole ? EXIT_OK : EXIT_UNSUPPORTED;
}

async function verify(shim: Shim, name: ProgramsName, facts: KernelFacts) {
  return verifyPrograms(shim, await programBytes(name), facts);
}
