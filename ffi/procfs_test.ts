import assert from "node:assert/strict";
import { BpfError, openShim } from "./bpf.ts";
import { kernelFunctions, kernelSymbol } from "./features.ts";
import { cgroupHierarchyIn, KernelFiles, startTicksIn } from "./procfs.ts";

Deno.test("readFile() reads files whose size stat does not know, however long", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  assert.equal(files.readText("/proc/self/comm").trim(), "deno");
  const path = Deno.makeTempFileSync();
  try {
    const bytes = new Uint8Array(100_000).map((_, i) => i * 7);
    Deno.writeFileSync(path, bytes);
    assert.deepEqual(files.readFile(path), bytes);
    Deno.writeFileSync(path, bytes.subarray(0, 16 << 10));
    assert.deepEqual(files.readFile(path), bytes.subarray(0, 16 << 10));
    Deno.writeFileSync(path, new Uint8Array());
    assert.equal(files.readFile(path).length, 0);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("errors name the operation, the path and the errno", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const missing = "/proc/self/no-such-file";
  assert.throws(() => files.readFile(missing), {
    name: "BpfError",
    code: "ENOENT",
    message: `Read "${missing}": ENOENT: no such file or directory`,
  });
  assert.throws(() => files.readLink("/proc/self/comm"), (error) => {
    return error instanceof BpfError && error.code === "EINVAL";
  });
  assert.throws(() => files.readFile("/proc/\0"), TypeError);
});

Deno.test("inodeOf() gives a namespace's id", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const link = files.readLink("/proc/self/ns/mnt");
  assert.equal(link, `mnt:[${files.inodeOf("/proc/self/ns/mnt")}]`);
});

Deno.test("listDir() lists more names than its first buffer holds", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const dir = Deno.makeTempDirSync();
  try {
    const names = Array.from({ length: 300 }, (_, i) => `${"n".repeat(100)}${i}`);
    for (const name of names) Deno.writeTextFileSync(`${dir}/${name}`, "");
    assert.deepEqual(files.listDir(dir).sort(), names.sort());
    Deno.mkdirSync(`${dir}/empty`);
    assert.deepEqual(files.listDir(`${dir}/empty`), []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("makeDir() makes what is missing above, and leaves what is there", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const dir = Deno.makeTempDirSync();
  try {
    files.makeDir(`${dir}/a/b`);
    files.makeDir(`${dir}/a/b`);
    assert.equal(files.exists(`${dir}/a/b`), true);
    files.removeDir(`${dir}/a/b`);
    assert.equal(files.exists(`${dir}/a/b`), false);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

const MEMBERSHIP = "12:pids:/\n4:memory:/\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n";
const cgroupMount = (at: string, type: string, options: string, root = "/") =>
  `35 24 0:30 ${root} ${at} rw,nosuid shared:9 - ${type} cgroup rw,${options}\n`;

for (
  const [what, mounts, expected] of [
    ["cgroup2", cgroupMount("/sys/fs/cgroup", "cgroup2", "nsdelegate"), {
      controller: "unified",
      id: 0,
      root: "/sys/fs/cgroup",
    }],
    [
      "cgroup2 where it should be, whatever else there is",
      cgroupMount("/v1", "cgroup", "pids") +
      cgroupMount("/sys/fs/cgroup", "cgroup2", "nsdelegate"),
      { controller: "unified", id: 0, root: "/sys/fs/cgroup" },
    ],
    [
      "pids of cgroup v1 on a hybrid host",
      cgroupMount("/sys/fs/cgroup/unified", "cgroup2", "nsdelegate") +
      cgroupMount("/sys/fs/cgroup/memory", "cgroup", "memory") +
      cgroupMount("/sys/fs/cgroup/pids", "cgroup", "pids"),
      { controller: "pids", id: 12, root: "/sys/fs/cgroup/pids" },
    ],
    [
      "cpu where it is mounted with another",
      cgroupMount("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct"),
      { controller: "cpu", id: 3, root: "/sys/fs/cgroup/cpu,cpuacct" },
    ],
    [
      "cgroup2 anywhere when no controller is mounted",
      cgroupMount("/sys/fs/cgroup/unified\\040two", "cgroup2", "nsdelegate") +
      cgroupMount("/sys/fs/cgroup/systemd", "cgroup", "xattr,name=systemd"),
      { controller: "unified", id: 0, root: "/sys/fs/cgroup/unified two" },
    ],
    ["nothing in a part of a tree", cgroupMount("/c", "cgroup2", "nsdelegate", "/a"), undefined],
    ["nothing in no mounts", "", undefined],
  ] as const
) {
  Deno.test(`cgroupHierarchyIn() finds ${what}`, () => {
    assert.deepEqual(cgroupHierarchyIn(mounts, MEMBERSHIP), expected);
  });
}

Deno.test("continueProcess() continues the process that began then, and no other", async () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const state = () => /\) (\w)/.exec(files.readText(`/proc/${child.pid}/stat`))![1];
  const until = async (wanted: (state: string) => boolean) => {
    while (!wanted(state()!)) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const startNs = files.processStartTicks(child.pid) * 10_000_000n + 1n;
  child.kill("SIGSTOP");
  await until((state) => state === "T");
  assert.equal(files.continueProcess(child.pid, startNs + 10_000_000n), false);
  assert.equal(state(), "T");
  assert.equal(files.continueProcess(child.pid, startNs), true);
  await until((state) => state !== "T");
  child.kill("SIGKILL");
  await child.status;
  assert.equal(files.continueProcess(child.pid, startNs), false);
});

Deno.test("startTicksIn() is not confused by a process's name", () => {
  const rest = Array.from({ length: 40 }, (_, i) => i === 22 - 3 ? "12345" : "0").join(" ");
  assert.equal(startTicksIn(`77 (a) b) (c) ${rest}`), 12345n);
  assert.throws(() => startTicksIn("77 (short) S"), SyntaxError);
});

Deno.test("processStartTicks() is the same for one process each time", () => {
  using shim = openShim();
  const files = new KernelFiles(shim);
  const ticks = files.processStartTicks(Deno.pid);
  assert.ok(ticks > 0n);
  assert.equal(files.processStartTicks(Deno.pid), ticks);
});

Deno.test("kernelFunctions() and kernelSymbol() know what every kernel has", () => {
  using shim = openShim();
  assert.ok(kernelFunctions(shim, ["no_such_function", "vfs_rea"])!.has("vfs_read"));
  assert.equal(kernelFunctions(shim, ["no_such_function"])!.size, 0);
  // More than fits at first.
  assert.ok(kernelFunctions(shim, ["s"])!.size > 2_000);
  const listed = new KernelFiles(shim).readText("/proc/kallsyms");
  const address = /^([0-9a-f]+) \w vfs_read$/m.exec(listed)?.[1];
  assert.equal(kernelSymbol(shim, "vfs_read"), address && BigInt(`0x${address}`));
  assert.equal(kernelSymbol(shim, "vfs_rea"), undefined);
});

Deno.test("bootTimeNs() is the clock that /proc/uptime shows", () => {
  using shim = openShim();
  const before = shim.bootTimeNs();
  const uptime = Number(new KernelFiles(shim).readText("/proc/uptime").split(" ")[0]);
  const after = shim.bootTimeNs();
  // /proc/uptime has hundredths of a second.
  assert.ok(Number(before) / 1e9 - 0.01 <= uptime && uptime <= Number(after) / 1e9 + 0.01);
});
