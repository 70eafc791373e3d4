/**
 * What users read when they get a command, a setting, a file or a request wrong. After a deliberate change of the messages:
 * `ANKYLO_UPDATE_GOLDEN=1 deno test -A tests/golden/bad_input_test.ts`, and read the difference.
 */

import assert from "node:assert/strict";
import { main } from "../../src/cli/program.ts";
import { createApp } from "../../src/http/app.ts";
import { sampleState } from "../../src/http/sample_state.ts";

const golden = new URL("bad-input.txt", import.meta.url);
const repository = new URL("../../", import.meta.url).pathname;
/** Files of the cases, as the commands name them. */
const files = "tests/golden/bad-input";

/** A command that must fail before it begins. Words are separated by spaces; NAME=value before it goes to the environment. */
const COMMANDS = [
  "rum",
  "run now",
  "run --polices /etc/p",
  "run --policies",
  "run --posture-file deny",
  "run --posture-file Block",
  "run --posture-network reject",
  "run --visibility proces",
  "run --visibility process,sockets",
  "run --containerd run/containerd.sock",
  "run --listen 8420",
  "run --listen localhost",
  "run --listen 127.0.0.1:99999",
  "run --listen ::1:8420",
  "run --listen 0.0.0.0:8420",
  "run --listen [::]:8420",
  "run --listen node-1:8420",
  "run --listen 127.evil.example:8420",
  "run --socket ankylo.sock",
  "run --bpffs bpf",
  "run --protect all",
  "run --cluster  --hostname x",
  "run --log-level verbose",
  "run --log-format yaml",
  `run --http-token-file ${files}/token-short`,
  "run --http-token-file /nonexistent/token",
  "run --http-token-file TOKEN_SHORT",
  "run --http-token-file TOKEN_WORDS",
  "run --http-token-file DIRECTORY",
  "run --http-certificate /etc/tls.pem",
  "run --http-key /etc/tls.key",
  "run --listen 0.0.0.0:8420 --http-client-ca /etc/ca.pem",
  "run --http-certificate GARBAGE --http-key GOOD_KEY",
  "run --http-certificate GOOD_CERTIFICATE --http-key GARBAGE",
  "run --http-certificate GOOD_CERTIFICATE --http-key OTHER_KEY",
  "run --http-certificate GOOD_CERTIFICATE --http-key GOOD_KEY --http-client-ca GARBAGE",
  "run --config /nonexistent/config.yaml",
  `run --config ${files}`,
  `run --config ${files}/unknown-key.yaml`,
  `run --config ${files}/kubearmor-keys.yaml`,
  `run --config ${files}/list.yaml`,
  `run --config ${files}/unclosed-quote.yaml`,
  `run --config ${files}/twice.yaml`,
  `run --config ${files}/two-spellings.yaml`,
  `run --config ${files}/nested-key.yaml`,
  `run --config ${files}/not-a-value.yaml`,
  `run --config ${files}/two-faults.yaml`,
  "ANKYLO_LISTEN=everywhere run",
  "ANKYLO_LISTN=127.0.0.1:1 run",
  "ANKYLO_PROTECT=hosts run",
  "check",
  "check /nonexistent/policy.yaml",
  `check ${files}`,
  "check --jsn policy.yaml",
  "logs --folow",
  "logs --socket x",
  "status --listen x",
  "uninstall --forse",
  "uninstall --bpffs ankylo",
  "version 2",
] as const;

/** Words that stand for absolute paths, which differ from machine to machine. */
const PATHS: Readonly<Record<string, string>> = {
  TOKEN_SHORT: "token-short",
  TOKEN_WORDS: "token-words",
  DIRECTORY: "",
  GARBAGE: "garbage.pem",
  GOOD_CERTIFICATE: "good-certificate.pem",
  GOOD_KEY: "good-key.pem",
  OTHER_KEY: "other-key.pem",
};

/** A request that must be refused: its line, then headers; `@token` on an agent that asks for one. */
const REQUESTS = [
  "GET /v1/alert",
  "GET /v1/policies/protect-wbe",
  "GET /v1/policies/a/b",
  "GET /v1/policies/%2e%2e%2fetc",
  "GET /v2/status",
  "POST /v1/policies",
  "DELETE /v1/policies/protect-web",
  "PUT /v1/status | content-length: 9",
  "GET /v1/status | content-length: 9",
  "GET /v1/status | transfer-encoding: chunked",
  "GET /v1/status?verbose=1",
  "GET /v1/alerts?acton=Block",
  "GET /v1/alerts?action=deny",
  "GET /v1/alerts?action=",
  "GET /v1/alerts?operation=Proces",
  "GET /v1/alerts?container=a,,b",
  "GET /v1/events?policy=protect-web",
  "GET /v1/alerts | accept: application/json",
  "GET /v1/status | accept: text/html;q=1, application/json;q=0",
  "GET /v1/status | host: evil.example",
  "GET /v1/status | host: 10.0.0.1:8420",
  "@token GET /v1/status",
  "@token GET /v1/alerts | authorization: Bearer wrong",
  "@token GET /v1/policies | authorization: Basic YTpi",
  "@token GET /nowhere",
] as const;

/** Runs a command as a user would type it. Returns what it writes, and its status. */
async function commandResult(line: string): Promise<string> {
  const words = line.split(" ");
  const [name, value] = words[0]!.includes("=") ? words.shift()!.split("=") : [];
  const args = words.map((word) => word in PATHS ? `${repository}${files}/${PATHS[word]}` : word);
  let text = "";
  const write = (part: string) => text += part;
  if (name !== undefined) Deno.env.set(name, value!);
  try {
    const status = await main(args, { out: write, err: write });
    return `$ ${[...name ? [`${name}=${value}`] : [], "ankylo", ...words].join(" ")}\n${
      plain(text)
    }[${status}]\n`;
  } finally {
    if (name !== undefined) Deno.env.delete(name);
  }
}

/** Without what differs from machine to machine, and without the help that follows a wrong command line. */
function plain(text: string): string {
  return text.replaceAll(repository, "").replace(/\n\(ankylo --help[^]*$/, "\n");
}

async function requestResult(line: string): Promise<string> {
  const [request, ...headers] = line.split(" | ");
  const token = request!.startsWith("@token ") ? { token: "0123456789abcdef" } : {};
  const [method, path] = request!.replace("@token ", "").split(" ");
  const init = {
    method: method!,
    headers: headers.map((header) => header.split(/: (.*)/, 2) as [string, string]),
  };
  const state = sampleState();
  const response = await createApp(state, token).request(path!, init, { transport: "tcp" });
  const text = await response.text();
  state.alerts.close();
  state.events.close();
  return `> ${line}\n${response.status} ${text}`;
}

Deno.test("every wrong command, setting, file and request is refused with the words of bad-input.txt", async () => {
  const before = Deno.cwd();
  Deno.chdir(repository);
  try {
    const results: string[] = [];
    for (const line of COMMANDS) results.push(await commandResult(line));
    for (const line of REQUESTS) results.push(await requestResult(line));
    const found = results.join("\n");
    if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") await Deno.writeTextFile(golden, found);
    assert.equal(found, await Deno.readTextFile(golden));
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("every wrong command and setting ends with the status for it", async () => {
  const text = await Deno.readTextFile(golden);
  const statuses = [...text.matchAll(/^\[(\d)\]$/gm)].map(([, status]) => status);
  assert.equal(statuses.length, COMMANDS.length);
  assert.ok(statuses.every((status) => status === "2" || status === "3"), statuses.join());
});
