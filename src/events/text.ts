/**
 * Bytes that user programs chose (file names, arguments) as text.
 *
 * Linux names are bytes, JSON is Unicode. Valid UTF-8 stays as it is. Each other byte becomes `\xHH`, as strace,
 * systemd and the shell's $'...' write it: U+FFFD, which Go's encoder would put there, makes two different files look
 * the same. A backslash that would read as such an escape is written `\x5c`, so different names never give equal text.
 */
import { Buffer } from "node:buffer";
import type { Memory } from "./batch.ts";
import { Remembered } from "./remembered.ts";

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
export function pathOf(memory: Memory, start: number, end: number): string {
  return start >= end ? "/" : paths.read(memory, start, end);
}

function readPath(bytes: Buffer, start: number, end: number): string {
  return "/" + readWords(bytes, start, end).reverse().join("/");
}

/** NUL-ended words; the last may lack its NUL when the record was cut. */
export function wordsOf(memory: Memory, start: number, end: number): readonly string[] {
  return start >= end ? NO_WORDS : words.read(memory, start, end);
}

const NO_WORDS: readonly string[] = [];

function readWords(bytes: Buffer, start: number, end: number): string[] {
  const stop = bytes[end - 1] === 0 ? end - 1 : end;
  // One conversion for all words: a call per word costs more than its bytes do. Escapes never cross a NUL.
  return textOf(bytes, start, stop).split("\0");
}

const paths = new Remembered(1_024, readPath);
const words = new Remembered<readonly string[]>(256, readWords);

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

/**
 * A name of DNS, of labels with their lengths, as zone files have it (RFC 1035, 5.1): `www.example.com`, `.` for the root.
 * Injective: what is no printable character is `\DDD`, a dot within a label `\.`.
 */
export function nameText(bytes: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 0; at < bytes.length && bytes[at] !== 0; at += 1 + bytes[at]!) {
    labels.push(Array.from(bytes.subarray(at + 1, at + 1 + bytes[at]!), labelByte).join(""));
  }
  return labels.join(".") || ".";
}

function labelByte(byte: number): string {
  const char = String.fromCharCode(byte);
  if (char === "." || char === "\\") return `\\${char}`;
  return byte > 0x20 && byte < 0x7f ? char : `\\${String(byte).padStart(3, "0")}`;
}
