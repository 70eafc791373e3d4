import assert from "node:assert/strict";
import { type Clock, systemClock } from "../lib/clock.ts";
import { readServerSentEvents, type ServerSentEvent } from "../lib/sse_parser.ts";
import { SseHub } from "../sinks/sse_hub.ts";
import { createApp } from "./app.ts";
import { sampleState } from "./sample_state.ts";
import { serve, type ServeOptions } from "./serve.ts";

const FACETS = { policy: "web", containers: ["nginx"], action: "Block", operation: "File" };

/** A real server with real time, ended by `stop`. */
async function start(options: Partial<ServeOptions> = {}) {
  const alerts = new SseHub({ clock: systemClock, life: "a1" });
  const events = new SseHub({ clock: systemClock, life: "a1" });
  const closeStreams = () => {
    alerts.close();
    events.close();
  };
  const ended = new AbortController();
  const serving = await serve(createApp(sampleState({ alerts, events })), {
    listen: { hostname: "127.0.0.1", port: 0 },
    socket: undefined,
    closeStreams,
    ...options,
  }, ended.signal);
  const stop = () => {
    ended.abort();
    return serving.finished;
  };
  return { alerts, url: `http://127.0.0.1:${serving.port}`, stop };
}

/** The next events of a stream. */
async function take(
  stream: AsyncGenerator<ServerSentEvent>,
  count: number,
): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  while (events.length < count) events.push((await stream.next()).value);
  return events;
}

Deno.test("serve() streams alerts with ids to all who follow, filtered for those who ask", async () => {
  const { alerts, url, stop } = await start();
  const all = readServerSentEvents((await fetch(`${url}/v1/alerts`)).body!);
  const blocks = readServerSentEvents((await fetch(`${url}/v1/alerts?action=audit`)).body!);
  alerts.publish(1, '{"n":1}', FACETS);
  alerts.publish(2, '{"n":2}', { ...FACETS, action: "Audit" });
  assert.deepEqual(await take(all, 2), [
    { id: "1-a1", type: "message", data: '{"n":1}' },
    { id: "2-a1", type: "message", data: '{"n":2}' },
  ]);
  assert.deepEqual((await take(blocks, 1)).map(({ id }) => id), ["2-a1"]);
  await stop();
  assert.deepEqual((await all.next()).done, true);
  await blocks.return(undefined);
});

Deno.test("serve() frees a subscriber when its connection goes, and goes on for the others", async () => {
  const { alerts, url, stop } = await start();
  const leaving = new AbortController();
  const gone = await fetch(`${url}/v1/alerts`, { signal: leaving.signal });
  const stays = readServerSentEvents((await fetch(`${url}/v1/alerts`)).body!);
  assert.equal(alerts.counts.subscribers, 2);
  leaving.abort();
  await assert.rejects(gone.text(), { name: "AbortError" });
  for (let seq = 1; alerts.counts.subscribers > 1; seq++) {
    alerts.publish(seq, "{}", FACETS);
    await take(stays, 1);
  }
  await stop();
  await stays.return(undefined);
});

Deno.test("serve() resumes behind Last-Event-ID", async () => {
  const { alerts, url, stop } = await start();
  for (let seq = 1; seq <= 3; seq++) alerts.publish(seq, "{}", FACETS);
  const headers = { "last-event-id": "1-a1" };
  const stream = readServerSentEvents((await fetch(`${url}/v1/alerts`, { headers })).body!);
  assert.deepEqual((await take(stream, 2)).map(({ id }) => id), ["2-a1", "3-a1"]);
  await stop();
  await stream.return(undefined);
});

Deno.test("a client that never reads costs its bound and holds nobody up, not even the end", async () => {
  const hasty: Clock = { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(10, signal) };
  const { alerts, url, stop } = await start({ clock: hasty });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
  const request = "GET /v1/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n";
  await connection.write(new TextEncoder().encode(request));
  await connection.read(new Uint8Array(16)); // The stream is open.
  const reader = readServerSentEvents((await fetch(`${url}/v1/alerts`)).body!);
  const json = JSON.stringify({ pad: "x".repeat(4_000) });
  let seq = 0;
  // Kernel buffers on both sides take some megabytes first; the reader paces the loop.
  while (alerts.counts.dropped === 0) {
    for (let i = 0; i < 100; i++) alerts.publish(++seq, json, FACETS);
    await take(reader, 100);
  }
  assert(seq * json.length > 1024 * 1024);
  await stop();
  connection.close();
  await reader.return(undefined);
});

Deno.test("serve() answers over a unix socket that only root and its group may open", async () => {
  const directory = await Deno.makeTempDir();
  const socket = `${directory}/run/ankylo.sock`;
  const { stop } = await start({ listen: undefined, socket });
  assert.equal((await Deno.stat(socket)).mode! & 0o777, 0o660);
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const response = await fetch("http://whatever/healthz", { client });
  assert.equal(await response.text(), "ok\n");
  await stop();
  await assert.rejects(Deno.stat(socket), Deno.errors.NotFound);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("serve() replaces a socket that nobody answers, and no other file", async () => {
  const directory = await Deno.makeTempDir();
  const socket = `${directory}/ankylo.sock`;
  const dead = new Deno.Command(Deno.execPath(), {
    args: ["eval", `Deno.listen({transport:"unix",path:${JSON.stringify(socket)}});Deno.exit(0)`],
  });
  await dead.output();
  assert((await Deno.lstat(socket)).isSocket);
  const first = await start({ listen: undefined, socket });
  await assert.rejects(start({ socket }), /another agent answers/);
  await first.stop();
  await Deno.writeTextFile(socket, "precious");
  await assert.rejects(start({ socket }), /not a socket/);
  assert.equal(await Deno.readTextFile(socket), "precious");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("serve() names a port that is taken", async () => {
  const { url, stop } = await start();
  const port = Number(new URL(url).port);
  await assert.rejects(
    start({ listen: { hostname: "127.0.0.1", port } }),
    new RegExp(`Cannot listen on 127.0.0.1:${port}`),
  );
  await stop();
});
