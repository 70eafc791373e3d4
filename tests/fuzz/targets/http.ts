/** Requests over TCP, as bytes. */

import { createApp } from "../../../src/http/app.ts";
import { sampleState } from "../../../src/http/sample_state.ts";
import { listenTcp, type TcpServer } from "../../../src/http/tcp_server.ts";
import type { AgentState } from "../../../src/http/state.ts";
import { corpusOf, type Target } from "../target.ts";

const TOKENS = [
  "GET ",
  "HEAD ",
  "POST ",
  " HTTP/1.1\r\n",
  "Host: localhost\r\n",
  "Content-Length: 4\r\n",
  "Content-Length: -1\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Authorization: Bearer 0123456789abcdef\r\n",
  "Accept: text/event-stream;q=0\r\n",
  "Last-Event-ID: 99999999999999999999-a1\r\n",
  "Expect: 100-continue\r\n",
  "Upgrade: h2c\r\n",
  "\r\n\r\n",
  "/v1/policies/%2e%2e%2f%00",
  "?container=a&container=b",
  "%ff",
  "http://[::1",
];

const ANSWER_BYTES = 512;

/** No request makes the server fail, or answer with a fault of its own. */
export function httpTarget(): Target {
  const state = sampleState();
  let server: Promise<TcpServer> | undefined;
  return {
    name: "http",
    seeds: () => corpusOf("http"),
    tokens: TOKENS,
    run: async (input) => {
      server ??= start(state);
      return await ask((await server).port, input);
    },
    close: async () => {
      state.alerts.close();
      state.events.close();
      await (await server)?.close();
    },
  };
}

function start(state: AgentState): Promise<TcpServer> {
  const app = createApp(state, { token: "0123456789abcdef" });
  // What is not a whole request is given up soon: the fuzzer waits for it.
  const limits = { headersMs: 200 };
  const handle = (request: Request) => app.fetch(request, { transport: "tcp" });
  return listenTcp(handle, { hostname: "127.0.0.1", port: 0, limits });
}

async function ask(port: number, input: Uint8Array): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const answer = await exchange(connection, input);
  if (answer === "" || answer === "reset") return answer;
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1];
  if (status === undefined) throw new Error(`no HTTP: "${answer}"`);
  if (status === "500") throw new Error(`the server failed: "${answer}"`);
  return status;
}

/** The answer's beginning; "reset" when the server cut the connection. */
async function exchange(connection: Deno.TcpConn, input: Uint8Array): Promise<string> {
  const bytes = new Uint8Array(ANSWER_BYTES);
  try {
    await connection.write(input);
    await connection.closeWrite();
    const count = await connection.read(bytes);
    return new TextDecoder().decode(bytes.subarray(0, count ?? 0));
  } catch (error) {
    const { ConnectionReset, BrokenPipe, NotConnected } = Deno.errors;
    if ([ConnectionReset, BrokenPipe, NotConnected].some((kind) => error instanceof kind)) {
      return "reset";
    }
    throw error;
  }
}
