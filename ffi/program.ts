/** Programs and links. */

import { ENOENT } from "../src/lib/errno.ts";
import { BpfError, checked } from "./errors.ts";
import { Descriptor } from "./handle.ts";
import { cString, type Shim, textOf } from "./load.ts";
import type { BpfMap } from "./map.ts";

export interface ProgramInfo {
  readonly id: number;
  /** The first 15 bytes of the name. */
  readonly name: string;
  /** enum bpf_prog_type. */
  readonly type: number;
  /** The kernel's hash of the instructions, as hex digits. */
  readonly tag: string;
  /** Runs and ns while statistics were on: see `enableStats`. */
  readonly runs: bigint;
  readonly runTimeNs: bigint;
  /** How often it was left out because it ran on this CPU already. */
  readonly recursionMisses: bigint;
  readonly instructionsVerified: number;
}

export class BpfProgram extends Descriptor {
  readonly #attachType: number | undefined;

  private constructor(shim: Shim, fd: number, readonly name: string, attachType?: number) {
    super(shim, fd, `program "${name}"`);
    this.#attachType = attachType;
  }

  /** Takes over a descriptor. Without `attachType` (enum bpf_attach_type) it cannot be attached. */
  static adopt(shim: Shim, fd: number, name: string, attachType?: number): BpfProgram {
    return new BpfProgram(shim, fd, name, attachType);
  }

  /** A program that was pinned: it can be run, iterated and put into an array, not attached. */
  static fromPin(shim: Shim, path: string): BpfProgram {
    const fd = checked(shim.symbols.ankylo_open_pin(cString(path)), "Open pin", path);
    return new BpfProgram(shim, fd, path.slice(path.lastIndexOf("/") + 1));
  }

  /**
   * Attaches the program to the hook that its section names: lsm/, tp_btf/, fentry/, fexit/; one of cgroup_skb/ to that of
   * `cgroup`, a cgroup2 directory, and of all below it.
   *
   * It stays attached as long as the link is open or pinned, whatever becomes of this.
   * @throws {BpfError} EBUSY, EOPNOTSUPP: the kernel has no such hook, or no trampolines
   */
  attach(cgroup?: Descriptor): BpfLink {
    const operation = "Attach";
    const fd = this.fd(operation);
    if (this.#attachType === undefined) {
      throw new TypeError(`${operation} ${this.what}: a program that was opened from a pin`);
    }
    const link = this.shim.symbols.ankylo_link_create(
      fd,
      cgroup?.fd(operation) ?? 0,
      this.#attachType,
    );
    if (link < 0) throw new BpfError(operation, this.what, link);
    return BpfLink.adopt(this.shim, link, this.name);
  }

  /** @throws {BpfError} EEXIST: there is a pin of that name */
  pin(path: string): void {
    const fd = this.fd("Pin");
    checked(this.shim.symbols.ankylo_pin(fd, cString(path)), `Pin ${this.what} at`, path);
  }

  /**
   * Runs an iterator (iter/task, or iter/bpf_map_elem over `map`) over everything there is, now. Returns the bytes that it
   * printed.
   */
  runIterator(map?: BpfMap): number {
    const operation = "Run iterator";
    const mapFd = map?.fd(operation) ?? -1;
    const result = this.shim.symbols.ankylo_program_iterate(this.fd(operation), mapFd);
    if (result < 0) throw new BpfError(operation, this.what, result);
    return result;
  }

  /** Runs a program of section "syscall"; it may change `context`. Returns its result. */
  run(context: Uint8Array<ArrayBuffer>): number {
    const operation = "Run";
    const result = new Uint32Array(1);
    const fd = this.fd(operation);
    const error = this.shim.symbols.ankylo_program_run(fd, context, context.length, result);
    if (error < 0) throw new BpfError(operation, this.what, error);
    return result[0]!;
  }

  info(): ProgramInfo {
    const operation = "Read about";
    const numbers = new BigUint64Array(6);
    const [tag, name] = [new Uint8Array(8), new Uint8Array(16)];
    const fd = this.fd(operation);
    const error = this.shim.symbols.ankylo_program_info(fd, numbers, tag, name);
    if (error < 0) throw new BpfError(operation, this.what, error);
    return {
      ...{ id: Number(numbers[0]), type: Number(numbers[1]), name: textOf(name), tag: tag.toHex() },
      ...{ runs: numbers[2]!, runTimeNs: numbers[3]!, recursionMisses: numbers[4]! },
      instructionsVerified: Number(numbers[5]),
    };
  }
}

export interface LinkInfo {
  readonly id: number;
  /** enum bpf_link_type. */
  readonly type: number;
  readonly programId: number;
}

/**
 * How often the kernel left the program of a pinned link out, because it was running on that CPU already: it neither decided
 * nor told about what it was called for.
 */
export function missesOfLink(shim: Shim, path: string): bigint {
  using link = BpfLink.fromPin(shim, path);
  const id = link.info().programId;
  const fd = checked(shim.symbols.ankylo_program_by_id(id), "Open program of", link.name);
  using program = BpfProgram.adopt(shim, fd, link.name);
  return program.info().recursionMisses;
}

/** Whether the kernel still has a program: something open, pinned or attached holds it. */
export function programExists(shim: Shim, id: number): boolean {
  const fd = shim.symbols.ankylo_program_by_id(id);
  if (fd === -ENOENT) return false;
  checked(shim.symbols.ankylo_close(checked(fd, "Open program", String(id))), "Close", "program");
  return true;
}

/** A program's place at a hook. It is left when the last descriptor is closed and the last pin removed. */
export class BpfLink extends Descriptor {
  private constructor(shim: Shim, fd: number, readonly name: string) {
    super(shim, fd, `link "${name}"`);
  }

  /** Takes over a descriptor. */
  static adopt(shim: Shim, fd: number, name: string): BpfLink {
    return new BpfLink(shim, fd, name);
  }

  /** @throws {BpfError} ENOENT: no such pin */
  static fromPin(shim: Shim, path: string): BpfLink {
    const fd = checked(shim.symbols.ankylo_open_pin(cString(path)), "Open pin", path);
    return new BpfLink(shim, fd, path.slice(path.lastIndexOf("/") + 1));
  }

  /** @throws {BpfError} EEXIST: there is a pin of that name */
  pin(path: string): void {
    const fd = this.fd("Pin");
    checked(this.shim.symbols.ankylo_pin(fd, cString(path)), `Pin ${this.what} at`, path);
  }

  info(): LinkInfo {
    const operation = "Read about";
    const numbers = new BigUint64Array(3);
    const error = this.shim.symbols.ankylo_link_info(this.fd(operation), numbers);
    if (error < 0) throw new BpfError(operation, this.what, error);
    const [id, type, programId] = Array.from(numbers, Number);
    return { id: id!, type: type!, programId: programId! };
  }
}

/** Has the kernel count the runs and time of all programs until this is closed; each run then reads the clock twice. */
export class RunStats extends Descriptor {
  /** @throws {BpfError} EPERM */
  static enable(shim: Shim): RunStats {
    const fd = checked(shim.symbols.ankylo_stats_enable(), "Enable", "run statistics");
    return new RunStats(shim, fd, "run statistics");
  }

  private constructor(shim: Shim, fd: number, what: string) {
    super(shim, fd, what);
  }
}
