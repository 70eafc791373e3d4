import assert from "node:assert/strict";
import { BpfError, BpfMap, BpfObject, BpfProgram, MAP_TYPE, openShim, type Shim } from "./bpf.ts";
import { BpfLink, RunStats, setLeakReporter, u32Bytes, UPDATE, VerifierError } from "./bpf.ts";
import { KernelFiles } from "./procfs.ts";
import { missesOfLink, programExists } from "./program.ts";

/** Built by `deno task build:test`. */
const OBJECT = await Deno.readFile(
  new URL("../.output/bpf/tests/shim_test.bpf.o", import.meta.url),
);

function u64Bytes(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

function open(shim: Shim): BpfObject {
  return BpfObject.open(shim, OBJECT, "shim_test");
}

function loaded(shim: Shim): BpfObject {
  const object = open(shim);
  object.load();
  return object;
}

function throwsErrno(code: string, message: RegExp, act: () => unknown): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof BpfError, `${error}`);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("BpfObject.open() refuses what is no object file, with libbpf's words", () => {
  using shim = openShim();
  const junk = new TextEncoder().encode("no object file at all");
  throwsErrno(
    "LIBBPF_FORMAT",
    /^Open object "junk": LIBBPF_FORMAT: .*ELF/,
    () => BpfObject.open(shim, junk, "junk"),
  );
});

Deno.test("BpfObject lists its programs in the order of the file, and its maps", () => {
  using shim = openShim();
  using object = open(shim);
  assert.deepEqual(object.programs(), [
    "emit",
    "read_settings",
    "refused",
    "iterate",
    "observe",
  ]);
  const maps = object.maps().filter((name) => !name.includes("."));
  assert.deepEqual(maps.sort(), ["counts", "images", "numbers", "ring", "slot"]);
});

Deno.test("BpfObject.setRodata() sets a variable before load and only then", () => {
  using shim = openShim();
  using object = open(shim);
  const settings = new Uint8Array(16);
  settings.set(u64Bytes(40n));
  settings.set(u32Bytes(2), 8);
  throwsErrno("ENOENT", /no_such/, () => object.setRodata("no_such", settings));
  throwsErrno(
    "EINVAL",
    /size is not 8 bytes/,
    () => object.setRodata("settings", new Uint8Array(8)),
  );
  object.setRodata("settings", settings);
  object.load();
  throwsErrno("EBUSY", /settings/, () => object.setRodata("settings", settings));
  using program = object.program("read_settings");
  const result = new Uint8Array(8);
  assert.equal(program.run(result), 7);
  assert.deepEqual(result, u64Bytes(42n));
});

Deno.test("BpfObject.load() says why the verifier refused a program", () => {
  using shim = openShim();
  using object = open(shim);
  object.setAutoload("refused", true);
  assert.throws(() => object.load(), (error) => {
    assert.ok(error instanceof VerifierError);
    assert.match(error.message, /invalid mem access 'map_value_or_null' at \d+: \(79\)/);
    assert.match(error.log, /R0.*\n.*processed \d+ insns/s);
    return true;
  });
});

Deno.test("BpfObject gives no program that was not loaded", () => {
  using shim = openShim();
  using object = loaded(shim);
  throwsErrno("ENOENT", /Get program "refused"/, () => object.program("refused"));
  throwsErrno("ENOENT", /Get program "nothing"/, () => object.program("nothing"));
  throwsErrno("ENOENT", /Get map "nothing"/, () => object.map("nothing"));
});

Deno.test("maps and programs outlive their object", () => {
  using shim = openShim();
  const object = loaded(shim);
  using map = object.map("numbers");
  using program = object.program("read_settings");
  object.close();
  map.update(u32Bytes(1), u64Bytes(2n));
  assert.equal(program.run(new Uint8Array(8)), 7);
});

Deno.test("BpfObject.reuseMap() has programs use the map that is there", () => {
  using shim = openShim();
  using first = loaded(shim);
  using map = first.map("numbers");
  using second = open(shim);
  second.reuseMap("numbers", map);
  using other = BpfMap.create(shim, {
    ...{ type: MAP_TYPE.HASH, name: "other", keySize: 8, valueSize: 8, entries: 64 },
  });
  throwsErrno("EINVAL", /Reuse map "counts"/, () => second.reuseMap("counts", other));
  second.load();
  using same = second.map("numbers");
  assert.equal(same.info.id, map.info.id);
});

Deno.test("BpfMap keeps, changes, lists and removes entries", () => {
  using shim = openShim();
  using object = loaded(shim);
  using map = object.map("numbers");
  assert.equal(map.lookup(u32Bytes(1)), undefined);
  map.update(u32Bytes(1), u64Bytes(10n), UPDATE.NO_EXIST);
  throwsErrno("EEXIST", /Update "map "numbers""/, () => {
    map.update(u32Bytes(1), u64Bytes(11n), UPDATE.NO_EXIST);
  });
  map.update(u32Bytes(2), u64Bytes(20n));
  assert.deepEqual(map.lookup(u32Bytes(1)), u64Bytes(10n));
  const keys = [...map.keys()].map((key) => new DataView(key.buffer).getUint32(0, true));
  assert.deepEqual(keys.sort(), [1, 2]);
  assert.equal(map.delete(u32Bytes(1)), true);
  assert.equal(map.delete(u32Bytes(1)), false);
  assert.equal(map.lookup(u32Bytes(1)), undefined);
});

Deno.test("BpfMap.updateBatch() writes all entries, and says when the map is full", () => {
  using shim = openShim();
  using object = loaded(shim);
  using map = object.map("numbers");
  const keys = (count: number) =>
    new Uint8Array(Uint32Array.from({ length: count }, (_, i) => i).buffer);
  const values = (count: number) =>
    new Uint8Array(BigUint64Array.from({ length: count }, (_, i) => BigInt(i)).buffer);
  map.updateBatch(keys(64), values(64));
  assert.equal([...map.keys()].length, 64);
  assert.deepEqual(map.lookup(u32Bytes(63)), u64Bytes(63n));
  throwsErrno("E2BIG", /Update/, () => map.updateBatch(keys(65), values(65)));
});

Deno.test("BpfMap refuses keys and values of another size than the map's", () => {
  using shim = openShim();
  using object = loaded(shim);
  using map = object.map("numbers");
  const message = /Look up map "numbers": key must have 4 bytes: current value is 3/;
  assert.throws(() => map.lookup(new Uint8Array(3)), { name: "RangeError", message });
  assert.throws(() => map.update(u32Bytes(1), new Uint8Array(9)), RangeError);
  assert.throws(() => map.updateBatch(new Uint8Array(8), new Uint8Array(8)), RangeError);
});

Deno.test("a per-CPU map has a value for each possible CPU", () => {
  using shim = openShim();
  using object = loaded(shim);
  using map = object.map("counts");
  const cpus = shim.symbols.ankylo_cpus_possible();
  assert.equal(map.lookup(u32Bytes(0))?.length, cpus * 8);
  const values = new Uint8Array(cpus * 8).fill(1);
  map.update(u32Bytes(1), values);
  assert.deepEqual(map.lookup(u32Bytes(1)), values);
});

Deno.test("an array of maps takes frozen inner maps of any size", () => {
  using shim = openShim();
  using object = loaded(shim);
  using images = object.map("images");
  using image = BpfMap.createInner(shim, "image", 128, 3);
  image.updateBatch(
    new Uint8Array(Uint32Array.of(0, 1, 2).buffer),
    new Uint8Array(3 * 128).fill(7),
  );
  image.freeze();
  throwsErrno("EPERM", /Update/, () => image.update(u32Bytes(0), new Uint8Array(128)));
  images.setMap(2, image);
  assert.equal(images.innerMap(0), undefined);
  assert.deepEqual(image.readArray(), new Uint8Array(3 * 128).fill(7));
  using found = images.innerMap(2)!;
  assert.equal(found.info.id, image.info.id);
  assert.equal(found.info.entriesMax, 3);
  assert.deepEqual(found.lookup(u32Bytes(2)), new Uint8Array(128).fill(7));
  throwsErrno("E2BIG", /Update/, () => images.setMap(4, image));
  assert.equal(images.delete(u32Bytes(2)), true);
  assert.equal(images.innerMap(2), undefined);
});

Deno.test("an array of programs takes programs of its type", () => {
  using shim = openShim();
  using object = loaded(shim);
  using slot = object.map("slot");
  using program = object.program("read_settings");
  slot.setProgram(0, program);
  assert.notEqual(slot.lookup(u32Bytes(0)), undefined);
});

Deno.test("BpfMap.fromId() finds no map that is gone", () => {
  using shim = openShim();
  const map = BpfMap.createInner(shim, "gone", 8, 1);
  const { id } = map.info;
  using again = BpfMap.fromId(shim, id)!;
  assert.equal(again.info.name, "gone");
  assert.equal(BpfMap.fromId(shim, 0x7fffffff), undefined);
  map.close();
});

Deno.test("pins in a bpffs of one's own keep maps and programs, and go with it", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const dir = Deno.makeTempDirSync({ prefix: "ankylo-bpffs-" });
  try {
    assert.equal(files.isBpffs(dir), false);
    assert.equal(files.mountBpffs(dir), true);
    assert.equal(files.mountBpffs(dir), false);
    assert.equal(files.stat(dir).mode & 0o777, 0o700);
    const object = loaded(shim);
    const map = object.map("numbers");
    const program = object.program("read_settings");
    map.update(u32Bytes(5), u64Bytes(6n));
    map.pin(`${dir}/numbers`);
    program.pin(`${dir}/program`);
    throwsErrno("EEXIST", /Pin map "numbers" at/, () => map.pin(`${dir}/numbers`));
    for (const item of [object, map, program]) item.close();
    using adopted = BpfMap.fromPin(shim, `${dir}/numbers`);
    assert.deepEqual(adopted.lookup(u32Bytes(5)), u64Bytes(6n));
    using run = BpfProgram.fromPin(shim, `${dir}/program`);
    assert.equal(run.run(new Uint8Array(8)), 7);
    assert.throws(() => run.attach(), /opened from a pin/);
    files.rename(`${dir}/numbers`, `${dir}/renamed`);
    files.remove(`${dir}/program`);
    // Some kernels put iterators of their own into every bpffs: maps.debug, progs.debug.
    assert.deepEqual(files.listDir(dir).filter((name) => !name.includes(".")), ["renamed"]);
    throwsErrno("ENOENT", /Open pin/, () => BpfMap.fromPin(shim, `${dir}/program`));
  } finally {
    files.unmount(dir);
    Deno.removeSync(dir);
  }
});

Deno.test("BpfProgram.runIterator() runs to the end, also after its object is closed", () => {
  using shim = openShim();
  using object = open(shim);
  object.setAutoload("iterate", true);
  object.load();
  using program = object.program("iterate");
  using counts = object.map("counts");
  object.close();
  const tasks = program.runIterator();
  const counted = new BigUint64Array(counts.lookup(u32Bytes(0))!.buffer);
  assert.ok(tasks > 1);
  assert.equal(counted.reduce((sum, count) => sum + count), BigInt(tasks));
});

Deno.test("a pinned link keeps its program attached until the pin is removed", async () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const dir = await Deno.makeTempDir({ prefix: "ankylo-bpffs-" });
  const exitsSeen = async (counts: BpfMap): Promise<bigint> => {
    const total = () =>
      new BigUint64Array(counts.lookup(u32Bytes(1))!.buffer).reduce((sum, count) => sum + count);
    const before = total();
    await new Deno.Command("true").output();
    return total() - before;
  };
  try {
    files.mountBpffs(dir);
    using object = open(shim);
    object.setAutoload("observe", true);
    object.load();
    using counts = object.map("counts");
    {
      using program = object.program("observe");
      using link = program.attach();
      assert.equal(link.info().programId, program.info().id);
      link.pin(`${dir}/observe`);
    }
    object.close();
    assert.ok(await exitsSeen(counts) >= 1n);
    assert.equal(missesOfLink(shim, `${dir}/observe`), 0n);
    throwsErrno("ENOENT", /Open pin/, () => missesOfLink(shim, `${dir}/other`));
    BpfLink.fromPin(shim, `${dir}/observe`).close();
    files.remove(`${dir}/observe`);
    // The link goes when its last reference does, which the kernel may put off to a worker.
    while (await exitsSeen(counts) > 0n);
  } finally {
    files.unmount(dir);
    await Deno.remove(dir);
  }
});

Deno.test("KernelFiles.removeLinks() returns when the programs are gone; what it keeps is kept until then", async () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const dir = await Deno.makeTempDir({ prefix: "ankylo-bpffs-" });
  try {
    files.mountBpffs(dir);
    let id: number;
    {
      using object = open(shim);
      object.setAutoload("observe", true);
      object.load();
      using program = object.program("observe");
      using link = program.attach();
      using counts = object.map("counts");
      link.pin(`${dir}/observe`);
      counts.pin(`${dir}/counts`);
      id = program.info().id;
    }
    assert.equal(programExists(shim, id), true);
    files.removeLinks([`${dir}/observe`], [`${dir}/counts`]);
    assert.equal(programExists(shim, id), false);
    assert.deepEqual([files.exists(`${dir}/observe`), files.exists(`${dir}/counts`)], [
      false,
      true,
    ]);
  } finally {
    files.unmount(dir);
    await Deno.remove(dir);
  }
});

Deno.test("RunStats counts runs while it is open", () => {
  using shim = openShim();
  using object = loaded(shim);
  using program = object.program("read_settings");
  program.run(new Uint8Array(8));
  const before = program.info().runs;
  using _stats = RunStats.enable(shim);
  program.run(new Uint8Array(8));
  const info = program.info();
  assert.equal(info.runs, before + 1n);
  assert.equal(info.name, "read_settings");
  assert.match(info.tag, /^[0-9a-f]{16}$/);
});

Deno.test("use after close throws, naming operation and object; closing twice does not", () => {
  using shim = openShim();
  const object = loaded(shim);
  const map = object.map("numbers");
  map.close();
  map.close();
  const message = 'Look up: map "numbers" is closed';
  assert.throws(() => map.lookup(u32Bytes(0)), { name: "TypeError", message });
  object.close();
  object.close();
  assert.throws(() => object.load(), { message: 'Load object: object "shim_test" is closed' });
});

Deno.test("an object that fails to load keeps no map alive", () => {
  using shim = openShim();
  const options = { keySize: 4, valueSize: 8, entries: 64 };
  const map = BpfMap.create(shim, { type: MAP_TYPE.HASH, name: "kept", ...options });
  {
    using object = open(shim);
    object.reuseMap("numbers", map);
    object.setAutoload("refused", true);
    assert.throws(() => object.load(), VerifierError);
  }
  map.close();
  assert.equal(BpfMap.fromId(shim, map.info.id), undefined);
});

Deno.test("a handle that is collected while open is reported, and left open", async () => {
  using shim = openShim();
  const reported = new Set<string>();
  const before = setLeakReporter((what) => reported.add(what));
  let fd = -1;
  const leak = () => {
    fd = BpfMap.createInner(shim, "leaked", 8, 1).fd("Leak");
  };
  try {
    leak();
    // Only --v8-flags=--expose-gc gives the collector; filling the heap calls it too.
    const collect = (globalThis as { gc?: () => void }).gc ?? (() => new Array(1e6).fill({}));
    // Each round has the collector come and the loop turn: a promise alone would wait for what nothing brings about.
    while (!reported.has('map "leaked"')) {
      collect();
      await new Promise((done) => setTimeout(done, 0));
    }
  } finally {
    setLeakReporter(before);
  }
  assert.equal(shim.symbols.ankylo_close(fd), 0);
});

Deno.test("releaseMemory gives back what is not in use, and the process goes on", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const residentKb = () =>
    Number(/^RssFile:\s+(\d+) kB$/m.exec(files.readText("/proc/self/status")!)![1]);
  const before = residentKb();
  shim.releaseMemory();
  const after = residentKb();
  // A test's process is some 60 MB of Deno, of which the few calls since then need a fraction.
  assert.ok(after < before / 2, `${before} kB before, ${after} kB after`);
});
