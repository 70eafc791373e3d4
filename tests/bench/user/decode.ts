/**
 * Measures how many records a second are read from a ring and decoded, and what is lost when a million a second are sent
 * for two seconds. Another process sends; what it sends is counted, and for each an alert's record is decoded.
 */

import process from "node:process";
import { BpfMap, BpfObject, openShim } from "../../../ffi/bpf.ts";
import { RingReader } from "../../../ffi/ring.ts";
import { RecordCursor } from "../../../src/events/batch.ts";
import { decodeEvent } from "../../../src/events/decode.ts";
import { batchOf, decisionRecord, execRecord, names } from "../../../src/events/samples.ts";

const OBJECT = new URL("../../../.output/bpf/tests/shim_test.bpf.o", import.meta.url);
const RECORD_BYTES = 100;
const PER_SECOND = 1_000_000;
const SECONDS = 2;

/** Makes the ring and says its id; told to, sends a millisecond's records each millisecond, and says how many found room. */
async function send(): Promise<void> {
  using shim = openShim();
  using object = BpfObject.open(shim, await Deno.readFile(OBJECT), "decode");
  object.load();
  using ring = object.map("ring");
  using program = object.program("emit");
  console.log(ring.info.id);
  await Deno.stdin.read(new Uint8Array(1));
  const start = performance.now();
  let sent = 0, taken = 0;
  while (sent < PER_SECOND * SECONDS) {
    const due = Math.min((performance.now() - start) / 1_000, SECONDS) * PER_SECOND;
    const count = Math.floor(Math.min(due - sent, PER_SECOND / 1_000));
    if (count <= 0) continue;
    const context = Uint32Array.of(count, sent, RECORD_BYTES, 0);
    program.run(new Uint8Array(context.buffer));
    sent += count;
    taken += context[3]!;
  }
  console.log(taken);
}

/** A thousand records of ten programs and fifty files, as a busy node has them. */
function samples(): Uint8Array<ArrayBuffer> {
  return batchOf(...Array.from({ length: 1_000 }, (_, i) => {
    const exec = { timeNs: BigInt(i % 10), pid: i % 10 };
    return i % 4 === 0
      ? execRecord({ path: `/usr/bin/p${i % 10}`, cwd: "/srv", args: ["p", "-x"] }, { exec })
      : decisionRecord({ path: names(`/var/lib/app/f${i % 50}`), cwd: names("/srv") }, {
        header: { exec },
      });
  }));
}

async function receive(): Promise<void> {
  using shim = openShim();
  const args = ["run", "-A", "--no-check", import.meta.filename!, "send"];
  const pipes = { stdin: "piped", stdout: "piped" } as const;
  const sender = new Deno.Command(Deno.execPath(), { args, ...pipes }).spawn();
  const said = sender.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const say = async () => Number((await said.read()).value);
  using ring = BpfMap.fromId(shim, await say())!;
  await using reader = RingReader.open(shim, ring);
  const decoding = decodeAll(reader);
  const before = process.cpuUsage();
  await sender.stdin.getWriter().write(new Uint8Array(1));
  const taken = await say();
  await reader.close();
  const decoded = await decoding;
  const { user, system } = process.cpuUsage(before);
  if (decoded !== taken) throw new Error(`${taken} records were sent, ${decoded} decoded`);
  console.log(`@bench decode.rate ${Math.round(decoded / ((user + system) / 1e6))}`);
  console.log(`@bench decode.lost ${(100 * (1 - taken / (PER_SECOND * SECONDS))).toFixed(2)}`);
}

/** Decodes a sample for each record that the reader gives, until it is closed. Returns how many. */
async function decodeAll(reader: RingReader): Promise<number> {
  const batch = samples();
  let decoded = 0;
  let sample = new RecordCursor(batch);
  for await (const { buffer } of reader) {
    const record = new RecordCursor(buffer);
    while (record.next()) {
      if (!sample.next()) (sample = new RecordCursor(batch)).next();
      if (decodeEvent(sample) !== undefined) decoded++;
    }
  }
  return decoded;
}

if (Deno.args[0] === "send") await send();
else await receive();
