import assert from "node:assert/strict";
import { type Call, FakeContainerd } from "../../../tests/fakes/containerd.ts";
import { containerd } from "./containerd_api.ts";
import { GrpcClient } from "./grpc.ts";
import { frame } from "./grpc_frames.ts";
import { GrpcError, GrpcStatus } from "./grpc_status.ts";

/** A change or an answer that does not come must end the test. */
function test(name: string, run: () => Promise<void>): void {
  Deno.test(name, { timeout: 30_000 }, run);
}

const LIMITS = { timeoutMs: 10_000, messageBytesMax: 1 << 20 };

async function withServer(
  run: (server: FakeContainerd, client: GrpcClient) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const server = await FakeContainerd.listen(`${folder}/containerd.sock`);
  const client = await GrpcClient.connect(server.socket, LIMITS);
  try {
    await run(server, client);
  } finally {
    client.close();
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const version = (client: GrpcClient, timeoutMs = 10_000, signal?: AbortSignal) =>
  client.unary(containerd.version, {}, { timeoutMs, ...(signal && { signal }) });

const answer = (value: { version: string; revision: string }) =>
  frame(containerd.version.response.encode(value));

function fails(code: number, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof GrpcError, `${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}

test("unary() gives the server's message", () =>
  withServer(async (_, client) => {
    assert.deepEqual(await version(client), { version: "1.6.20", revision: "" });
  }));

test("unary() sends metadata and the request", () =>
  withServer(async (server, client) => {
    server.create("default", { id: "web", image: "busybox" });
    const options = { timeoutMs: 10_000, metadata: { "containerd-namespace": "default" } };
    const found = await client.unary(containerd.getContainer, { id: "web" }, options);
    assert.equal(found.container?.image, "busybox");
    await assert.rejects(
      client.unary(containerd.getContainer, { id: "db" }, options),
      fails(GrpcStatus.NOT_FOUND, /Containers\/Get: NOT_FOUND: not found/),
    );
  }));

test("unary() gives a message of many chunks", () =>
  withServer(async (server, client) => {
    const long = { version: "v".repeat(900_000), revision: "r" };
    server.replaced.set(containerd.version.path, (call) => {
      call.write(answer(long));
      call.end(GrpcStatus.OK);
    });
    assert.deepEqual(await version(client), long);
  }));

const failures: [string, (call: Call) => void, number, RegExp][] = [
  [
    "a status, its text decoded",
    (call) => call.end(GrpcStatus.PERMISSION_DENIED, "nö: 100 %"),
    7,
    /nö: 100 %/,
  ],
  ["a status that nobody knows", (call) => call.end(99, "odd"), 99, /status 99: odd/],
  [
    "OK without a message",
    (call) => call.end(GrpcStatus.OK),
    GrpcStatus.INTERNAL,
    /without a message/,
  ],
  ["a broken call", (call) => call.breakOff(), GrpcStatus.UNAVAILABLE, /UNAVAILABLE/],
  [
    "a message over the limit",
    (call) => {
      call.write(Uint8Array.of(0, 0x7f, 0xff, 0xff, 0xff, 1));
    },
    GrpcStatus.RESOURCE_EXHAUSTED,
    /2147483647 bytes is over the limit of 1048576/,
  ],
  [
    "a compressed message",
    (call) => {
      call.write(Uint8Array.of(1, 0, 0, 0, 0));
    },
    GrpcStatus.INTERNAL,
    /compressed/,
  ],
  [
    "a message that ends early",
    (call) => {
      call.write(Uint8Array.of(0, 0, 0, 0, 9, 1));
      call.end(GrpcStatus.OK);
    },
    GrpcStatus.INTERNAL,
    /ended within a message: 6 bytes left over/,
  ],
  [
    "bytes that are not protobuf",
    (call) => {
      call.write(frame(Uint8Array.of(0xff, 0xff)));
      call.end(GrpcStatus.OK);
    },
    GrpcStatus.INTERNAL,
    /Version\/Version: INTERNAL: Cannot decode message/,
  ],
];
for (const [what, act, code, text] of failures) {
  test(`unary() fails with ${what}, and the connection stays usable`, () =>
    withServer(async (server, client) => {
      server.replaced.set(containerd.version.path, act);
      await assert.rejects(version(client), fails(code, text));
      server.replaced.clear();
      assert.equal((await version(client)).version, "1.6.20");
    }));
}

test("unary() fails with DEADLINE_EXCEEDED when the server does not answer", () =>
  withServer(async (server, client) => {
    server.replaced.set(containerd.version.path, () => {});
    await assert.rejects(
      version(client, 20),
      fails(GrpcStatus.DEADLINE_EXCEEDED, /no answer within 20 ms/),
    );
  }));

test("unary() fails with CANCELLED when the signal aborts, before or during the call", () =>
  withServer(async (server, client) => {
    const controller = new AbortController();
    server.replaced.set(containerd.version.path, () => controller.abort());
    await assert.rejects(
      version(client, 10_000, controller.signal),
      fails(GrpcStatus.CANCELLED, /canceled/),
    );
    await assert.rejects(
      version(client, 10_000, controller.signal),
      fails(GrpcStatus.CANCELLED, /canceled/),
    );
  }));

test("stream() sends its request before it is read, and loses nothing meanwhile", () =>
  withServer(async (server, client) => {
    const stream = client.stream(containerd.subscribe, { filters: [] });
    await server.subscribed();
    for (let i = 0; i < 1_000; i++) server.publish("default", `/topic/${i}`, new Uint8Array(1_000));
    const topics: string[] = [];
    for await (const { topic } of stream) {
      topics.push(topic);
      if (topics.length === 1_000) break;
    }
    assert.deepEqual(topics, Array.from({ length: 1_000 }, (_, i) => `/topic/${i}`));
  }));

test("stream() ends with UNAVAILABLE when the server is killed, and so does the next call", () =>
  withServer(async (server, client) => {
    const stream = client.stream(containerd.subscribe, { filters: [] });
    await server.subscribed();
    const next = stream.next();
    const failed = assert.rejects(
      next,
      fails(GrpcStatus.UNAVAILABLE, /Events\/Subscribe: UNAVAILABLE/),
    );
    await server.close();
    await failed;
    await assert.rejects(version(client), fails(GrpcStatus.UNAVAILABLE, /UNAVAILABLE/));
  }));

test("stream() ends with the server's status after its messages", () =>
  withServer(async (server, client) => {
    const stream = client.stream(containerd.subscribe, { filters: [] });
    await server.subscribed();
    server.publish("default", "/one", new Uint8Array());
    server.toSubscribers((call) => call.end(GrpcStatus.RESOURCE_EXHAUSTED, "too slow"));
    assert.equal((await stream.next()).value?.topic, "/one");
    await assert.rejects(stream.next(), fails(GrpcStatus.RESOURCE_EXHAUSTED, /too slow/));
  }));

test("stream() ends when the signal aborts", () =>
  withServer(async (server, client) => {
    const controller = new AbortController();
    const stream = client.stream(containerd.subscribe, { filters: [] }, {
      signal: controller.signal,
    });
    await server.subscribed();
    const next = stream.next();
    controller.abort();
    await assert.rejects(next, fails(GrpcStatus.CANCELLED, /canceled/));
  }));

test("connect() says that nothing listens", async () => {
  await assert.rejects(
    GrpcClient.connect("/nonexistent/containerd.sock", LIMITS),
    fails(GrpcStatus.UNAVAILABLE, /^\/nonexistent\/containerd\.sock: UNAVAILABLE: .*ENOENT/),
  );
});

test("connect() ends when the signal aborted", async () => {
  const options = { ...LIMITS, signal: AbortSignal.abort() };
  await assert.rejects(
    GrpcClient.connect("/nonexistent/containerd.sock", options),
    fails(GrpcStatus.CANCELLED, /canceled/),
  );
});
