/**
 * A gRPC client over a unix socket, as small as a container runtime's interface needs it: unary calls with a deadline and
 * server streams, over one HTTP/2 connection.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import http2 from "node:http2";
import net from "node:net";
import { frame, FrameDecoder } from "./grpc_frames.ts";
import { GrpcError, GrpcStatus, statusOf } from "./grpc_status.ts";
import { type Message, ProtobufError } from "./protobuf.ts";

/** One method of a service: `/package.Service/Method` and its messages. */
export interface Method<Q, R> {
  readonly path: string;
  readonly request: Message<Q>;
  readonly response: Message<R>;
}

export interface CallOptions {
  /** ASCII headers of the call, for example `containerd-namespace`. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface UnaryOptions extends CallOptions {
  /** The call fails with DEADLINE_EXCEEDED after this many milliseconds. */
  readonly timeoutMs: number;
}

export interface ConnectOptions {
  /** How long the connection may take, in milliseconds. */
  readonly timeoutMs: number;
  /** A larger message fails its call with RESOURCE_EXHAUSTED. */
  readonly messageBytesMax: number;
  readonly signal?: AbortSignal;
}

/** One connection. When the server goes away it is used up: every call fails with UNAVAILABLE; connect again. */
export class GrpcClient {
  readonly #session: http2.ClientHttp2Session;
  readonly #messageBytesMax: number;

  private constructor(session: http2.ClientHttp2Session, messageBytesMax: number) {
    this.#session = session;
    this.#messageBytesMax = messageBytesMax;
  }

  /** @throws {GrpcError} UNAVAILABLE when nothing listens at `socketPath`; DEADLINE_EXCEEDED; CANCELLED. */
  static async connect(socketPath: string, options: ConnectOptions): Promise<GrpcClient> {
    const socket = await openSocket(socketPath, options);
    const session = http2.connect("http://localhost", { createConnection: () => socket });
    // Each call reports the connection's failure itself; without a listener the process would end.
    session.on("error", () => {});
    return new GrpcClient(session, options.messageBytesMax);
  }

  /** @throws {GrpcError} */
  async unary<Q, R>(method: Method<Q, R>, request: Q, options: UnaryOptions): Promise<R> {
    const deadline = new Deadline(options.timeoutMs, options.signal);
    try {
      const metadata = { ...options.metadata, "grpc-timeout": `${Math.ceil(options.timeoutMs)}m` };
      const responses = this.stream(method, request, { metadata, signal: deadline.signal });
      let response: R | undefined;
      for await (const each of responses) response = each;
      if (response !== undefined) return response;
      throw new GrpcError(GrpcStatus.INTERNAL, "server answered without a message", method.path);
    } catch (error) {
      if (!deadline.passed) throw error;
      const text = `no answer within ${options.timeoutMs} ms`;
      throw new GrpcError(GrpcStatus.DEADLINE_EXCEEDED, text, method.path, { cause: error });
    } finally {
      deadline.clear();
    }
  }

  /**
   * Sends the request at once, not at the first `next()`: what the server sends meanwhile waits in the connection.
   * Leaving the loop cancels the call.
   *
   * Iteration throws {GrpcError} for any end other than status OK: also UNAVAILABLE for a stream that ends without a status.
   */
  stream<Q, R>(
    method: Method<Q, R>,
    request: Q,
    options: CallOptions = {},
  ): AsyncGenerator<R, void> {
    const { signal } = options;
    if (signal?.aborted) {
      throw new GrpcError(GrpcStatus.CANCELLED, "canceled by the agent", method.path);
    }
    if (this.#session.closed || this.#session.destroyed) {
      throw new GrpcError(GrpcStatus.UNAVAILABLE, "connection is closed", method.path);
    }
    const call = this.#session.request({
      ":method": "POST",
      ":path": method.path,
      "content-type": "application/grpc",
      "te": "trailers",
      ...options.metadata,
    });
    const outcome = watchOutcome(call);
    const cancel = () => call.close(http2.constants.NGHTTP2_CANCEL);
    signal?.addEventListener("abort", cancel, { once: true });
    call.once("close", () => signal?.removeEventListener("abort", cancel));
    call.end(frame(method.request.encode(request)));
    return readResponses(call, outcome, method, this.#messageBytesMax, signal);
  }

  /** Cancels what runs. Idempotent. */
  close(): void {
    this.#session.destroy();
  }
}

/** What the server said about a call besides its messages. */
interface Outcome {
  headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders;
  error: Error | undefined;
}

function watchOutcome(call: http2.ClientHttp2Stream): Outcome {
  const outcome: Outcome = { headers: {}, trailers: {}, error: undefined };
  call.on("response", (headers) => outcome.headers = headers);
  call.on("trailers", (trailers) => outcome.trailers = trailers);
  call.on("error", (error) => outcome.error = error);
  return outcome;
}

async function* readResponses<R>(
  call: http2.ClientHttp2Stream,
  outcome: Outcome,
  method: Method<unknown, R> | Method<never, R>,
  messageBytesMax: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<R, void> {
  const frames = new FrameDecoder(messageBytesMax);
  try {
    for await (const chunk of call as AsyncIterable<Uint8Array>) {
      for (const content of frames.push(chunk)) yield method.response.decode(content);
    }
    frames.end();
  } catch (error) {
    throw callError(error, outcome, method.path, signal);
  } finally {
    if (!call.closed) call.close(http2.constants.NGHTTP2_CANCEL);
  }
  if (signal?.aborted) {
    throw new GrpcError(GrpcStatus.CANCELLED, "canceled by the agent", method.path);
  }
  const status = statusOf(outcome.headers, outcome.trailers);
  if (status.code !== GrpcStatus.OK) throw new GrpcError(status.code, status.text, method.path);
}

/** Why reading failed: our own abort, the server's status if it gave one, a damaged message, or the connection. */
function callError(
  error: unknown,
  outcome: Outcome,
  path: string,
  signal: AbortSignal | undefined,
): GrpcError {
  if (signal?.aborted) {
    return new GrpcError(GrpcStatus.CANCELLED, "canceled by the agent", path, { cause: error });
  }
  if (error instanceof GrpcError) {
    return new GrpcError(error.code, error.text, path, { cause: error });
  }
  if (error instanceof ProtobufError) {
    return new GrpcError(GrpcStatus.INTERNAL, error.message, path, { cause: error });
  }
  const status = statusOf(outcome.headers, outcome.trailers);
  if (status.said) return new GrpcError(status.code, status.text, path, { cause: error });
  return new GrpcError(GrpcStatus.UNAVAILABLE, `connection broke: ${messageOf(error)}`, path, {
    cause: error,
  });
}

function openSocket(socketPath: string, options: ConnectOptions): Promise<net.Socket> {
  const deadline = new Deadline(options.timeoutMs, options.signal);
  return new Promise<net.Socket>((resolve, reject) => {
    const fail = (code: number, text: string, cause?: unknown) => {
      socket.destroy();
      reject(new GrpcError(code, text, socketPath, { cause }));
    };
    const socket = net.connect({ path: socketPath });
    socket.once("error", (error) => fail(GrpcStatus.UNAVAILABLE, messageOf(error), error));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    deadline.onEnd(() =>
      deadline.passed
        ? fail(GrpcStatus.DEADLINE_EXCEEDED, `no connection within ${options.timeoutMs} ms`)
        : fail(GrpcStatus.CANCELLED, "canceled by the agent")
    );
  }).finally(() => deadline.clear());
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An abort signal that also aborts after a time, and that tells the two apart. `AbortSignal.timeout` can not be cleared. */
class Deadline {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #forward = () => this.#controller.abort();
  passed = false;

  constructor(timeoutMs: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.passed = true;
      this.#controller.abort();
    }, timeoutMs);
    if (outer?.aborted) this.#controller.abort();
    else outer?.addEventListener("abort", this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  onEnd(run: () => void): void {
    if (this.signal.aborted) run();
    else this.signal.addEventListener("abort", run, { once: true });
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#forward);
  }
}
