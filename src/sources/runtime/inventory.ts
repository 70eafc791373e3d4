import type { Workload } from "../../model/workload.ts";
import { type Cgroup, CgroupError, type CgroupTree, findCgroup, specifiedPath } from "./cgroup.ts";
import type { CgroupChange } from "./cgroup_news.ts";
import type { WorkloadChange } from "./change.ts";
import type { ContainerdClient, RuntimeEvent, Task } from "./containerd_client.ts";
import { type Description, toWorkload } from "./describe.ts";
import type { Procfs } from "./procfs.ts";

type Changes = AsyncGenerator<WorkloadChange, void>;

/**
 * What containerd has, as far as it told. Outlives a connection, so that what vanished while there was none is found.
 * Each method yields what changed by it.
 */
export class Inventory {
  readonly #procfs: Procfs;
  readonly #cgroupTree: CgroupTree;
  /** By `key`. Filled when a container is created, so that nothing is left to ask for when it starts. */
  readonly #descriptions = new Map<string, Description>();
  /** By `key`: those that run. */
  readonly #workloads = new Map<string, Workload>();
  /** By `key`: what was told last. */
  readonly #problems = new Map<string, string>();
  /** Containers' cgroups that the kernel told of and that are there: path to id. */
  readonly #cgroups = new Map<string, bigint>();
  #namespaces: readonly string[] = [];

  constructor(procfs: Procfs, cgroupTree: CgroupTree) {
    this.#procfs = procfs;
    this.#cgroupTree = cgroupTree;
  }

  /** Reads all containers anew and yields every one that runs, then a Delete for each that no longer does. */
  async *list(client: ContainerdClient): Changes {
    const namespaces = await client.namespaces();
    this.#descriptions.clear();
    this.#problems.clear();
    yield* this.#setNamespaces(namespaces);
    for (const namespace of namespaces) {
      const [descriptions, tasks] = await Promise.all([
        client.containers(namespace),
        client.tasks(namespace),
      ]);
      for (const description of descriptions) {
        this.#descriptions.set(key(namespace, description.id), description);
      }
      for (const task of tasks) yield* this.#place(client, namespace, task, true);
      yield* this.#dropAllBut(namespace, tasks);
    }
    yield* this.#dropOtherNamespaces(namespaces);
    for (const description of this.#descriptions.values()) {
      yield* this.#placeEarly(client, description);
    }
  }

  /**
   * The kernel made or removed a container's cgroup. A container is placed as soon as its cgroup and its description are
   * there: its runtime tells of a process only when that is ready, and what runs in the cgroup until then waits for it.
   */
  async *onCgroup(client: ContainerdClient, { path, id, gone }: CgroupChange): Changes {
    if (gone) {
      if (this.#cgroups.get(path) === id) this.#cgroups.delete(path);
      // Its runtime never told of a process, and will not tell of its end.
      for (const workload of [...this.#workloads.values()]) {
        if (workload.cgroupId !== id || workload.pid !== 0) continue;
        yield* this.#drop(workload.runtimeNamespace, workload.id);
      }
      return;
    }
    this.#cgroups.set(path, id);
    for (const description of this.#descriptions.values()) {
      if (specifiedPath(description.cgroupsPath) !== path) continue;
      yield* this.#placeEarly(client, description);
    }
  }

  /** Compares with the tasks that containerd has, and yields only differences: what events did not tell. */
  async *compare(client: ContainerdClient): Changes {
    const namespaces = await client.namespaces();
    yield* this.#setNamespaces(namespaces);
    for (const namespace of namespaces) {
      const tasks = await client.tasks(namespace);
      for (const task of tasks) {
        if (this.#knows(namespace, task)) continue;
        this.#descriptions.delete(key(namespace, task.id));
        yield* this.#place(client, namespace, task, true);
      }
      yield* this.#dropAllBut(namespace, tasks);
    }
    yield* this.#dropOtherNamespaces(namespaces);
  }

  async *handle(client: ContainerdClient, event: RuntimeEvent): Changes {
    // containerd makes a namespace with its first container and without an event of its own.
    yield* this.#setNamespaces([...this.#namespaces, event.namespace]);
    switch (event.kind) {
      case "described":
        return yield* this.#describeAnew(client, event.namespace, event.id);
      case "running":
        // Comes twice: when the process is made, and when it starts.
        if (!this.#knows(event.namespace, event)) {
          yield* this.#place(client, event.namespace, event, false);
        }
        return;
      case "ended":
        // Not for a process of an exec, nor for a late word about a first process before the present one.
        if (this.#knows(event.namespace, event)) yield* this.#drop(event.namespace, event.id);
        return;
      case "removed":
        this.#descriptions.delete(key(event.namespace, event.id));
        this.#problems.delete(key(event.namespace, event.id));
        return yield* this.#drop(event.namespace, event.id);
    }
  }

  #knows(namespace: string, { id, pid }: Task): boolean {
    return this.#workloads.get(key(namespace, id))?.pid === pid;
  }

  /** `listed`: containerd says that it runs, so that a missing process is worth a word. */
  async *#place(client: ContainerdClient, namespace: string, task: Task, listed: boolean): Changes {
    const description = await this.#describe(client, namespace, task.id);
    if (description === undefined) return;
    let cgroup: Cgroup | undefined;
    try {
      cgroup = findCgroup(this.#procfs, this.#cgroupTree, task.pid, description.cgroupsPath);
    } catch (error) {
      if (!(error instanceof CgroupError)) throw error;
      return yield* this.#complain(description, `Cannot find its cgroup: ${error.message}`);
    }
    if (cgroup === undefined) {
      if (listed) {
        yield* this.#complain(
          description,
          `Cannot find its cgroup: no process ${task.pid} in /proc`,
        );
      }
      return;
    }
    if (description.problem !== "") yield* this.#complain(description, description.problem);
    yield this.#apply(
      toWorkload(description, await this.#podLabels(client, description), task.pid, cgroup),
    );
  }

  #apply(workload: Workload): WorkloadChange {
    this.#workloads.set(key(workload.runtimeNamespace, workload.id), workload);
    return { kind: "Apply", workload };
  }

  /** Without its first process, which its runtime has not told yet. */
  async *#placeEarly(client: ContainerdClient, description: Description): Changes {
    const path = specifiedPath(description.cgroupsPath);
    const id = path === undefined ? undefined : this.#cgroups.get(path);
    const known = this.#workloads.get(key(description.runtimeNamespace, description.id));
    if (path === undefined || id === undefined || known?.cgroupId === id) return;
    yield this.#apply(
      toWorkload(description, await this.#podLabels(client, description), 0, { path, id }),
    );
  }

  async *#describeAnew(client: ContainerdClient, namespace: string, id: string): Changes {
    this.#descriptions.delete(key(namespace, id));
    const description = await this.#describe(client, namespace, id);
    if (description === undefined) return;
    const running = this.#workloads.get(key(namespace, id));
    if (running === undefined) return yield* this.#placeEarly(client, description);
    const cgroup = { path: running.cgroupPath, id: running.cgroupId };
    yield this.#apply(
      toWorkload(description, await this.#podLabels(client, description), running.pid, cgroup),
    );
  }

  async #describe(
    client: ContainerdClient,
    namespace: string,
    id: string,
  ): Promise<Description | undefined> {
    const known = this.#descriptions.get(key(namespace, id));
    if (known !== undefined) return known;
    const description = await client.container(namespace, id);
    if (description !== undefined) this.#descriptions.set(key(namespace, id), description);
    return description;
  }

  async #podLabels(client: ContainerdClient, { sandboxId, runtimeNamespace, id }: Description) {
    if (sandboxId === "" || sandboxId === id) return {};
    return (await this.#describe(client, runtimeNamespace, sandboxId))?.labels ?? {};
  }

  *#setNamespaces(namespaces: readonly string[]): Generator<WorkloadChange, void> {
    const names = [...new Set(namespaces)].filter((name) => name !== "").sort();
    if (names.join() === this.#namespaces.join()) return;
    this.#namespaces = names;
    yield { kind: "Namespaces", names };
  }

  *#dropAllBut(namespace: string, tasks: readonly Task[]): Generator<WorkloadChange, void> {
    const running = new Set(tasks.map(({ id }) => id));
    for (const { runtimeNamespace, id, pid } of [...this.#workloads.values()]) {
      const unlisted = runtimeNamespace === namespace && !running.has(id);
      // One without a process yet is not listed either; it goes with its cgroup.
      if (unlisted && pid !== 0) yield* this.#drop(namespace, id);
    }
  }

  *#dropOtherNamespaces(namespaces: readonly string[]): Generator<WorkloadChange, void> {
    for (const { runtimeNamespace, id } of [...this.#workloads.values()]) {
      if (!namespaces.includes(runtimeNamespace)) yield* this.#drop(runtimeNamespace, id);
    }
  }

  *#drop(runtimeNamespace: string, id: string): Generator<WorkloadChange, void> {
    const known = this.#workloads.delete(key(runtimeNamespace, id));
    if (known) yield { kind: "Delete", id, runtimeNamespace };
  }

  *#complain(
    { runtimeNamespace, id }: Description,
    message: string,
  ): Generator<WorkloadChange, void> {
    if (this.#problems.get(key(runtimeNamespace, id)) === message) return;
    this.#problems.set(key(runtimeNamespace, id), message);
    yield { kind: "Problem", id, runtimeNamespace, message };
  }
}

/** Neither a namespace nor an id has a slash. */
function key(namespace: string, id: string): string {
  return `${namespace}/${id}`;
}
