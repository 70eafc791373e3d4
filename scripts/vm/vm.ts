/**
 * The VM harness: runs a job on a real kernel, with containerd, from a template that is restored in a tenth of a second.
 *
 * ```ts
 * await using vm = await startVm({ kernel: "6.12", jobDir: "tests/e2e/.job" });
 * for await (const line of vm.lines) console.log(line);
 * Deno.exit(await vm.status);
 * ```
 */

import { basename } from "node:path";
import { run } from "./command.ts";
import { prepareKernel } from "./kernel.ts";
import type { KernelSeries } from "./kernels.ts";
import {
  BINARY_DISK_BYTES,
  type Forward,
  JOB_DISK_BYTES,
  type Machine,
  type QemuProcess,
} from "./qemu.ts";
import { prepareRootImage } from "./root_image.ts";
import { cached, digestOf, outputDir } from "./store.ts";
import { prepareAgentTemplate, prepareTemplate, restore, type Template } from "./template.ts";

export { prepareKernel, vmlinuxPath } from "./kernel.ts";
export { KERNEL_SERIES, KERNELS, type KernelSeries, parseKernelSeries } from "./kernels.ts";
export type { Forward } from "./qemu.ts";

/** What {@linkcode startVm} takes. */
export interface VmOptions {
  kernel: KernelSeries;
  /** Copied to /job, where its `run.sh` is run; up to a few hundred MB, and it counts as guest memory. */
  jobDir: string;
  /** Guest memory in MiB; 1024 by default. Each amount needs a template of its own. */
  memMiB?: number;
  /** CPUs; 2 by default. */
  cpus?: number;
  /** Ends the VM after this many seconds; 300 by default; 0 means never. */
  timeoutS?: number;
  /** Count instructions instead of time; implies one CPU. */
  icount?: boolean;
  /** What listens in the guest must do so on 0.0.0.0 or 10.0.2.15. */
  forwards?: readonly Forward[];
  /** The agent's binary, mounted at /usr/local/bin/ankylo; by default `ANKYLO_BINARY` or `.output/ankylo`, if there. */
  binary?: string;
  /** The job finds the agent running, with these options and without a policy; its pid and log are in /run/agent. */
  agent?: readonly string[];
}

/** A running VM. */
export interface Vm extends AsyncDisposable {
  /** Standard output and error of `run.sh`, line by line as they are written. */
  lines: AsyncIterable<string>;
  /** Exit status of `run.sh`; 130 after {@linkcode stop}. Rejects with {@linkcode VmError}. */
  status: Promise<number>;
  /** Powers the VM off. Idempotent; settles when QEMU is gone. */
  stop(): Promise<void>;
}

/** The VM ended without telling the exit status of its job: a kernel panic, a power-off, or the time was up. */
export class VmError extends Error {
  override name = "VmError";

  /** `console`: the last lines of the kernel's console. */
  constructor(message: string, readonly console: string) {
    super(message);
  }
}

/** Message of the guest's init when the job has ended, followed by the exit status: see guest/init.sh. */
const EXIT_MESSAGE = "\x1eexit ";

/** Exit status of a job that was stopped, as shells count a program ended by Ctrl-C. */
const STOPPED_STATUS = 130;

/**
 * Makes what {@linkcode startVm} needs for a kernel and a size, and does nothing when it is there: for those who have
 * something else to do meanwhile.
 */
export async function prepareVm(
  options: Omit<VmOptions, "jobDir">,
): Promise<{ machine: Machine; template: Template; binary: BinaryDisk }> {
  const icount = options.icount ?? false;
  const machine: Machine = {
    kernel: await prepareKernel(options.kernel),
    rootImage: await prepareRootImage(),
    memMiB: options.memMiB ?? 1024,
    cpus: icount ? 1 : options.cpus ?? 2,
    icount,
  };
  const path = options.binary ?? Deno.env.get("ANKYLO_BINARY") ?? `${outputDir}/ankylo`;
  const binary = await prepareBinaryDisk(path);
  const template = await prepareTemplate(machine);
  if (options.agent === undefined) return { machine, template, binary };
  if (!binary.filled) {
    throw new RangeError(
      `Prepare VM with the agent: "${path}" is missing: run "deno task build" first`,
    );
  }
  const withAgent = await prepareAgentTemplate(machine, template, binary, options.agent);
  return { machine, template: withAgent, binary };
}

/**
 * Starts a VM and its job. The caller stops it, or awaits its status.
 *
 * The first call for a kernel and a size makes what is missing, and says so on standard error (about 45 s).
 *
 * @throws {RangeError} when the job directory is too large or has no run.sh; when there is no agent that could run
 */
export async function startVm(options: VmOptions): Promise<Vm> {
  await checkJob(options.jobDir);
  const { machine, template, binary } = await prepareVm(options);
  const dir = await makeRunDir();
  try {
    const disks = { job: `${dir}/job`, binary: binary.path, console: `${dir}/console.log` };
    await writeJobDisk(options.jobDir, disks.job);
    const qemu = await restore(machine, template, disks, options.forwards ?? []);
    const mountBinary = binary.filled && options.agent === undefined;
    return new RunningVm(qemu, dir, mountBinary, options.timeoutS ?? 300);
  } catch (error) {
    await Deno.remove(dir, { recursive: true });
    throw error;
  }
}

class RunningVm implements Vm {
  readonly lines: ReadableStream<string>;
  readonly status: Promise<number>;
  readonly #qemu: QemuProcess;
  readonly #dir: string;
  #lineController!: ReadableStreamDefaultController<string>;
  #linesClosed = false;
  #ended: "stopped" | "timeout" | undefined;

  constructor(qemu: QemuProcess, dir: string, mountBinary: boolean, timeoutS: number) {
    this.#qemu = qemu;
    this.#dir = dir;
    this.lines = new ReadableStream({
      start: (controller) => void (this.#lineController = controller),
      cancel: () => {
        this.#linesClosed = true;
        this.#end("stopped");
      },
    });
    this.status = this.#follow(mountBinary, timeoutS);
    // A caller that only reads the lines has not asked for the status.
    this.status.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#end("stopped");
    // Why it failed is told to whoever asked for the status.
    await this.status.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #follow(mountBinary: boolean, timeoutS: number): Promise<number> {
    const timer = timeoutS > 0
      ? setTimeout(() => this.#end("timeout"), timeoutS * 1000)
      : undefined;
    try {
      if (mountBinary) await this.#qemu.send("binary");
      // The guest wakes at the time when its template was saved, so it is told the time.
      await this.#qemu.send(`job ${(Date.now() / 1000).toFixed(3)}`);
      const status = await this.#readOutput();
      if (status !== undefined) return status;
      if (this.#ended === "stopped") return STOPPED_STATUS;
      throw await this.#failure(timeoutS);
    } finally {
      clearTimeout(timer);
      await this.#qemu.close();
      await Deno.remove(this.#dir, { recursive: true });
      this.#closeLines();
    }
  }

  /** Passes lines on until the exit message. Returns undefined when QEMU ends without one. */
  async #readOutput(): Promise<number | undefined> {
    for await (const line of this.#qemu.lines) {
      // The output before the message may lack its last newline.
      const [text, status] = line.split(EXIT_MESSAGE);
      if (!this.#linesClosed && (status === undefined || text !== "")) {
        this.#lineController.enqueue(text!);
      }
      if (status !== undefined) return Number(status);
    }
    return undefined;
  }

  #closeLines(): void {
    if (this.#linesClosed) return;
    this.#linesClosed = true;
    this.#lineController.close();
  }

  #end(reason: "stopped" | "timeout"): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    if (reason === "stopped") this.#closeLines();
    this.#qemu.kill();
  }

  async #failure(timeoutS: number): Promise<VmError> {
    const log = await Deno.readTextFile(`${this.#dir}/console.log`).catch(() => "");
    const console = `${(await this.#qemu.errors).trim()}\n${log.trim()}`.trim();
    const tail = console.split("\n").slice(-25).join("\n");
    const reason = this.#ended === "timeout"
      ? `the job has not ended within ${timeoutS} s`
      : "the VM ended before its job: the kernel panicked or was powered off";
    return new VmError(`Run job in VM: ${reason}`, tail);
  }
}

/** Makes a directory for one run, and removes those of runs that were killed. */
async function makeRunDir(): Promise<string> {
  const parent = `${outputDir}/vm`;
  await Deno.mkdir(parent, { recursive: true });
  for await (const { name } of Deno.readDir(parent)) {
    const owner = /^run-(\d+)-/.exec(name)?.[1];
    if (owner === undefined || await exists(`/proc/${owner}`)) continue;
    // A run that starts at the same time may have removed it already.
    await Deno.remove(`${parent}/${name}`, { recursive: true }).catch(() => {});
  }
  return await Deno.makeTempDir({ dir: parent, prefix: `run-${Deno.pid}-` });
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function checkJob(jobDir: string): Promise<void> {
  if (!await exists(`${jobDir}/run.sh`)) {
    throw new RangeError(`Run job in VM: "${jobDir}" must contain the script "run.sh"`);
  }
}

async function writeJobDisk(jobDir: string, target: string): Promise<void> {
  await run(["tar", "-C", jobDir, "--owner=0", "--group=0", "-cf", target, "."]);
  await resizeDisk(target, JOB_DISK_BYTES, `job directory "${jobDir}"`);
}

/** A disk with the agent's binary, or without. */
interface BinaryDisk {
  path: string;
  /** Names the content. */
  key: string;
  filled: boolean;
}

/** Disks of builds that are kept, the most recently used. */
const BINARY_DISKS_MAX = 16;

/**
 * Returns the disk with the agent's binary, or an empty one. It is mounted, not copied: only what is read of it passes
 * through emulation. With the binary goes what it unpacks at its first start.
 */
async function prepareBinaryDisk(binary: string): Promise<BinaryDisk> {
  const filled = await exists(binary);
  const inputs = filled ? await digestOf([binary]) : "none";
  const fill = async (dir: string) => {
    const tree = `${dir}/tree`;
    await Deno.mkdir(`${tree}/cache`, { recursive: true });
    if (filled) {
      await Deno.copyFile(binary, `${tree}/ankylo`);
      // What cannot start on this machine is not unpacked, and may be tested all the same.
      const unpacking = { env: { ANKYLO_CACHE: `${tree}/cache` }, anyStatus: true };
      await run([`${tree}/ankylo`, "version"], unpacking);
    }
    const stored = ["-noI", "-noD", "-noF", "-no-xattrs", "-all-root", "-noappend"];
    await run(["mksquashfs", tree, `${dir}/disk`, ...stored, "-quiet", "-no-progress"]);
    await resizeDisk(`${dir}/disk`, BINARY_DISK_BYTES, `binary "${binary}"`);
    await Deno.remove(tree, { recursive: true });
  };
  const dir = await cached("agent", inputs, fill, BINARY_DISKS_MAX);
  return { path: `${dir}/disk`, key: basename(dir), filled };
}

/** Grows a file, sparsely, to the size that the template's disk has. */
async function resizeDisk(path: string, bytes: number, what: string): Promise<void> {
  const { size } = await Deno.stat(path);
  if (size > bytes) {
    throw new RangeError(
      `Run job in VM: ${what} is ${size} bytes: at most ${bytes} fit on its disk`,
    );
  }
  await Deno.truncate(path, bytes);
}
