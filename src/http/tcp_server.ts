/**
 * The TCP listener, with bounds on what a client may cost before it is answered: connections, size of headers, time.
 * node:http has these; Deno.serve waits for the rest of a request for ever (measured: 45 s and no end).
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TlsCredentials } from "../config/credentials.ts";

/** What all clients together, and one of them, may take. */
export interface TcpLimits {
  /** Beyond it the one that has waited longest without a request is closed; when all have one, the newest. */
  readonly connectionsMax: number;
  /** Of request line and headers. */
  readonly headerBytesMax: number;
  /** From connecting, or from the request before, to the last header. */
  readonly headersMs: number;
}

/** Streams of two hubs with 256 subscribers each, and room for those who ask. */
export const TCP_LIMITS: TcpLimits = {
  connectionsMax: 640,
  headerBytesMax: 16 << 10,
  headersMs: 10_000,
};

export interface TcpOptions {
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: TlsCredentials | undefined;
  readonly limits?: Partial<TcpLimits> | undefined;
}

/** A server that listens. */
export interface TcpServer {
  readonly port: number;
  /** Responses that have not ended. */
  readonly answering: Set<Promise<void>>;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
}

const EVENT_STREAM = "text/event-stream";

type Handle = (request: Request) => Response | Promise<Response>;

/** @throws {Error} the address is taken, or not this machine's */
export async function listenTcp(handle: Handle, options: TcpOptions): Promise<TcpServer> {
  const limits = { ...TCP_LIMITS, ...options.limits };
  const answering = new Set<Promise<void>>();
  const connections = new Connections(limits.connectionsMax);
  const listener: RequestListener = (incoming, outgoing) => {
    const client = clientOf(incoming.socket);
    connections.begin(client);
    const answered: Promise<void> = answer(handle, incoming, outgoing).finally(() => {
      connections.end(client);
      answering.delete(answered);
    });
    answering.add(answered);
  };
  const server = createFor(options.tls, limits, listener);
  server.on("connection", (socket: Socket) => connections.add(socket));
  await started(server, options);
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      connections.cut();
    });
  return { port, answering, close };
}

function createFor(tls: TlsCredentials | undefined, limits: TcpLimits, listener: RequestListener) {
  const { headerBytesMax, headersMs } = limits;
  const options = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersMs,
    requestTimeout: headersMs,
    keepAliveTimeout: headersMs,
    // How often the times are looked at.
    connectionsCheckingInterval: Math.ceil(headersMs / 4),
  };
  if (tls === undefined) return createServer(options, listener);
  const { certificate: cert, key, clientCa: ca } = tls;
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return createTlsServer(
    { ...options, cert, key, ...clients, handshakeTimeout: headersMs },
    listener,
  );
}

function started(
  server: ReturnType<typeof createFor>,
  { hostname, port }: TcpOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new Error(`Cannot listen on ${hostname}:${port}`, { cause }));
    });
    server.listen(port, hostname, resolve);
  });
}

/** Open connections, in the order in which they last ended a request. Known by the client's address: TLS wraps the socket. */
class Connections {
  readonly #max: number;
  readonly #idle = new Map<string, Socket>();
  readonly #busy = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  add(socket: Socket): void {
    const client = clientOf(socket);
    this.#idle.set(client, socket);
    socket.once("close", () => {
      this.#idle.delete(client);
      this.#busy.delete(client);
    });
    // A reset by the client is its own affair; without a listener it would end the agent.
    socket.on("error", () => socket.destroy());
    if (this.#idle.size + this.#busy.size > this.#max) this.#closeOldest();
  }

  #closeOldest(): void {
    for (const [client, socket] of this.#idle) {
      this.#idle.delete(client);
      socket.destroy();
      return;
    }
  }

  begin(client: string): void {
    const socket = this.#idle.get(client);
    if (socket === undefined) return;
    this.#idle.delete(client);
    this.#busy.set(client, socket);
  }

  end(client: string): void {
    const socket = this.#busy.get(client);
    if (socket === undefined) return;
    this.#busy.delete(client);
    this.#idle.set(client, socket);
  }

  cut(): void {
    for (const socket of [...this.#idle.values(), ...this.#busy.values()]) socket.destroy();
  }
}

function clientOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Never rejects: what goes wrong ends the connection. */
async function answer(
  handle: Handle,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  try {
    const response = await handle(requestOf(incoming));
    if (response.headers.get("content-type") === EVENT_STREAM) endByClosing(outgoing);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    await send(response, outgoing);
  } catch {
    // The client has gone, or sent what no Request can hold; the application answers its own faults itself.
    outgoing.destroy();
  }
}

/**
 * A stream's end is the connection's. In chunked encoding each piece is three writes: 100 subscribers cost half as much again
 * (33 in place of 23 % of a core).
 */
function endByClosing(outgoing: ServerResponse): void {
  outgoing.shouldKeepAlive = false;
  outgoing.useChunkedEncodingByDefault = false;
}

/** Without a body: the application reads none. */
function requestOf(incoming: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headersDistinct)) {
    for (const one of value ?? []) headers.append(name, one);
  }
  // The name in the URL is never looked at, and the header's may be anything.
  const url = new URL(incoming.url ?? "/", "http://localhost");
  return new Request(url, { method: incoming.method ?? "GET", headers });
}

/** Sends no faster than the client reads. */
async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return void outgoing.end();
  // A stream that no one reads any more must be given back, also when it has nothing to say at that moment.
  const leave = () => reader.cancel().catch(() => {});
  outgoing.once("close", leave);
  outgoing.flushHeaders();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || outgoing.destroyed) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.end();
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done);
      outgoing.off("close", done);
      resolve();
    };
    outgoing.on("drain", done);
    outgoing.on("close", done);
  });
}
