/** What the kernel refused, as errors. */

import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/** The kernel's own number for "operation not supported", which escapes from bpf(2); no libc names it. */
const ENOTSUPP = 524;

/** libbpf's own numbers, from 4000 on. @see enum libbpf_errno */
const LIBBPF_ERRNO_FIRST = 4000;
const LIBBPF_ERRNOS = [
  ...["LIBELF", "FORMAT", "KVERSION", "ENDIAN", "INTERNAL", "RELOC", "LOAD", "VERIFY"],
  ...["PROG2BIG", "KVER", "PROGTYPE", "WRNGPID", "INVSEQ", "NLPARSE"],
].map((name, i) => [LIBBPF_ERRNO_FIRST + i, `LIBBPF_${name}`] as const);

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([name, number]) => [number, name] as const),
  [ENOTSUPP, "ENOTSUPP"],
  ...LIBBPF_ERRNOS,
]);

/** A call of the shim failed. */
export class BpfError extends Error {
  override name = "BpfError";
  /** Positive. */
  readonly errno: number;
  /** The errno's symbol, "EPERM". */
  readonly code: string;

  /**
   * @param operation an imperative, "Load object"
   * @param object what it was done to: a name or a path
   * @param errno of either sign
   * @param detail what else is known, a phrase
   */
  constructor(
    readonly operation: string,
    readonly object: string,
    errno: number,
    detail = "",
  ) {
    const number = Math.abs(errno);
    const code = NAMES.get(number) ?? `errno ${number}`;
    const meaning = getSystemErrorMap().get(-number)?.[1];
    const end = [meaning, detail].filter((part) => part !== undefined && part !== "");
    super(`${operation} "${object}": ${[code, ...end].join(": ")}`);
    this.errno = number;
    this.code = code;
  }
}

/** The kernel's verifier refused a program. The message has the lines that say why. */
export class VerifierError extends BpfError {
  override name = "VerifierError";

  /** @param log everything that the verifier wrote */
  constructor(operation: string, object: string, errno: number, readonly log: string) {
    super(operation, object, errno, verdictOf(log));
  }
}

/** Passes a result of the shim on. @throws {BpfError} when it is negative */
export function checked(result: number, operation: string, object: string): number {
  if (result < 0) throw new BpfError(operation, object, result);
  return result;
}

/** The last instruction that the verifier looked at and what it said of it: all before is how it got there. */
function verdictOf(log: string): string {
  const lines = log.split("\n").map((line) => line.trim());
  const isReason = (line: string) =>
    line !== "" && !/^(processed|verification time|stack)/.test(line);
  const end = lines.findLastIndex(isReason);
  const instruction = lines.slice(0, end).findLast((line) => /^\d+: \([0-9a-f]{2}\)/.test(line));
  const source = lines.slice(0, end).findLast((line) => line.startsWith("; "));
  return [lines[end], instruction, source].filter((line) => line !== undefined).join(" at ");
}
