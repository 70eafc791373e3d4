/** Reads a stream of server-sent events. @see https://html.spec.whatwg.org/multipage/server-sent-events.html */

export interface ServerSentEvent {
  /** Empty when the server gave none. */
  readonly id: string;
  /** `message` when the server gave none. */
  readonly type: string;
  readonly data: string;
}

/** A line longer than this is no alert: the server is not ours. */
const LINE_MAX = 1 << 20;

/**
 * Events of a response body, as they come. Comments and fields of no use here are left out.
 * @throws {RangeError} at a line longer than a mebibyte
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<ServerSentEvent> {
  let [id, type, data] = ["", "message", [] as string[]];
  for await (const line of readLines(body)) {
    const [field, value] = splitField(line);
    if (field === "id") id = value;
    else if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (line === "") {
      if (data.length > 0) yield { id, type, data: data.join("\n") };
      [type, data] = ["message", []];
    }
  }
}

function splitField(line: string): [field: string, value: string] {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}

async function* readLines(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > LINE_MAX) throw new RangeError(`Cannot read events: line over ${LINE_MAX}`);
    yield* lines;
  }
}
