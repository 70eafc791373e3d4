/** Records as JSON lines, as `kubectl logs` and a service manager collect them. */
import type { Sink } from "./sink.ts";

const encoder = new TextEncoder();

export class StdoutSink implements Sink {
  readonly #write: (bytes: Uint8Array) => number;

  /** `write` returns how many bytes it took; default: standard output, whose reader can hold the agent up. */
  constructor(write = (bytes: Uint8Array) => Deno.stdout.writeSync(bytes)) {
    this.#write = write;
  }

  publish(_seq: number, json: string): void {
    let bytes = encoder.encode(json + "\n");
    while (bytes.length > 0) bytes = bytes.subarray(this.#write(bytes));
  }

  close(): void {}
}
