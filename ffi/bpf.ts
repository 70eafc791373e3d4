/** Objects: open, set up, load. What comes out of one (maps, programs, links) outlives it. */

import { EINVAL, ENOENT } from "../src/lib/errno.ts";
import { BpfError, checked, VerifierError } from "./errors.ts";
import { Handle } from "./handle.ts";
import { cString, type Shim, textOf } from "./load.ts";
import { BpfMap } from "./map.ts";
import { BpfProgram } from "./program.ts";

export { BpfError, VerifierError } from "./errors.ts";
export { type LeakReporter, setLeakReporter } from "./handle.ts";
export { openShim, type Shim } from "./load.ts";
export { BpfMap, MAP_TYPE, type MapInfo, type MapOptions, u32Bytes, UPDATE } from "./map.ts";
export { BpfLink, BpfProgram, type LinkInfo, type ProgramInfo, RunStats } from "./program.ts";

/** What the shim keeps of a verifier's log. */
const VERIFIER_LOG_BYTES_MAX = 16 << 20;
const MESSAGES_BYTES_MAX = 16 << 10;
/** Longer than any name of a program or map. */
const NAME_BYTES_MAX = 256;

export class BpfObject extends Handle {
  private constructor(shim: Shim, handle: number, readonly name: string) {
    super(shim, handle, `object "${name}"`);
  }

  /**
   * Parses an object file; the kernel sees nothing yet.
   *
   * @param name for messages, and the first part of the name of the .rodata map
   * @throws {BpfError} with what libbpf said of it
   */
  static open(shim: Shim, elf: Uint8Array, name: string): BpfObject {
    // A view of a shared buffer could not be passed; a product's bytes never are one.
    const bytes = elf as Uint8Array<ArrayBuffer>;
    const handle = shim.symbols.ankylo_object_open(bytes, bytes.length, cString(name));
    if (handle < 0) throw new BpfError("Open object", name, handle, messages(shim));
    return new BpfObject(shim, handle, name);
  }

  /**
   * Sets a `const volatile` variable, before load.
   *
   * @param value exactly as many bytes as the variable has
   * @throws {BpfError} ENOENT: no such variable; EINVAL: another size; EBUSY: loaded already
   */
  setRodata(variable: string, value: Uint8Array<ArrayBuffer>): void {
    const operation = "Set variable";
    const handle = this.number(operation);
    const { symbols } = this.shim;
    const name = cString(variable);
    const result = symbols.ankylo_object_set_rodata(handle, name, value, value.length);
    if (result === -EINVAL) {
      throw new BpfError(operation, variable, result, `its size is not ${value.length} bytes`);
    }
    checked(result, operation, variable);
  }

  /** Whether `load` loads the program. By default it does, unless its section begins with "?". */
  setAutoload(program: string, on: boolean): void {
    const operation = "Set autoload of program";
    const handle = this.number(operation);
    const name = cString(program);
    checked(
      this.shim.symbols.ankylo_object_set_autoload(handle, name, on ? 1 : 0),
      operation,
      program,
    );
  }

  /** Sets the size of a map, before load; of a ring it is bytes, a power of 2. */
  setEntriesMax(map: string, entries: number): void {
    const operation = "Set size of map";
    const handle = this.number(operation);
    const result = this.shim.symbols.ankylo_object_set_max_entries(handle, cString(map), entries);
    checked(result, operation, map);
  }

  /** Has the programs use a map that exists already, before load. @throws {BpfError} EINVAL: of another type or layout */
  reuseMap(name: string, map: BpfMap): void {
    const operation = "Reuse map";
    const handle = this.number(operation);
    const fd = map.fd(operation);
    checked(this.shim.symbols.ankylo_object_reuse_map(handle, cString(name), fd), operation, name);
  }

  /**
   * Creates the maps and has the kernel verify and translate the programs.
   *
   * @throws {VerifierError} when it refuses a program
   * @throws {BpfError} for anything else, with what libbpf said: EPERM, ENOMEM, ESRCH for a missing kernel type
   */
  load(): void {
    const operation = "Load object";
    const handle = this.number(operation);
    const result = this.shim.symbols.ankylo_object_load(handle);
    if (result >= 0) return;
    const log = this.#verifierLog(handle);
    if (log !== "") throw new VerifierError(operation, this.name, result, log);
    throw new BpfError(operation, this.name, result, messages(this.shim));
  }

  /** Names, in the order of the file. */
  programs(): string[] {
    const handle = this.number("List programs");
    const { symbols } = this.shim;
    return this.#names((...to) => symbols.ankylo_object_program_name(handle, ...to));
  }

  /** Names, the internal ones (".rodata") too. */
  maps(): string[] {
    const handle = this.number("List maps");
    const { symbols } = this.shim;
    return this.#names((...to) => symbols.ankylo_object_map_name(handle, ...to));
  }

  /** A loaded program, to be closed by the caller. @throws {BpfError} ENOENT: no such program, or it was not loaded */
  program(name: string): BpfProgram {
    const operation = "Get program";
    const handle = this.number(operation);
    const { symbols } = this.shim;
    const fd = checked(symbols.ankylo_object_program(handle, cString(name)), operation, name);
    const attachType = symbols.ankylo_object_attach_type(handle, cString(name));
    return BpfProgram.adopt(this.shim, fd, name, attachType);
  }

  /** A map, to be closed by the caller. @throws {BpfError} ENOENT: no such map, or it was not created */
  map(name: string): BpfMap {
    const operation = "Get map";
    const handle = this.number(operation);
    const fd = this.shim.symbols.ankylo_object_map(handle, cString(name));
    return BpfMap.adopt(this.shim, checked(fd, operation, name), name);
  }

  protected override release(handle: number): void {
    checked(this.shim.symbols.ankylo_object_close(handle), "Close object", this.name);
  }

  #verifierLog(handle: number): string {
    const bytes = new Uint8Array(VERIFIER_LOG_BYTES_MAX);
    const { symbols } = this.shim;
    const length = symbols.ankylo_object_verifier_log(handle, bytes, bytes.length);
    return textOf(bytes.subarray(0, checked(length, "Read verifier log of", this.name)));
  }

  #names(read: (index: number, bytes: Uint8Array<ArrayBuffer>, size: number) => number): string[] {
    const names: string[] = [];
    const bytes = new Uint8Array(NAME_BYTES_MAX);
    for (;;) {
      const length = read(names.length, bytes, bytes.length);
      if (length === -ENOENT) return names;
      checked(length, "List names of", this.name);
      names.push(textOf(bytes.subarray(0, length)));
    }
  }
}

/** What libbpf said since the last open or load, as one line. */
function messages(shim: Shim): string {
  const bytes = new Uint8Array(MESSAGES_BYTES_MAX);
  const length = shim.symbols.ankylo_messages(bytes, bytes.length);
  const text = textOf(bytes.subarray(0, length));
  return text.trim().split("\n").join("; ");
}
