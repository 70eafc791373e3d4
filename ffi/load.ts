/** Opens the shim. Nothing is loaded at import time, so every room's tests run without it. */

import { checked } from "./errors.ts";
import { shimFile } from "./product.ts";
import { SHIM_VERSION, SYMBOLS, type Symbols } from "./symbols.ts";

/** The loaded shim. Everything else in ffi/ takes one. */
export interface Shim extends Disposable {
  readonly symbols: Symbols;
  /** Now, on the clock of events: ns since boot, suspended time included. */
  bootTimeNs(): bigint;
  /** Gives back what a start or a change of policies left: freed memory, and code that nothing runs any more. Milliseconds. */
  releaseMemory(): void;
  /** After this every use of what it opened fails. Idempotent. */
  close(): void;
}

/**
 * Loads the shim: the file at `path`, or the one that belongs to this build.
 *
 * @throws {Error} when it cannot be loaded, or is of another build
 */
export function openShim(path?: string): Shim {
  using file = path === undefined ? shimFile() : { path, [Symbol.dispose]: () => {} };
  const library = load(file.path);
  const { symbols } = library;
  const version = symbols.ankylo_version();
  if (version !== SHIM_VERSION) {
    library.close();
    throw new Error(
      `Load shim "${file.path}": version must be ${SHIM_VERSION}: current value is ${version}`,
    );
  }
  let open = true;
  const close = () => {
    if (open) library.close();
    open = false;
  };
  return {
    symbols,
    bootTimeNs: () => symbols.ankylo_boot_time(),
    releaseMemory: () => void checked(symbols.ankylo_release_memory(), "Release", "memory"),
    close,
    [Symbol.dispose]: close,
  };
}

function load(path: string): Deno.DynamicLibrary<typeof SYMBOLS> {
  try {
    return Deno.dlopen(path, SYMBOLS);
  } catch (cause) {
    throw new Error(`Load shim "${path}": cannot be opened as a shared library`, { cause });
  }
}

/** Text as C takes it. @throws {TypeError} when it holds a NUL */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`Pass "${text}" to the kernel: text holds a NUL`);
  return new TextEncoder().encode(`${text}\0`);
}

/** Text up to the first NUL, or all of it. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
