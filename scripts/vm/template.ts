/**
 * Templates: a VM that has booted, with containerd up and the image imported, saved at the moment when it waits for a
 * job. Its memory is a file that every restored VM maps copy-on-write, so a restore takes a tenth of a second and any
 * number of VMs may share one template.
 */

import { step } from "./progress.ts";
import {
  BINARY_DISK_BYTES,
  type Disks,
  type Forward,
  JOB_DISK_BYTES,
  type Machine,
  qemuArguments,
  type QemuProcess,
  qemuVersion,
  type Qmp,
  startQemu,
} from "./qemu.ts";
import { cached } from "./store.ts";

/** Message of the guest's init when the VM may be saved: see guest/init.sh. */
export const READY_MESSAGE = "\x1eready";

/** Ten times what a boot takes on two quiet cores. */
const BOOT_TIMEOUT_MS = 240_000;

/** A saved VM. */
export interface Template {
  /** The memory file. */
  ram: string;
  /** The state of the devices. */
  state: string;
}

/** Returns the machine's template, booting it once when the cache has none. */
export async function prepareTemplate(machine: Machine): Promise<Template> {
  const { kernel, memMiB, cpus, icount } = machine;
  // Content counts, not where it lies: what was built again and came out the same needs no other template.
  const named = {
    ...machine,
    kernel: { ...kernel, vmlinux: "vmlinux", initrd: "initrd", modules: "modules" },
    rootImage: { ...machine.rootImage, path: "root" },
  };
  const inputs = [
    qemuArguments(named, diskPaths(""), "save", []),
    ...[kernel.digest, machine.rootImage.digest, await qemuVersion()],
  ];
  const name = `template-${kernel.series}-${memMiB}m-${cpus}cpu${icount ? "-icount" : ""}`;
  const dir = await cached(
    name,
    inputs,
    (dir) => step(`boot ${kernel.release} and save it as a template`, () => save(machine, dir)),
  );
  return { ram: `${dir}/ram`, state: `${dir}/state` };
}

/** Starts a VM from the machine's template. It waits for a line on its channel: see guest/init.sh. */
export async function restore(
  machine: Machine,
  template: Template,
  disks: Omit<Disks, "ram">,
  forwards: readonly Forward[],
): Promise<QemuProcess> {
  const args = qemuArguments(machine, { ...disks, ram: template.ram }, "restore", forwards);
  return await startQemu([...args, "-incoming", "defer"], async (qmp) => {
    await qmp.execute("migrate-incoming", { uri: `exec:cat ${template.state}` });
    while (true) {
      const { status } = await qmp.execute("query-status") as { status: string };
      if (status === "paused") break;
      if (status !== "inmigrate") throw new Error(`Restore template: QEMU is in state "${status}"`);
    }
    await qmp.execute("cont");
  });
}

async function save(machine: Machine, dir: string): Promise<void> {
  const disks = diskPaths(dir);
  await writeEmptyDisk(disks.job, JOB_DISK_BYTES);
  await writeEmptyDisk(disks.binary, BINARY_DISK_BYTES);
  const args = qemuArguments(machine, disks, "save", []);
  const qemu = await startQemu(args, async (qmp, qemu) => {
    const timer = setTimeout(() => qemu.kill(), BOOT_TIMEOUT_MS);
    const ready = await waitUntilReady(qemu);
    clearTimeout(timer);
    if (!ready) throw new Error(await bootFailure(machine, disks.console, qemu));
    await saveState(qmp, `${dir}/state`);
  });
  await qemu.close();
  for (const path of [disks.job, disks.binary]) await Deno.remove(path);
}

function diskPaths(dir: string): Disks {
  const file = (name: string) => `${dir}/${name}`;
  return {
    job: file("job"),
    binary: file("binary"),
    console: file("console.log"),
    ram: file("ram"),
  };
}

async function waitUntilReady(qemu: QemuProcess): Promise<boolean> {
  for await (const line of qemu.lines) {
    if (line === READY_MESSAGE) return true;
  }
  return false;
}

async function saveState(qmp: Qmp, path: string): Promise<void> {
  await qmp.execute("stop");
  await qmp.execute("migrate", { uri: `exec:cat > ${path}` });
  while (true) {
    const { status } = await qmp.execute("query-migrate") as { status: string };
    if (status === "completed") return;
    if (status === "failed") throw new Error("Save template: QEMU could not write its state");
  }
}

async function bootFailure(machine: Machine, console: string, qemu: QemuProcess): Promise<string> {
  const log = await Deno.readTextFile(console).catch(() => "");
  const tail = log.trim().split("\n").slice(-25).join("\n");
  return `Boot ${machine.kernel.release}: the VM ended before it was ready\n${await qemu
    .errors}${tail}`;
}

/** Makes a file of zeros that takes no space. */
async function writeEmptyDisk(path: string, bytes: number): Promise<void> {
  using file = await Deno.create(path);
  await file.truncate(bytes);
}
