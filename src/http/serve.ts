/** Serves the application on a TCP address and a unix socket until a signal ends it. */
import type { Hono } from "hono";
import type { ServeEnvironment } from "./app.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { TlsCredentials } from "../config/credentials.ts";
import { listenTcp, type TcpLimits } from "./tcp_server.ts";

export interface ServeOptions {
  /** Undefined: no TCP. Port 0: any free one. */
  readonly listen: { readonly hostname: string; readonly port: number } | undefined;
  /** Of the TCP address. */
  readonly tls?: TlsCredentials | undefined;
  readonly limits?: Partial<TcpLimits> | undefined;
  /** Path; undefined: no unix socket. Its directory is made when it is missing. */
  readonly socket: string | undefined;
  /** Ends the event streams: a server does not stop while one is open. */
  readonly closeStreams: () => void;
  /** Default: the system's. */
  readonly clock?: Clock;
}

export interface Serving {
  /** The real port; undefined without TCP. */
  readonly port: number | undefined;
  /** Settles when all is closed and the socket is gone. */
  readonly finished: Promise<void>;
}

/** Root and its group: whoever may read alerts learns what containers do. */
const SOCKET_UMASK = 0o117;
const DIRECTORY_MODE = 0o755;
/** What clients get to take the end of their responses; then connections are cut. */
const GRACE_MS = 2_000;

/** A listening server and what it has not answered to the end. */
interface Server {
  readonly answering: Set<Promise<void>>;
  /** Closes the server and cuts its connections. */
  close(): Promise<void>;
}

/**
 * Listens, and serves until `signal` aborts.
 * @throws {Error} when the address or the socket is taken, or another file lies at the socket's path.
 */
export async function serve(
  app: Pick<Hono, "fetch">,
  options: ServeOptions,
  signal: AbortSignal,
): Promise<Serving> {
  const { listen, socket, tls, limits } = options;
  const answer = (request: Request) => app.fetch(request, TCP);
  const tcp = listen && await listenTcp(answer, { ...listen, tls, limits });
  const servers: Server[] = tcp === undefined ? [] : [tcp];
  try {
    if (socket !== undefined) servers.push(await serveUnix(app, socket));
  } catch (error) {
    await close(servers);
    throw error;
  }
  const finished = untilAborted(signal).then(() => stop(servers, options));
  return { port: tcp?.port, finished };
}

async function serveUnix(app: Pick<Hono, "fetch">, path: string): Promise<Server> {
  const directory = path.slice(0, path.lastIndexOf("/")) || "/";
  await Deno.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  await removeStaleSocket(path);
  const [cut, answering] = [new AbortController(), new Set<Promise<void>>()];
  const settings = { path, signal: cut.signal, onListen: () => {} };
  // The mask, and not a chmod behind it: nobody may connect in between.
  const before = Deno.umask(SOCKET_UMASK);
  try {
    const server = Deno.serve(settings, handlerOf(app, answering));
    const close = () => {
      cut.abort();
      return server.finished;
    };
    return { answering, close };
  } catch (cause) {
    throw new Error(`Cannot listen on ${path}`, { cause });
  } finally {
    Deno.umask(before);
  }
}

const TCP: ServeEnvironment = { transport: "tcp" };
const UNIX: ServeEnvironment = { transport: "unix" };

function handlerOf(app: Pick<Hono, "fetch">, answering: Set<Promise<void>>) {
  return (request: Request, info: { completed: Promise<void> }) => {
    // It rejects when the client leaves first, which ends the answer as well.
    const answered: Promise<void> = info.completed.catch(() => {})
      .finally(() => answering.delete(answered));
    answering.add(answered);
    return app.fetch(request, UNIX);
  };
}

/** An agent that was killed leaves its socket behind; one that answers is alive and keeps it. */
async function removeStaleSocket(path: string): Promise<void> {
  const info = await Deno.lstat(path).catch(undefinedIfNotFound);
  if (info === undefined) return;
  if (!info.isSocket) {
    throw new Error(`Cannot listen on ${path}: something that is not a socket lies there`);
  }
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    return await Deno.remove(path);
  }
  throw new Error(`Cannot listen on ${path}: another agent answers there`);
}

function undefinedIfNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * The socket's file goes with its server. Not by `shutdown()`: it never resolves while a client does not take the end of
 * its stream, and once it was called the signal no longer cuts.
 */
async function stop(servers: readonly Server[], options: ServeOptions): Promise<void> {
  const { closeStreams, clock = systemClock } = options;
  closeStreams();
  const answered = new AbortController();
  Promise.all(servers.flatMap(({ answering }) => [...answering])).then(() => answered.abort());
  await clock.sleep(GRACE_MS, answered.signal);
  await close(servers);
}

async function close(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()));
}
