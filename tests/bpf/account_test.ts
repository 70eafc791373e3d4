/** What account.bpf.h makes of decisions, in the running kernel: each is sent, limited or lost, and none is silent. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type BpfMap, BpfObject, openShim, u32Bytes } from "../../ffi/bpf.ts";
import * as api from "../../ffi/generated/agent_api.ts";
import { type Batch, RingReader } from "../../ffi/ring.ts";
import { RecordCursor } from "../../src/events/batch.ts";
import { decodeEvent } from "../../src/events/decode.ts";

const OBJECT = await Deno.readFile(
  new URL("../../.output/bpf/tests/account_test.bpf.o", import.meta.url),
);

/** One that never refills while a test runs. */
const HOUR_NS = 3_600_000_000_000n;
const KINDS_MAX = 16;

/** Decisions of one container, in a row. */
interface Burst {
  readonly container: number;
  readonly count: number;
  readonly kinds: number;
  readonly denied: boolean;
  /** Its kinds are the rows from here on; 0 when absent. */
  readonly firstRow?: number;
}

/** A decision's record, or a summary: how many decisions it stands for. */
interface Told {
  readonly container: number;
  readonly row: number;
  readonly decisions: number;
}

class Engine implements AsyncDisposable {
  readonly #shim = openShim();
  readonly #object: BpfObject;
  readonly #maps: Record<"accounts" | "alert_limits" | "alert_kinds" | "ring_alerts", BpfMap>;
  readonly #reader: RingReader;
  readonly #batches: AsyncIterator<Batch>;

  constructor(burst: number) {
    this.#object = BpfObject.open(this.#shim, OBJECT, "account_test");
    this.#object.load();
    const map = (name: string) => this.#object.map(name);
    this.#maps = {
      accounts: map("accounts"),
      alert_limits: map("alert_limits"),
      alert_kinds: map("alert_kinds"),
      ring_alerts: map("ring_alerts"),
    };
    this.limit(burst, HOUR_NS);
    const options = { batchBytes: 2 * api.RING_ALERTS_BYTES, coalesceUs: 0 };
    this.#reader = RingReader.open(this.#shim, this.#maps.ring_alerts, options);
    this.#batches = this.#reader[Symbol.asyncIterator]();
  }

  limit(burst: number, intervalNs: bigint): void {
    const limits = { intervalNs, burstNs: BigInt(burst) * intervalNs };
    this.#maps.alert_limits.update(u32Bytes(0), api.encodeAlertLimits(limits));
  }

  decide({ count, container, kinds, denied, firstRow = 0 }: Burst): void {
    const verdict = denied ? api.VERDICT_BLOCK : api.VERDICT_AUDIT;
    using program = this.#object.program("decide");
    program.run(new Uint8Array(Uint32Array.of(count, container, verdict, kinds, firstRow).buffer));
  }

  account(container: number) {
    const bytes = this.#maps.accounts.lookup(u32Bytes(container))!;
    return api.decodeContainerAccount(new DataView(bytes.buffer));
  }

  /** Returns how many kinds could not be told. */
  flush(): number {
    using program = this.#object.program("account_flush");
    return program.runIterator(this.#maps.alert_kinds);
  }

  /** Reads `decisions` decisions' worth of records. */
  async read(decisions: number): Promise<Told[]> {
    const told: Told[] = [];
    for (let left = decisions; left > 0;) {
      const { value } = await this.#batches.next();
      const record = new RecordCursor(value.buffer);
      while (record.next()) {
        const event = decodeEvent(record);
        assert(event?.type === "decision" || event?.type === "suppressed");
        const { container, row, suppressed } = event.type === "decision" ? event : event.decision;
        left -= suppressed + 1;
        told.push({ container, row, decisions: suppressed + 1 });
      }
    }
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.close();
    for (const map of Object.values(this.#maps)) map.close();
    this.#object.close();
    this.#shim.close();
  }
}

function total(told: readonly Told[], container: number): number {
  return told.filter((record) => record.container === container)
    .reduce((sum, { decisions }) => sum + decisions, 0);
}

const bursts = fc.array(
  fc.record({
    container: fc.integer({ min: 1, max: 3 }),
    count: fc.integer({ min: 1, max: 3_000 }),
    kinds: fc.integer({ min: 1, max: KINDS_MAX }),
    denied: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

Deno.test("every decision is sent, limited or lost, and told, while no one reads", async () => {
  await fc.assert(
    fc.asyncProperty(bursts, fc.integer({ min: 1, max: 400 }), async (bursts, burst) => {
      await using engine = new Engine(burst);
      for (const one of bursts) engine.decide(one);
      const decided = new Map<number, number>();
      for (const { container, count } of bursts) {
        decided.set(container, (decided.get(container) ?? 0) + count);
      }
      let sent = 0;
      for (const [container, count] of decided) {
        const account = engine.account(container);
        assert.equal(Number(account.denied + account.audited), count);
        assert.equal(Number(account.sent + account.limited + account.lost), count);
        sent += Number(account.sent);
      }
      // Every bucket has room again, and the ring is read: what is left is told.
      engine.limit(1_000_000, HOUR_NS);
      const told = await engine.read(sent);
      assert.equal(engine.flush(), 0);
      const all = [...decided.values()].reduce((sum, count) => sum + count, 0);
      const rest = all - told.reduce((sum, { decisions }) => sum + decisions, 0);
      told.push(...await engine.read(rest));
      for (const [container, count] of decided) assert.equal(total(told, container), count);
    }),
    { numRuns: 30 },
  );
});

Deno.test("the first of a kind is told behind a flood of another", async () => {
  await using engine = new Engine(10);
  engine.decide({ container: 1, count: 100_000, kinds: 1, denied: true });
  engine.decide({ container: 1, count: 2, kinds: 2, denied: true });
  const told = await engine.read(11);
  assert.deepEqual(told.map(({ row }) => row), [...new Array(10).fill(0), 1]);
  assert.equal(engine.account(1).limited, 99_991n);
});

Deno.test("a neighbour's flood leaves room for the first of a kind, however many flood", async () => {
  await using engine = new Engine(1_000_000);
  for (let container = 1; container <= 8; container++) {
    engine.decide({ container, count: 20_000, kinds: 20_000, denied: true });
    assert(engine.account(container).lost > 0n);
  }
  engine.decide({ container: 9, count: 1, kinds: 1, denied: true });
  const { sent, lost } = engine.account(9);
  assert.deepEqual([sent, lost], [1n, 0n]);
});

Deno.test("repetitions and audits leave room for the container's own first refusals", async () => {
  await using engine = new Engine(1_000_000);
  engine.decide({ container: 1, count: 20_000, kinds: 1, denied: true });
  engine.decide({ container: 1, count: 20_000, kinds: 20_000, denied: false });
  const before = engine.account(1);
  assert(before.lost > 30_000n);
  engine.decide({ container: 1, count: 100, kinds: 100, denied: true, firstRow: 1 });
  assert.equal(engine.account(1).sent - before.sent, 100n);
});

Deno.test("a kind that is over its rate is told later, and not before", async () => {
  await using engine = new Engine(1);
  engine.decide({ container: 1, count: 5, kinds: 1, denied: true });
  assert.equal(engine.flush(), 1);
  engine.limit(2, HOUR_NS);
  assert.equal(engine.flush(), 0);
  assert.deepEqual((await engine.read(5)).map(({ decisions }) => decisions), [1, 4]);
});
