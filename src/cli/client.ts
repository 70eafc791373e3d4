/** Talks to a running agent: over its unix socket, or over TCP where that is off. */

import type { Settings } from "../config/config.ts";
import { errorText } from "../lib/log.ts";

/** No agent answers, or it answers with an error. The message names the address and the next step. */
export class AgentUnreachableError extends Error {
  override name = "AgentUnreachableError";
}

/** A connection to the agent's HTTP API. Close it. */
export class AgentClient {
  /** For people: `unix:/run/ankylo/ankylo.sock` or `http://127.0.0.1:8420`. */
  readonly address: string;
  readonly #origin: string;
  #client: Deno.HttpClient | undefined;

  private constructor(address: string, origin: string, client?: Deno.HttpClient) {
    this.address = address;
    this.#origin = origin;
    this.#client = client;
  }

  /**
   * The socket of the settings, else their TCP address.
   * @throws {RangeError} both are off
   */
  static open({ socket, listen }: Pick<Settings, "socket" | "listen">): AgentClient {
    if (socket !== undefined) {
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
      return new AgentClient(`unix:${socket}`, "http://localhost", client);
    }
    if (listen === undefined) {
      throw new RangeError("Cannot reach the agent: both listen and socket are off");
    }
    const host = listen.hostname.includes(":") ? `[${listen.hostname}]` : listen.hostname;
    const origin = `http://${host}:${listen.port}`;
    return new AgentClient(origin, origin);
  }

  /**
   * A successful response; the caller reads its body to the end or cancels it.
   * @throws {AgentUnreachableError}
   */
  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await this.#fetch(path, headers);
    if (response.ok) return response;
    const problem = problemText(await response.text());
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
      return await fetch(`${this.#origin}${path}`, {
        headers,
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
