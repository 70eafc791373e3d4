/**
 * Templates: a VM that has booted, with containerd up and the image imported, saved at the moment when it waits for a
 * job. Its memory is a file that every restored VM maps copy-on-write, so a restore takes a tenth of a second and any
 * number of VMs may share one template.
 *
 * A second template is made from the first for every build of the agent: there the agent runs already. Its start takes
 * half a minute of emulation, which so is paid once for a build and a kernel.
 */

import { basename } from "node:path";
import { run } from "./command.ts";
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

/** Fifteen times what a boot or the agent's start takes on two quiet cores; more than the guest waits for the agent. */
const BOOT_TIMEOUT_MS = 400_000;

/** Templates with an agent that are kept for each machine: every build makes one, and weighs 300 MB. */
const AGENT_TEMPLATES_MAX = 8;

/** A saved VM. */
export interface Template {
  /** Says what it was made from. */
  key: string;
  /** The memory file. */
  ram: string;
  /** The state of the devices. */
  state: string;
}

/** Returns the machine's template, booting it once when the cache has none. */
export async function prepareTemplate(machine: Machine): Promise<Template> {
  const { kernel } = machine;
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
  return templateIn(
    await cached(
      `template-${machineName(machine)}`,
      inputs,
      (dir) => step(`boot ${kernel.release} and save it as a template`, () => save(machine, dir)),
    ),
  );
}

/**
 * Returns a template in which the agent runs, without a policy; starting it once when the cache has none.
 *
 * @param binary disk with the agent, named by its content, as it must be given to every VM that is restored
 * @param options of `ankylo run`, without spaces in them
 */
export async function prepareAgentTemplate(
  machine: Machine,
  base: Template,
  binary: { path: string; key: string },
  options: readonly string[],
): Promise<Template> {
  const start = (dir: string) =>
    step(
      `start the agent on ${machine.kernel.release} and save it as a template`,
      () => saveWithAgent(machine, base, { binary: binary.path, options, dir }),
    );
  const name = `template-agent-${machineName(machine)}`;
  return templateIn(
    await cached(name, [base.key, binary.key, options], start, AGENT_TEMPLATES_MAX),
  );
}

function machineName({ kernel, memMiB, cpus, icount }: Machine): string {
  return `${kernel.series}-${memMiB}m-${cpus}cpu${icount ? "-icount" : ""}`;
}

function templateIn(dir: string): Template {
  return { key: basename(dir), ram: `${dir}/ram`, state: `${dir}/state` };
}

/** Starts a VM from the machine's template. It waits for a line on its channel: see guest/init.sh. */
export async function restore(
  machine: Machine,
  template: Template,
  disks: Omit<Disks, "ram">,
  forwards: readonly Forward[],
): Promise<QemuProcess> {
  const args = qemuArguments(machine, { ...disks, ram: template.ram }, "restore", forwards);
  return await startQemu([...args, "-incoming", "defer"], (qmp) => wake(qmp, template));
}

async function wake(qmp: Qmp, template: Template): Promise<void> {
  await qmp.execute("migrate-incoming", { uri: `exec:cat ${template.state}` });
  while (true) {
    const { status } = await qmp.execute("query-status") as { status: string };
    if (status === "paused") break;
    if (status !== "inmigrate") throw new Error(`Restore template: QEMU is in state "${status}"`);
  }
  await qmp.execute("cont");
}

async function save(machine: Machine, dir: string): Promise<void> {
  const disks = diskPaths(dir);
  await writeEmptyDisk(disks.binary, BINARY_DISK_BYTES);
  await saveWhenReady(machine, disks, dir, []);
  await Deno.remove(disks.binary);
}

async function saveWithAgent(
  machine: Machine,
  base: Template,
  { binary, options, dir }: { binary: string; options: readonly string[]; dir: string },
): Promise<void> {
  const disks = { ...diskPaths(dir), binary };
  // Mapped shared this time: what the agent changes belongs to the new template.
  await run(["cp", "--sparse=always", base.ram, disks.ram]);
  await saveWhenReady(machine, disks, dir, ["-incoming", "defer"], async (qmp, qemu) => {
    await wake(qmp, base);
    await qemu.send("binary");
    await qemu.send(["agent", ...options].join(" "));
  });
}

/** Starts a VM on the memory file of `dir`, and saves it there when it says that it is ready. */
async function saveWhenReady(
  machine: Machine,
  disks: Disks,
  dir: string,
  more: readonly string[],
  begin?: (qmp: Qmp, qemu: QemuProcess) => Promise<void>,
): Promise<void> {
  await writeEmptyDisk(disks.job, JOB_DISK_BYTES);
  const args = [...qemuArguments(machine, disks, "save", []), ...more];
  const qemu = await startQemu(args, async (qmp, qemu) => {
    await begin?.(qmp, qemu);
    const timer = setTimeout(() => qemu.kill(), BOOT_TIMEOUT_MS);
    const ready = await waitUntilReady(qemu);
    clearTimeout(timer);
    if (!ready) throw new Error(await bootFailure(machine, disks.console, qemu));
    await saveState(qmp, `${dir}/state`);
  });
  await qemu.close();
  await Deno.remove(disks.job);
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
