/** The place where the demonstration runs: this machine where its kernel can enforce, else a micro-VM. */

import { capture, run } from "../vm/command.ts";
import { writeBusyboxImage } from "../vm/container_image.ts";
import { splitLines } from "../vm/qemu.ts";
import { outputDir, repositoryDir } from "../vm/store.ts";
import { type KernelSeries, startVm } from "../vm/vm.ts";

/** The agent's usual port, and how many after it are tried. */
const PORT = 8420;
const PORTS_MAX = 50;

/** Names of our own, so that nothing of the machine's is touched. */
const NAMESPACE = "ankylo-demo";

/** The agent: `ANKYLO_BINARY`, or the one that is built here. */
function binary(): string {
  return Deno.env.get("ANKYLO_BINARY") ?? `${outputDir}/ankylo`;
}

/** A running demonstration. */
export interface Stage extends AsyncDisposable {
  /** What stage.sh reports. */
  lines: AsyncIterable<string>;
  /** Exit status of stage.sh. */
  status: Promise<number>;
  /** Ends it, and leaves nothing behind. Idempotent. */
  stop(): Promise<void>;
  /** Address of the agent's HTTP API, as this machine sees it. */
  api: string;
}

/** What {@linkcode startStage} takes. */
export interface StageOptions {
  /** The VM's kernel; undefined: this machine itself. */
  kernel: KernelSeries | undefined;
  /** Words of a command to run in place of the attacks. */
  command: readonly string[];
}

/**
 * Says what keeps this machine from being the stage; undefined when nothing does.
 *
 * Containers that others run here keep it too: the example policies would select those with a label `app=web`.
 */
export async function whyNotHere(): Promise<string | undefined> {
  const modules = await Deno.readTextFile("/sys/kernel/security/lsm").catch(() => "");
  if (!modules.split(",").includes("bpf")) return "this machine's own kernel has no BPF LSM";
  if (Deno.uid() !== 0) return "enforcing on this machine itself needs root";
  // Without ctr, or a containerd that answers it, there is nothing to enforce on here.
  const running = await containersHere().catch(() => undefined);
  if (running === undefined) return "no containerd runs on this machine";
  return running > 0 ? `${running} containers run on this machine, and are left alone` : undefined;
}

async function containersHere(): Promise<number> {
  const names = async (...args: string[]) =>
    (await capture(["ctr", ...args, "--quiet"])).split("\n").filter((name) => name !== "");
  const namespaces = await names("namespaces", "ls");
  const lists = await Promise.all(namespaces.map((name) => names("-n", name, "tasks", "ls")));
  return lists.flat().length;
}

/** Starts the stage and returns at once: its lines tell how it goes on. */
export async function startStage({ kernel, command }: StageOptions): Promise<Stage> {
  const dir = await Deno.makeTempDir({ prefix: "ankylo-demo-" });
  try {
    const port = freePort();
    await writeStage(dir, command);
    const stage = kernel === undefined
      ? await startHere(dir, port)
      : await startInVm(kernel, dir, port);
    return { ...stage, api: `http://127.0.0.1:${port}` };
  } catch (error) {
    await Deno.remove(dir, { recursive: true });
    throw error;
  }
}

type Running = Omit<Stage, "api">;

async function startInVm(kernel: KernelSeries, dir: string, port: number): Promise<Running> {
  await writeRunScript(dir, {
    ...{ DEMO_DIR: "/job", DEMO_BINARY: "ankylo", DEMO_PORT: `${PORT}` },
    DEMO_OUTSIDE: "10.0.2.15",
  });
  const forwards = [{ hostPort: port, guestPort: PORT }];
  const vm = await startVm({ kernel, jobDir: dir, timeoutS: 0, forwards });
  // The VM has its own copy.
  await Deno.remove(dir, { recursive: true });
  const stop = () => vm.stop();
  return { lines: vm.lines, status: vm.status, stop, [Symbol.asyncDispose]: stop };
}

async function startHere(dir: string, port: number): Promise<Running> {
  await writeBusyboxImage("/", `${dir}/busybox.tar`);
  const env = {
    ...{ DEMO_DIR: dir, DEMO_BINARY: binary(), DEMO_PORT: `${port}` },
    ...{ DEMO_OUTSIDE: "", CONTAINERD_NAMESPACE: NAMESPACE },
  };
  await writeRunScript(dir, env);
  // A session of its own: Ctrl-C reaches only us, and we let it clear up.
  const child = new Deno.Command("setpriv", {
    args: ["--pdeathsig", "TERM", "setsid", "bash", `${dir}/run.sh`],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const status = child.status.then(async ({ code }) => {
    await Deno.remove(dir, { recursive: true });
    return code;
  });
  const stop = async () => {
    try {
      Deno.kill(-child.pid, "SIGTERM");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await status;
  };
  return { lines: splitLines(child.stdout), status, stop, [Symbol.asyncDispose]: stop };
}

async function writeStage(dir: string, command: readonly string[]): Promise<void> {
  await run(["cp", "-r", `${repositoryDir}/k8s/examples`, `${dir}/policies`]);
  await run(["cp", `${repositoryDir}/scripts/demo/stage.sh`, dir]);
  if (command.length === 0) return;
  await Deno.writeTextFile(`${dir}/command`, command.map((word) => `${word}\0`).join(""));
}

async function writeRunScript(dir: string, env: Record<string, string>): Promise<void> {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  const script = [...exports, `exec bash "$DEMO_DIR/stage.sh"`].join("\n");
  await Deno.writeTextFile(`${dir}/run.sh`, `${script}\n`);
}

/** The first free port from the agent's usual one on. @throws {Error} when many in a row are taken */
function freePort(): number {
  for (let port = PORT; port < PORT + PORTS_MAX; port++) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error(`Find a free port: ${PORT} to ${PORT + PORTS_MAX - 1} are all taken`);
}
