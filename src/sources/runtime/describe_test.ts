import assert from "node:assert/strict";
import fc from "fast-check";
import { type Description, readSpec, toWorkload } from "./describe.ts";

const plain: Description = {
  id: "web",
  runtimeNamespace: "default",
  labels: {},
  image: "",
  imageDigest: "",
  cgroupsPath: "",
  sandboxId: "",
  problem: "",
};
const cgroup = { path: "/default/web", id: 42n };
const workload = (changes: Partial<Description>, podLabels = {}) =>
  toWorkload({ ...plain, ...changes }, podLabels, 7, cgroup);

Deno.test("toWorkload() of ctr's container", () => {
  assert.deepEqual(
    workload({
      image: "docker.io/library/busybox:1",
      imageDigest: "sha256:ab",
      labels: { app: "web" },
    }),
    {
      id: "web",
      name: "web",
      runtimeNamespace: "default",
      namespace: "container_namespace",
      podName: "web",
      image: "docker.io/library/busybox:1@sha256:ab",
      labels: { app: "web" },
      pid: 7,
      cgroupPath: "/default/web",
      cgroupId: 42n,
    },
  );
});

Deno.test("toWorkload() takes Kubernetes' names, and the labels of the pod", () => {
  const podLabels = {
    app: "shop",
    "io.cri-containerd.kind": "sandbox",
    "io.kubernetes.pod.uid": "1",
  };
  const found = workload({
    id: "4f0d",
    runtimeNamespace: "k8s.io",
    labels: {
      "io.cri-containerd.kind": "container",
      "io.kubernetes.container.name": "web",
      "io.kubernetes.pod.name": "web-5d4-x",
      "io.kubernetes.pod.namespace": "shop",
    },
  }, podLabels);
  assert.deepEqual([found.name, found.podName, found.namespace], ["web", "web-5d4-x", "shop"]);
  assert.equal(found.labels["app"], "shop");
  assert.equal(found.labels["io.cri-containerd.kind"], "container");
});

Deno.test("toWorkload() does not take a container for a sandbox because its pod's labels say so", () => {
  assert.equal(
    workload({}, { "io.cri-containerd.kind": "sandbox" }).labels["io.cri-containerd.kind"],
    undefined,
  );
});

Deno.test("toWorkload() names a sandbox pause", () => {
  assert.equal(workload({ labels: { "io.cri-containerd.kind": "sandbox" } }).name, "pause");
});

Deno.test("toWorkload() takes nerdctl's name, and KubeArmor's namespace", () => {
  const found = workload({ labels: { "nerdctl/name": "shop", "kubearmor.io/namespace": "team" } });
  assert.deepEqual([found.name, found.podName, found.namespace], ["shop", "shop", "team"]);
});

for (
  const [image, imageDigest, expected] of [
    ["busybox", "", "busybox"],
    ["", "", ""],
    ["busybox@sha256:ab", "sha256:ab", "busybox@sha256:ab"],
    ["sha256:ab", "sha256:ab", "sha256:ab"],
  ] as const
) {
  Deno.test(`toWorkload() of image "${image}" with digest "${imageDigest}" says "${expected}"`, () => {
    assert.equal(workload({ image, imageDigest }).image, expected);
  });
}

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("readSpec() finds the cgroup and the pod's sandbox", () => {
  const annotations = {
    "io.kubernetes.cri.sandbox-id": "s1",
    "io.kubernetes.cri.container-type": "sandbox",
  };
  assert.deepEqual(readSpec(encode({ linux: { cgroupsPath: "/default/web" }, annotations })), {
    cgroupsPath: "/default/web",
    sandboxId: "s1",
    isSandbox: true,
  });
});

Deno.test("readSpec() takes any JSON, and finds nothing in most", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const facts = readSpec(encode(value));
    assert.equal(typeof facts.cgroupsPath, "string");
  }));
  assert.deepEqual(readSpec(new Uint8Array()), {
    cgroupsPath: "",
    sandboxId: "",
    isSandbox: false,
  });
  assert.throws(() => readSpec(new TextEncoder().encode("{")), SyntaxError);
});
