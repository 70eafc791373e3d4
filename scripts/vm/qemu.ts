/** QEMU's command line for the test VM, and the few words of its control protocol that saving a template needs. */

import { capture } from "./command.ts";
import type { Kernel } from "./kernel.ts";
import type { RootImage } from "./root_image.ts";

/** What makes two VMs different machines, so that each needs a template of its own. */
export interface Machine {
  kernel: Kernel;
  rootImage: RootImage;
  /** Memory in MiB. */
  memMiB: number;
  /** Number of CPUs; 1 with `icount`. */
  cpus: number;
  /** Let the guest's clock count instructions, 1 ns each: exact measurements, no wall time. */
  icount: boolean;
}

/** Sizes of the two disks that differ from run to run. They are part of a template, so they never change. */
export const JOB_DISK_BYTES: number = 1 << 30;
export const BINARY_DISK_BYTES: number = 512 << 20;

/** The files of one QEMU process. */
export interface Disks {
  job: string;
  binary: string;
  /** Where the kernel's console is written. */
  console: string;
  /** The guest's memory: written when a template is saved, mapped copy-on-write when it is restored. */
  ram: string;
}

/** A TCP port of the host, on 127.0.0.1, that leads to a port of the guest's address 10.0.2.15. */
export interface Forward {
  hostPort: number;
  guestPort: number;
}

/**
 * Emulation is forced even where /dev/kvm opens: on some machines it opens and then hangs the guest for ever.
 * `ANKYLO_KVM=1` is for those who know that theirs works.
 */
function accelerator(machine: Machine): string[] {
  // One CPU model by name: instruction counts are comparable only on the same model.
  if (machine.icount) {
    const clock = "shift=0,sleep=off,align=off";
    return ["-accel", "tcg,thread=single,tb-size=512", "-icount", clock, "-cpu", "Nehalem"];
  }
  if (Deno.env.get("ANKYLO_KVM") === "1") return ["-accel", "kvm", "-cpu", "host"];
  // Emulation runs `rep movsb` byte by byte. Without the flags that advertise it as fast, kernel and C library copy by
  // words: reading 95 MB takes half as long, a second start of the agent a quarter less.
  return [
    "-accel",
    "tcg,thread=multi,tb-size=512",
    "-cpu",
    "max,la57=off,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off",
  ];
}

const KERNEL_COMMAND_LINE =
  "console=ttyS0 quiet loglevel=4 panic=-1 lsm=landlock,lockdown,yama,apparmor,bpf mitigations=off";

/**
 * The whole command line.
 *
 * @param use "save" writes the memory file; "restore" maps it privately and waits for a saved state on `incoming`
 */
export function qemuArguments(
  machine: Machine,
  disks: Disks,
  use: "save" | "restore",
  forwards: readonly Forward[],
): string[] {
  const share = use === "save" ? "on" : "off";
  const memory = `size=${machine.memMiB}M,mem-path=${disks.ram},share=${share}`;
  const drives = [machine.rootImage.path, machine.kernel.modules, disks.job, disks.binary];
  return [
    ...accelerator(machine),
    ...["-m", `${machine.memMiB}M`, "-smp", `${machine.cpus}`],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-append", KERNEL_COMMAND_LINE],
    ...["-M", "q35,memory-backend=ram0"],
    ...["-object", `memory-backend-file,id=ram0,${memory}`],
    ...["-kernel", machine.kernel.vmlinux, "-initrd", machine.kernel.initrd],
    ...["-serial", `file:${disks.console}`],
    ...drives.flatMap((file, i) => [
      ...["-drive", `if=none,id=d${i},file=${file},format=raw,readonly=on,file.locking=off`],
      ...["-device", `virtio-blk-pci,drive=d${i}`],
    ]),
    ...["-netdev", `user,id=n0,restrict=on,ipv6=off${forwards.map(forwardOption).join("")}`],
    ...["-device", "virtio-net-pci,netdev=n0,romfile="],
    ...["-device", "virtio-serial-pci", "-chardev", "stdio,id=harness,signal=off"],
    ...["-device", "virtserialport,chardev=harness,name=harness"],
  ];
}

function forwardOption({ hostPort, guestPort }: Forward): string {
  return `,hostfwd=tcp:127.0.0.1:${hostPort}-10.0.2.15:${guestPort}`;
}

/** Version of the QEMU that is installed: a template can be restored only by the build that saved it. */
export async function qemuVersion(): Promise<string> {
  return (await capture(["qemu-system-x86_64", "--version"])).split("\n")[0] ?? "";
}

/**
 * Starts QEMU with the guest's channel on its standard input and output.
 *
 * It dies with this process, however that ends: a forgotten emulator would use a whole CPU for ever.
 *
 * @param drive talks to the new process over its control connection, and may return before the process ends
 */
export async function startQemu(
  args: readonly string[],
  drive: (qmp: Qmp, process: QemuProcess) => Promise<void>,
): Promise<QemuProcess> {
  // Not among the other files of the VM: a socket's path may have at most 107 bytes.
  const dir = await Deno.makeTempDir({ prefix: "ankylo-vm-" });
  try {
    using listener = Deno.listen({ transport: "unix", path: `${dir}/qmp` });
    const process = new QemuProcess([...args, "-qmp", `unix:${dir}/qmp,server=off`]);
    try {
      const connection = await Promise.race([listener.accept(), process.ended]);
      if (connection === undefined) throw new Error(`Start QEMU: ${await process.errors}`);
      const qmp = new Qmp(connection);
      await qmp.execute("qmp_capabilities");
      const capability = { capability: "x-ignore-shared", state: true };
      await qmp.execute("migrate-set-capabilities", { capabilities: [capability] });
      await drive(qmp, process);
      qmp.close();
      return process;
    } catch (error) {
      await process.close();
      throw error;
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A running QEMU; the guest's channel is its standard input and output. */
export class QemuProcess {
  /** Lines that the guest wrote to its channel. */
  readonly lines: ReadableStream<string>;
  /** All that QEMU itself had to say, once it has ended. */
  readonly errors: Promise<string>;
  /** Settles when the process is gone. */
  readonly ended: Promise<undefined>;
  readonly #child: Deno.ChildProcess;

  /** Use {@linkcode startQemu}. */
  constructor(args: readonly string[]) {
    this.#child = new Deno.Command("setpriv", {
      args: ["--pdeathsig", "KILL", "qemu-system-x86_64", ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.lines = splitLines(this.#child.stdout);
    this.errors = new Response(this.#child.stderr).text();
    this.ended = this.#child.status.then(() => undefined);
  }

  /** Sends one line to the guest. When QEMU has ended, nothing happens: its end tells more than a broken pipe. */
  async send(line: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(line + "\n")).catch(() => {});
    writer.releaseLock();
  }

  /** Ends the process at once; the guest has no say. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  /** {@linkcode kill}, and waits until everything it held is released. */
  async close(): Promise<void> {
    this.kill();
    await this.ended;
    await this.errors;
    // The pipe broke when QEMU ended, which is what was wanted.
    await this.#child.stdin.close().catch(() => {});
    if (!this.lines.locked) await this.lines.cancel();
  }
}

/** A connection to QEMU's control protocol. @see QEMU's documentation, "QEMU Machine Protocol" */
export class Qmp {
  readonly #connection: Deno.Conn;
  readonly #lines: ReadableStreamDefaultReader<string>;

  /** @param connection freshly accepted from QEMU; closed by {@linkcode close} */
  constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.#lines = splitLines(connection.readable).getReader();
  }

  /** Sends a command and returns what it returns. @throws {Error} with QEMU's message when it is refused */
  async execute(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    const text = JSON.stringify({ execute: command, arguments: args }) + "\n";
    await this.#connection.write(new TextEncoder().encode(text));
    while (true) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`Control QEMU: it closed the connection during "${command}"`);
      const answer = JSON.parse(value) as { return?: unknown; error?: { desc: string } };
      if (answer.error) throw new Error(`Control QEMU: "${command}": ${answer.error.desc}`);
      if (answer.return !== undefined) return answer.return;
    }
  }

  /** Closes the connection; QEMU may have done so already. */
  close(): void {
    this.#connection.close();
  }
}

/** Cuts a stream of bytes into lines without their newline. */
export function splitLines(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<string> {
  let rest = "";
  return bytes.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TransformStream<string, string>({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    }),
  );
}
