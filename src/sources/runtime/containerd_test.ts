import assert from "node:assert/strict";
import type { FakeContainerd } from "../../../tests/fakes/containerd.ts";
import { Bench, inWords, test } from "../../../tests/fakes/containerd_bench.ts";
import { isAnyThere } from "./containerd.ts";
import { containerd } from "./containerd_api.ts";
import { frame } from "./grpc_frames.ts";
import { GrpcStatus } from "./grpc_status.ts";

const COMPARE_MS = 60_000;

/** A container with one running task, on the server and on the host. */
function runContainer(
  bench: Bench,
  server: FakeContainerd,
  namespace: string,
  id: string,
  pid: number,
): void {
  const path = `/${namespace}/${id}`;
  server.create(namespace, { id, spec: JSON.stringify({ linux: { cgroupsPath: path } }) });
  bench.host.run(pid, path);
  server.createTask(namespace, id, pid);
  server.startTask(namespace, id, pid);
}

test("watchContainerd() lists what runs in every namespace, and nothing else", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "default", "web", 11);
  runContainer(bench, server, "k8s.io", "db", 12);
  runContainer(bench, server, "k8s.io", "over", 13);
  server.exitTask("k8s.io", "over", 13);
  server.create("k8s.io", { id: "never-started" });
  bench.watch();
  assert.deepEqual(await bench.next(), { kind: "Init", socket: bench.socket, version: "1.6.20" });
  await bench.expect(
    "Namespaces default k8s.io",
    "Apply default/web pid 11 in /default/web = 1011",
    "Apply k8s.io/db pid 12 in /k8s.io/db = 1012",
    "InitDone",
  );
});

test("watchContainerd() reports a container when its process is made, and once", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  bench.watch();
  await bench.expect("Init", "InitDone");
  await server.subscribed();
  server.create("default", { id: "web", image: "busybox:1", labels: { app: "shop" } });
  server.createTask("default", "web", bench.host.run(11, "/default/web"));
  await bench.expect("Namespaces default");
  const change = await bench.next();
  assert.equal(change.kind, "Apply");
  assert.deepEqual(change.kind === "Apply" && change.workload, {
    id: "web",
    name: "web",
    runtimeNamespace: "default",
    namespace: "container_namespace",
    podName: "web",
    image: "busybox:1@sha256:busybox:1",
    labels: { app: "shop" },
    pid: 11,
    cgroupPath: "/default/web",
    cgroupId: 1_011n,
  });
  server.startTask("default", "web", 11);
  server.exitExec("default", "web", "shell", 99);
  server.exitTask("default", "web", 11);
  server.deleteTask("default", "web", 11);
  server.delete("default", "web");
  runContainer(bench, server, "default", "db", 12);
  await bench.expect("Delete default/web", "Apply default/db pid 12 in /default/db = 1012");
});

test("watchContainerd() asks for nothing when a known container starts", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  server.create("default", { id: "web" });
  bench.watch();
  await bench.expect("Init", "Namespaces default", "InitDone");
  await server.subscribed();
  server.calls.length = 0;
  server.createTask("default", "web", bench.host.run(11, "/default/web"));
  await bench.expect("Apply default/web pid 11 in /default/web = 1011");
  assert.deepEqual(server.calls, []);
});

test("watchContainerd() tells a restarted container from its former self", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "default", "web", 11);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "Apply default/web pid 11 in /default/web = 1011",
    "InitDone",
  );
  await server.subscribed();
  server.exitTask("default", "web", 11);
  bench.host.processes.clear();
  server.createTask("default", "web", bench.host.run(12, "/default/web"));
  server.deleteTask("default", "web", 11);
  runContainer(bench, server, "default", "db", 13);
  await bench.expect(
    "Delete default/web",
    "Apply default/web pid 12 in /default/web = 1012",
    "Apply default/db pid 13 in /default/db = 1013",
  );
});

test("watchContainerd() keeps containers of one id in two namespaces apart", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "a", "web", 11);
  runContainer(bench, server, "b", "web", 12);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces a b",
    "Apply a/web pid 11 in /a/web = 1011",
    "Apply b/web pid 12 in /b/web = 1012",
    "InitDone",
  );
  await server.subscribed();
  server.exitTask("a", "web", 11);
  await bench.expect("Delete a/web");
});

test("watchContainerd() follows changed labels", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "default", "web", 11);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "Apply default/web pid 11 in /default/web = 1011",
    "InitDone",
  );
  await server.subscribed();
  server.update("default", { id: "web", labels: { app: "shop" } });
  const change = await bench.next();
  assert.deepEqual(change.kind === "Apply" && [change.workload.labels, change.workload.pid], [{
    app: "shop",
  }, 11]);
});

test("watchContainerd() gives a pod's containers the labels of its sandbox", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  bench.watch();
  await bench.expect("Init", "InitDone");
  await server.subscribed();
  const annotations = { "io.kubernetes.cri.sandbox-id": "s1" };
  server.create("k8s.io", {
    id: "s1",
    labels: { app: "shop" },
    spec: JSON.stringify({
      annotations: { ...annotations, "io.kubernetes.cri.container-type": "sandbox" },
    }),
  });
  server.createTask("k8s.io", "s1", bench.host.run(11, "/kubepods/pod1/s1"));
  server.create("k8s.io", {
    id: "c1",
    labels: { "io.kubernetes.container.name": "web" },
    spec: JSON.stringify({ annotations }),
  });
  server.createTask("k8s.io", "c1", bench.host.run(12, "/kubepods/pod1/c1"));
  await bench.expect("Namespaces k8s.io");
  const names: unknown[] = [];
  for (const change of [await bench.next(), await bench.next()]) {
    names.push(change.kind === "Apply" && [change.workload.name, change.workload.labels]);
  }
  assert.deepEqual(names, [
    ["pause", { app: "shop", "io.cri-containerd.kind": "sandbox" }],
    ["web", { app: "shop", "io.kubernetes.container.name": "web" }],
  ]);
});

test("watchContainerd() loses no event between its list and its subscription", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  server.createNamespace("default");
  // The list is answered as it was before the container came; its events come before the answer.
  server.replaced.set(containerd.listTasks.path, (call) => {
    runContainer(bench, server, "default", "web", 11);
    call.write(frame(containerd.listTasks.response.encode({ tasks: [] })));
    call.end(GrpcStatus.OK);
  });
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "InitDone",
    "Apply default/web pid 11 in /default/web = 1011",
  );
});

test("watchContainerd() finds by comparing what no event told", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "default", "web", 11);
  runContainer(bench, server, "default", "db", 12);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "Apply default/web pid 11 in /default/web = 1011",
    "Apply default/db pid 12 in /default/db = 1012",
    "InitDone",
  );
  await server.subscribed();
  server.publish = () => {};
  server.deleteTask("default", "web", 11);
  runContainer(bench, server, "other", "cache", 13);
  await bench.expectAfter(
    COMPARE_MS,
    "Namespaces default other",
    "Delete default/web",
    "Apply other/cache pid 13 in /other/cache = 1013",
  );
  server.namespaces.delete("default");
  await bench.expectAfter(COMPARE_MS, "Namespaces other", "Delete default/db");
});

test("watchContainerd() outlives a restart: lists anew, and deletes what vanished meanwhile", async () => {
  await using bench = await Bench.open();
  const before = await bench.serve();
  runContainer(bench, before, "default", "web", 11);
  runContainer(bench, before, "default", "db", 12);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "Apply default/web pid 11 in /default/web = 1011",
    "Apply default/db pid 12 in /default/db = 1012",
    "InitDone",
  );
  await before.subscribed();
  await before.close();
  await bench.expect("Unreachable");
  // The first attempt fails in other words, the second in the same ones: told once.
  await bench.expectAfter(COMPARE_MS, "Unreachable");
  const again = bench.expect(
    "Init",
    "Apply default/web pid 11 in /default/web = 1011",
    "Delete default/db",
    "InitDone",
  );
  await bench.clock.sleeping();
  bench.clock.advance(COMPARE_MS);
  await bench.clock.sleeping();
  const after = await bench.serve();
  runContainer(bench, after, "default", "web", 11);
  bench.clock.advance(COMPARE_MS);
  await again;
});

test("watchContainerd() notices a stream of events that ends without a word, or in order", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  bench.watch();
  await bench.expect("Init", "InitDone");
  await server.subscribed();
  server.toSubscribers((call) => call.end(GrpcStatus.OK));
  const ended = await bench.next();
  assert.match(
    ended.kind === "Unreachable" ? ended.reason : "",
    /containerd ended the stream of events/,
  );
  await bench.expectAfter(COMPARE_MS, "Init", "InitDone");
  await server.subscribed();
  server.toSubscribers((call) => call.breakOff());
  const broken = await bench.next();
  assert.match(
    broken.kind === "Unreachable" ? broken.reason : "",
    /Events\/Subscribe: UNAVAILABLE/,
  );
});

const nonsense: [
  string,
  string,
  (call: { write(bytes: Uint8Array): void; end(code: number, text?: string): void }) => void,
  RegExp,
][] = [
  [
    "an error status",
    containerd.listContainers.path,
    (call) => call.end(GrpcStatus.INTERNAL, "bolt is broken"),
    /bolt is broken/,
  ],
  [
    "a socket of something else",
    containerd.version.path,
    (call) => call.end(GrpcStatus.UNIMPLEMENTED, "no such service"),
    /Cannot reach containerd: .*no such service/,
  ],
  ["garbage for a list", containerd.listTasks.path, (call) => {
    call.write(frame(Uint8Array.of(0x0a, 0xff)));
    call.end(GrpcStatus.OK);
  }, /Tasks\/List: INTERNAL: Cannot decode message/],
  ["garbage for an event", containerd.subscribe.path, (call) => {
    call.write(frame(Uint8Array.of(0xff, 0xff, 0xff)));
  }, /Events\/Subscribe: INTERNAL: Cannot decode message/],
  ["garbage within an event", containerd.subscribe.path, (call) => {
    const event = { typeUrl: "", value: Uint8Array.of(0x0a, 0x50, 1) };
    call.write(
      frame(
        containerd.subscribe.response.encode({
          namespace: "default",
          topic: "/tasks/create",
          event,
        }),
      ),
    );
  }, /Cannot decode message: 80 bytes wanted/],
  ["half a message", containerd.listNamespaces.path, (call) => {
    call.write(Uint8Array.of(0, 0, 0, 1));
    call.end(GrpcStatus.OK);
  }, /Namespaces\/List: INTERNAL: stream ended within a message/],
];
for (const [what, path, act, reason] of nonsense) {
  test(`watchContainerd() survives ${what}, and lists again once it is over`, async () => {
    await using bench = await Bench.open();
    const server = await bench.serve();
    runContainer(bench, server, "default", "web", 11);
    server.replaced.set(path, act);
    bench.watch();
    let change = await bench.next();
    while (change.kind !== "Unreachable") change = await bench.next();
    assert.match(change.reason, reason);
    server.replaced.clear();
    await bench.expectAfter(COMPARE_MS, "Init");
    do change = await bench.next(); while (
      change.kind !== "Apply" && change.kind !== "Unreachable"
    );
    assert.equal(inWords(change), "Apply default/web pid 11 in /default/web = 1011");
    await bench.expect("InitDone");
    assert.equal(server.connections, 1, "the broken connection is closed");
  });
}

test("watchContainerd() lists 400 containers, and takes a burst of their ends while the reader is slow", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  const pids = Array.from({ length: 400 }, (_, at) => 10_000 + at);
  for (const pid of pids) runContainer(bench, server, "k8s.io", `c${pid}`, pid);
  bench.watch();
  await bench.expect("Init", "Namespaces k8s.io");
  const applied = pids.map((pid) =>
    `Apply k8s.io/c${pid} pid ${pid} in /k8s.io/c${pid} = ${1_000 + pid}`
  );
  await bench.expect(...applied, "InitDone");
  await server.subscribed();
  for (const pid of pids) {
    server.exitTask("k8s.io", `c${pid}`, pid);
    server.deleteTask("k8s.io", `c${pid}`, pid);
    server.delete("k8s.io", `c${pid}`);
  }
  await bench.expect(...pids.map((pid) => `Delete k8s.io/c${pid}`));
});

test("watchContainerd() says what is wrong with a container, once, and goes on with the others", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  runContainer(bench, server, "default", "host-like", 11);
  bench.host.run(11, "/");
  server.create("default", { id: "odd", spec: "{" });
  server.startTask("default", "odd", bench.host.run(12, "/default/odd"));
  server.create("default", { id: "unseen" });
  server.startTask("default", "unseen", 13);
  bench.watch();
  await bench.expect(
    "Init",
    "Namespaces default",
    "Problem default/host-like: Cannot find its cgroup: process 11 is in the root cgroup, which is the whole host's",
  );
  const odd = await bench.next();
  assert.match(odd.kind === "Problem" ? odd.message : "", /^Cannot read its OCI specification: /);
  await bench.expect(
    "Apply default/odd pid 12 in /default/odd = 1012",
    "Problem default/unseen: Cannot find its cgroup: no process 13 in /proc",
    "InitDone",
  );
  const compared = bench.expect("Apply default/web pid 14 in /default/web = 1014");
  await bench.clock.sleeping();
  bench.clock.advance(COMPARE_MS);
  await bench.clock.sleeping();
  runContainer(bench, server, "default", "web", 14);
  await compared;
});

test("watchContainerd() ignores a container that is over before it can be looked at", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  bench.watch();
  await bench.expect("Init", "InitDone");
  await server.subscribed();
  server.create("default", {
    id: "short",
    spec: JSON.stringify({ linux: { cgroupsPath: "/default/short" } }),
  });
  server.createTask("default", "short", 11);
  server.exitTask("default", "short", 11);
  runContainer(bench, server, "default", "web", 12);
  await bench.expect("Namespaces default", "Apply default/web pid 12 in /default/web = 1012");
});

test("watchContainerd() takes the first socket that answers, and names all that do not", async () => {
  await using bench = await Bench.open();
  const other = `${bench.socket}.k3s`;
  bench.watch([bench.socket, other]);
  const change = await bench.next();
  const reason = change.kind === "Unreachable" ? change.reason : "";
  assert.match(
    reason,
    /^Cannot reach containerd: .*containerd\.sock: UNAVAILABLE.*; .*\.k3s: UNAVAILABLE/,
  );
  await bench.serve(other);
  await bench.expectAfter(COMPARE_MS, "Init", "InitDone");
});

test("watchContainerd() ends when its signal aborts: while connected, while waiting, before it began", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  bench.watch();
  await bench.expect("Init", "InitDone");
  await server.subscribed();
  const ended = bench.ended();
  bench.abort();
  assert.equal((await ended)?.done, true);
  bench.watch();
  assert.equal((await bench.ended())?.done, true);

  await using lonely = await Bench.open();
  lonely.watch();
  await lonely.expect("Unreachable");
  const over = lonely.ended();
  await lonely.clock.sleeping();
  lonely.abort();
  assert.equal((await over)?.done, true);
});

Deno.test("isAnyThere() is false only where all sockets are missing", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ankylo-sockets-" });
  try {
    await Deno.symlink(`${dir}/loop`, `${dir}/loop`);
    await Deno.writeTextFile(`${dir}/file`, "");
    const paths = [[], ["missing"], ["missing/below"], ["missing", "file"], ["loop"]]
      .map((names) => names.map((name) => `${dir}/${name}`));
    assert.deepEqual(paths.map(isAnyThere), [false, false, false, true, true]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
