/**
 * The files that the agent carries: kernel programs and the shim.
 *
 * The executable has them inside and says so before anything else runs (scripts/build_binary.ts); run from the sources,
 * the agent takes what `deno task build` left under `.output/`.
 */

import { dirname } from "node:path";

/** How the running agent was built. */
export interface Product {
  /** What `ankylo version` says: "deno compile", "launcher", or "sources". */
  readonly packaging: string;
  /** `.output/bpf/ankylo.bpf.o`, compressed by gzip, in base64: most commands do without, and need not pay for it. */
  readonly bpfObject?: string;
  /** `.output/bpf/on_demand.bpf.o` in base64: it is wanted at once when it is wanted. */
  readonly onDemandObject?: string;
  /** The shim's bytes, or the file that a launcher made of them. */
  readonly shim?: Uint8Array | string;
  /** The file that was executed, where it is not the process's own image. */
  readonly executable?: string;
}

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
export async function bpfObjectBytes(): Promise<Uint8Array> {
  const { bpfObject } = current;
  return bpfObject === undefined ? readBuilt("bpf/ankylo.bpf.o") : await inflate(bpfObject);
}

/** The programs that are loaded when a policy needs them. @throws {Error} as `bpfObjectBytes` */
export function onDemandObjectBytes(): Uint8Array {
  const { onDemandObject } = current;
  return onDemandObject === undefined
    ? readBuilt("bpf/on_demand.bpf.o")
    : Uint8Array.fromBase64(onDemandObject);
}

async function inflate(base64: string): Promise<Uint8Array> {
  const packed = new Blob([Uint8Array.fromBase64(base64)]);
  return await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).bytes();
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
