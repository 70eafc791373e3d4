/** Maps. Keys and values are bytes in the kernel's layout, in buffers of exactly the map's sizes. */

import { ENOENT } from "../src/lib/errno.ts";
import { BpfError, checked } from "./errors.ts";
import { Descriptor } from "./handle.ts";
import { cString, type Shim, textOf } from "./load.ts";
import type { BpfProgram } from "./program.ts";

/** enum bpf_map_type, as far as it matters here. @see include/uapi/linux/bpf.h */
export const MAP_TYPE = {
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_PERCPU_HASH: 10,
  ARRAY_OF_MAPS: 12,
  RINGBUF: 27,
  TASK_STORAGE: 29,
} as const;

const PER_CPU: ReadonlySet<number> = new Set([
  MAP_TYPE.PERCPU_HASH,
  MAP_TYPE.PERCPU_ARRAY,
  MAP_TYPE.LRU_PERCPU_HASH,
]);

/** The number of entries of an inner map may differ from its template's. */
const BPF_F_INNER_MAP = 1 << 12;

/** What a write demands of the key. */
export const UPDATE = { ANY: 0, NO_EXIST: 1, EXIST: 2 } as const;

export interface MapInfo {
  readonly id: number;
  /** The first 15 bytes of the name. */
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  /** Bytes of one value; a per-CPU map has one for each possible CPU, each padded to 8 bytes. */
  readonly valueSize: number;
  readonly entriesMax: number;
  readonly flags: number;
}

export interface MapOptions {
  readonly type: number;
  /** At most 15 bytes. */
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly flags?: number;
  /** The template of a map of maps. */
  readonly inner?: BpfMap;
}

type Bytes = Uint8Array<ArrayBuffer>;

export class BpfMap extends Descriptor {
  readonly info: MapInfo;
  /** Bytes that `lookup` gives and `update` takes. */
  readonly valueBytes: number;

  private constructor(shim: Shim, fd: number, name?: string) {
    const info = readInfo(shim, fd);
    super(shim, fd, `map "${name ?? info.name}"`);
    this.info = info;
    this.valueBytes = PER_CPU.has(info.type)
      ? Math.ceil(info.valueSize / 8) * 8 * shim.symbols.ankylo_cpus_possible()
      : info.valueSize;
  }

  /** Takes over a descriptor. */
  static adopt(shim: Shim, fd: number, name?: string): BpfMap {
    try {
      return new BpfMap(shim, fd, name);
    } catch (error) {
      shim.symbols.ankylo_close(fd);
      throw error;
    }
  }

  /** @throws {BpfError} as bpf(2): ENOMEM, E2BIG, EPERM */
  static create(shim: Shim, options: MapOptions): BpfMap {
    const { type, name, keySize, valueSize, entries, flags = 0, inner } = options;
    const innerFd = inner?.fd("Create map of maps") ?? -1;
    const numbers = [keySize, valueSize, entries, flags, innerFd] as const;
    const fd = shim.symbols.ankylo_map_create(type, cString(name), ...numbers);
    return BpfMap.adopt(shim, checked(fd, "Create map", name), name);
  }

  /** An array to be put into an array of maps, whose template may have another number of entries. */
  static createInner(shim: Shim, name: string, valueSize: number, entries: number): BpfMap {
    const type = MAP_TYPE.ARRAY;
    const options = { type, name, keySize: 4, valueSize, entries, flags: BPF_F_INNER_MAP };
    return BpfMap.create(shim, options);
  }

  /** @throws {BpfError} ENOENT: no such pin; EPERM */
  static fromPin(shim: Shim, path: string): BpfMap {
    const fd = checked(shim.symbols.ankylo_open_pin(cString(path)), "Open pin", path);
    return BpfMap.adopt(shim, fd, path.slice(path.lastIndexOf("/") + 1));
  }

  /** The map with this id, or undefined when it is gone. */
  static fromId(shim: Shim, id: number): BpfMap | undefined {
    const fd = shim.symbols.ankylo_map_by_id(id);
    if (fd === -ENOENT) return undefined;
    return BpfMap.adopt(shim, checked(fd, "Open map with id", `${id}`));
  }

  /** @throws {BpfError} EEXIST: there is a pin of that name */
  pin(path: string): void {
    const fd = this.fd("Pin");
    checked(this.shim.symbols.ankylo_pin(fd, cString(path)), `Pin ${this.what} at`, path);
  }

  /** A copy of the key's value, or undefined when the map has no such key. */
  lookup(key: Bytes): Bytes | undefined {
    const operation = "Look up";
    const fd = this.fd(operation);
    this.#requireKey(operation, key);
    const value = new Uint8Array(this.valueBytes);
    const result = this.shim.symbols.ankylo_map_lookup(fd, key, value);
    if (result === -ENOENT) return undefined;
    this.#checked(result, operation);
    return value;
  }

  /**
   * Writes one entry. A value of a map of maps, or of programs, is a descriptor: see `setMap`, `setProgram`.
   *
   * @throws {BpfError} E2BIG: the map is full, or has no such index; EPERM: it is frozen
   */
  update(key: Bytes, value: Bytes, mode: number = UPDATE.ANY): void {
    const operation = "Update";
    const fd = this.fd(operation);
    this.#requireKey(operation, key);
    this.#requireSize(operation, "value", value, this.valueBytes);
    this.#checked(this.shim.symbols.ankylo_map_update(fd, key, value, mode), operation);
  }

  /** Writes many entries: keys one behind the other, and values alike. Not atomic. @throws {BpfError} as `update` */
  updateBatch(keys: Bytes, values: Bytes): void {
    const operation = "Update";
    const fd = this.fd(operation);
    const { keySize } = this.info;
    const count = Math.floor(keys.length / keySize);
    this.#requireSize(operation, "keys", keys, count * keySize);
    this.#requireSize(operation, "values", values, count * this.valueBytes);
    for (let done = 0; done < count;) {
      const restKeys = keys.subarray(done * keySize);
      const restValues = values.subarray(done * this.valueBytes);
      const { symbols } = this.shim;
      const result = symbols.ankylo_map_update_batch(fd, restKeys, restValues, count - done);
      done += this.#checked(result, operation);
    }
  }

  /** All values of an array, one behind the other, in one call of the kernel. Not atomic. */
  readArray(): Bytes {
    const operation = "Read";
    const fd = this.fd(operation);
    const { keySize, entriesMax } = this.info;
    const keys = new Uint8Array(entriesMax * keySize);
    const values = new Uint8Array(entriesMax * this.valueBytes);
    const read = this.shim.symbols.ankylo_map_read(fd, keys, values, entriesMax);
    this.#checked(read, operation);
    return values.subarray(0, read * this.valueBytes);
  }

  /** Removes an entry. Returns whether there was one. */
  delete(key: Bytes): boolean {
    const operation = "Delete from";
    const fd = this.fd(operation);
    this.#requireKey(operation, key);
    const result = this.shim.symbols.ankylo_map_delete(fd, key);
    if (result === -ENOENT) return false;
    this.#checked(result, operation);
    return true;
  }

  /** Every key. Those that come or go meanwhile may be missed, and a hash may begin anew. */
  *keys(): Generator<Bytes> {
    const operation = "List keys of";
    let key = new Uint8Array(this.info.keySize);
    for (let first = 1;; first = 0) {
      const next = new Uint8Array(this.info.keySize);
      const fd = this.fd(operation);
      const result = this.shim.symbols.ankylo_map_next_key(fd, first, key, next);
      if (result === -ENOENT) return;
      this.#checked(result, operation);
      yield next.slice();
      key = next;
    }
  }

  /** No more writes from user space, for ever. Programs still write unless the map is BPF_F_RDONLY_PROG. */
  freeze(): void {
    this.#checked(this.shim.symbols.ankylo_map_freeze(this.fd("Freeze")), "Freeze");
  }

  /** Puts a map into a slot of an array of maps. The kernel keeps it alive. */
  setMap(index: number, map: BpfMap): void {
    this.update(u32Bytes(index), u32Bytes(map.fd("Put into a map of maps")));
  }

  /** The map in a slot of an array of maps, or undefined when it is empty. */
  innerMap(index: number): BpfMap | undefined {
    const id = this.lookup(u32Bytes(index));
    return id === undefined
      ? undefined
      : BpfMap.fromId(this.shim, new DataView(id.buffer).getUint32(0, true));
  }

  /** Puts a program into a slot of a program array: tail calls then run it. */
  setProgram(index: number, program: BpfProgram): void {
    this.update(u32Bytes(index), u32Bytes(program.fd("Put into a program array")));
  }

  #checked(result: number, operation: string): number {
    if (result < 0) throw new BpfError(operation, this.what, result);
    return result;
  }

  #requireKey(operation: string, key: Bytes): void {
    this.#requireSize(operation, "key", key, this.info.keySize);
  }

  /** The kernel reads and writes as many bytes as the map says, whatever the buffer holds. */
  #requireSize(operation: string, name: string, bytes: Bytes, size: number): void {
    if (bytes.length === size) return;
    throw new RangeError(
      `${operation} ${this.what}: ${name} must have ${size} bytes: current value is ${bytes.length}`,
    );
  }
}

/** A key or value of 4 bytes. */
export function u32Bytes(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function readInfo(shim: Shim, fd: number): MapInfo {
  const numbers = new BigUint64Array(6);
  const name = new Uint8Array(16);
  checked(shim.symbols.ankylo_map_info(fd, numbers, name), "Read about map", `fd ${fd}`);
  const [id, type, keySize, valueSize, entriesMax, flags] = Array.from(numbers, Number);
  return {
    ...{ id: id!, name: textOf(name), type: type!, keySize: keySize!, valueSize: valueSize! },
    ...{ entriesMax: entriesMax!, flags: flags! },
  };
}
