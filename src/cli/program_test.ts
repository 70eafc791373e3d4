import assert from "node:assert/strict";
import { ManualClock } from "../lib/clock.ts";
import { createApp } from "../http/app.ts";
import { sampleState } from "../http/sample_state.ts";
import { serve } from "../http/serve.ts";
import { SseHub } from "../sinks/sse_hub.ts";
import { EXIT_CODES, EXIT_OK, EXIT_POLICY, EXIT_UNREACHABLE, EXIT_USAGE } from "./exit_codes.ts";
import { main } from "./program.ts";

/** Runs a command line and keeps what it wrote. */
async function run(...args: string[]) {
  let [out, err] = ["", ""];
  const status = await main(args, {
    out: (text) => out += text,
    err: (text) => err += text,
  });
  return { status, out, err };
}

Deno.test("ankylo --help teaches: commands, examples, every exit status", async () => {
  const { status, out } = await run("--help");
  assert.equal(status, EXIT_OK);
  for (
    const word of ["run", "check", "explain", "probe", "status", "logs", "uninstall", "version"]
  ) {
    assert.match(out, new RegExp(`^  ${word} `, "m"));
  }
  assert.match(out, /^Examples:$/m);
  for (const [code, text] of EXIT_CODES) assert.ok(out.includes(`  ${code}  ${text}`));
});

Deno.test("ankylo with a mistyped command or flag says what was meant", async () => {
  const command = await run("stauts");
  assert.equal(command.status, EXIT_USAGE);
  assert.match(command.err, /Did you mean status\?/);
  const flag = await run("run", "--postur-file", "block");
  assert.equal(flag.status, EXIT_USAGE);
  assert.match(flag.err, /Did you mean --posture-file\?/);
});

Deno.test("ankylo without a command shows the help and fails", async () => {
  const { status, err } = await run();
  assert.equal(status, EXIT_USAGE);
  assert.match(err, /Usage: ankylo/);
});

Deno.test("ankylo run --print-config shows each setting and where it came from", async () => {
  const { status, out } = await run("run", "--print-config", "--posture-file", "block");
  assert.equal(status, EXIT_OK);
  assert.match(out, /^posture\.file +block +flag --posture-file$/m);
});

Deno.test("ankylo run refuses a bad setting and names the flag", async () => {
  const { status, err } = await run("run", "--print-config", "--log-level", "loud");
  assert.equal(status, EXIT_USAGE);
  assert.match(err, /^flag --log-level: Cannot use log\.level: must be one of/);
});

Deno.test("ankylo run takes --policies from where the user stands", async () => {
  const { out } = await run("run", "--print-config", "--policies", "policies");
  assert.match(out, new RegExp(`^policies +${Deno.cwd()}/policies +flag`, "m"));
});

Deno.test("ankylo check fails for a policy with errors", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, "kind: KubeArmorPolicy\n");
    assert.equal((await run("check", file)).status, EXIT_POLICY);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("ankylo check is strict, and writes SARIF", async () => {
  const folder = new URL("../../k8s/examples", import.meta.url).pathname;
  const { status, out } = await run("check", "--strict", "--format", "sarif", folder);
  assert.equal(status, EXIT_POLICY);
  assert.ok(JSON.parse(out).runs[0].results.length > 0);
  assert.equal((await run("check", "--format", "xml", folder)).status, EXIT_USAGE);
  assert.ok("summary" in JSON.parse((await run("check", "--json", folder)).out));
});

Deno.test("ankylo check refuses an empty root, an empty entrypoint and two formats", async () => {
  const file = new URL("../../k8s/examples", import.meta.url).pathname;
  const cases: [args: string[], message: RegExp][] = [
    [["--root", ""], /^Cannot use --root: /],
    [["--entrypoint", ""], /^Cannot use --entrypoint: must start with "\/": current value is ""/],
    [["--json", "--format", "sarif"], /'--json' cannot be used with option '--format <format>'/],
  ];
  for (const [args, message] of cases) {
    const { status, out, err } = await run("check", ...args, file);
    assert.deepEqual([status, out], [EXIT_USAGE, ""]);
    assert.match(err, message);
  }
});

Deno.test("ankylo version says what this is", async () => {
  assert.match((await run("version")).out, /^ankylo \d+\.\d+\.\d+ \(sources; deno /);
});

Deno.test("ankylo status without an agent names the address and the next step", async () => {
  const { status, err } = await run("status", "--socket", "/nonexistent/ankylo.sock");
  assert.equal(status, EXIT_UNREACHABLE);
  assert.match(
    err,
    /^Cannot reach the agent at unix:\/nonexistent\/ankylo\.sock: [^]*hint: is it running\?/,
  );
});

/** An agent's HTTP API on a socket, with alerts 1 to `alerts` published. */
async function withAgent(alerts: number, use: (socket: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  const hub = new SseHub({ clock: new ManualClock(), life: "test" });
  const stop = new AbortController();
  const socket = `${dir}/ankylo.sock`;
  const app = createApp(sampleState({ alerts: hub }));
  const closeStreams = () => hub.close();
  const serving = await serve(app, { listen: undefined, socket, closeStreams }, stop.signal);
  try {
    for (let seq = 1; seq <= alerts; seq++) {
      const facets = { policy: "p", containers: [], action: "Block", operation: "File" };
      hub.publish(seq, JSON.stringify({ PolicyName: "p", Resource: `/r${seq}` }), facets);
    }
    await use(socket);
  } finally {
    stop.abort();
    await serving.finished;
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("ankylo status shows a running agent, and its JSON", async () => {
  await withAgent(0, async (socket) => {
    const { status, out } = await run("status", "--socket", socket);
    assert.equal(status, EXIT_OK);
    assert.match(out, /^Ankylo /);
    assert.match(out, /^Policies: /m);
    const json = await run("status", "--json", "--socket", socket);
    assert.ok("status" in JSON.parse(json.out));
  });
});

Deno.test("ankylo explain asks a running agent", async () => {
  await withAgent(0, async (socket) => {
    const ask = (...args: string[]) => run("explain", "--socket", socket, ...args);
    const { status, out } = await ask(
      "--container",
      "web",
      "--open",
      "/etc/shadow",
      "--from",
      "/bin/cat",
    );
    assert.equal(status, EXIT_OK);
    assert.match(out, /^web: \/bin\/cat opens \/etc\/shadow: REFUSED .* alert of protect-web\n/);
    assert.match(out, /\n {4}Block \/etc\/shadow\n {8}web\.yaml:12:9 spec\.file\.matchPaths\[0\]/);
    const network = await ask("--container", "web", "--net", "TCP");
    assert.equal(network.status, EXIT_OK);
    assert.match(
      network.out,
      /^web: a program that no rule names uses a socket of kind tcp: passes/,
    );
    const unknown = await ask("--container", "wbe", "--mmap-exec", "/lib/x.so");
    assert.equal(unknown.status, EXIT_USAGE);
    assert.equal(unknown.err, 'No container is named "wbe"\n  hint: did you mean "web"?\n');
  });
});

Deno.test("ankylo check --against asks a running agent what policies would have refused", async () => {
  const folder = new URL("../../k8s/examples", import.meta.url).pathname;
  await withAgent(0, async (socket) => {
    const { status, out } = await run(
      ...["check", "--against", "agent", "--socket", socket, "--posture-file", "block", folder],
    );
    assert.equal(status, EXIT_OK);
    assert.match(out, /^1 different operations of 1 containers, seen since 2026-01-02T03:04:05/m);
    assert.match(out, /^not known: system calls/m);
  });
});

Deno.test("ankylo check --against names an agent that does not answer, and what does not go with it", async () => {
  const folder = new URL("../../k8s/examples", import.meta.url).pathname;
  const check = (...args: string[]) => run("check", ...args, folder);
  const away = await check("--against", "http://127.0.0.1:1");
  assert.equal(away.status, EXIT_UNREACHABLE);
  assert.match(away.err, /^Cannot reach the agent at http:\/\/127\.0\.0\.1:1: /);
  const lonely = await check("--since", "10m");
  assert.deepEqual([lonely.status, lonely.out], [EXIT_USAGE, ""]);
  assert.match(lonely.err, /^Cannot use --since without --against/);
  const sarif = await check("--against", "agent", "--format", "sarif");
  assert.equal(sarif.status, EXIT_USAGE);
  assert.match(sarif.err, /^Cannot use --against with --format sarif/);
});

Deno.test("ankylo explain asks files without an agent", async () => {
  const folder = new URL("../../k8s/examples", import.meta.url).pathname;
  const { status, out } = await run(
    ...["explain", "--policies", folder, "--labels", "app=web", "--exec", "/bin/sh"],
  );
  assert.equal(status, EXIT_OK);
  assert.match(out, /executes \/bin\/sh: REFUSED .* alert of deny-shells\n/);
  const capability = await run(
    ...["explain", "--policies", folder, "--labels", "app=web", "--cap", "rawnet"],
  );
  assert.equal(capability.status, EXIT_USAGE);
  assert.match(capability.err, /^Cannot use capability "rawnet": must be one of chown, /);
});

Deno.test("ankylo logs prints what the agent holds, and ends", async () => {
  await withAgent(3, async (socket) => {
    const text = await run("logs", "--socket", socket);
    assert.equal(text.status, EXIT_OK);
    assert.equal(text.out.match(/^== Alert /gm)?.length, 3);
    const json = await run("logs", "--json", "--socket", socket);
    const lines = json.out.trimEnd().split("\n").map((line) => JSON.parse(line).Resource);
    assert.deepEqual(lines, ["/r1", "/r2", "/r3"]);
  });
});

Deno.test("ankylo logs prints nothing when there is nothing", async () => {
  await withAgent(0, async (socket) => {
    assert.deepEqual(await run("logs", "--socket", socket), { status: EXIT_OK, out: "", err: "" });
  });
});
