/**
 * Bytes that user programs chose (file names, arguments) as text.
 *
 * Linux names are bytes, JSON is Unicode. Valid UTF-8 stays as it is. Each other byte becomes `\xHH`, as strace,
 * systemd and the shell's $'...' write it: U+FFFD, which Go's encoder would put there, makes two different files look
 * the same. A backslash that would read as such an escape is written `\x5c`, so different names never give equal text.
 */
import { Buffer } from "node:buffer";

const FATAL = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Holds the place of real escapes while literal ones are masked: a lone surrogate, which no UTF-8 decodes to. */
const MARK = "\uD800";
const LOOKS_ESCAPED = /\\(?=x[0-9a-f]{2})/g;

/** Text of `bytes[start, end)`. Never throws; injective. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  if (text.includes("\uFFFD")) return escapeInvalid(bytes.subarray(start, end));
  return text.includes("\\x") ? text.replace(LOOKS_ESCAPED, "\\x5c") : text;
}

/** Path of names that lie leaf first, each ended by a NUL; no name at all is the root. */
export function pathOf(bytes: Buffer, start: number, end: number): string {
  if (start >= end) return "/";
  if (end - start > REMEMBERED_BYTES_MAX) return readPath(bytes, start, end);
  let hash = FNV_START;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_FACTOR);
  const slot = (hash ^ hash >>> 16) & (REMEMBERED_PATHS - 1);
  const known = rememberedPaths[slot];
  if (known !== undefined && isEqual(known.names, bytes, start, end)) return known.path;
  const path = readPath(bytes, start, end);
  rememberedPaths[slot] = { names: Uint8Array.prototype.slice.call(bytes, start, end), path };
  return path;
}

/** The same few paths come over and over, and to compare one costs a fifth of reading it. A power of two. */
const REMEMBERED_PATHS = 1_024;
const REMEMBERED_BYTES_MAX = 256;
const rememberedPaths: ({ readonly names: Uint8Array; readonly path: string } | undefined)[] =
  new Array(REMEMBERED_PATHS).fill(undefined);

/** FNV-1a, 32 bits. */
const FNV_START = 0x811c9dc5;
const FNV_FACTOR = 0x01000193;

function isEqual(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}

function readPath(bytes: Buffer, start: number, end: number): string {
  return "/" + wordsOf(bytes, start, end).reverse().join("/");
}

/** NUL-ended words; the last may lack its NUL when the record was cut. */
export function wordsOf(bytes: Buffer, start: number, end: number): string[] {
  if (start >= end) return [];
  const stop = bytes[end - 1] === 0 ? end - 1 : end;
  // One conversion for all words: a call per word costs more than its bytes do. Escapes never cross a NUL.
  return textOf(bytes, start, stop).split("\0");
}

/** Text of a NUL-padded field. */
export function paddedText(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return textOf(buffer, 0, nul === -1 ? bytes.length : nul);
}

/** Slow path: only texts that hold a byte outside UTF-8, or U+FFFD itself, get here. */
function escapeInvalid(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes[at]!);
    const valid = length === 0 ? undefined : decodeFatal(bytes.subarray(at, at + length));
    text += valid ?? MARK + hex(bytes[at]!);
    at += valid === undefined ? 1 : length;
  }
  return text.replace(LOOKS_ESCAPED, "\\x5c").replaceAll(MARK, "\\x");
}

/** Bytes of a UTF-8 sequence by its first byte; 0: no sequence begins so. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

function decodeFatal(bytes: Uint8Array): string | undefined {
  try {
    return FATAL.decode(bytes);
  } catch {
    return undefined; // Not valid UTF-8: the caller writes the byte as an escape.
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
