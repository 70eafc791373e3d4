import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CONTAINERS_KERNEL,
  HOST_CONTAINER,
  IMAGE_ENTRY_BYTES,
  IMAGES_MAX,
  WORD_PENDING,
  WORD_UNPOLICED,
} from "../../ffi/generated/agent_api.ts";
import { FakeFailure, FakeKernel } from "../../tests/fakes/fake_kernel.ts";
import { apply, ApplyError, stepText } from "./apply.ts";
import { HOST_IDS } from "./host_index.ts";
import { Installed } from "./installed.ts";
import { CapacityError, type DesiredContainers, plan, type PolicyImage } from "./plan.ts";
import { policedWord, readWord } from "./word.ts";

function imageOf(generation: number): PolicyImage {
  const bytes = new Uint8Array(IMAGE_ENTRY_BYTES * 2);
  new DataView(bytes.buffer).setUint32(8, generation, true);
  return { generation, opsLive: generation & 0x7fff, bytes };
}

function kindsOf(desired: DesiredContainers, installed: Installed): string[] {
  return plan(desired, installed).map(({ kind }) => kind);
}

/** One agent's view of a kernel. */
function bring(kernel: FakeKernel, desired: DesiredContainers, installed = Installed.read(kernel)) {
  installed.refresh(kernel, desired.keys());
  apply(plan(desired, installed, installed.freeable(kernel)), kernel, installed);
  return installed;
}

Deno.test("policedWord() and readWord() are inverse", () => {
  fc.assert(fc.property(
    fc.nat(IMAGES_MAX - 1),
    fc.nat(0xffff),
    fc.integer({ min: 1, max: 0xffffffff }),
    (slot, opsLive, generation) => {
      const named = { slot, opsLive, generation };
      assert.deepEqual(readWord(policedWord(named)), named);
    },
  ));
  for (const word of [0n, WORD_PENDING, WORD_UNPOLICED]) assert.equal(readWord(word), undefined);
});

Deno.test("policedWord() refuses what does not fit", () => {
  const good = { slot: 0, opsLive: 0, generation: 1 };
  assert.throws(() => policedWord({ ...good, slot: IMAGES_MAX }), RangeError);
  assert.throws(() => policedWord({ ...good, generation: 0 }), RangeError);
  assert.throws(() => policedWord({ ...good, opsLive: 0x10000 }), RangeError);
});

Deno.test("plan() publishes before it points, and clears last", () => {
  const kernel = new FakeKernel();
  kernel.makeContainer(10n, 1, true);
  const installed = bring(kernel, new Map([[10n, imageOf(1)]]));
  const steps = plan(new Map([[10n, imageOf(2)]]), installed);
  assert.deepEqual(steps.map(({ kind }) => kind), ["publish", "word", "await", "clear"]);
  assert.deepEqual(steps.map(stepText), [
    "publish generation 2 in slot 1",
    `point container 1 to 0x${policedWord({ slot: 1, opsLive: 2, generation: 2 }).toString(16)}`,
    "wait for programs that read old words",
    "clear slot 0",
  ]);
});

Deno.test("plan() shares one image between containers of equal generation", () => {
  const kernel = new FakeKernel();
  for (const id of [10n, 11n, 12n]) kernel.makeContainer(id, 1, true);
  const installed = Installed.read(kernel);
  const desired = new Map([[10n, imageOf(1)], [11n, imageOf(1)], [12n, undefined]]);
  assert.deepEqual(kindsOf(desired, installed), ["publish", "word", "word", "word", "identify"]);
  bring(kernel, desired);
  assert.equal(kernel.slots().length, 1);
  assert.equal(kernel.governs(3), "unpoliced");
});

Deno.test("plan() gives a container that ran before the agent an index of the agent's range", () => {
  const kernel = new FakeKernel();
  kernel.makeContainer(10n, 3, false);
  const desired = new Map([[10n, imageOf(1)]]);
  assert.deepEqual(kindsOf(desired, Installed.read(kernel)), [
    "publish",
    "word",
    "index",
    "identify",
  ]);
  bring(kernel, desired);
  assert.equal(kernel.indexOf(10n), CONTAINERS_KERNEL);
  assert.equal(kernel.unknownTasks(10n), 0);
  assert.equal(kernel.use(CONTAINERS_KERNEL).tasks, 3);
});

Deno.test("plan() leaves containers that no one describes as they are", () => {
  const kernel = new FakeKernel();
  const index = kernel.makeContainer(10n, 1, true);
  bring(kernel, new Map([[10n, imageOf(1)]]));
  const installed = bring(kernel, new Map());
  assert.equal((kernel.governs(index) as Uint8Array).length, IMAGE_ENTRY_BYTES * 2);
  assert.deepEqual(plan(new Map(), installed), []);
});

Deno.test("plan() keeps a removed container's image until its last task is gone", () => {
  const kernel = new FakeKernel();
  const index = kernel.makeContainer(10n, 1, true);
  const installed = bring(kernel, new Map([[10n, imageOf(1)]]));
  kernel.removeContainer(10n, 2);
  installed.follow(index, 10n, true);
  bring(kernel, new Map(), installed);
  assert.notEqual(kernel.governs(index), "free");
  kernel.endTasks(index);
  bring(kernel, new Map(), installed);
  assert.equal(kernel.governs(index), "free");
  assert.deepEqual(kernel.slots(), []);
});

Deno.test("Installed.read() finds containers that went while no agent ran", () => {
  const kernel = new FakeKernel();
  const index = kernel.makeContainer(10n, 1, true);
  bring(kernel, new Map([[10n, imageOf(1)]]));
  kernel.removeContainer(10n, 0);
  bring(kernel, new Map());
  assert.equal(kernel.governs(index), "free");
});

Deno.test("Installed.freeable() spares an index that the kernel is just giving out", () => {
  const kernel = new FakeKernel();
  kernel.setWord(5, WORD_PENDING);
  assert.deepEqual(Installed.read(kernel).freeable(kernel), []);
});

Deno.test("plan() refuses more images than there are slots", () => {
  const desired = new Map<bigint, PolicyImage>();
  for (let i = 1; i <= IMAGES_MAX + 1; i++) desired.set(BigInt(i), imageOf(i));
  assert.throws(() => plan(desired, Installed.read(new FakeKernel())), CapacityError);
});

Deno.test("apply() names the step that failed and goes on from there", () => {
  const kernel = new FakeKernel();
  kernel.makeContainer(10n, 1, false);
  const desired = new Map([[10n, imageOf(1)]]);
  const installed = Installed.read(kernel);
  kernel.changesLeft = 3;
  assert.throws(() => apply(plan(desired, installed), kernel, installed), (error) => {
    assert.ok(error instanceof ApplyError && error.cause instanceof FakeFailure);
    assert.match(error.message, /step "give cgroup 10 index 49152" failed, keeping/);
    return true;
  });
  kernel.changesLeft = Infinity;
  bring(kernel, desired, installed);
  assert.equal(kernel.unknownTasks(10n), 0);
  assert.deepEqual(
    [...kernel.words().keys()].filter((i) => kernel.governs(i) !== "free").length,
    1,
  );
});

Deno.test("apply() whose identification failed leaves it to be done", () => {
  const kernel = new FakeKernel();
  const installed = bring(kernel, new Map());
  kernel.makeContainer(10n, 1, false);
  const desired = new Map([[10n, imageOf(1)]]);
  kernel.changesLeft = 4;
  assert.throws(() => bring(kernel, desired, installed), /step "identify running tasks" failed/);
  assert.equal(kernel.unknownTasks(10n), 1);
  kernel.changesLeft = Infinity;
  bring(kernel, desired, installed);
  assert.equal(kernel.unknownTasks(10n), 0);
});

// ---- properties: any history of policies, containers, deaths of the agent ----

type Act =
  | { do: "make"; id: bigint; tasks: number; seen: boolean }
  | { do: "remove"; id: bigint; lingering: number }
  | { do: "apply"; desired: [bigint, number][]; dieAfter: number }
  | { do: "restart" };

const ids = fc.bigInt(1n, 6n);
const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    do: fc.constant("make" as const),
    id: ids,
    tasks: fc.nat(2),
    seen: fc.boolean(),
  }),
  fc.record({ do: fc.constant("remove" as const), id: ids, lingering: fc.nat(1) }),
  fc.record({
    do: fc.constant("apply" as const),
    desired: fc.uniqueArray(fc.tuple(ids, fc.nat(4)), { selector: ([id]) => id }),
    dieAfter: fc.oneof(fc.nat(12), fc.constant(Infinity)),
  }),
  fc.record({ do: fc.constant("restart" as const) }),
);

/** Plays a history and checks after every single change of the kernel. */
class History {
  readonly kernel = new FakeKernel();
  readonly #alive = new Set<bigint>();
  #installed = Installed.read(this.kernel);
  /** Indices that an image governs, by the image's generation, and what is being applied. */
  #governed = new Map<number, bigint | undefined>();
  #target: DesiredContainers = new Map();

  constructor() {
    this.kernel.onChange = () => this.#check();
  }

  play(act: Act): void {
    if (act.do === "restart") this.#installed = Installed.read(this.kernel);
    else if (act.do === "make") this.#make(act);
    else if (act.do === "remove") this.#remove(act);
    else this.#apply(act);
  }

  #make({ id, tasks, seen }: Act & { do: "make" }): void {
    if (this.#alive.has(id)) return;
    this.#alive.add(id);
    const index = this.kernel.makeContainer(id, tasks, seen);
    this.#governed.delete(index);
    this.#installed.follow(index, id, false);
  }

  #remove({ id, lingering }: Act & { do: "remove" }): void {
    if (!this.#alive.delete(id)) return;
    const index = this.kernel.removeContainer(id, lingering);
    if (index !== 0) this.#installed.follow(index, id, true);
  }

  #apply({ desired, dieAfter }: Act & { do: "apply" }): void {
    const containers = new Map(
      desired.filter(([id]) => this.#alive.has(id))
        .map(([id, generation]) => [id, generation === 0 ? undefined : imageOf(generation)]),
    );
    this.#target = containers;
    this.kernel.changesLeft = dieAfter;
    try {
      bring(this.kernel, containers, this.#installed);
    } catch (error) {
      assert.ok(error instanceof ApplyError);
      return;
    } finally {
      this.kernel.changesLeft = Infinity;
    }
    this.#checkConverged(containers);
  }

  /** At no instant has a container that had an image none, unless that is what is wanted or it is gone. */
  #check(): void {
    for (const [cgroupId, index] of this.kernel.cgroups()) {
      const image = this.kernel.governs(index);
      if (typeof image !== "string") this.#governed.set(index, cgroupId);
      else if (this.#governed.has(index)) {
        assert.ok(this.#target.has(cgroupId) && this.#target.get(cgroupId) === undefined);
        this.#governed.delete(index);
      }
    }
    for (const index of this.kernel.words().keys()) this.kernel.governs(index);
  }

  #checkConverged(containers: DesiredContainers): void {
    const { kernel } = this;
    assert.deepEqual(plan(containers, this.#installed, this.#installed.freeable(kernel)), []);
    const named = new Set([...kernel.words().values()].map((word) => readWord(word)?.slot));
    for (const slot of kernel.slots()) assert.ok(named.has(slot), `slot ${slot} leaks`);
    for (const [id, image] of containers) {
      assert.deepEqual(kernel.governs(kernel.indexOf(id)!), image?.bytes ?? "unpoliced");
      assert.equal(kernel.unknownTasks(id), 0);
    }
  }
}

Deno.test("plan() and apply(): any history converges, and no container is without its image at any instant", () => {
  fc.assert(
    fc.property(fc.array(acts, { maxLength: 14 }), (history) => {
      const world = new History();
      for (const act of history) world.play(act);
    }),
    { numRuns: 1500 },
  );
});

Deno.test("plan() follows the host as long as it has an image, and identifies its tasks once", () => {
  const kernel = new FakeKernel();
  const host = (judged?: PolicyImage, exempt?: PolicyImage): DesiredContainers =>
    new Map([[HOST_IDS.judged, judged], [HOST_IDS.exempt, exempt]]);
  const installed = bring(kernel, host());
  assert.deepEqual(kindsOf(host(), installed), []);
  assert.deepEqual(kindsOf(host(imageOf(1)), installed), ["publish", "word", "identify"]);
  bring(kernel, host(imageOf(1)), installed);
  assert.equal(kernel.words().get(HOST_CONTAINER), policedWord({ ...imageOf(1), slot: 0 }));
  assert.deepEqual(kindsOf(host(imageOf(2)), installed), ["publish", "word", "await", "clear"]);
  // What an agent finds that knows of no container yet stays in force.
  assert.deepEqual(bring(kernel, new Map()).words, installed.words);
  bring(kernel, host(), installed);
  assert.equal(kernel.words().get(HOST_CONTAINER), undefined);
  assert.deepEqual(kindsOf(host(), installed), []);
});
