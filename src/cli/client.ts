/** Talks to a running agent: over its unix socket, or over TCP where that is off. */

import type { Settings } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { errorText } from "../lib/log.ts";
import { printable } from "./printable.ts";

/** No agent answers, or it answers with an error. The message names the address and the next step. */
export class AgentUnreachableError extends Error {
  override name = "AgentUnreachableError";
}

/** The agent answers that it can't be asked so. The message has its words and its hint. */
export class AgentRefusedError extends Error {
  override name = "AgentRefusedError";
}

/** A connection to the agent's HTTP API. Close it. */
export class AgentClient {
  /** For people: `unix:/run/ankylo/ankylo.sock` or `http://127.0.0.1:8420`. */
  readonly address: string;
  readonly #origin: string;
  readonly #token: string | undefined;
  #client: Deno.HttpClient | undefined;

  private constructor(parts: {
    address: string;
    origin: string;
    client?: Deno.HttpClient;
    token?: string | undefined;
  }) {
    this.address = parts.address;
    this.#origin = parts.origin;
    this.#client = parts.client;
    this.#token = parts.token;
  }

  /**
   * The socket of the settings, else their TCP address.
   * @throws {RangeError} both are off. @throws {ConfigError} a file with credentials is not right
   */
  static async open(
    { socket, listen, http }: Pick<Settings, "socket" | "listen" | "http">,
  ): Promise<AgentClient> {
    if (socket !== undefined) {
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
      return new AgentClient({ address: `unix:${socket}`, origin: "http://localhost", client });
    }
    if (listen === undefined) {
      throw new RangeError("Cannot reach the agent: both listen and socket are off");
    }
    const host = listen.hostname.includes(":") ? `[${listen.hostname}]` : listen.hostname;
    const { token, tls } = await readCredentials(http);
    const origin = `${tls === undefined ? "http" : "https"}://${host}:${listen.port}`;
    if (tls === undefined) return new AgentClient({ address: origin, origin, token });
    // The agent's own certificate may be its authority, and shows that this is the agent to an agent that asks.
    const { certificate: cert, key } = tls;
    const client = Deno.createHttpClient({ caCerts: [cert], cert, key });
    return new AgentClient({ address: origin, origin, client, token });
  }

  /**
   * A successful response; the caller reads its body to the end or cancels it.
   * @throws {AgentRefusedError} the parameters name nothing that is there
   * @throws {AgentUnreachableError}
   */
  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await this.#fetch(path, headers);
    if (response.ok) return response;
    const body = await response.text();
    if (response.status === 400 || response.status === 404) {
      throw new AgentRefusedError(refusalText(body));
    }
    const problem = problemText(body);
    throw new AgentUnreachableError(
      `Cannot read ${path} of the agent at ${this.address}: ${response.status} ${problem}`,
    );
  }

  /** The body as JSON. */
  async getJson<T>(path: string): Promise<T> {
    return await (await this.get(path)).json() as T;
  }

  async #fetch(path: string, headers: Record<string, string>): Promise<Response> {
    try {
      const proof = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
      return await fetch(`${this.#origin}${path}`, {
        headers: { ...headers, ...proof },
        ...(this.#client && { client: this.#client }),
      });
    } catch (error) {
      throw new AgentUnreachableError(
        `Cannot reach the agent at ${this.address}: ${errorText(error)}\n` +
          "  hint: is it running? start it with `ankylo run`, or name its address with --socket or --listen",
      );
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a problem+json body says is wrong, and what to do. It may name containers, whose names others chose. */
function refusalText(body: string): string {
  const text = problemText(body).replace(/^(Bad parameter|Not found): /, "");
  return text.split("\n").map(printable).join("\n");
}

/** The words of a problem+json body, or the body as it is. */
function problemText(body: string): string {
  try {
    const { title, detail, hint } = JSON.parse(body) as Record<string, string | undefined>;
    return `${title ?? ""}: ${detail ?? ""}${hint === undefined ? "" : `\n  hint: ${hint}`}`;
  } catch (error) {
    if (error instanceof SyntaxError) return body.trim();
    throw error;
  }
}
