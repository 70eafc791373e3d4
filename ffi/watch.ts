/** What changes in directories, told by the kernel: inotify(7). */

import { EINVAL } from "../src/lib/errno.ts";
import { BpfError, checked } from "./errors.ts";
import { Descriptor } from "./handle.ts";
import { cString, type Shim } from "./load.ts";

/** @see include/uapi/linux/inotify.h */
const IN = {
  modify: 0x2,
  attrib: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
  isDir: 0x4000_0000,
};

/** What is asked for. Reading a directory or its files is none of it: the agent would wake itself. */
const MASK = IN.modify | IN.attrib | IN.closeWrite | IN.movedFrom | IN.movedTo | IN.create |
  IN.delete | IN.deleteSelf | IN.moveSelf;

/** What says that a watch does not tell everything any more. */
const LOSSES = IN.deleteSelf | IN.moveSelf | IN.unmount | IN.overflow | IN.ignored;

/** Some hundred events. */
const EVENTS_BYTES = 8 << 10;
const HEADER_BYTES = 16;

/** One change. */
export interface DirectoryEvent {
  /** As it was given to `watch`; undefined: any of them. */
  readonly directory: string | undefined;
  /** Of what changed in it; empty: the directory itself. */
  readonly name: string;
  /**
   * `writing`: a file is there anew or was written to, and may be still; `written`: nobody writes to it any more, it came to
   * its name or went from it; `other`: permissions, or a directory; `lost`: the directory itself went, or changes were not
   * told: look what there is, and watch it.
   */
  readonly kind: "writing" | "written" | "other" | "lost";
}

/** Watches directories, without what is below them. */
export class DirectoryWatch extends Descriptor
  implements AsyncIterable<DirectoryEvent[]>, AsyncDisposable {
  /** The kernel's number of each → as it was given. */
  #directories = new Map<number, string>();
  #reading: Promise<number> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws {BpfError} EMFILE: fs.inotify.max_user_instances */
  static open(shim: Shim): DirectoryWatch {
    return new DirectoryWatch(shim, checked(shim.symbols.ankylo_watch_open(), "Open", "inotify"));
  }

  private constructor(shim: Shim, fd: number) {
    super(shim, fd, "watch of directories");
  }

  /**
   * Watches what has these paths now, in this order, and nothing else any more.
   * @throws {BpfError} ENOENT, ENOTDIR; ENOSPC: fs.inotify.max_user_watches. What was watched goes on
   */
  watch(directories: readonly string[]): void {
    const operation = "Watch";
    const fd = this.fd(operation);
    const next = new Map<number, string>();
    try {
      for (const directory of directories) {
        const id = this.shim.symbols.ankylo_watch_add(fd, cString(directory), MASK);
        next.set(checked(id, operation, directory), directory);
      }
    } catch (error) {
      this.#remove([...next.keys()].filter((id) => !this.#directories.has(id)));
      throw error;
    }
    const former = [...this.#directories.keys()].filter((id) => !next.has(id));
    this.#directories = next;
    this.#remove(former);
  }

  /** Events in their order, those of one read together; ends when this is closed. One loop at a time, begun after `watch`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DirectoryEvent[]> {
    const { symbols } = this.shim;
    const buffer = new Uint8Array(EVENTS_BYTES);
    while (this.#closing === undefined) {
      this.#reading = symbols.ankylo_watch_read(this.fd("Read"), buffer, buffer.length);
      const length = await this.#reading;
      this.#reading = undefined;
      if (this.#closing !== undefined) return;
      checked(length, "Read", this.what);
      yield this.#eventsIn(new DataView(buffer.buffer, 0, length));
    }
  }

  /** Ends the iteration, and waits for its read. Idempotent. */
  override close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    // The end of a watch is an event, so the read returns: of the root's, where no directory is left.
    const root = this.shim.symbols.ankylo_watch_add(this.fd("Close"), cString("/"), MASK);
    this.#remove([...this.#directories.keys(), ...root < 0 ? [] : [root]]);
    await this.#reading;
    super.close();
  }

  /** A watch may have ended already, with its directory. */
  #remove(ids: readonly number[]): void {
    for (const id of ids) {
      const result = this.shim.symbols.ankylo_watch_remove(this.fd("Unwatch"), id);
      if (result < 0 && result !== -EINVAL) throw new BpfError("Unwatch", this.what, result);
    }
  }

  #eventsIn(bytes: DataView<ArrayBuffer>): DirectoryEvent[] {
    const events: DirectoryEvent[] = [];
    for (let at = 0; at < bytes.byteLength;) {
      const length = bytes.getUint32(at + 12, true);
      const [id, mask] = [bytes.getInt32(at, true), bytes.getUint32(at + 4, true)];
      const name = nameIn(new Uint8Array(bytes.buffer, at + HEADER_BYTES, length));
      at += HEADER_BYTES + length;
      const directory = this.#directories.get(id);
      // What is watched no more may still be told of, its end among it.
      if (directory === undefined && (mask & IN.overflow) === 0) continue;
      events.push({ directory, name, kind: kindOf(mask) });
    }
    return events;
  }
}

const decoder = new TextDecoder();

function nameIn(padded: Uint8Array<ArrayBuffer>): string {
  const end = padded.indexOf(0);
  return decoder.decode(end < 0 ? padded : padded.subarray(0, end));
}

function kindOf(mask: number): DirectoryEvent["kind"] {
  if ((mask & LOSSES) !== 0) return "lost";
  if ((mask & IN.isDir) !== 0) return "other";
  if ((mask & (IN.create | IN.modify)) !== 0) return "writing";
  return (mask & IN.attrib) !== 0 ? "other" : "written";
}
