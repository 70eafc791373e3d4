/** Records as JSON lines, as `kubectl logs` and a service manager collect them. */
import type { JsonRecord } from "../alerts/json_record.ts";
import type { Sink } from "./sink.ts";

const NEWLINE = 0x0a;

export class StdoutSink implements Sink {
  readonly #write: (bytes: Uint8Array) => number;

  /** `write` returns how many bytes it took; default: standard output, whose reader can hold the agent up. */
  constructor(write = (bytes: Uint8Array) => Deno.stdout.writeSync(bytes)) {
    this.#write = write;
  }

  publish(_seq: number, record: JsonRecord): void {
    const buffer = new Uint8Array(record.bytesMax + 1);
    const end = record.writeTo(buffer, 0);
    buffer[end] = NEWLINE;
    let bytes = buffer.subarray(0, end + 1);
    while (bytes.length > 0) bytes = bytes.subarray(this.#write(bytes));
  }

  close(): void {}
}
