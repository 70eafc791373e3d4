/**
 * The files that the agent carries: kernel programs and the shim.
 *
 * The executable has them inside and says so before anything else runs (scripts/build_binary.ts); run from the sources,
 * the agent takes what `deno task build` left under `.output/`.
 */

import { dirname } from "node:path";

/** The kernel programs are built twice: from what 5.17 and later have, and from what 5.10 has. */
export type ProgramsName = "5.17" | "5.10";

/** One build of them: what is always loaded, and what is when a policy needs it. */
export interface Programs<Object> {
  readonly main: Object;
  readonly onDemand: Object;
}

/** Where `deno task build` leaves them, below `.output/`. */
export const PROGRAM_FILES: Readonly<Record<ProgramsName, Programs<string>>> = {
  "5.17": { main: "bpf/ankylo.bpf.o", onDemand: "bpf/on_demand.bpf.o" },
  "5.10": { main: "bpf/ankylo-5.10.bpf.o", onDemand: "bpf/on_demand-5.10.bpf.o" },
};

/** How the running agent was built. */
export interface Product {
  /** What `ankylo version` says: "deno compile", "launcher", or "sources". */
  readonly packaging: string;
  /** PROGRAM_FILES, as they are or compressed by gzip, in base64: most commands do without, and need not pay for them. */
  readonly programs?: Readonly<Record<ProgramsName, Programs<string>>>;
  /** The shim's bytes, or the file that a launcher made of them. */
  readonly shim?: Uint8Array | string;
  /** The file that was executed, where it is not the process's own image. */
  readonly executable?: string;
}

/** The first byte of what gzip makes (RFC 1952). */
const GZIP_BEGINS = 0x1f;

let current: Product = { packaging: "sources" };

/** Called once, by the executable's entry, before the agent's modules are evaluated. */
export function setProduct(product: Product): void {
  current = product;
}

/** How this agent was built: "deno compile", "launcher", or "sources". */
export function packaging(): string {
  return current.packaging;
}

/** The agent's executable, and the directory with what a launcher unpacked. None when it runs from sources. */
export function ownFiles(): string[] {
  const { packaging, shim, executable } = current;
  if (packaging === "sources") return [];
  const unpacked = typeof shim === "string" && !shim.startsWith("/proc/") ? [dirname(shim)] : [];
  return [executable ?? Deno.execPath(), ...unpacked];
}

/** The kernel programs. @throws {Error} when the agent runs from sources and they are not built */
export async function programBytes(name: ProgramsName): Promise<Programs<Uint8Array>> {
  const packed = current.programs?.[name];
  const { main, onDemand } = PROGRAM_FILES[name];
  return packed === undefined
    ? { main: readBuilt(main), onDemand: readBuilt(onDemand) }
    : { main: await unpack(packed.main), onDemand: await unpack(packed.onDemand) };
}

/** What begins like no ELF file, but as gzip's do, is decompressed. */
async function unpack(base64: string): Promise<Uint8Array> {
  const bytes = Uint8Array.fromBase64(base64);
  if (bytes[0] !== GZIP_BEGINS) return bytes;
  const stream = new Blob([bytes]).stream();
  return await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).bytes();
}

/** The shim as a file, which may be gone after it is disposed: by then it is loaded. */
export function shimFile(): { path: string } & Disposable {
  const { shim } = current;
  if (shim instanceof Uint8Array) return temporaryFile(shim);
  return { path: shim ?? builtPath("shim/libankylo_shim.so"), [Symbol.dispose]: () => {} };
}

function temporaryFile(bytes: Uint8Array): { path: string } & Disposable {
  const path = Deno.makeTempFileSync({ prefix: "ankylo-", suffix: ".so" });
  Deno.writeFileSync(path, bytes);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

function readBuilt(name: string): Uint8Array {
  const path = builtPath(name);
  try {
    return Deno.readFileSync(path);
  } catch (cause) {
    throw new Error(`Read "${path}": run deno task build first`, { cause });
  }
}

function builtPath(name: string): string {
  return new URL(`../.output/${name}`, import.meta.url).pathname;
}
