/** Listens before there is anything to tell: an address that is taken must be found out before programs are loaded. */
import type { Hono } from "hono";
import { problemResponse } from "./problem.ts";
import { serve, type ServeOptions, type Serving } from "./serve.ts";

type Application = Pick<Hono, "fetch">;

/** Answers until there is an application. */
const starting: Application = {
  fetch: () =>
    problemResponse({
      status: 503,
      title: "Starting",
      detail: "The agent starts: its programs are not in the kernel yet",
      headers: { "retry-after": "1" },
    }),
};

export class Door {
  readonly #stop = new AbortController();
  #application = starting;
  #closeStreams = () => {};
  #serving: Serving | undefined;

  private constructor() {}

  /** Listens, and answers 503. @throws {Error} as `serve` */
  static async open(options: Omit<ServeOptions, "closeStreams">): Promise<Door> {
    const door = new Door();
    const application = {
      fetch: (...request: Parameters<Application["fetch"]>) => door.#application.fetch(...request),
    };
    const closeStreams = () => door.#closeStreams();
    door.#serving = await serve(application, { ...options, closeStreams }, door.#stop.signal);
    return door;
  }

  /** The real port; undefined without TCP. */
  get port(): number | undefined {
    return this.#serving?.port;
  }

  /** From now on the application answers. `closeStreams` ends the streams that it has open. */
  answerBy(application: Application, closeStreams: () => void): void {
    this.#application = application;
    this.#closeStreams = closeStreams;
  }

  /** Settles when all is closed. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#serving?.finished;
  }
}
