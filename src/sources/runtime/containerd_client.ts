import {
  type Container,
  ContainerChanged,
  containerd,
  type Envelope,
  inNamespace,
  NamespaceChanged,
  TaskCreate,
  TaskDelete,
  TaskExit,
  TaskStart,
  TaskStatus,
} from "./containerd_api.ts";
import { type Description, KIND_LABEL, readSpec, type SpecFacts } from "./describe.ts";
import type { GrpcClient, Method } from "./grpc.ts";
import { GrpcError, GrpcStatus } from "./grpc_status.ts";

/** A container's first process. */
export interface Task {
  readonly id: string;
  readonly pid: number;
}

/** What containerd tells while it is watched. */
export type RuntimeEvent =
  | { readonly kind: "namespace"; readonly namespace: string }
  /** A container was created, or its labels changed; it may have no process. */
  | { readonly kind: "described" | "removed"; readonly namespace: string; readonly id: string }
  /** Its first process is there (and may still wait for its start); this process of it, the first or another, ended. */
  | {
    readonly kind: "running" | "ended";
    readonly namespace: string;
    readonly id: string;
    readonly pid: number;
  };

/** The events that `subscribe` reads; leaves out those of images and snapshots, of which a pull makes hundreds. */
const FILTERS = [
  'topic~="^/tasks/(create|start|exit|delete)$"',
  'topic~="^/containers/"',
  'topic=="/namespaces/create"',
];

/** A single thing is asked for. */
const GET_TIMEOUT_MS = 10_000;
/** A list of tasks asks every container's shim in turn, and containerd waits 2 s for one that hangs. */
const LIST_TIMEOUT_MS = 60_000;

/** containerd's answers, put into the agent's words. Every method throws {GrpcError}. */
export class ContainerdClient {
  readonly #grpc: GrpcClient;
  readonly #signal: AbortSignal;

  constructor(grpc: GrpcClient, signal: AbortSignal) {
    this.#grpc = grpc;
    this.#signal = signal;
  }

  async version(): Promise<string> {
    const options = { timeoutMs: GET_TIMEOUT_MS, signal: this.#signal };
    return (await this.#grpc.unary(containerd.version, {}, options)).version;
  }

  async namespaces(): Promise<string[]> {
    const options = { timeoutMs: GET_TIMEOUT_MS, signal: this.#signal };
    const { namespaces } = await this.#grpc.unary(
      containerd.listNamespaces,
      { filter: "" },
      options,
    );
    return namespaces.map(({ name }) => name);
  }

  /** All containers of a namespace, whether they run or not. */
  async containers(namespace: string): Promise<Description[]> {
    const [{ containers }, { images }] = await Promise.all([
      this.#list(containerd.listContainers, { filters: [] }, namespace),
      this.#list(containerd.listImages, { filters: [] }, namespace),
    ]);
    const digests = new Map(images.map(({ name, target }) => [name, target?.digest ?? ""]));
    return containers.map((container) =>
      describe(namespace, container, digests.get(container.image) ?? "")
    );
  }

  /** One container; undefined when there is none. */
  async container(namespace: string, id: string): Promise<Description | undefined> {
    const found = await this.#get(containerd.getContainer, { id }, namespace);
    if (found?.container === undefined) return undefined;
    const name = found.container.image;
    const image = name === ""
      ? undefined
      : await this.#get(containerd.getImage, { name }, namespace);
    return describe(namespace, found.container, image?.image?.target?.digest ?? "");
  }

  /** The tasks of a namespace that did not end. One whose state containerd can't tell counts as running. */
  async tasks(namespace: string): Promise<Task[]> {
    const { tasks } = await this.#list(containerd.listTasks, { filter: "" }, namespace);
    return tasks
      .filter(({ status, pid }) => status !== TaskStatus.STOPPED && pid > 0)
      .map(({ id, containerId, pid }) => ({ id: id || containerId, pid }));
  }

  /** Events of every namespace, from now on. The subscription is on its way when this returns. */
  subscribe(): AsyncGenerator<RuntimeEvent, void> {
    return readEvents(
      this.#grpc.stream(containerd.subscribe, { filters: FILTERS }, { signal: this.#signal }),
    );
  }

  #list<Q, R>(method: Method<Q, R>, request: Q, namespace: string): Promise<R> {
    const options = {
      metadata: inNamespace(namespace),
      timeoutMs: LIST_TIMEOUT_MS,
      signal: this.#signal,
    };
    return this.#grpc.unary(method, request, options);
  }

  async #get<Q, R>(method: Method<Q, R>, request: Q, namespace: string): Promise<R | undefined> {
    const options = {
      metadata: inNamespace(namespace),
      timeoutMs: GET_TIMEOUT_MS,
      signal: this.#signal,
    };
    try {
      return await this.#grpc.unary(method, request, options);
    } catch (error) {
      if (error instanceof GrpcError && error.code === GrpcStatus.NOT_FOUND) return undefined;
      throw error;
    }
  }
}

function describe(namespace: string, container: Container, imageDigest: string): Description {
  const { facts, problem } = trySpec(container);
  const labels = Object.fromEntries(container.labels);
  if (facts.isSandbox) labels[KIND_LABEL] = "sandbox";
  return {
    id: container.id,
    runtimeNamespace: namespace,
    labels,
    image: container.image,
    imageDigest,
    cgroupsPath: facts.cgroupsPath,
    sandboxId: facts.sandboxId,
    problem,
  };
}

/** A specification that can't be read does not hide the container: its process still tells its cgroup. */
function trySpec({ spec }: Container): { facts: SpecFacts; problem: string } {
  try {
    return { facts: readSpec(spec?.value ?? new Uint8Array()), problem: "" };
  } catch (error) {
    const problem = `Cannot read its OCI specification: ${
      error instanceof Error ? error.message : error
    }`;
    return { facts: { cgroupsPath: "", sandboxId: "", isSandbox: false }, problem };
  }
}

async function* readEvents(
  envelopes: AsyncGenerator<Envelope, void>,
): AsyncGenerator<RuntimeEvent, void> {
  for await (const envelope of envelopes) {
    const event = readEvent(envelope);
    if (event !== undefined) yield event;
  }
}

/**
 * What an event means; undefined for one that means nothing here.
 *
 * @throws {ProtobufError} when the event's content is damaged.
 */
export function readEvent({ namespace, topic, event }: Envelope): RuntimeEvent | undefined {
  const content = event?.value ?? new Uint8Array();
  switch (topic) {
    case "/tasks/create":
    case "/tasks/start": {
      const { containerId, pid } = (topic === "/tasks/create" ? TaskCreate : TaskStart).decode(
        content,
      );
      return { kind: "running", namespace, id: containerId, pid };
    }
    case "/tasks/exit":
    case "/tasks/delete": {
      // Also of a process that exec started, whose pid is not the first one's.
      const { containerId, pid } = (topic === "/tasks/exit" ? TaskExit : TaskDelete).decode(
        content,
      );
      return { kind: "ended", namespace, id: containerId, pid };
    }
    case "/containers/create":
    case "/containers/update":
      return { kind: "described", namespace, id: ContainerChanged.decode(content).id };
    case "/containers/delete":
      return { kind: "removed", namespace, id: ContainerChanged.decode(content).id };
    case "/namespaces/create":
      return { kind: "namespace", namespace: NamespaceChanged.decode(content).name };
    default:
      return undefined;
  }
}
