import assert from "node:assert/strict";
import { cgroupDirectories } from "./protect.ts";

const UNIFIED = "26 25 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

Deno.test("cgroupDirectories() names the unified hierarchy's directory", () => {
  const path = "/system.slice/ankylo.service";
  assert.deepEqual(cgroupDirectories(`0::${path}\n`, UNIFIED), [`/sys/fs/cgroup${path}`]);
  assert.deepEqual(cgroupDirectories("0::/\n", UNIFIED), ["/sys/fs/cgroup"]);
});

Deno.test("cgroupDirectories() finds each v1 hierarchy by its controllers", () => {
  const mounts = [
    "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
    "32 25 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer",
    "33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
  ].join("\n");
  const cgroup = "5:freezer:/a\n4:cpu,cpuacct:/b\n1:name=systemd:/c\n0::/d\n";
  assert.deepEqual(cgroupDirectories(cgroup, mounts), [
    "/sys/fs/cgroup/freezer/a",
    "/sys/fs/cgroup/cpu,cpuacct/b",
    "/sys/fs/cgroup/systemd/c",
    "/sys/fs/cgroup/unified/d",
  ]);
});

Deno.test("cgroupDirectories() leaves out what is mounted in part only, or not at all", () => {
  const part = "26 25 0:23 /part /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
  assert.deepEqual(cgroupDirectories("0::/x\n", part), []);
  assert.deepEqual(cgroupDirectories("0::/x\n", "1 0 8:1 / / rw - ext4 /dev/sda1 rw"), []);
  assert.deepEqual(cgroupDirectories("", UNIFIED), []);
});
