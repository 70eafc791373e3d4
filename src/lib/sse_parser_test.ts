import assert from "node:assert/strict";
import fc from "fast-check";
import { readServerSentEvents, type ServerSentEvent } from "./sse_parser.ts";

async function parse(chunks: Iterable<Uint8Array<ArrayBuffer>>): Promise<ServerSentEvent[]> {
  return await Array.fromAsync(readServerSentEvents(ReadableStream.from(chunks)));
}

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("readServerSentEvents() gives id, type and joined data", async () => {
  const text =
    ': hello\n\nid: 7\ndata: {"a":1}\n\nevent: dropped\ndata: 3\ndata:4\n\nretry: 1\n\ndata: unfinished\n';
  assert.deepEqual(await parse([encode(text)]), [
    { id: "7", type: "message", data: '{"a":1}' },
    { id: "7", type: "dropped", data: "3\n4" },
  ]);
});

Deno.test("readServerSentEvents() does not depend on where the stream is cut", async () => {
  const bytes = encode("id: 1\ndata: grün\n\nid: 2\ndata: 桜\n\n");
  const whole = await parse([bytes]);
  assert.equal(whole.length, 2);
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(bytes.length)), async (cuts) => {
    const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
    const chunks = edges.slice(1).map((edge, i) => bytes.slice(edges[i], edge));
    assert.deepEqual(await parse(chunks), whole);
  }));
});

Deno.test("readServerSentEvents() stops at a line without end", async () => {
  await assert.rejects(parse([encode("data: " + "x".repeat(1 << 20))]), RangeError);
});
