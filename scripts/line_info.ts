/** Takes out of compiled programs what only a reader of the verifier's log has a use for: which line each instruction is from. */

/** Bytes of `struct btf_ext_header` as far as it is read: up to the end of core_relo_len. */
const HEADER_BYTES = 32;
const BTF_MAGIC = 0xeb9f;

/** Where the header has offset and length, both u32, of each part; offsets count from the header's end. */
const FIELDS = { functions: 8, lines: 16, relocations: 24 } as const;

/**
 * A .BTF.ext section without its line information: with its relocations two fifths of the object, which each start unpacks.
 * @throws {TypeError} it is no section of BTF with relocations, in the byte order of this machine
 * @see Linux, Documentation/bpf/btf.rst, "4.2 .BTF.ext section"
 */
export function withoutLines(section: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(section.buffer, section.byteOffset, section.length);
  const headerBytes = view.getUint32(4, true);
  if (view.getUint16(0, true) !== BTF_MAGIC || headerBytes < HEADER_BYTES) {
    throw new TypeError("Read .BTF.ext: must begin with BTF's magic and a header of 32 bytes");
  }
  const part = (field: number) => {
    const start = headerBytes + view.getUint32(field, true);
    return section.subarray(start, start + view.getUint32(field + 4, true));
  };
  const [functions, relocations] = [part(FIELDS.functions), part(FIELDS.relocations)];
  const kept = new Uint8Array(headerBytes + functions.length + relocations.length);
  kept.set(section.subarray(0, headerBytes));
  kept.set(functions, headerBytes);
  kept.set(relocations, headerBytes + functions.length);
  const header = new DataView(kept.buffer);
  const describe = (field: number, offset: number, length: number) => {
    header.setUint32(field, offset, true);
    header.setUint32(field + 4, length, true);
  };
  describe(FIELDS.functions, 0, functions.length);
  describe(FIELDS.lines, functions.length, 0);
  describe(FIELDS.relocations, functions.length, relocations.length);
  return kept;
}
