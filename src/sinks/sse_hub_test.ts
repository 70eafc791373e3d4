import assert from "node:assert/strict";
import fc from "fast-check";
import type { RecordFacets } from "../alerts/pipeline.ts";
import { ManualClock } from "../lib/clock.ts";
import { readServerSentEvents } from "../lib/sse_parser.ts";
import { filterKey, matchesFilter } from "./sse_filter.ts";
import { SseHub, type SseHubOptions } from "./sse_hub.ts";

const FACETS: RecordFacets = {
  policy: "web",
  containers: ["nginx", "c0ffee"],
  action: "Block",
  operation: "File",
};

function setUp(options: Partial<SseHubOptions> = {}) {
  const clock = new ManualClock();
  const hub = new SseHub({ clock, life: "a1", ...options });
  let seq = 0;
  const publish = (over: Partial<RecordFacets> = {}, pad = 0) =>
    hub.publish(++seq, JSON.stringify({ n: seq, pad: "x".repeat(pad) }), { ...FACETS, ...over });
  return { clock, hub, publish };
}

type Stream = ReadableStream<Uint8Array<ArrayBuffer>>;

/** What a subscriber has been given once the hub is closed: ids, and the losses it was told of. */
async function drain(stream: Stream | undefined) {
  assert(stream !== undefined);
  const got: string[] = [];
  for await (const event of readServerSentEvents(stream)) {
    got.push(event.type === "lost" ? `lost ${JSON.parse(event.data).Lost}` : event.id);
  }
  return got;
}

Deno.test("SseHub gives each subscriber the records after it came, with ids", async () => {
  const { hub, publish } = setUp();
  publish();
  const stream = hub.subscribe();
  publish();
  publish();
  hub.close();
  assert.deepEqual(await drain(stream), ["2-a1", "3-a1"]);
});

Deno.test("SseHub sends ten milliseconds' records as one piece that subscribers share", async () => {
  const { hub, publish, clock } = setUp();
  const readers = [hub.subscribe()!.getReader(), hub.subscribe()!.getReader()];
  for (const reader of readers) await reader.read(); // The greeting.
  publish();
  publish();
  const pieces = Promise.all(readers.map((reader) => reader.read()));
  await clock.sleeping(2); // The batch and the heartbeat.
  clock.advance(10);
  const [one, two] = await pieces;
  assert.equal(new TextDecoder().decode(one!.value).match(/^id:/gm)?.length, 2);
  assert.equal(one!.value!.buffer, two!.value!.buffer);
  hub.close();
});

Deno.test("SseHub filters by every facet, and sequence numbers keep their gaps", async () => {
  const { hub, publish } = setUp();
  const all = hub.subscribe();
  const streams = [
    hub.subscribe({ policy: ["web"] }),
    hub.subscribe({ container: ["c0ffee"] }),
    hub.subscribe({ action: ["Audit"] }),
    hub.subscribe({ operation: ["Process"], action: ["Block"] }),
  ];
  publish();
  publish({ policy: "db", containers: ["pg", "abc"] });
  publish({ action: "Audit (Block)" });
  publish({ operation: "Process" });
  hub.close();
  assert.deepEqual(await drain(all), ["1-a1", "2-a1", "3-a1", "4-a1"]);
  const got = await Promise.all(streams.map(drain));
  assert.deepEqual(got, [["1-a1", "3-a1", "4-a1"], ["1-a1", "3-a1", "4-a1"], ["3-a1"], ["4-a1"]]);
});

Deno.test("SseHub drops for the one that does not read, counts, and tells it later", async () => {
  const { hub, publish } = setUp({ subscriberBytes: 2_000 });
  const lazy = hub.subscribe()!.getReader();
  const eager = hub.subscribe()!.getReader();
  let eagerGot = 0;
  for (let i = 0; i < 50; i++) {
    publish({}, 100);
    hub.subscribe()!.cancel(); // A flush without waiting for the clock.
    const piece = await eager.read();
    eagerGot += new TextDecoder().decode(piece.value).match(/^id:/gm)?.length ?? 0;
  }
  assert.equal(eagerGot, 49); // The first read was the greeting.
  const { dropped } = hub.counts;
  assert(dropped > 30 && dropped < 45, `dropped ${dropped}`);
  lazy.releaseLock();
  eager.releaseLock();
  hub.close();
});

Deno.test("SseHub ends a lossy stream with the number of records that it lost", async () => {
  const { hub, publish } = setUp({ subscriberBytes: 300 });
  const stream = hub.subscribe();
  for (let i = 0; i < 5; i++) {
    publish({}, 100);
    hub.subscribe()!.cancel();
  }
  hub.close();
  assert.deepEqual(await drain(stream), ["1-a1", "2-a1", "lost 3"]);
});

Deno.test("SseHub goes on behind the last id of a client that comes back", async () => {
  const { hub, publish } = setUp();
  for (let i = 0; i < 4; i++) publish();
  const streams = ["2-a1", "2", "4-a1", "0"].map((id) => hub.subscribe({}, id));
  publish();
  hub.close();
  assert.deepEqual(await Promise.all(streams.map(drain)), [
    ["3-a1", "4-a1", "5-a1"],
    ["3-a1", "4-a1", "5-a1"],
    ["5-a1"],
    ["1-a1", "2-a1", "3-a1", "4-a1", "5-a1"],
  ]);
});

Deno.test("SseHub tells of what the backlog no longer has", async () => {
  const { hub, publish } = setUp({ backlogBytes: 300 });
  for (let i = 0; i < 5; i++) publish({}, 100);
  const stream = hub.subscribe({}, "1-a1");
  hub.close();
  assert.deepEqual(await drain(stream), ["lost 2", "4-a1", "5-a1"]);
});

Deno.test("SseHub does not continue another agent's sequence", async () => {
  const { hub, publish } = setUp();
  publish();
  publish();
  const streams = ["1-b2", "99-a1", "nonsense"].map((id) => hub.subscribe({}, id));
  hub.close();
  for (const got of await Promise.all(streams.map(drain))) {
    assert.deepEqual(got, ["lost null", "1-a1", "2-a1"]);
  }
});

Deno.test("SseHub goes on where the agent before stopped, and says how many of its records are gone", async () => {
  const { hub } = setUp({ lastSeq: 40 });
  hub.publish(41, "{}", FACETS);
  const streams = ["38-a1", "40-a1", "41-a1"].map((id) => hub.subscribe({}, id));
  hub.close();
  assert.deepEqual(await Promise.all(streams.map(drain)), [["lost 2", "41-a1"], ["41-a1"], []]);
});

Deno.test("SseHub tells what it has numbered before a subscriber sees it", async () => {
  const numbered: number[] = [];
  const { hub, publish } = setUp({ onNumbered: (seq) => numbered.push(seq) });
  publish();
  publish();
  assert.deepEqual(numbered, []);
  const reader = hub.subscribe({}, "0")!;
  assert.deepEqual(numbered, [2]);
  hub.close();
  assert.deepEqual(await drain(reader), ["1-a1", "2-a1"]);
});

Deno.test("SseHub tells of records that were not made, as nobody read", async () => {
  const { hub, clock } = setUp();
  assert(!hub.isWanted);
  const first = hub.subscribe()!;
  hub.publish(1, "{}", FACETS);
  assert(hub.isWanted);
  await first.cancel();
  assert(hub.isWanted);
  clock.advance(60_000);
  assert(!hub.isWanted);
  hub.skip(2);
  hub.skip(3);
  const back = hub.subscribe({}, "1-a1");
  hub.publish(4, "{}", FACETS);
  hub.close();
  assert.deepEqual(await drain(back), ["lost 2", "4-a1"]);
});

Deno.test("SseHub frees a subscriber that leaves, at once", async () => {
  const { hub, publish } = setUp({ subscribersMax: 1 });
  const stream = hub.subscribe()!;
  assert.equal(hub.subscribe(), undefined);
  assert.equal(hub.counts.refused, 1);
  await stream.cancel();
  assert.equal(hub.counts.subscribers, 0);
  const next = hub.subscribe();
  publish();
  hub.close();
  assert.deepEqual(await drain(next), ["1-a1"]);
  assert.equal(hub.counts.dropped, 0);
});

Deno.test("SseHub keeps a quiet stream alive with comments", async () => {
  const { hub, clock } = setUp();
  await hub.subscribe()!.cancel();
  const reader = hub.subscribe()!.getReader(); // Also after all others had left.
  await reader.read();
  await clock.sleeping();
  clock.advance(15_000);
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), ": still here\n\n");
  hub.close();
});

Deno.test("SseHub takes a record larger than its batch", async () => {
  const { hub, publish } = setUp();
  const stream = hub.subscribe();
  publish();
  publish({}, 300_000);
  publish();
  hub.close();
  assert.deepEqual(await drain(stream), ["1-a1", "2-a1", "3-a1"]);
});

Deno.test("SseHub is silent once it is closed", async () => {
  const { hub, publish } = setUp();
  const stream = hub.subscribe();
  hub.close();
  hub.close();
  publish();
  assert.equal(hub.subscribe(), undefined);
  assert.deepEqual(await drain(stream), []);
});

Deno.test("a subscriber gets each record, or is told that it did not, whatever the sizes", async () => {
  const steps = fc.array(fc.record({ pad: fc.nat(400), reads: fc.boolean() }), { maxLength: 40 });
  await fc.assert(fc.asyncProperty(steps, async (acts) => {
    const { hub, publish } = setUp({ subscriberBytes: 1_000 });
    const stream = hub.subscribe()!;
    const [pieces, take] = [[] as Uint8Array<ArrayBuffer>[], stream.getReader()];
    let reading: Promise<void> | undefined;
    // One read at a time, and not waited for: when all was dropped there is nothing to read.
    const read = () =>
      reading ??= take.read().then(({ value }) => {
        reading = undefined;
        if (value !== undefined) pieces.push(value);
      });
    for (const { pad, reads } of acts) {
      publish({}, pad);
      if (!reads) continue;
      await hub.subscribe()!.cancel();
      await Promise.race([read(), undefined]);
    }
    hub.close();
    await reading;
    take.releaseLock();
    for await (const piece of stream) pieces.push(piece);
    const got = await drain(ReadableStream.from(pieces));
    const lost = got.filter((item) => item.startsWith("lost")).map((item) => Number(item.slice(5)));
    const ids = got.filter((item) => !item.startsWith("lost")).map((item) => parseInt(item));
    assert.deepEqual(ids, ids.toSorted((a, b) => a - b));
    assert.equal(ids.length + lost.reduce((sum, n) => sum + n, 0), acts.length);
  }));
});

Deno.test("filterKey() is equal for filters that want the same", () => {
  assert.equal(filterKey({ policy: ["a", "b"] }), filterKey({ policy: ["b", "a"] }));
  assert.notEqual(filterKey({ policy: ["a"] }), filterKey({ container: ["a"] }));
});

Deno.test("matchesFilter() lets no telemetry of an unknown container through a container filter", () => {
  assert(!matchesFilter({ container: ["x"] }, { ...FACETS, containers: [] }));
  assert(matchesFilter({}, { ...FACETS, containers: [] }));
});
