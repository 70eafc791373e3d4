import { openShim } from "../../ffi/bpf.ts";
import { readFacts } from "../kernel/facts.ts";
import { probe, probeText } from "../kernel/probe.ts";
import { EXIT_OK, EXIT_UNSUPPORTED } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";

/** `ankylo probe`: says what this kernel can do and lacks. */
export function runProbe(options: { json: boolean }, io: CommandIo): number {
  using shim = openShim();
  const report = probe(readFacts(shim));
  io.out(options.json ? `${JSON.stringify(report, null, 2)}\n` : probeText(report));
  return report.canEnforce ? EXIT_OK : EXIT_UNSUPPORTED;
}
