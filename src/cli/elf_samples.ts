/** Small ELF files for tests: all that a loader is told, and no code. */

const PHDR = 56;
const EHDR = 64;
/** Where the data segment is loaded. */
const ADDRESS = 0x40_0000n;

export interface ElfParts {
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly runpath?: string;
}

/** @see elf(5) */
export function elfFile({ interpreter, needed = [], runpath }: ElfParts): Uint8Array<ArrayBuffer> {
  const names = ["", ...needed, ...(runpath === undefined ? [] : [runpath])];
  const strings = new TextEncoder().encode(names.map((name) => `${name}\0`).join(""));
  const offsets = names.map((_, index) =>
    new TextEncoder().encode(names.slice(0, index).map((name) => `${name}\0`).join("")).length
  );
  const loader = new TextEncoder().encode(interpreter === undefined ? "" : `${interpreter}\0`);
  const [stringsAt, loaderAt] = [EHDR + 3 * PHDR, EHDR + 3 * PHDR + strings.length];
  const dynamicAt = Math.ceil((loaderAt + loader.length) / 8) * 8;
  const dynamic: [number, bigint][] = [
    ...needed.map((_, index): [number, bigint] => [1, BigInt(offsets[index + 1]!)]),
    ...(runpath === undefined ? [] : [[29, BigInt(offsets.at(-1)!)] as [number, bigint]]),
    [5, ADDRESS],
    [0, 0n],
  ];
  const bytes = new Uint8Array(dynamicAt + dynamic.length * 16);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setBigUint64(32, BigInt(EHDR), true);
  view.setUint16(54, PHDR, true);
  view.setUint16(56, 3, true);
  const segment = (index: number, type: number, at: number, size: number) => {
    const place = EHDR + index * PHDR;
    view.setUint32(place, type, true);
    view.setBigUint64(place + 8, BigInt(at), true);
    view.setBigUint64(place + 16, ADDRESS, true);
    view.setBigUint64(place + 32, BigInt(size), true);
  };
  segment(0, 1, stringsAt, strings.length);
  segment(1, 2, dynamicAt, dynamic.length * 16);
  // Without an interpreter a segment of no interest.
  segment(2, interpreter === undefined ? 4 : 3, loaderAt, loader.length);
  bytes.set(strings, stringsAt);
  bytes.set(loader, loaderAt);
  dynamic.forEach(([tag, value], index) => {
    view.setBigUint64(dynamicAt + index * 16, BigInt(tag), true);
    view.setBigUint64(dynamicAt + index * 16 + 8, value, true);
  });
  return bytes;
}
