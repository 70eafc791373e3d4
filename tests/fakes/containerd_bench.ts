/** A watch of containerd under test, with a server, a host and a clock of its own. */

import assert from "node:assert/strict";
import { ManualClock } from "../../src/lib/clock.ts";
import { CgroupNews } from "../../src/sources/runtime/cgroup_news.ts";
import type { WorkloadChange } from "../../src/sources/runtime/change.ts";
import { watchContainerd } from "../../src/sources/runtime/containerd.ts";
import type { Procfs } from "../../src/sources/runtime/procfs.ts";
import { FakeContainerd } from "./containerd.ts";

/** A change or an answer that does not come must end the test. */
export function test(name: string, run: () => Promise<void>): void {
  Deno.test(name, { timeout: 30_000 }, run);
}

/** A host on which process `pid` is in cgroup `path`, whose id is `1000 + pid`. */
class FakeHost implements Procfs {
  readonly processes = new Map<number, string>();

  run(pid: number, path: string): number {
    this.processes.set(pid, path);
    return pid;
  }

  readText(path: string): string | undefined {
    const pid = Number(/^\/proc\/(\d+)\/cgroup$/.exec(path)?.[1]);
    const found = this.processes.get(pid);
    return found === undefined ? undefined : `0::${found}\n`;
  }

  inode(path: string): bigint | undefined {
    const found = [...this.processes].find(([, cgroup]) => path === `/sys/fs/cgroup${cgroup}`);
    return found === undefined ? undefined : BigInt(1_000 + found[0]);
  }
}

/** A watch under test: its changes one after another, its host, its clock, and the servers it can be given. */
export class Bench implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly cgroups = new CgroupNews();
  readonly host = new FakeHost();
  readonly #folder: string;
  readonly #abort = new AbortController();
  readonly #servers: FakeContainerd[] = [];
  #changes: AsyncGenerator<WorkloadChange, void> | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir());
  }

  get socket(): string {
    return `${this.#folder}/containerd.sock`;
  }

  async serve(socket = this.socket): Promise<FakeContainerd> {
    const server = await FakeContainerd.listen(socket);
    this.#servers.push(server);
    return server;
  }

  watch(sockets = [this.socket]): void {
    const { clock, cgroups, host: procfs } = this;
    this.#changes = watchContainerd({
      sockets,
      procfs,
      cgroups,
      clock,
      signal: this.#abort.signal,
      random: () => 0,
    });
  }

  async next(): Promise<WorkloadChange> {
    const result = await this.#changes?.next();
    assert.ok(result !== undefined && !result.done, "the watch has ended");
    return result.value;
  }

  /** The next changes, in short words, as many as are expected. */
  async expect(...words: string[]): Promise<void> {
    const found: string[] = [];
    for (const _ of words) found.push(inWords(await this.next()));
    assert.deepEqual(found, words);
  }

  /** Lets `ms` pass once the watch waits for it, while the next change is awaited. */
  async expectAfter(ms: number, ...words: string[]): Promise<void> {
    const expected = this.expect(...words);
    await this.clock.sleeping();
    this.clock.advance(ms);
    await expected;
  }

  abort(): void {
    this.#abort.abort();
  }

  ended(): Promise<IteratorResult<WorkloadChange, void>> | undefined {
    return this.#changes?.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#changes?.return();
    for (const server of this.#servers) await server.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

export function inWords(change: WorkloadChange): string {
  switch (change.kind) {
    case "Apply": {
      const { runtimeNamespace, id, pid, cgroupPath, cgroupId } = change.workload;
      return `Apply ${runtimeNamespace}/${id} pid ${pid} in ${cgroupPath} = ${cgroupId}`;
    }
    case "Delete":
      return `Delete ${change.runtimeNamespace}/${change.id}`;
    case "Namespaces":
      return `Namespaces ${change.names.join(" ")}`;
    case "Problem":
      return `Problem ${change.runtimeNamespace}/${change.id}: ${change.message}`;
    case "Unreachable":
      return "Unreachable";
    default:
      return change.kind;
  }
}
