/** Debian's kernels, unpacked to what QEMU boots and what `bpftool` reads. */

import { captureBytes, run } from "./command.ts";
import { Apt, packSquashfs, unpack } from "./debian.ts";
import { KERNELS, type KernelSeries } from "./kernels.ts";
import { step } from "./progress.ts";
import { cached, digestOf, ownText } from "./store.ts";

/** A kernel in the cache. */
export interface Kernel {
  series: KernelSeries;
  /** The release as `uname -r` prints it. */
  release: string;
  /** The uncompressed ELF, with its BTF. */
  vmlinux: string;
  /** Loads the disk drivers and hands over to the root image. */
  initrd: string;
  /** /lib/modules/RELEASE, as squashfs. */
  modules: string;
  /** Digest of the three files. */
  digest: string;
}

/** What the initrd needs to reach the root image, and what the guest's init takes for granted. */
const INITRD_MODULES = [
  "virtio_pci",
  "virtio_blk",
  "virtio_console",
  "virtio_net",
  "squashfs",
  "overlay",
];

/** Payload formats of a bzImage. The magic numbers may also occur by chance: the result must be an ELF file. */
const PAYLOADS = [
  { magic: [0x28, 0xb5, 0x2f, 0xfd], decompress: ["zstd", "-dcq"] },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], decompress: ["xz", "-dcq", "--single-stream"] },
  { magic: [0x02, 0x21, 0x4c, 0x18], decompress: ["lz4", "-dcq"] },
  { magic: [0x1f, 0x8b, 0x08], decompress: ["gzip", "-dcq"] },
] as const;

const VMLINUX_BYTES_MIN = 10_000_000;

/**
 * Returns a kernel of the series, downloading and unpacking it when the cache has none.
 *
 * The newest version is taken at that time; it is kept until its inputs change or it has not been used for a week.
 */
export async function prepareKernel(series: KernelSeries): Promise<Kernel> {
  const source = KERNELS[series];
  const origin = [source.suites, source.package];
  const inputs = [origin, await ownText("kernel.ts"), await ownText("guest/initrd.sh")];
  const dir = await cached(
    `kernel-${series}`,
    inputs,
    (dir) => step(`get kernel ${series} from Debian`, () => build(series, dir)),
  );
  const text = async (name: string) => (await Deno.readTextFile(`${dir}/${name}`)).trim();
  const [vmlinux, initrd, modules] = filesIn(dir);
  return {
    ...{ series, vmlinux, initrd, modules },
    release: await text("release"),
    digest: await text("digest"),
  };
}

function filesIn(dir: string): [vmlinux: string, initrd: string, modules: string] {
  return [`${dir}/vmlinux`, `${dir}/initrd`, `${dir}/modules.sqfs`];
}

/** Path of the series' unpacked kernel: `bpftool btf dump file PATH format c` makes its vmlinux.h. */
export async function vmlinuxPath(series: KernelSeries): Promise<string> {
  return (await prepareKernel(series)).vmlinux;
}

async function build(series: KernelSeries, dir: string): Promise<void> {
  const { suites, package: metaPackage } = KERNELS[series];
  const apt = await Apt.open(suites);
  const tree = `${dir}/tree`;
  await Deno.mkdir(`${tree}/usr/lib`, { recursive: true });
  // Debs of some series carry lib/, others usr/lib/: with the link both land in one place.
  await Deno.symlink("usr/lib", `${tree}/lib`);
  const debs = await downloadNewest(apt, metaPackage, dir);
  for (const deb of debs) await unpack(deb, tree);
  const release = await onlyEntry(`${tree}/usr/lib/modules`);
  await Deno.writeTextFile(`${dir}/release`, release + "\n");
  await writeVmlinux(await findImage(tree, release), `${dir}/vmlinux`);
  await run(["depmod", "-b", tree, release]);
  await writeInitrd(tree, release, dir);
  const modules = `${tree}/usr/lib/modules/${release}`;
  await packSquashfs(modules, `${dir}/modules.sqfs`);
  await Deno.writeTextFile(`${dir}/digest`, await digestOf(filesIn(dir)));
  for (const path of [tree, ...debs]) await Deno.remove(path, { recursive: true });
}

/** The newest version that the archive really has: its lists may name files that it has dropped. */
async function downloadNewest(apt: Apt, pattern: string, dir: string): Promise<string[]> {
  const errors: unknown[] = [];
  for (const name of await apt.matching(pattern)) {
    try {
      return await apt.downloadOnly(await kernelPackages(apt, name), dir);
    } catch (error) {
      errors.push(error);
    }
  }
  throw new AggregateError(errors, `Get kernel "${pattern}": no version of it can be downloaded`);
}

/** All of a kernel that a package leads to: before 7.x that is one package, from then on three; metapackages are empty. */
async function kernelPackages(apt: Apt, packageName: string): Promise<string[]> {
  const ofKernel = /^linux-(image|binary|modules|base)-\d/;
  const dependencies = await apt.dependencies(packageName);
  // Some versions depend on packages that were never published.
  if (dependencies === undefined) return [];
  const inner = dependencies.filter((name) => ofKernel.test(name));
  const all = (await Promise.all(inner.map((name) => kernelPackages(apt, name)))).flat();
  return [...new Set(/-\d+\.\d+\.\d+/.test(packageName) ? [packageName, ...all] : all)];
}

async function onlyEntry(dir: string): Promise<string> {
  const names = (await Array.fromAsync(Deno.readDir(dir))).map((entry) => entry.name);
  if (names.length === 1) return names[0]!;
  throw new Error(`Unpack kernel: "${dir}" must have one entry: found ${names.join(", ")}`);
}

async function findImage(tree: string, release: string): Promise<string> {
  for (const path of [`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`]) {
    const found = await Deno.stat(`${tree}/${path}`).then(() => true, () => false);
    if (found) return `${tree}/${path}`;
  }
  throw new Error(`Unpack kernel ${release}: its packages hold no vmlinuz`);
}

/** Booting the ELF itself saves the guest decompressing it, which emulation makes slow, and it has no KASLR. */
async function writeVmlinux(image: string, target: string): Promise<void> {
  const bytes = await Deno.readFile(image);
  for (const { magic, decompress } of PAYLOADS) {
    for (const offset of occurrences(bytes, magic)) {
      const input = bytes.subarray(offset);
      const vmlinux = await captureBytes(decompress, { input, anyStatus: true });
      if (!isElf(vmlinux) || vmlinux.length < VMLINUX_BYTES_MIN) continue;
      await Deno.writeFile(target, vmlinux);
      return;
    }
  }
  throw new Error(`Unpack "${image}": no known compressed kernel inside`);
}

/** Offsets at which `magic` occurs. */
function* occurrences(bytes: Uint8Array, magic: readonly number[]): Generator<number> {
  let offset = bytes.indexOf(magic[0]!);
  while (offset >= 0) {
    if (magic.every((byte, i) => bytes[offset + i] === byte)) yield offset;
    offset = bytes.indexOf(magic[0]!, offset + 1);
  }
}

function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

async function writeInitrd(tree: string, release: string, dir: string): Promise<void> {
  const initrd = `${dir}/initrd.d`;
  for (const sub of ["bin", "dev", "proc", "sys", "image", "writable", "root", "modules"]) {
    await Deno.mkdir(`${initrd}/${sub}`, { recursive: true });
  }
  await Deno.copyFile("/bin/busybox", `${initrd}/bin/busybox`);
  await Deno.writeTextFile(`${initrd}/init`, await ownText("guest/initrd.sh"), { mode: 0o755 });
  const modules = await modulesInOrder(tree, release);
  for (const [index, module] of modules.entries()) {
    const name = module.split("/").at(-1)!.replace(/\.xz$/, "");
    const bytes = module.endsWith(".xz")
      ? await captureBytes(["xz", "-dc", module])
      : await Deno.readFile(module);
    await Deno.writeFile(`${initrd}/modules/${String(index).padStart(2, "0")}-${name}`, bytes);
  }
  const script = "set -o pipefail; find . -exec touch -h -d @0 {} + && find . | sort | " +
    "cpio -o -H newc --quiet --reproducible -R 0:0 > ../initrd";
  await run(["bash", "-c", script], { cwd: initrd });
  await Deno.remove(initrd, { recursive: true });
}

/** The files of {@linkcode INITRD_MODULES} and what they need, each after its needs; built-in ones have none. */
async function modulesInOrder(tree: string, release: string): Promise<string[]> {
  const files = new Set<string>();
  for (const module of INITRD_MODULES) {
    const argv = ["modprobe", "-d", tree, "-S", release, "--show-depends", module];
    const lines = new TextDecoder().decode(await captureBytes(argv)).split("\n");
    for (const line of lines) {
      const file = /^insmod (\S+)/.exec(line)?.[1];
      if (file !== undefined) files.add(file);
    }
  }
  return [...files];
}
