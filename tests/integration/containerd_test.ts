/**
 * The watch of containerd against the real one, with a root, state and socket of its own. Needs root, and the programs in
 * `PROGRAMS`; skips by naming what is missing. `CONTAINERD` in the environment names another daemon to test against.
 */
import assert from "node:assert/strict";
import type { Workload } from "../../src/model/workload.ts";
import type { WorkloadChange } from "../../src/sources/runtime/change.ts";
import { watchContainerd } from "../../src/sources/runtime/containerd.ts";
import { denoProcfs, type Procfs } from "../../src/sources/runtime/procfs.ts";

const DAEMON = Deno.env.get("CONTAINERD") ?? "containerd";
const PROGRAMS = [DAEMON, "ctr", "runc", "containerd-shim-runc-v2", "busybox"];
/** All takes 2 s on a common machine, and has taken 120 s on an emulated one. */
const PATIENCE_MS = 600_000;

async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = new TextDecoder();
  assert.ok(success, `${program} ${args.join(" ")}: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

async function missing(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "root";
  for (const program of PROGRAMS) {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `command -v ${program}`],
      stdout: "null",
    }).output();
    if (!success) return `program ${program}`;
  }
  return hierarchy() === undefined ? "a cgroup hierarchy" : undefined;
}

interface Hierarchy {
  readonly root: string;
  readonly procfs: Procfs;
}

/** cgroup2, or where the machine has none, the v1 hierarchy of `pids` in its place: the same paths, with inode numbers too. */
function hierarchy(): Hierarchy | undefined {
  if (denoProcfs.inode("/sys/fs/cgroup/cgroup.controllers") !== undefined) {
    return { root: "/sys/fs/cgroup", procfs: denoProcfs };
  }
  if (denoProcfs.inode("/sys/fs/cgroup/pids") === undefined) return undefined;
  const readText = (path: string) =>
    denoProcfs.readText(path)?.replaceAll(/^(?!\d+:pids:).*\n/gm, "").replace(/^\d+:pids:/, "0::");
  return { root: "/sys/fs/cgroup/pids", procfs: { readText, inode: denoProcfs.inode } };
}

/** A containerd with everything it owns in one folder, and a root file system of busybox. */
class RealContainerd {
  readonly #folder: string;
  #process: Deno.ChildProcess | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get socket(): string {
    return `${this.#folder}/containerd.sock`;
  }

  async prepare(): Promise<void> {
    await Deno.mkdir(`${this.#folder}/rootfs/bin`, { recursive: true });
    const busybox = (await run("sh", "-c", "command -v busybox")).trim();
    await Deno.copyFile(busybox, `${this.#folder}/rootfs/bin/busybox`);
    await Deno.writeTextFile(
      `${this.#folder}/config.toml`,
      `
      version = 2
      root = "${this.#folder}/root"
      state = "${this.#folder}/state"
      disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]
      [grpc]
        address = "${this.socket}"
      [plugins."io.containerd.internal.v1.opt"]
        path = "${this.#folder}/opt"
    `,
    );
  }

  start(): void {
    const args = ["--config", `${this.#folder}/config.toml`, "--log-level", "error"];
    this.#process = new Deno.Command(DAEMON, { args, stdout: "null", stderr: "null" }).spawn();
  }

  /** Containers go on without it. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  ctr(namespace: string, ...args: string[]): Promise<string> {
    return run("ctr", "--address", this.socket, "--namespace", namespace, ...args);
  }

  async runContainer(namespace: string, id: string, ...flags: string[]): Promise<void> {
    const rootfs = `${this.#folder}/rootfs`;
    await this.ctr(
      namespace,
      "run",
      "--detach",
      ...flags,
      "--rootfs",
      rootfs,
      id,
      "/bin/busybox",
      "sleep",
      "3600",
    );
  }

  /** pid of a container's task as `ctr` shows it. */
  async pid(namespace: string, id: string): Promise<number> {
    const tasks = await this.ctr(namespace, "task", "ls");
    return Number(new RegExp(`^${id}\\s+(\\d+)`, "m").exec(tasks)?.[1]);
  }

  async remove(namespace: string, id: string): Promise<void> {
    await this.ctr(namespace, "task", "rm", "--force", id).catch(() => {});
    await this.ctr(namespace, "container", "rm", id).catch(() => {});
  }
}

/** Changes until one is of this kind and fits; all of them are kept in `seen`. */
class Reader {
  seen: WorkloadChange[] = [];
  readonly #changes: AsyncGenerator<WorkloadChange, void>;

  constructor(changes: AsyncGenerator<WorkloadChange, void>) {
    this.#changes = changes;
  }

  async until(fits: (change: WorkloadChange) => boolean): Promise<WorkloadChange> {
    while (true) {
      const result = await this.#changes.next();
      assert.ok(
        !result.done,
        `no such change in ${PATIENCE_MS / 1_000} s: ${Deno.inspect(this.seen)}`,
      );
      this.seen.push(result.value);
      if (fits(result.value)) return result.value;
    }
  }

  kind(kind: WorkloadChange["kind"]): Promise<WorkloadChange> {
    return this.until((change) => change.kind === kind);
  }

  async applied(id: string): Promise<Workload> {
    const change = await this.until((change) =>
      change.kind === "Apply" && change.workload.id === id
    );
    assert.ok(change.kind === "Apply");
    return change.workload;
  }

  deleted(id: string): Promise<WorkloadChange> {
    return this.until((change) => change.kind === "Delete" && change.id === id);
  }
}

const lacking = await missing();
const title =
  "watchContainerd() follows a real containerd through starts, ends, new namespaces and a restart";

Deno.test({
  name: lacking === undefined ? title : `${title} (needs ${lacking})`,
  ignore: lacking !== undefined,
  async fn(t) {
    const folder = await Deno.makeTempDir({ prefix: "ankylo-containerd-" });
    const { root, procfs } = hierarchy() as Hierarchy;
    const server = new RealContainerd(folder);
    await server.prepare();
    const abort = new AbortController();
    const patience = setTimeout(() => abort.abort(), PATIENCE_MS);
    const changes = watchContainerd({
      sockets: [server.socket],
      procfs,
      cgroupTree: { root, controller: "" },
      signal: abort.signal,
    });
    const reader = new Reader(changes);
    let web: Workload | undefined;
    try {
      await t.step("it is not there yet", async () => {
        await reader.kind("Unreachable");
        server.start();
        await reader.kind("Init");
        await reader.kind("InitDone");
      });

      await t.step("a container starts", async () => {
        await server.runContainer(
          "default",
          "web",
          "--label",
          "app=shop",
          "--label",
          "nerdctl/name=shop-web",
        );
        web = await reader.applied("web");
        assert.equal(web.pid, await server.pid("default", "web"));
        assert.equal(web.cgroupPath, "/default/web");
        assert.equal(
          web.cgroupId,
          BigInt((await run("stat", "-c", "%i", `${root}/default/web`)).trim()),
        );
        assert.equal(web.labels["app"], "shop");
        assert.deepEqual([web.name, web.namespace, web.runtimeNamespace], [
          "shop-web",
          "container_namespace",
          "default",
        ]);
      });

      await t.step("a namespace comes with its first container", async () => {
        await server.runContainer("later", "db");
        const { pid, cgroupPath } = await reader.applied("db");
        assert.deepEqual([pid, cgroupPath], [await server.pid("later", "db"), "/later/db"]);
        const names = reader.seen.findLast((change) => change.kind === "Namespaces");
        assert.deepEqual(names?.kind === "Namespaces" && names.names, ["default", "later"]);
      });

      await t.step("exec changes nothing, a short container comes and goes", async () => {
        reader.seen = [];
        await server.ctr(
          "default",
          "task",
          "exec",
          "--exec-id",
          "x",
          "web",
          "/bin/busybox",
          "true",
        );
        const rootfs = `${folder}/rootfs`;
        await server.ctr(
          "default",
          "run",
          "--rm",
          "--rootfs",
          rootfs,
          "short",
          "/bin/busybox",
          "true",
        );
        await server.runContainer("default", "last");
        await reader.applied("last");
        const others = reader.seen.filter((change) =>
          change.kind !== "Apply" && change.kind !== "Delete"
        );
        assert.deepEqual(others, []);
        assert.ok(!reader.seen.some((change) => change.kind === "Delete" && change.id === "web"));
      });

      await t.step("it is killed, a container ends meanwhile, it starts again", async () => {
        const pid = await server.pid("default", "last");
        await server.kill();
        await reader.kind("Unreachable");
        Deno.kill(pid, "SIGKILL");
        server.start();
        reader.seen = [];
        await reader.kind("Init");
        await reader.kind("InitDone");
        const found = reader.seen.filter((change) => change.kind === "Apply");
        assert.deepEqual(found.map(({ workload }) => workload.id), ["web", "db"]);
        assert.deepEqual(found[0]?.workload, web);
        const gone = { kind: "Delete", id: "last", runtimeNamespace: "default" };
        assert.ok(reader.seen.some((change) => Deno.inspect(change) === Deno.inspect(gone)));
      });

      await t.step("a container ends", async () => {
        await server.ctr("default", "task", "kill", "--signal", "SIGKILL", "web");
        await reader.deleted("web");
      });
    } finally {
      clearTimeout(patience);
      abort.abort();
      await changes.return();
      for (const id of ["web", "short", "last"]) await server.remove("default", id);
      await server.remove("later", "db");
      await server.kill();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
