/** What an ELF file asks the dynamic loader for. @see elf(5) */

export interface ElfNeeds {
  /** The dynamic loader; undefined: linked statically, or a library. */
  readonly interpreter?: string;
  /** Names of libraries, in order. */
  readonly needed: readonly string[];
  /** Directories that the file names for them (DT_RPATH, DT_RUNPATH), as written. */
  readonly searched: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_RPATH = 15n;
const DT_RUNPATH = 29n;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly size: number;
}

/** Undefined for what is no ELF file of 64 bits, little endian: those alone run on the machines that are supported. */
export function readElfNeeds(bytes: Uint8Array<ArrayBuffer>): ElfNeeds | undefined {
  const isElf64 = [0x7f, 0x45, 0x4c, 0x46, 2, 1].every((byte, index) => bytes[index] === byte);
  if (!isElf64) return undefined;
  try {
    return readNeeds(bytes);
  } catch (error) {
    // An offset that lies outside: the kernel would not execute it either.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readNeeds(bytes: Uint8Array<ArrayBuffer>): ElfNeeds {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments = readSegments(view);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const entries = readDynamic(view, segments.find(({ type }) => type === PT_DYNAMIC));
  const address = entries.find(([tag]) => tag === DT_STRTAB)?.[1];
  const names = address === undefined ? undefined : offsetOf(address, segments);
  const texts = (...tags: readonly bigint[]) =>
    names === undefined ? [] : entries.filter(([tag]) => tags.includes(tag))
      .map(([, value]) => textAt(bytes, names + Number(value)));
  return {
    ...(interpreter !== undefined && { interpreter: textAt(bytes, interpreter.offset) }),
    needed: texts(DT_NEEDED),
    searched: texts(DT_RPATH, DT_RUNPATH).flatMap((path) => path.split(":")),
  };
}

function readSegments(view: DataView): Segment[] {
  const table = Number(view.getBigUint64(32, true));
  const [size, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: view.getBigUint64(at + 16, true),
      size: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

function readDynamic(view: DataView, segment: Segment | undefined): [tag: bigint, value: bigint][] {
  const entries: [bigint, bigint][] = [];
  const end = segment === undefined ? 0 : segment.offset + segment.size;
  for (let at = segment?.offset ?? 0; at < end; at += 16) {
    const tag = view.getBigUint64(at, true);
    if (tag === DT_NULL) break;
    entries.push([tag, view.getBigUint64(at + 8, true)]);
  }
  return entries;
}

/** Where in the file lies what is loaded to an address. */
function offsetOf(address: bigint, segments: readonly Segment[]): number | undefined {
  const segment = segments.find((segment) =>
    segment.type === PT_LOAD && address >= segment.address &&
    address < segment.address + BigInt(segment.size)
  );
  return segment && segment.offset + Number(address - segment.address);
}

/** Up to its NUL. */
function textAt(bytes: Uint8Array<ArrayBuffer>, offset: number): string {
  const end = bytes.indexOf(0, offset);
  if (end < 0) throw new RangeError("a text has no end");
  return new TextDecoder().decode(bytes.subarray(offset, end));
}
