import assert from "node:assert/strict";
import { type AgentOptions, runAgent } from "./agent.ts";
import { AgentClient } from "./cli/client.ts";
import type { SettingName } from "./config/config.ts";
import { resolveSettings } from "./config/load.ts";
import type { policiesView, statusView } from "./http/views.ts";
import { Enforcement } from "./kernel/enforcement.ts";
import { createLog } from "./lib/log.ts";

const POLICY = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: deny-shell
spec:
  process:
    matchPaths:
      - path: /bin/sh
  action: Block
`;

/** Waits for a log line instead of a time. */
class LogLines {
  readonly lines: string[] = [];
  #waiting: { text: string; resolve: () => void }[] = [];

  readonly write = (line: string) => {
    this.lines.push(line);
    this.#waiting = this.#waiting.filter(({ text, resolve }) => {
      if (!line.includes(text)) return true;
      resolve();
      return false;
    });
  };

  has(text: string): Promise<void> {
    if (this.lines.some((line) => line.includes(text))) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ text, resolve }));
  }
}

/** An agent in a directory of its own that touches neither kernel nor containerd. */
async function withAgent(
  flags: Partial<Record<SettingName, string>>,
  use: (agent: { dir: string; client: AgentClient; log: LogLines }) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  await Deno.mkdir(`${dir}/policies`);
  const { settings } = resolveSettings({
    environment: {},
    flags: {
      policies: `${dir}/policies`,
      socket: `${dir}/ankylo.sock`,
      listen: "off",
      containerd: "off",
      state: `${dir}/state`,
      ...flags,
    },
  });
  const log = new LogLines();
  const stop = new AbortController();
  const options: AgentOptions = {
    settings,
    log: createLog({ level: "debug", format: "text", write: log.write }),
    version: "0.0.0",
    signal: stop.signal,
    openEnforcement: () => Promise.resolve(Enforcement.none("ab12", "this kernel lacks BPF LSM")),
  };
  const running = runAgent(options);
  using client = await AgentClient.open(settings);
  try {
    await Promise.race([log.has("Serving"), running]);
    await use({ dir, client, log });
  } finally {
    stop.abort();
    await running;
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("runAgent() on a kernel that can't enforce runs, says what is missing, and is not ready", async () => {
  await withAgent({}, async ({ dir, client, log }) => {
    await Deno.writeTextFile(`${dir}/policies/p.yaml`, POLICY);
    await log.has("policies=1");
    await log.has("Compiled policies");
    await assert.rejects(client.get("/readyz"), /503 Not ready: this kernel lacks BPF LSM/);
    assert.equal((await client.get("/healthz").then((response) => response.text())).trim(), "ok");
    const status = await client.getJson<ReturnType<typeof statusView>>("/v1/status");
    assert.equal(status.kernel, null);
    assert.deepEqual(status.notReady, ["this kernel lacks BPF LSM"]);
    assert.deepEqual(status.rules, { enforced: 0, audited: 0, notEnforced: 1 });
  });
});

Deno.test("runAgent() keeps the last good version of a policy file, and says so", async () => {
  await withAgent({}, async ({ dir, client, log }) => {
    await Deno.writeTextFile(`${dir}/policies/p.yaml`, POLICY);
    await log.has("policies=1");
    await Deno.writeTextFile(`${dir}/policies/p.yaml`, POLICY.replace("/bin/sh", "bin/sh"));
    await log.has("keeping its last good version");
    const view = await client.getJson<ReturnType<typeof policiesView>>("/v1/policies");
    assert.deepEqual(view.policies.map(({ name }) => name), ["deny-shell"]);
    assert.ok(view.diagnostics.some(({ severity }) => severity === "error"));
  });
});

Deno.test("runAgent() says where it looked for containerd, and goes on", async () => {
  await withAgent({ containerd: "/nonexistent/containerd.sock" }, async ({ client, log }) => {
    await log.has("Compiled policies");
    await log.has("containerd is away");
    const { sources } = await client.getJson<ReturnType<typeof statusView>>("/v1/status");
    const containerd = sources.find(({ name }) => name === "containerd")!;
    assert.equal(containerd.connected, false);
    assert.match(containerd.detail, /\/nonexistent\/containerd\.sock/);
  });
});

Deno.test("runAgent() removes its socket when it ends, and fails where another answers", async () => {
  let socket = "";
  await withAgent({}, async ({ dir }) => {
    socket = `${dir}/ankylo.sock`;
    await assert.rejects(withAgent({ socket }, () => Promise.resolve()), /another agent answers/);
  });
  await assert.rejects(Deno.stat(socket), Deno.errors.NotFound);
});

Deno.test("runAgent() goes on with the last run's policies where they can't be read any more", async () => {
  const dir = await Deno.makeTempDir();
  const [policies, state] = [`${dir}/policies`, `${dir}/state`];
  await Deno.mkdir(policies);
  const flags = { policies, state };
  await Deno.writeTextFile(`${policies}/p.yaml`, POLICY);
  await withAgent(flags, async ({ log }) => await log.has("Compiled policies"));
  await Deno.writeTextFile(`${policies}/p.yaml`, POLICY.replace("/bin/sh", "bin/sh"));
  await withAgent(flags, async ({ client, log }) => {
    await log.has("fromLastRun=p.yaml");
    const view = await client.getJson<ReturnType<typeof policiesView>>("/v1/policies");
    assert.deepEqual(view.policies.map(({ name }) => name), ["deny-shell"]);
    assert.ok(view.diagnostics.some(({ severity }) => severity === "error"));
    const { sources } = await client.getJson<ReturnType<typeof statusView>>("/v1/status");
    assert.match(sources.find(({ name }) => name === "last run")!.detail, /policies of p\.yaml/);
  });
  await Deno.remove(policies, { recursive: true });
  await withAgent(flags, async ({ client, log }) => {
    await log.has("keeping its 1 policies");
    const view = await client.getJson<ReturnType<typeof policiesView>>("/v1/policies");
    assert.deepEqual(view.policies.map(({ name }) => name), ["deny-shell"]);
  });
  await Deno.writeTextFile(`${state}/state`, "ankylo-state 1 0\n{}");
  await withAgent(flags, async ({ log }) => {
    await log.has("Ignoring what the last run saved");
    await log.has("policies=0");
  });
  await Deno.remove(dir, { recursive: true });
});
