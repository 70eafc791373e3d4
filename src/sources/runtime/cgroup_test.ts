import assert from "node:assert/strict";
import { CgroupError, findCgroup, specifiedPath } from "./cgroup.ts";
import type { Procfs } from "./procfs.ts";

const ROOT = "/sys/fs/cgroup";
const UNIFIED = { root: ROOT, controller: "" };

/** A process 7 with these lines in its cgroup file, and these directories below the mount point. */
function host(lines: string | undefined, ...directories: string[]): Procfs {
  return {
    readText: (path) => path === "/proc/7/cgroup" ? lines : undefined,
    inode: (path) => {
      const at = directories.findIndex((directory) => `${ROOT}${directory}` === path);
      return at < 0 ? undefined : BigInt(1_000 + at);
    },
  };
}

const ID = "4f0d";
const KUBELET = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";

for (
  const [cgroupsPath, path] of [
    ["/default/web", "/default/web"],
    ["/kubepods/burstable/pod1/4f0d", "/kubepods/burstable/pod1/4f0d"],
    ["//default/./web/", "/default/web"],
    [
      `kubepods-burstable-pod1_2.slice:cri-containerd:${ID}`,
      `${KUBELET}/cri-containerd-${ID}.scope`,
    ],
    [`system.slice:docker:${ID}`, `/system.slice/docker-${ID}.scope`],
    [`:docker:${ID}`, `/system.slice/docker-${ID}.scope`],
    [`machine.slice::${ID}`, `/machine.slice/${ID}.scope`],
    [`-.slice:docker:${ID}`, `/docker-${ID}.scope`],
    ["user.slice:x:mine.slice", "/user.slice/mine.slice"],
    ["default/web", undefined],
    ["", undefined],
    ["/default/../../etc", undefined],
    ["/", "/"],
    ["not-a-unit:x:y", undefined],
  ] as const
) {
  Deno.test(`specifiedPath() of "${cgroupsPath}" is ${path}`, () => {
    assert.equal(specifiedPath(cgroupsPath), path);
  });
}

for (
  const [what, lines, cgroupsPath, path] of [
    ["where the process is", "0::/default/web\n", "/default/web", "/default/web"],
    ["where the process is, without a specification", "0::/default/web\n", "", "/default/web"],
    [
      "where the process is, whatever the specification",
      "0::/kata/web\n",
      "/default/web",
      "/kata/web",
    ],
    [
      "the specification's, when the process moved down",
      "0::/default/web/init.scope\n",
      "/default/web",
      "/default/web",
    ],
    ["not that of a namesake", "0::/default/web2\n", "/default/web", "/default/web2"],
    ["the specification's, when the process is gone", undefined, "/default/web", "/default/web"],
    [
      "below that of an outer container",
      "0::/docker/kind/default/web/x\n",
      "/default/web",
      "/docker/kind/default/web",
    ],
    [
      "cgroup2's among named v1 hierarchies, and with a lone v1 controller",
      "2:net_cls:/\n1:name=systemd:/\n0::/default/web\n",
      "/default/web",
      "/default/web",
    ],
  ] as const
) {
  Deno.test(`findCgroup() gives ${what}`, () => {
    assert.deepEqual(findCgroup(host(lines, path), UNIFIED, 7, cgroupsPath), { path, id: 1_000n });
  });
}

for (
  const [what, lines, cgroupsPath, found] of [
    ["cgroup v1", "4:memory:/default/web\n1:name=systemd:/\n", "/default/web", /no cgroup2/],
    ["the root cgroup", "0::/\n", "", /root cgroup/],
    ["the root cgroup as specified", "0::/\n", "/", /root cgroup/],
    ["a cgroup namespace", "0::/../../default/web\n", "", /cgroup namespace of its own/],
    [
      "a missing directory",
      "0::/default/gone\n",
      "",
      /no cgroup at "\/sys\/fs\/cgroup\/default\/gone"/,
    ],
    ["an empty file", "", "", /no cgroup2/],
  ] as const
) {
  Deno.test(`findCgroup() refuses ${what}`, () => {
    assert.throws(
      () =>
        findCgroup(host(lines, "/", "/system.slice/containerd.service"), UNIFIED, 7, cgroupsPath),
      (error) => {
        assert.ok(error instanceof CgroupError);
        assert.match(error.message, found);
        return true;
      },
    );
  });
}

for (
  const lines of [
    "4:memory:/x\n3:cpu,pids:/default/web\n1:name=systemd:/x\n",
    "12:pids:/default/web\n0::/system.slice/containerd.service\n",
  ]
) {
  Deno.test(`findCgroup() follows the controller of cgroup v1 in ${JSON.stringify(lines)}`, () => {
    const procfs = host(lines, "/default/web");
    const tree = { root: ROOT, controller: "pids" };
    const path = "/default/web";
    assert.deepEqual(findCgroup(procfs, tree, 7, ""), { path, id: 1_000n });
    const memory = { root: ROOT, controller: "cpuset" };
    assert.throws(() => findCgroup(procfs, memory, 7, ""), /no cgroup of "cpuset"/);
  });
}

Deno.test("findCgroup() is undefined when neither process nor directory is left", () => {
  assert.equal(findCgroup(host(undefined), UNIFIED, 7, "/default/web"), undefined);
  assert.equal(findCgroup(host(undefined), UNIFIED, 7, ""), undefined);
  assert.equal(findCgroup(host(undefined), UNIFIED, 0, ""), undefined);
});
