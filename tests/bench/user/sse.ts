/**
 * Measures what 100 subscribers to 2,000 alerts a second cost the agent, in percent of one core: records as the kernel gives
 * them, through decoding, JSON, the hub and HTTP. Another process reads.
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import { EventPipeline } from "../../../src/alerts/pipeline.ts";
import { REPORTER, TABLE, WORKLOAD } from "../../../src/alerts/samples.ts";
import { ProcessTree } from "../../../src/events/process_tree.ts";
import { batchOf, decisionRecord, execRecord, names } from "../../../src/events/samples.ts";
import { createApp } from "../../../src/http/app.ts";
import { sampleState } from "../../../src/http/sample_state.ts";
import { serve } from "../../../src/http/serve.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createLog } from "../../../src/lib/log.ts";
import { SseHub } from "../../../src/sinks/sse_hub.ts";

const SUBSCRIBERS = 100;
const PER_SECOND = 2_000;
const SECONDS = 5;
const BATCH_MS = 5;
/** For the reader, before the streams end. */
const CATCH_UP_MS = 3_000;

/** Opens the streams and says so; says how many alerts came when the last has ended. */
async function read(port: number): Promise<void> {
  const streams = await Promise.all(Array.from({ length: SUBSCRIBERS }, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const request = "GET /v1/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    await connection.write(new TextEncoder().encode(request));
    await connection.read(new Uint8Array(4096)); // The response's head.
    return connection;
  }));
  console.log("open");
  const counts = await Promise.all(streams.map(countAlerts));
  console.log(counts.reduce((sum, count) => sum + count, 0));
}

const MARK = Buffer.from(`"Ankylo":{"Seq":`);

/** Counts alerts by a text that each has once. */
async function countAlerts(connection: Deno.Conn): Promise<number> {
  const buffer = Buffer.alloc(1 << 18);
  let count = 0, kept = 0;
  for (;;) {
    const read = await connection.read(buffer.subarray(kept));
    if (read === null) return count;
    const end = kept + read;
    const bytes = buffer.subarray(0, end);
    let at = bytes.indexOf(MARK);
    for (; at !== -1; at = bytes.indexOf(MARK, at + 1)) count++;
    // A mark may lie across the end.
    kept = Math.min(end, MARK.length - 1);
    buffer.copyWithin(0, end - kept, end);
  }
}

/** Batches as a flood of one process on fifty files makes them. */
function batches(): Uint8Array<ArrayBuffer>[] {
  const exec = { timeNs: 1n, pid: 1 };
  const objects = crypto.getRandomValues(new BigUint64Array(50));
  const perBatch = PER_SECOND * BATCH_MS / 1_000;
  return Array.from(
    { length: 5 },
    (_, batch) =>
      batchOf(...Array.from({ length: perBatch }, (_, i) => {
        const file = (batch * perBatch + i) % objects.length;
        const path = names(`/var/lib/app/data/${file}`);
        return decisionRecord({ path, cwd: names("/srv") }, {
          object: objects[file]!,
          header: { exec, pid: 1 },
        });
      })),
  );
}

async function measure(): Promise<void> {
  const hub = new SseHub({ clock: systemClock, life: "bench" });
  const state = { ...sampleState(), alerts: hub };
  const log = createLog({ level: "error", format: "text", write: () => {} });
  const stop = new AbortController();
  const listen = { hostname: "127.0.0.1", port: 0 };
  const options = { listen, socket: undefined, closeStreams: () => hub.close() };
  const server = await serve(createApp(state, { log }), options, stop.signal);
  const args = ["run", "-A", "--no-check", import.meta.filename!, `${server.port}`];
  const reader = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  const said = reader.stdout.pipeThrough(new TextDecoderStream()).getReader();
  await said.read();
  const before = process.cpuUsage();
  const published = await publish(hub);
  const { user, system } = process.cpuUsage(before);
  await systemClock.sleep(CATCH_UP_MS);
  stop.abort();
  const got = Number((await said.read()).value);
  await server.finished;
  const due = published * SUBSCRIBERS;
  if (got > due || got < due / 2) throw new Error(`${due} alerts were due, ${got} came`);
  // Where the reader is too slow, the hub has less to do: that must not count in its favour.
  const missed = due / got;
  console.log(`@bench sse.core_percent ${((user + system) / 1e4 / SECONDS * missed).toFixed(1)}`);
}

/** Sends PER_SECOND alerts a second for SECONDS through a pipeline. Returns how many. */
async function publish(hub: SseHub): Promise<number> {
  const nobody = { exe: () => undefined, cmdline: () => undefined, cwd: () => undefined };
  const pipeline = new EventPipeline({
    reporter: REPORTER,
    tree: new ProcessTree(nobody, () => performance.now()),
    clock: systemClock,
    workloadOf: () => WORKLOAD,
    imageOf: () => TABLE,
    unixNs: (bootNs) => bootNs + BigInt(Date.now()) * 1_000_000n,
    onAlert: (seq, record, facets) => hub.publish(seq, record, facets),
    onLog: () => {},
    onContainer: () => {},
    onProcessHeld: () => {},
  });
  const exec = { timeNs: 1n, pid: 1 };
  pipeline.takeEvents(batchOf(execRecord({ path: "/usr/bin/app" }, { exec, pid: 1 })));
  const all = batches();
  const start = performance.now();
  for (let i = 0; i < SECONDS * 1_000 / BATCH_MS; i++) {
    await systemClock.sleep(Math.max(0, start + i * BATCH_MS - performance.now()));
    pipeline.takeAlerts(all[i % all.length]!);
  }
  pipeline.close();
  return pipeline.counts.alerts;
}

if (Deno.args[0] === undefined) await measure();
else await read(Number(Deno.args[0]));
