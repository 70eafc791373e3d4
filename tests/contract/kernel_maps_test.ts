/** What every KernelMaps must do: the real maps and the fake that other tests trust. */

import assert from "node:assert/strict";
import { BpfMap, type BpfProgram, MAP_TYPE, openShim, u32Bytes } from "../../ffi/bpf.ts";
import {
  AGENT_PULSE_SIZE,
  ALERT_LIMITS_SIZE,
  CGROUP_PREFIX_SIZE,
  CGROUP_PREFIXES_MAX,
  CONTAINER_ACCOUNT_SIZE,
  CONTAINER_USE_SIZE,
  CONTAINERS_MAX,
  COUNTER_NAMES,
  COUNTERS,
  decodeCgroupPrefix,
  encodeContainerAccount,
  encodeContainerUse,
  IMAGE_ENTRY_BYTES,
  IMAGES_MAX,
  NUMBERING_SIZE,
  SYSCALL_TABLE_SIZE,
  TASK_SURVEY_SIZE,
  WORD_FREE,
  WORD_UNPOLICED,
} from "../../ffi/generated/agent_api.ts";
import { ENGINE_MAPS, type EngineMapName, EngineMaps } from "../../src/kernel/engine_maps.ts";
import type { KernelMaps } from "../../src/kernel/kernel_maps.ts";
import { FakeKernel } from "../fakes/fake_kernel.ts";

/** Real maps of the layouts in bpf/include/maps.bpf.h; those that no test here touches stand in for one another. */
function realMaps() {
  const shim = openShim();
  const array = (name: string, valueSize: number, entries: number, type: number = MAP_TYPE.ARRAY) =>
    BpfMap.create(shim, { type, name, keySize: 4, valueSize, entries });
  const inner = BpfMap.createInner(shim, "template", IMAGE_ENTRY_BYTES, 1);
  const maps: Record<EngineMapName, BpfMap> = {
    tasks: array("tasks", 4, 1),
    tasks_by_address: array("tasks_by_addr", 4, 1),
    cgroups: BpfMap.create(shim, {
      type: MAP_TYPE.HASH,
      name: "cgroups",
      keySize: 8,
      valueSize: 4,
      entries: 64,
    }),
    containers: array("containers", 8, CONTAINERS_MAX),
    container_use: array("container_use", CONTAINER_USE_SIZE, CONTAINERS_MAX),
    syscall_table: array("syscall_table", SYSCALL_TABLE_SIZE, 1),
    images: BpfMap.create(shim, {
      type: MAP_TYPE.ARRAY_OF_MAPS,
      name: "images",
      keySize: 4,
      valueSize: 4,
      entries: IMAGES_MAX,
      inner,
    }),
    counters: array("counters", 8, COUNTERS, MAP_TYPE.PERCPU_ARRAY),
    host_programs: array("host_programs", 4, 1),
    cgroup_prefixes: array("cgroup_prefixes", CGROUP_PREFIX_SIZE, CGROUP_PREFIXES_MAX),
    accounts: array("accounts", CONTAINER_ACCOUNT_SIZE, CONTAINERS_MAX),
    alert_limits: array("alert_limits", ALERT_LIMITS_SIZE, 1),
    alert_kinds: array("alert_kinds", 4, 1),
    numbering: array("numbering", NUMBERING_SIZE, 1),
    agent_pulse: array("agent_pulse", AGENT_PULSE_SIZE, 1),
    task_survey: array("task_survey", TASK_SURVEY_SIZE, 1),
    senders: array("senders", 4, 1),
    ring_alerts: array("ring_alerts", 4, 1),
    ring_events: array("ring_events", 4, 1),
    protection: array("protection", 4, 1),
    protected_objects: array("protected_obj", 4, 1),
    protected_ids: array("protected_ids", 4, 1),
  };
  inner.close();
  const program = { close: () => {} } as BpfProgram;
  const engine = new EngineMaps(shim, maps, {
    identify: program,
    flush: program,
    register: program,
  });
  const close = () => {
    engine.close();
    shim.close();
  };
  return { engine, maps, [Symbol.dispose]: close };
}

const IMAGE = new Uint8Array(3 * IMAGE_ENTRY_BYTES).map((_, i) => i);

function contract(name: string, withMaps: (use: (maps: KernelMaps) => void) => void): void {
  Deno.test(`${name}: words are free until set, and again when set to free`, () => {
    withMaps((maps) => {
      assert.deepEqual(maps.words(), new Map());
      maps.setWord(1, WORD_UNPOLICED);
      maps.setWord(CONTAINERS_MAX - 1, 0x1234_5678_0003_0002n);
      assert.deepEqual(
        maps.words(),
        new Map([[1, WORD_UNPOLICED], [CONTAINERS_MAX - 1, 0x1234_5678_0003_0002n]]),
      );
      maps.setWord(1, WORD_FREE);
      assert.deepEqual([...maps.words().keys()], [CONTAINERS_MAX - 1]);
    });
  });

  Deno.test(`${name}: an index that no cgroup has does not exist`, () => {
    withMaps((maps) => {
      assert.throws(() => maps.setWord(CONTAINERS_MAX, WORD_UNPOLICED));
      assert.equal(maps.indexOf(7n), undefined);
      maps.deleteIndex(7n);
    });
  });

  Deno.test(`${name}: cgroups keep their indices, ids of 64 bits too`, () => {
    withMaps((maps) => {
      const id = 0xfedc_ba98_7654_3210n;
      maps.setIndex(id, 49152);
      maps.setIndex(5n, 3);
      assert.equal(maps.indexOf(id), 49152);
      assert.deepEqual(maps.cgroups(), new Map([[id, 49152], [5n, 3]]));
      maps.deleteIndex(id);
      assert.deepEqual([...maps.cgroups().keys()], [5n]);
    });
  });

  Deno.test(`${name}: a slot holds an image until it is cleared, twice is no error`, () => {
    withMaps((maps) => {
      const image = maps.createImage(IMAGES_MAX - 1, IMAGE);
      assert.deepEqual(maps.slots(), []);
      maps.putImage(IMAGES_MAX - 1, image);
      image.close();
      assert.deepEqual(maps.slots(), [IMAGES_MAX - 1]);
      maps.awaitReaders(IMAGES_MAX - 1);
      assert.deepEqual(maps.slots(), [IMAGES_MAX - 1]);
      maps.clearImage(IMAGES_MAX - 1);
      maps.clearImage(IMAGES_MAX - 1);
      assert.deepEqual(maps.slots(), []);
    });
  });

  Deno.test(`${name}: a container that was never used has no tasks and is not gone`, () => {
    withMaps((maps) => {
      assert.deepEqual(maps.use(9), { tasks: 0, gone: false });
      maps.resetUse(9);
      assert.deepEqual(maps.use(9), { tasks: 0, gone: false });
    });
  });
}

contract("FakeKernel", (use) => use(new FakeKernel()));
contract("EngineMaps", (use) => {
  using real = realMaps();
  use(real.engine);
});

Deno.test("EngineMaps.createImage() fills an image that no one can change any more", () => {
  using real = realMaps();
  const image = real.engine.createImage(4, IMAGE);
  real.engine.putImage(4, image);
  image.close();
  using inner = real.maps.images.innerMap(4)!;
  const entries = [0, 1, 2].flatMap((entry) => [...inner.lookup(u32Bytes(entry))!]);
  assert.deepEqual(new Uint8Array(entries), IMAGE);
  assert.throws(() => inner.update(u32Bytes(0), new Uint8Array(IMAGE_ENTRY_BYTES)), /EPERM/);
});

Deno.test("EngineMaps.prepare() lets an image wait in a slot that the next one fills and freezes", () => {
  using real = realMaps();
  const { engine, maps } = real;
  engine.prepare(4);
  const waiting = maps.images.lookup(u32Bytes(4));
  const image = engine.createImage(4, IMAGE);
  engine.putImage(4, image);
  image.close();
  assert.deepEqual(maps.images.lookup(u32Bytes(4)), waiting);
  using inner = maps.images.innerMap(4)!;
  assert.deepEqual(inner.lookup(u32Bytes(0)), IMAGE.slice(0, IMAGE_ENTRY_BYTES));
  assert.throws(() => inner.update(u32Bytes(0), new Uint8Array(IMAGE_ENTRY_BYTES)), /EPERM/);
});

Deno.test("EngineMaps.prepare() is no obstacle to another slot, a larger image, clearing, preparing again", () => {
  using real = realMaps();
  const { engine } = real;
  const publish = (slot: number, bytes: Uint8Array) => {
    const image = engine.createImage(slot, bytes);
    engine.putImage(slot, image);
    image.close();
  };
  engine.prepare(1);
  publish(2, IMAGE);
  assert.deepEqual(engine.slots(), [1, 2]);
  assert.deepEqual(engine.slots(new Set([2])), [1, 2]);
  publish(1, new Uint8Array(1_000 * IMAGE_ENTRY_BYTES).fill(7));
  using large = real.maps.images.innerMap(1)!;
  assert.equal(large.info.entriesMax, 1_000);
  engine.prepare(3);
  engine.prepare(5);
  assert.deepEqual(engine.slots(), [1, 2, 5]);
  engine.clearImage(5);
  publish(5, IMAGE);
  assert.deepEqual(engine.slots(), [1, 2, 5]);
});

Deno.test("EngineMaps.use() reads what the programs count", () => {
  using real = realMaps();
  real.maps.container_use.update(u32Bytes(9), encodeContainerUse({ tasks: 2, gone: 1, begun: 1 }));
  assert.deepEqual(real.engine.use(9), { tasks: 2, gone: true });
  real.engine.resetUse(9);
  assert.deepEqual(real.engine.use(9), { tasks: 0, gone: false });
});

Deno.test("EngineMaps.setPrefixes() replaces all of them and refuses what does not fit", () => {
  using real = realMaps();
  const read = (i: number) =>
    decodeCgroupPrefix(new DataView(real.maps.cgroup_prefixes.lookup(u32Bytes(i))!.buffer));
  real.engine.setPrefixes([{ text: "/a/", depth: 1 }, { text: "/b/c", depth: 2 }]);
  real.engine.setPrefixes([{ text: "/xyz/", depth: 2 }]);
  assert.deepEqual([read(0).length, read(0).depth, read(1).length], [5, 2, 0]);
  assert.equal(new TextDecoder().decode(read(0).text.subarray(0, 5)), "/xyz/");
  assert.throws(() => real.engine.setPrefixes([{ text: "/".repeat(63), depth: 1 }]), RangeError);
  const many = Array.from({ length: CGROUP_PREFIXES_MAX + 1 }, () => ({ text: "/", depth: 1 }));
  assert.throws(() => real.engine.setPrefixes(many), RangeError);
});

Deno.test("EngineMaps.counters() sums over CPUs and uses the kernel's names", () => {
  using real = realMaps();
  const perCpu = real.maps.counters.lookup(u32Bytes(0))!;
  real.maps.counters.update(
    u32Bytes(0),
    new Uint8Array(new BigUint64Array(perCpu.length / 8).fill(3n).buffer),
  );
  const counters = real.engine.counters();
  assert.equal(counters["denied"], BigInt(3 * perCpu.length / 8));
  assert.equal(counters["alerts_lost"], 0n);
  assert.equal(Object.keys(counters).length, Object.keys(COUNTER_NAMES).length - 1);
});

Deno.test("EngineMaps.account() reads what the programs count, and resetUse() ends the account", () => {
  using real = realMaps();
  const account = { denied: 5n, audited: 2n, sent: 4n, limited: 2n, lost: 1n };
  const window = { windowEnd: 7n, windowBytes: 8n, formerBytes: 9n };
  real.maps.accounts.update(u32Bytes(9), encodeContainerAccount({ ...account, ...window }));
  assert.deepEqual(real.engine.account(9), { denied: 5, audited: 2, sent: 4, limited: 2, lost: 1 });
  real.engine.resetUse(9);
  assert.deepEqual(real.engine.account(9), { denied: 0, audited: 0, sent: 0, limited: 0, lost: 0 });
});

Deno.test("EngineMaps.numbering() is what the agent before has set", () => {
  using real = realMaps();
  assert.deepEqual(real.engine.numbering(), { life: 0n, alerts: 0n, logs: 0n });
  real.engine.setNumbering({ life: 7n, alerts: 8n, logs: 9n });
  assert.deepEqual(real.engine.numbering(), { life: 7n, alerts: 8n, logs: 9n });
});

Deno.test("ENGINE_MAPS has no name twice", () => {
  assert.equal(new Set(ENGINE_MAPS).size, ENGINE_MAPS.length);
});
