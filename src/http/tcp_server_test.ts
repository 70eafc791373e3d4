import assert from "node:assert/strict";
import { listenTcp, TCP_LIMITS, type TcpOptions, type TcpServer } from "./tcp_server.ts";

const HOST = { hostname: "127.0.0.1", port: 0 };
const REQUEST = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
const encoder = new TextEncoder();

function hello(): Response {
  return new Response("hello");
}

async function withServer(
  options: Partial<TcpOptions>,
  use: (server: TcpServer) => Promise<void>,
  handle: (request: Request) => Response | Promise<Response> = hello,
): Promise<void> {
  const server = await listenTcp(handle, { ...HOST, ...options });
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

function connect({ port }: TcpServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** Sends bytes and reads to the end; an end by reset is the text "reset". */
async function exchange(server: TcpServer, text: string): Promise<string> {
  using connection = await connect(server);
  try {
    await connection.write(encoder.encode(text));
    return await new Response(connection.readable).text();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe) {
      return "reset";
    }
    throw error;
  }
}

Deno.test("listenTcp() answers while 1,000 clients are connected and say nothing", async () => {
  await withServer({}, async (server) => {
    const idle: Deno.TcpConn[] = [];
    while (idle.length < 1_000) {
      idle.push(...await Promise.all(Array.from({ length: 50 }, () => connect(server))));
    }
    assert.ok(idle.length > TCP_LIMITS.connectionsMax);
    const response = await fetch(`http://127.0.0.1:${server.port}/`);
    assert.equal(await response.text(), "hello");
    for (const connection of idle) connection.close();
  });
});

Deno.test("listenTcp() closes the connection that has been idle longest when there are too many", async () => {
  await withServer({ limits: { connectionsMax: 2 } }, async (server) => {
    using first = await connect(server);
    // An answer proves that the server has taken each before the next comes.
    await first.write(encoder.encode(REQUEST));
    await first.read(new Uint8Array(1_000));
    using second = await connect(server);
    await second.write(encoder.encode(REQUEST));
    await second.read(new Uint8Array(1_000));
    using third = await connect(server);
    assert.equal(await first.read(new Uint8Array(1)).catch(() => null), null);
    await third.write(encoder.encode(REQUEST));
    assert.ok(await third.read(new Uint8Array(1_000)));
  });
});

Deno.test("listenTcp() gives up a client whose headers never end", async () => {
  await withServer({ limits: { headersMs: 100 } }, async (server) => {
    const slow = await Promise.all(
      ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"].map((text) => exchange(server, text)),
    );
    for (const answer of slow) assert.match(answer, /^HTTP\/1\.1 408 |^reset$|^$/);
  });
});

Deno.test("listenTcp() refuses headers beyond its bound", async () => {
  const long = `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(TCP_LIMITS.headerBytesMax)}\r\n\r\n`;
  await withServer({}, async (server) => {
    assert.match(await exchange(server, long), /^HTTP\/1\.1 431 |^reset$/);
    assert.equal(await (await fetch(`http://127.0.0.1:${server.port}/`)).text(), "hello");
  });
});

Deno.test("listenTcp() survives what is no HTTP, and a client that leaves at once", async () => {
  await withServer({}, async (server) => {
    assert.match(
      await exchange(server, "\x16\x03\x01\x02\x00\r\n\r\n"),
      /^HTTP\/1\.1 400 |^reset$/,
    );
    for (let i = 0; i < 50; i++) {
      const connection = await connect(server);
      await connection.write(encoder.encode(REQUEST));
      connection.close();
    }
    assert.equal(await (await fetch(`http://127.0.0.1:${server.port}/`)).text(), "hello");
  });
});

Deno.test("listenTcp() gives a stream back when its reader goes", async () => {
  const left = Promise.withResolvers<void>();
  const endless = () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(encoder.encode("first")),
        cancel: () => left.resolve(),
      }),
    );
  await withServer({}, async (server) => {
    const connection = await connect(server);
    await connection.write(encoder.encode(REQUEST));
    await connection.read(new Uint8Array(1_000));
    assert.equal(server.answering.size, 1);
    connection.close();
    await left.promise;
    await Promise.all(server.answering);
    assert.equal(server.answering.size, 0);
  }, endless);
});

Deno.test("listenTcp() speaks TLS, and asks clients for a certificate where there is an authority", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { ca, server: own, client } = await certificates(dir);
    const tls = { certificate: own.certificate, key: own.key };
    const get = async ({ port }: TcpServer, options: Deno.CreateHttpClientOptions & object) => {
      using http = Deno.createHttpClient({ caCerts: [ca.certificate], ...options });
      const response = await fetch(`https://127.0.0.1:${port}/`, { client: http });
      return await response.text();
    };
    await withServer({ tls }, async (server) => assert.equal(await get(server, {}), "hello"));
    await withServer({ tls: { ...tls, clientCa: ca.certificate } }, async (server) => {
      const identity = { cert: client.certificate, key: client.key };
      assert.equal(await get(server, identity), "hello");
      await assert.rejects(get(server, {}), TypeError);
      const own = await certificates(dir);
      const foreign = { cert: own.client.certificate, key: own.client.key };
      await assert.rejects(get(server, foreign), TypeError);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** An authority, and a server's and a client's certificate from it, for 127.0.0.1. */
async function certificates(dir: string): Promise<Record<"ca" | "server" | "client", KeyPair>> {
  const openssl = async (...args: string[]) => {
    const command = new Deno.Command("openssl", { args, cwd: dir, stdin: "null" });
    const { success, stderr } = await command.output();
    assert.ok(success, new TextDecoder().decode(stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca");
  await Deno.writeTextFile(`${dir}/names`, "subjectAltName=IP:127.0.0.1\n");
  for (const name of ["server", "client"]) {
    const request = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`];
    await openssl("req", ...key, ...request);
    const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
    await openssl("x509", "-req", "-in", `${name}.csr`, ...signing, "-out", `${name}.pem`);
  }
  const read = async (name: string) => ({
    certificate: await Deno.readTextFile(`${dir}/${name}.pem`),
    key: await Deno.readTextFile(`${dir}/${name}.key`),
  });
  return { ca: await read("ca"), server: await read("server"), client: await read("client") };
}
