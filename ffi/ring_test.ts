import assert from "node:assert/strict";
import { BpfObject, type BpfProgram, openShim, type Shim } from "./bpf.ts";
import { BpfMap } from "./map.ts";
import { type Batch, RingReader } from "./ring.ts";

const OBJECT = await Deno.readFile(
  new URL("../.output/bpf/tests/shim_test.bpf.o", import.meta.url),
);

/** A ring of 1 MiB, and the program that fills it. */
class Source implements Disposable {
  readonly map: BpfMap;
  readonly #program: BpfProgram;
  #next = 0;

  constructor(shim: Shim) {
    using object = BpfObject.open(shim, OBJECT, "shim_test");
    object.load();
    this.map = object.map("ring");
    this.#program = object.program("emit");
  }

  /** Puts numbered records of `size` bytes into the ring. Returns how many found room. */
  emit(records: number, size: 8 | 100 | 4000): number {
    const context = Uint32Array.of(records, this.#next, size, 0);
    const bytes = new Uint8Array(context.buffer);
    assert.equal(this.#program.run(bytes), 0);
    this.#next += records;
    return context[3]!;
  }

  [Symbol.dispose](): void {
    this.map.close();
    this.#program.close();
  }
}

/** Number and size of each record; the last byte must be the number's. */
function described(batch: Batch): [number, number][] {
  return Array.from(batch.records(), (record) => {
    const number = record.getUint32(0, true);
    if (record.byteLength > 8) {
      assert.equal(record.getUint8(record.byteLength - 1), number & 0xff);
    }
    return [number, record.byteLength];
  });
}

Deno.test("RingReader gives each record once, in order, with its own length", async () => {
  using shim = openShim();
  using source = new Source(shim);
  await using reader = RingReader.open(shim, source.map);
  source.emit(1, 8);
  source.emit(1, 100);
  source.emit(2, 4000);
  const batches = reader[Symbol.asyncIterator]();
  const first = (await batches.next()).value as Batch;
  assert.deepEqual(described(first), [[0, 8], [1, 100], [2, 4000], [3, 4000]]);
  source.emit(1, 100);
  const second = (await batches.next()).value as Batch;
  assert.deepEqual(described(second), [[4, 100]]);
});

Deno.test("RingReader loses nothing over many times the ring and the batch", async () => {
  using shim = openShim();
  using source = new Source(shim);
  await using reader = RingReader.open(shim, source.map, { batchBytes: 10_000, coalesceUs: 0 });
  let expected = 0;
  let emitted = source.emit(100, 100);
  const sizes = [8, 100, 4000] as const;
  for await (const batch of reader) {
    for (const [number] of described(batch)) assert.equal(number, expected++);
    if (expected >= 50_000) break;
    if (expected === emitted) {
      const size = sizes[emitted % 3]!;
      emitted += source.emit(size === 4000 ? 200 : 5_000, size);
    }
  }
  assert.ok(expected >= 50_000);
});

Deno.test("a full ring refuses records, and takes them again when it was read", async () => {
  using shim = openShim();
  using source = new Source(shim);
  const room = source.emit(300, 4000);
  assert.equal(room, Math.floor((1 << 20) / 4008));
  await using reader = RingReader.open(shim, source.map, { batchBytes: 2 << 20 });
  for await (const batch of reader) {
    assert.equal(described(batch).length, room);
    break;
  }
  assert.equal(source.emit(10, 4000), 10);
});

Deno.test("RingReader.close() ends a read that waits, and the iteration", async () => {
  using shim = openShim();
  using source = new Source(shim);
  const reader = RingReader.open(shim, source.map);
  const ended = Array.fromAsync(reader);
  await reader.close();
  await reader.close();
  assert.deepEqual(await ended, []);
});

Deno.test("RingReader hands over all that it has read when it is closed; the rest is the next reader's", async () => {
  using shim = openShim();
  using source = new Source(shim);
  let expected = 0, emitted = 0;
  for (let round = 0; round < 20; round++) {
    const reader = RingReader.open(shim, source.map, { batchBytes: 2_000, coalesceUs: 0 });
    emitted += source.emit(50, 100);
    let closed: Promise<void> | undefined;
    for await (const batch of reader) {
      for (const [number] of described(batch)) assert.equal(number, expected++);
      emitted += source.emit(3, 100);
      closed ??= reader.close();
    }
    await closed;
  }
  await using reader = RingReader.open(shim, source.map);
  for await (const batch of reader) {
    for (const [number] of described(batch)) assert.equal(number, expected++);
    if (expected === emitted) break;
  }
  assert.equal(expected, emitted);
});

Deno.test("an iteration that was left can be taken up where it was", async () => {
  using shim = openShim();
  using source = new Source(shim);
  await using reader = RingReader.open(shim, source.map);
  source.emit(3, 8);
  for await (const batch of reader) {
    assert.deepEqual(described(batch).length, 3);
    break;
  }
  source.emit(2, 8);
  for await (const batch of reader) {
    assert.deepEqual(described(batch), [[3, 8], [4, 8]]);
    break;
  }
});

Deno.test("RingReader hands records of a flow over when a quarter of a batch is there, or when it is hurried", async () => {
  using shim = openShim();
  using source = new Source(shim);
  // So long that the test fails at its time limit if that is waited for.
  const hours = () => 3_600_000_000;
  await using reader = RingReader.open(shim, source.map, { batchBytes: 40_000, flowUs: hours });
  const batches = reader[Symbol.asyncIterator]();
  source.emit(1, 8);
  const first = batches.next();
  reader.hurry();
  assert.deepEqual(described((await first).value as Batch), [[0, 8]]);
  const second = batches.next();
  source.emit(100, 100);
  const records = described((await second).value as Batch);
  assert.ok(records.length >= 1);
});

Deno.test("RingReader says when a record exceeds the batch", async () => {
  using shim = openShim();
  using source = new Source(shim);
  await using reader = RingReader.open(shim, source.map, { batchBytes: 1000 });
  source.emit(1, 4000);
  await assert.rejects(Array.fromAsync(reader), /Read "ring of map "ring"": ENOBUFS/);
});

Deno.test("RingReader.open() takes rings only", () => {
  using shim = openShim();
  using map = BpfMap.createInner(shim, "array", 8, 1);
  assert.throws(() => RingReader.open(shim, map), /Open ring "map "array"": EINVAL/);
});
