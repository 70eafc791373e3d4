/**
 * A containerd for tests: its API over a unix socket, with containers that exist only in it. What it answers can be replaced by
 * method, to be slow, wrong or absent.
 */
import http2 from "node:http2";
import type { Server } from "node:net";
import {
  ContainerChanged,
  containerd,
  NamespaceChanged,
  TaskCreate,
  TaskDelete,
  TaskExit,
  TaskStart,
  TaskStatus,
} from "../../src/sources/runtime/containerd_api.ts";
import type { Method } from "../../src/sources/runtime/grpc.ts";
import { frame, FrameDecoder } from "../../src/sources/runtime/grpc_frames.ts";
import { GrpcStatus } from "../../src/sources/runtime/grpc_status.ts";
import type { MessageValue } from "../../src/sources/runtime/protobuf.ts";

/** A call as the fake server sees it. */
export interface Call {
  readonly namespace: string;
  /** The request's bytes. */
  readonly request: Uint8Array;
  /** Sends bytes as they are: a message needs `frame` around it. */
  write(bytes: Uint8Array): void;
  end(code: number, message?: string): void;
  /** Ends without a status, as a server that is killed. */
  breakOff(): void;
}

export interface FakeContainer {
  readonly id: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly image?: string;
  /** JSON text of the OCI specification. */
  readonly spec?: string;
}

interface Namespace {
  readonly containers: Map<string, FakeContainer>;
  readonly tasks: Map<string, { pid: number; status: number }>;
}

/** Image names have the digest `sha256:<name>`. */
export class FakeContainerd {
  readonly socket: string;
  readonly namespaces = new Map<string, Namespace>();
  /** By method path; replaces the usual answer. */
  readonly replaced = new Map<string, (call: Call) => void>();
  /** Method paths in the order in which calls came. */
  readonly calls: string[] = [];
  readonly #server: http2.Http2Server & Server;
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  readonly #subscribers = new Set<Call>();
  #arrivals: { count: number; resolve: () => void }[] = [];

  private constructor(socket: string) {
    this.socket = socket;
    this.#server = http2.createServer() as http2.Http2Server & Server;
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
      session.on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, headers) => this.#accept(stream, headers));
  }

  static async listen(socket: string): Promise<FakeContainerd> {
    const fake = new FakeContainerd(socket);
    await new Promise<void>((resolve) => fake.#server.listen(socket, resolve));
    return fake;
  }

  /** Connections that clients hold open. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** As if killed: connections break, the socket's file is gone. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.destroy();
    await closed;
  }

  /** Settles once `count` subscriptions are open. */
  subscribed(count = 1): Promise<void> {
    return new Promise((resolve) => {
      if (this.#subscribers.size >= count) resolve();
      else this.#arrivals.push({ count, resolve });
    });
  }

  create(namespace: string, container: FakeContainer): void {
    this.#namespace(namespace).containers.set(container.id, container);
    this.publish(namespace, "/containers/create", ContainerChanged.encode({ id: container.id }));
  }

  update(namespace: string, container: FakeContainer): void {
    this.#namespace(namespace).containers.set(container.id, container);
    this.publish(namespace, "/containers/update", ContainerChanged.encode({ id: container.id }));
  }

  /** The task is made; `start` is another step. */
  createTask(namespace: string, containerId: string, pid: number): void {
    this.#namespace(namespace).tasks.set(containerId, { pid, status: TaskStatus.CREATED });
    this.publish(namespace, "/tasks/create", TaskCreate.encode({ containerId, pid }));
  }

  startTask(namespace: string, containerId: string, pid: number): void {
    this.#namespace(namespace).tasks.set(containerId, { pid, status: TaskStatus.RUNNING });
    this.publish(namespace, "/tasks/start", TaskStart.encode({ containerId, pid }));
  }

  /** The first process ends; containerd keeps the task. */
  exitTask(namespace: string, containerId: string, pid: number): void {
    this.#namespace(namespace).tasks.set(containerId, { pid, status: TaskStatus.STOPPED });
    this.publish(namespace, "/tasks/exit", TaskExit.encode({ containerId, id: containerId, pid }));
  }

  /** A process that was started by exec ends. */
  exitExec(namespace: string, containerId: string, execId: string, pid: number): void {
    this.publish(namespace, "/tasks/exit", TaskExit.encode({ containerId, id: execId, pid }));
  }

  deleteTask(namespace: string, containerId: string, pid: number): void {
    this.#namespace(namespace).tasks.delete(containerId);
    this.publish(namespace, "/tasks/delete", TaskDelete.encode({ containerId, id: "", pid }));
  }

  delete(namespace: string, id: string): void {
    this.#namespace(namespace).containers.delete(id);
    this.publish(namespace, "/containers/delete", ContainerChanged.encode({ id }));
  }

  createNamespace(name: string): void {
    this.#namespace(name);
    this.publish(name, "/namespaces/create", NamespaceChanged.encode({ name }));
  }

  publish(namespace: string, topic: string, event: Uint8Array): void {
    const envelope = {
      namespace,
      topic,
      event: { typeUrl: "containerd.events.Event", value: event },
    };
    for (const subscriber of this.#subscribers) {
      subscriber.write(frame(containerd.subscribe.response.encode(envelope)));
    }
  }

  /** Every open subscription gets these bytes, or ends. */
  toSubscribers(act: (call: Call) => void): void {
    for (const subscriber of [...this.#subscribers]) act(subscriber);
  }

  #namespace(name: string): Namespace {
    const found = this.namespaces.get(name) ?? { containers: new Map(), tasks: new Map() };
    this.namespaces.set(name, found);
    return found;
  }

  async #accept(
    stream: http2.ServerHttp2Stream,
    headers: http2.IncomingHttpHeaders,
  ): Promise<void> {
    stream.on("error", () => {});
    const path = String(headers[":path"]);
    let trailers: Record<string, string> = {};
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, {
      waitForTrailers: true,
    });
    const call: Call = {
      namespace: String(headers["containerd-namespace"] ?? ""),
      request: await readRequest(stream),
      write: (bytes) => void stream.write(bytes),
      end: (code, message = "") => {
        trailers = { "grpc-status": String(code), "grpc-message": encodeURIComponent(message) };
        stream.end();
      },
      breakOff: () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
    };
    this.calls.push(path);
    stream.on("close", () => this.#subscribers.delete(call));
    (this.replaced.get(path) ?? this.#answer(path))(call);
  }

  #answer(path: string): (call: Call) => void {
    const answers: Record<string, (call: Call) => void> = {
      [containerd.version.path]: reply(
        containerd.version,
        () => ({ version: "1.6.20", revision: "" }),
      ),
      [containerd.listNamespaces.path]: reply(
        containerd.listNamespaces,
        () => ({
          namespaces: [...this.namespaces.keys()].map((name) => ({ name, labels: new Map() })),
        }),
      ),
      [containerd.listContainers.path]: reply(containerd.listContainers, ({ namespace }) => ({
        containers: [...this.#namespace(namespace).containers.values()].map(toContainer),
      })),
      [containerd.getContainer.path]: reply(containerd.getContainer, ({ namespace, request }) => {
        const { id } = containerd.getContainer.request.decode(request);
        const found = this.namespaces.get(namespace)?.containers.get(id);
        return found && { container: toContainer(found) };
      }),
      [containerd.listTasks.path]: reply(containerd.listTasks, ({ namespace }) => ({
        tasks: [...this.#namespace(namespace).tasks].map(([id, task]) => ({
          id,
          containerId: "",
          ...task,
        })),
      })),
      [containerd.listImages.path]: reply(containerd.listImages, ({ namespace }) => ({
        images: [...this.#namespace(namespace).containers.values()].map(({ image = "" }) =>
          toImage(image)
        ),
      })),
      [containerd.getImage.path]: reply(containerd.getImage, ({ request }) => ({
        image: toImage(containerd.getImage.request.decode(request).name),
      })),
      [containerd.subscribe.path]: (call) => this.#subscribe(call),
    };
    return answers[path] ??
      ((call) => call.end(GrpcStatus.UNIMPLEMENTED, `unknown method ${path}`));
  }

  #subscribe(call: Call): void {
    this.#subscribers.add(call);
    const ready = this.#arrivals.filter(({ count }) => this.#subscribers.size >= count);
    this.#arrivals = this.#arrivals.filter((arrival) => !ready.includes(arrival));
    for (const { resolve } of ready) resolve();
  }
}

/** An answer of one message; undefined is NOT_FOUND. */
function reply<Q, R>(
  method: Method<Q, R>,
  answer: (call: Call) => R | undefined,
): (call: Call) => void {
  return (call) => {
    const response = answer(call);
    if (response === undefined) return call.end(GrpcStatus.NOT_FOUND, "not found");
    call.write(frame(method.response.encode(response)));
    call.end(GrpcStatus.OK);
  };
}

function toContainer({ id, labels = {}, image = "", spec = "" }: FakeContainer) {
  const typeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
  const value = new TextEncoder().encode(spec);
  return { id, labels: new Map(Object.entries(labels)), image, spec: { typeUrl, value } };
}

function toImage(
  name: string,
): NonNullable<MessageValue<typeof containerd.getImage.response>["image"]> {
  return { name, target: { mediaType: "", digest: `sha256:${name}` } };
}

async function readRequest(stream: http2.ServerHttp2Stream): Promise<Uint8Array> {
  const frames = new FrameDecoder(1 << 20);
  let request = new Uint8Array();
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    for (const message of frames.push(chunk)) request = Uint8Array.from(message);
  }
  return request;
}
