/**
 * Watches containerd: which containers run, and where. Reads only.
 *
 * What keeps the picture true: the subscription goes out before the lists, so nothing falls between; the tasks are compared
 * again soon after, because containerd does not say when a subscription has begun, and then every minute; and a container is
 * reported when its first process is made, before its program starts.
 */
import { Backoff } from "../../lib/backoff.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import type { WorkloadChange } from "./change.ts";
import type { CgroupTree } from "./cgroup.ts";
import { CgroupNews } from "./cgroup_news.ts";
import { ContainerdClient } from "./containerd_client.ts";
import { GrpcClient } from "./grpc.ts";
import { GrpcError } from "./grpc_status.ts";
import { Inventory } from "./inventory.ts";
import type { Procfs } from "./procfs.ts";
import { ProtobufError } from "./protobuf.ts";

export interface WatchOptions {
  /** Absolute paths, tried in order at each attempt; the first that answers as containerd is used. */
  readonly sockets: readonly string[];
  readonly procfs: Procfs;
  /** Ends the watch, without an error. */
  readonly signal: AbortSignal;
  /** Where the runtime makes cgroups; cgroup2 at `/sys/fs/cgroup` by default. */
  readonly cgroupTree?: CgroupTree;
  /** What the kernel tells of cgroups: with it a container is known before it has a process. */
  readonly cgroups?: CgroupNews;
  readonly clock?: Clock;
  /** For the waits between attempts; `Math.random` by default. */
  readonly random?: () => number;
}

const CGROUP2: CgroupTree = { root: "/sys/fs/cgroup", controller: "" };

/** Where containerd listens: its own packages, k3s and rke2, docker's own, microk8s, k0s. */
export const CONTAINERD_SOCKETS: readonly string[] = [
  "/run/containerd/containerd.sock",
  "/run/k3s/containerd/containerd.sock",
  "/run/docker/containerd/containerd.sock",
  "/var/snap/microk8s/common/run/containerd.sock",
  "/run/k0s/containerd.sock",
];

/** Whether one of the sockets is there, or may be: only what is surely missing is not. */
export function isAnyThere(sockets: readonly string[]): boolean {
  return sockets.some((socket) => {
    try {
      return Deno.statSync(socket) !== undefined;
    } catch (error) {
      return !(error instanceof Deno.errors.NotFound);
    }
  });
}

const CONNECT_TIMEOUT_MS = 5_000;
/** 2.7 KB a container measured: room for about 24,000 in one namespace. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const RETRY_FIRST_MS = 200;
const RETRY_LIMIT_MS = 15_000;
/** Well after any subscription has begun. */
const COMPARE_FIRST_MS = 2_000;
const COMPARE_MS = 60_000;

/**
 * Endless until the signal aborts: containerd away, restarting or talking nonsense is an Unreachable, then a new Init. Every
 * change is true when it is yielded; a consumer that is slow makes containerd keep its events, and loses none.
 */
export async function* watchContainerd(
  options: WatchOptions,
): AsyncGenerator<WorkloadChange, void> {
  const { signal, clock = systemClock } = options;
  const inventory = new Inventory(options.procfs, options.cgroupTree ?? CGROUP2);
  const backoff = new Backoff({
    firstMs: RETRY_FIRST_MS,
    limitMs: RETRY_LIMIT_MS,
    ...(options.random && { random: options.random }),
  });
  let told = "";
  while (!signal.aborted) {
    try {
      for await (const change of watchConnection(options, clock, inventory, backoff)) {
        if (change.kind === "Init") told = "";
        yield change;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isOutage(error)) throw error;
      if (error.message !== told) yield { kind: "Unreachable", reason: error.message };
      told = error.message;
    }
    await clock.sleep(backoff.next(), signal);
  }
}

/** containerd is not there, or ended what it should not. */
class OutageError extends Error {
  override readonly name = "OutageError";
}

/** True for what a new attempt may mend; anything else is a mistake in the agent and must surface. */
function isOutage(error: unknown): error is Error {
  return error instanceof OutageError || error instanceof GrpcError ||
    error instanceof ProtobufError;
}

/** One connection, until it breaks: never returns but throws. */
async function* watchConnection(
  options: WatchOptions,
  clock: Clock,
  inventory: Inventory,
  backoff: Backoff,
): AsyncGenerator<WorkloadChange, void> {
  const { cgroups = new CgroupNews() } = options;
  const { grpc, client, socket, version } = await connect(options);
  const closing = new AbortController();
  try {
    const events = client.subscribe();
    let event = hold(events.next());
    yield { kind: "Init", socket, version };
    yield* inventory.list(client);
    yield { kind: "InitDone" };
    let pause = clock.sleep(COMPARE_FIRST_MS, closing.signal);
    let news = cgroups.ready;
    while (true) {
      const first = await Promise.race([event, news, pause]);
      if (first === "cgroups") {
        for (const change of cgroups.take()) yield* inventory.onCgroup(client, change);
        news = cgroups.ready;
      } else if (first === undefined) {
        yield* inventory.compare(client);
        // Only a connection that lasts is a success: one that breaks after each list must not be retried in haste.
        backoff.reset();
        pause = clock.sleep(COMPARE_MS, closing.signal);
      } else if (first.done) {
        throw new OutageError("containerd ended the stream of events");
      } else {
        yield* inventory.handle(client, first.value);
        event = hold(events.next());
      }
    }
  } finally {
    closing.abort();
    grpc.close();
  }
}

/** A promise that may fail while nobody waits for it; whoever waits later still gets the failure. */
function hold<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

interface Connection {
  readonly grpc: GrpcClient;
  readonly client: ContainerdClient;
  readonly socket: string;
  readonly version: string;
}

async function connect({ sockets, signal }: WatchOptions): Promise<Connection> {
  const failures: string[] = [];
  for (const socket of sockets) {
    let grpc: GrpcClient | undefined;
    try {
      const limits = { timeoutMs: CONNECT_TIMEOUT_MS, messageBytesMax: MESSAGE_BYTES_MAX, signal };
      grpc = await GrpcClient.connect(socket, limits);
      const client = new ContainerdClient(grpc, signal);
      return { grpc, client, socket, version: await client.version() };
    } catch (error) {
      grpc?.close();
      if (!(error instanceof GrpcError)) throw error;
      failures.push(error.message);
    }
  }
  throw new OutageError(`Cannot reach containerd: ${failures.join("; ")}`);
}
