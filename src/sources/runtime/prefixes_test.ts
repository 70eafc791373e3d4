import assert from "node:assert/strict";
import fc from "fast-check";
import { specifiedPath } from "./cgroup.ts";
import { CGROUP_PREFIX_TEXT_MAX, CGROUP_PREFIXES_MAX, cgroupPrefixes } from "./prefixes.ts";

/** What the kernel does with the list. */
function isContainer(path: string, namespaces: readonly string[] = []): boolean {
  return cgroupPrefixes(namespaces).prefixes.some(({ text, depth }) =>
    path.startsWith(text) && path.length > text.length &&
    path.slice(text.length).split("/").length === depth
  );
}

const POD = "pod1b2c_3d";
for (
  const cgroupsPath of [
    "/default/web",
    "/k8s.io/4f0d",
    "/moby/4f0d",
    "/docker/4f0d",
    `/kubepods/${POD}/4f0d`,
    `/kubepods/burstable/${POD}/4f0d`,
    `/kubepods/besteffort/${POD}/4f0d`,
    `kubepods-${POD}.slice:cri-containerd:4f0d`,
    `kubepods-burstable-${POD}.slice:cri-containerd:4f0d`,
    `kubepods-besteffort-${POD}.slice:cri-containerd:4f0d`,
    "system.slice:docker:4f0d",
    "system.slice:nerdctl:4f0d",
  ]
) {
  const path = specifiedPath(cgroupsPath) ?? "";
  Deno.test(`cgroupPrefixes() take the container ${path}`, () => {
    assert.ok(isContainer(path));
    assert.ok(!isContainer(`${path}/init.scope`), "but nothing below it");
    assert.ok(!isContainer(path.slice(0, path.lastIndexOf("/"))), "nor what is above it");
  });
}

for (
  const path of [
    "/",
    "/default",
    "/kubepods",
    "/kubepods/burstable",
    "/kubepods.slice/kubepods-burstable.slice",
    "/system.slice/containerd.service",
    "/system.slice/ssh.service",
    "/user.slice/user-0.slice/session-1.scope",
    "/init.scope",
  ]
) {
  Deno.test(`cgroupPrefixes() leave ${path} alone, whatever the namespaces`, () => {
    const namespaces = [
      "system.slice",
      "user.slice",
      "init.scope",
      "kubepods",
      "kubepods.slice",
      "default",
    ];
    assert.ok(!isContainer(path, namespaces));
  });
}

Deno.test("cgroupPrefixes() take the containers of containerd's other namespaces, and say which found no place", () => {
  assert.ok(isContainer("/team-a/web", ["team-a"]));
  assert.ok(!isContainer("/team-a/web"));
  const { omitted } = cgroupPrefixes(["kubepods", "x".repeat(76), "team-a", "default"]);
  assert.deepEqual(omitted, ["kubepods", "x".repeat(76)]);
});

Deno.test("cgroupPrefixes() fit the kernel's map, each once, for any namespaces", () => {
  const part = fc.string({ unit: fc.constantFrom("a", "Z", "0"), minLength: 1, maxLength: 70 });
  const name = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."));
  fc.assert(fc.property(fc.array(name, { maxLength: 60 }), (namespaces) => {
    const { prefixes, omitted } = cgroupPrefixes(namespaces);
    assert.ok(prefixes.length <= CGROUP_PREFIXES_MAX);
    assert.ok(
      prefixes.every(({ text }) => text.startsWith("/") && text.length <= CGROUP_PREFIX_TEXT_MAX),
    );
    assert.equal(new Set(prefixes.map(({ text }) => text)).size, prefixes.length);
    for (const each of namespaces) {
      assert.ok(omitted.includes(each) || prefixes.some(({ text }) => text === `/${each}/`), each);
    }
  }));
});
