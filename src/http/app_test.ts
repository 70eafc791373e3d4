import assert from "node:assert/strict";
import { POLICY } from "../alerts/samples.ts";
import { createApp } from "./app.ts";
import { sampleState } from "./sample_state.ts";
import { accepts } from "./negotiate.ts";
import type { RuleStatus } from "../compile/compile.ts";
import type { AgentState } from "./state.ts";

async function get(path: string, init: RequestInit = {}, over: Partial<AgentState> = {}) {
  const response = await createApp(sampleState(over)).request(path, init);
  const type = response.headers.get("content-type");
  const text = await response.text();
  return { status: response.status, type, text, headers: response.headers };
}

async function getJson(path: string, over: Partial<AgentState> = {}) {
  const { status, text } = await get(path, {}, over);
  return { status, body: JSON.parse(text) };
}

Deno.test("GET / lists every path", async () => {
  const { body } = await getJson("/");
  assert.equal(body.name, "ankylo");
  assert("/v1/alerts" in body.paths);
});

Deno.test("every listed path answers 200, without parameters but for what it can't do without", async () => {
  const { body } = await getJson("/");
  for (const path of Object.keys(body.paths)) {
    const state = sampleState();
    const query = path === "/v1/explain" ? "?container=web&access=read&object=/etc" : "";
    const response = await createApp(state).request(path.replace("{name}", "protect-web") + query);
    assert.equal(response.status, 200, path);
    await response.body?.cancel();
    state.alerts.close();
    state.events.close();
  }
});

Deno.test("GET /v1/operations has each container once, and what is not recorded", async () => {
  const { body } = await getJson("/v1/operations");
  assert.deepEqual(body.containers.map(({ name }: { name: string }) => name), ["web"]);
  const [{ container, access, object, count, last }] = body.operations;
  assert.deepEqual([container, access, object, count], [0, "exec", "/usr/bin/curl", 3]);
  assert.equal(last, "2026-01-02T03:05:00.000Z");
  assert.ok(body.notRecorded.length > 0);
});

Deno.test("GET /healthz and /readyz answer at once", async () => {
  assert.deepEqual([(await get("/healthz")).text, (await get("/readyz")).text], [
    "ok\n",
    "ready\n",
  ]);
});

Deno.test("GET /readyz says what is missing", async () => {
  const missing = ["no policy state was applied yet", "containerd: connecting"];
  const { status, body } = await getJson("/readyz", { notReady: () => missing });
  assert.equal(status, 503);
  assert.deepEqual(body, {
    type: "about:blank",
    title: "Not ready",
    status: 503,
    detail: "no policy state was applied yet; containerd: connecting",
    missing,
  });
});

Deno.test("GET /v1/status tells of kernel, hooks, sources, counters and limits", async () => {
  const { body } = await getJson("/v1/status");
  assert.equal(body.version, "0.1.0");
  assert.equal(body.ready, true);
  assert.equal(body.generation, 4);
  assert.equal(body.kernel.release, "6.12.1");
  assert.deepEqual(body.kernel.hooks[1], {
    name: "file_truncate",
    state: "missing",
    reason: "this kernel has no such hook",
  });
  assert.equal(body.counters.denied, 12);
  assert.deepEqual(body.rules, { enforced: 1, audited: 1, notEnforced: 1 });
  assert.deepEqual(body.workloads, { count: 2, policed: 1 });
  assert.deepEqual(body.policies, { count: 2, errors: 1, warnings: 0 });
  assert.equal(body.alerts.subscribers, 0);
  assert.deepEqual(body.limits.images, { used: 1, max: 4096 });
});

Deno.test("GET /v1/status works before the kernel's programs are there", async () => {
  const { body } = await getJson("/v1/status", {
    kernel: () => undefined,
    notReady: () => ["the kernel's programs are being loaded"],
  });
  assert.deepEqual([body.kernel, body.ready], [null, false]);
});

Deno.test("GET /v1/policies sums each policy up and shows every file's errors", async () => {
  const { body } = await getJson("/v1/policies");
  assert.deepEqual(
    body.policies.map((p: Record<string, unknown>) => [p.name, p.state, p.where, p.workloads]),
    [["protect-web", "enforced", "web.yaml:1:1", 1], [
      "watch-db",
      "partly enforced",
      "db.yaml:3:1",
      0,
    ]],
  );
  assert.deepEqual(body.diagnostics, [{
    severity: "error",
    file: "broken.yaml",
    line: 2,
    column: 5,
    field: "spec.file",
    message: "must be a map",
    hint: "see the examples",
  }]);
});

Deno.test("GET /v1/policies/{name} says what became of each rule, and why", async () => {
  const { body } = await getJson("/v1/policies/watch-db");
  assert.deepEqual(
    body.rules.map((r: Record<string, unknown>) => [r.where, r.rule, r.target, r.state, r.reason]),
    [
      ["db.yaml:9:7", "spec.file.matchPaths[0]", "/data/ (recursive)", "audited", undefined],
      ["db.yaml:14:7", "spec.network.matchProtocols[0]", "udp", "not enforced", "network rules"],
    ],
  );
  const web = await getJson("/v1/policies/protect-web");
  assert.deepEqual(web.body.workloads.map((w: { name: string }) => w.name), ["web"]);
  assert.deepEqual(web.body.selector, { matchLabels: { app: "web" }, containerNames: [] });
});

Deno.test("GET /v1/policies/{name} finds the nearest name, and asks when a name is not unique", async () => {
  const missing = await getJson("/v1/policies/protect-wbe");
  assert.deepEqual([missing.status, missing.body.hint], [404, 'did you mean "protect-web"?']);
  const twin = { ...POLICY, namespace: "prod" };
  const over = { policies: () => [POLICY, twin] };
  const twice = await getJson("/v1/policies/protect-web", over);
  assert.deepEqual([twice.status, twice.body.hint], [400, "add ?kind= or ?namespace="]);
  const one = await getJson("/v1/policies/protect-web?namespace=prod", over);
  assert.deepEqual([one.status, one.body.namespace], [200, "prod"]);
});

Deno.test("GET /v1/workloads keeps 64-bit cgroup ids and shows what is enforced", async () => {
  const { body } = await getJson("/v1/workloads");
  const [web, idle] = body.workloads;
  assert.deepEqual([web.name, web.cgroupId, web.generation, web.policies], [
    "web",
    "77",
    0x1234,
    ["protect-web"],
  ]);
  assert.deepEqual([idle.container, idle.generation], [null, null]);
});

Deno.test("GET /metrics is Prometheus text with every counter", async () => {
  const { text, type } = await get("/metrics");
  assert.match(type!, /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^ankylo_kernel_denied_total 12$/m);
  assert.match(text, /^ankylo_info\{version="0\.1\.0",build="ab12",kernel="6\.12\.1"\} 1$/m);
  assert.match(text, /^ankylo_hook_attached\{hook="file_truncate"\} 0$/m);
  assert.match(text, /^ankylo_rules\{state="not_enforced"\} 1$/m);
  assert.match(text, /^ankylo_subscriber_lost_total\{stream="alerts"\} 0$/m);
  assert.match(text, /^ankylo_records_malformed_total 1$/m);
});

Deno.test("GET /metrics works before anything is known", async () => {
  const { status } = await get("/metrics", {}, {
    kernel: () => undefined,
    counters: () => ({}),
    sources: () => [],
    limits: () => ({}),
  });
  assert.equal(status, 200);
});

Deno.test("an unknown path is a problem with a hint", async () => {
  const { status, text, type } = await get("/v1/alert");
  assert.deepEqual([status, type], [404, "application/problem+json"]);
  assert.equal(JSON.parse(text).hint, 'did you mean "/v1/alerts"?');
});

Deno.test("no method changes anything: 405 with Allow on each path", async () => {
  for (const path of ["/", "/v1/policies", "/v1/policies/x", "/v1/alerts", "/metrics"]) {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const { status, headers, type } = await get(path, { method });
      assert.deepEqual([status, headers.get("allow"), type], [
        405,
        "GET, HEAD",
        "application/problem+json",
      ]);
    }
  }
  assert.equal((await get("/nowhere", { method: "POST" })).status, 404);
});

Deno.test("HEAD is answered without a body, and opens no stream", async () => {
  const state = sampleState();
  const app = createApp(state);
  const status = await app.request("/v1/status", { method: "HEAD" });
  assert.deepEqual([status.status, await status.text()], [200, ""]);
  const alerts = await app.request("/v1/alerts", { method: "HEAD" });
  assert.equal(alerts.headers.get("content-type"), "text/event-stream");
  assert.equal(state.alerts.counts.subscribers, 0);
});

Deno.test("an Accept that excludes the answer is 406", async () => {
  const refused = await get("/v1/status", { headers: { accept: "text/html" } });
  assert.deepEqual([refused.status, refused.type], [406, "application/problem+json"]);
  assert.equal((await get("/v1/alerts", { headers: { accept: "application/json" } })).status, 406);
  assert.equal(
    (await get("/v1/status", { headers: { accept: "text/html, */*;q=0.1" } })).status,
    200,
  );
});

Deno.test("accepts() lets the most specific range decide", () => {
  assert(accepts("text/*, application/json;q=0", "text/event-stream"));
  assert(!accepts("*/*, application/json;q=0", "application/json"));
  assert(!accepts("*/*;q=1, text/*;q=0.0", "text/plain"));
});

Deno.test("bad filters are refused with what is known", async () => {
  const cases: [string, RegExp, string | undefined][] = [
    ["/v1/alerts?polcy=x", /no parameter "polcy"/, 'did you mean "policy"?'],
    ["/v1/alerts?action=blok", /one of Block, Audit/, 'did you mean "Block"?'],
    ["/v1/alerts?operation=", /operation: must not be empty/, undefined],
    ["/v1/events?action=Block", /takes container, operation/, undefined],
    ["/v1/status?x=1", /takes no parameters/, undefined],
  ];
  for (const [path, detail, hint] of cases) {
    const { status, body } = await getJson(path);
    assert.equal(status, 400, path);
    assert.match(body.detail, detail);
    assert.equal(body.hint, hint);
  }
});

Deno.test("too many streams are a 503 that says so", async () => {
  const state = sampleState();
  state.alerts.close();
  const response = await createApp(state).request("/v1/alerts");
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "5"]);
  await response.body?.cancel();
});

Deno.test("a page that rebinds its name to loopback gets nothing", async () => {
  const refused = await get("/v1/status", { headers: { host: "evil.example:8420" } });
  assert.deepEqual([refused.status, refused.type], [421, "application/problem+json"]);
  for (const host of ["localhost:8420", "127.0.0.1:18420", "[::1]:8420", "LOCALHOST"]) {
    assert.equal((await get("/v1/status", { headers: { host } })).status, 200, host);
  }
  const named = new Request("http://x/healthz", { headers: { host: "anything" } });
  assert.equal((await createApp(sampleState()).fetch(named, { transport: "unix" })).status, 200);
});

Deno.test("a fault of the agent's own is logged, and the client is told nothing of it", async () => {
  const logged: unknown[] = [];
  const log = { error: (...all: unknown[]) => logged.push(all), warn() {}, info() {}, debug() {} };
  const app = createApp(
    sampleState({
      policies: () => {
        throw new TypeError("secret detail");
      },
    }),
    { log },
  );
  const response = await app.request("/v1/policies");
  assert.equal(response.status, 500);
  assert(!(await response.text()).includes("secret"));
  assert.equal(logged.length, 1);
});

Deno.test("answers are not cached nor sniffed", async () => {
  const { headers } = await get("/v1/status");
  assert.deepEqual([headers.get("cache-control"), headers.get("x-content-type-options")], [
    "no-store",
    "nosniff",
  ]);
});

const TOKEN = "0123456789abcdef0123";

/** As a client of the TCP address of an agent with a token. */
async function ask(path: string, authorization?: string, over: Partial<AgentState> = {}) {
  const headers = { host: "node-1:8420", ...(authorization && { authorization }) };
  const app = createApp(sampleState(over), { token: TOKEN });
  const response = await app.request(path, { headers }, { transport: "tcp" });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

Deno.test("an agent with a token answers whoever has it, by whatever name they call it", async () => {
  assert.equal((await ask("/v1/policies", `Bearer ${TOKEN}`)).status, 200);
  assert.equal((await ask("/v1/policies", `bearer   ${TOKEN}`)).status, 200);
});

Deno.test("an agent with a token tells nobody else more than whether it is ready", async () => {
  const wrong = [undefined, TOKEN, "Bearer", "Bearer x", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`];
  for (const path of ["/", "/v1/status", "/v1/alerts", "/metrics", "/nowhere"]) {
    for (const authorization of wrong) {
      const { status, text, headers } = await ask(path, authorization);
      assert.equal(status, 401, `${path} ${authorization}`);
      assert.equal(headers.get("www-authenticate"), "Bearer");
      assert.ok(!text.includes(TOKEN));
    }
  }
  const notReady = () => ["secret"];
  assert.deepEqual((await ask("/healthz")).text, "yes\n");
  const { status, text } = await ask("/readyz", undefined, { notReady });
  assert.deepEqual([status, text], [503, "no\n"]);
  assert.match((await ask("/readyz", `Bearer ${TOKEN}`, { notReady })).text, /secret/);
});

Deno.test("a client with a certificate may call the agent by any name, others only by this machine's", async () => {
  const headers = { host: "node-1:8420" };
  const statusOf = async (certified: boolean) => {
    const app = createApp(sampleState(), { certified });
    return (await app.request("/v1/policies", { headers }, { transport: "tcp" })).status;
  };
  assert.equal(await statusOf(true), 200);
  assert.equal(await statusOf(false), 421);
});

Deno.test("the unix socket needs no token", async () => {
  const app = createApp(sampleState(), { token: TOKEN });
  const response = await app.request("/v1/status", {}, { transport: "unix" });
  assert.equal(response.status, 200);
});

Deno.test("a request with a body is refused before anyone waits for it", async () => {
  for (const headers of [{ "content-length": "9" }, { "transfer-encoding": "chunked" }]) {
    const { status, headers: answer } = await get("/healthz", { headers });
    assert.deepEqual([status, answer.get("connection")], [413, "close"]);
    assert.equal((await get("/v1/status", { method: "POST", headers })).status, 405);
  }
  assert.equal((await get("/healthz", { headers: { "content-length": "0" } })).status, 200);
});

Deno.test("GET /v1/explain names the rule that decides, and whether the kernel holds it", async () => {
  const { status, body } = await getJson(
    "/v1/explain?container=web&access=read&object=/etc/shadow&from=/bin/cat",
  );
  assert.equal(status, 200);
  assert.equal(body.outcome, "refused");
  assert.equal(body.decisions[0].winner.policy, "protect-web");
  assert.equal(body.decisions[0].winner.where, "web.yaml:12:9");
  assert.equal(body.notInForce, "the kernel still holds another version of its policy");
  const [web] = sampleState().workloads();
  const held = { ...web!, generation: body.generation };
  const { body: again } = await getJson(
    "/v1/explain?container=web&access=read&object=/etc/shadow",
    { workloads: () => [held] },
  );
  assert.equal(again.notInForce, undefined);
});

Deno.test("GET /v1/explain tells the node from a container of its name", async () => {
  const [web] = sampleState().workloads();
  const node = { ...web!, workload: { ...web!.workload, id: "host", host: "judged" as const } };
  const all = { workloads: () => [node, web!] };
  const asked = (who: string) => getJson(`/v1/explain?${who}&access=read&object=/a`, all);
  assert.equal((await asked("host=true")).body.host, "judged");
  assert.equal((await asked("container=web")).body.host, undefined);
  assert.equal((await asked("container=host")).status, 404);
  assert.equal((await asked("host=true&container=web")).status, 400);
  const { status, body } = await getJson("/v1/explain?host=true&access=read&object=/a");
  assert.equal(status, 404);
  assert.match(body.detail, /No host policy selects this node/);
});

Deno.test("GET /v1/explain says what hinders the rule that decides", async () => {
  const asked = "/v1/explain?container=web&access=read&object=/etc/shadow";
  const { generation } = (await getJson(asked)).body;
  const [web] = sampleState().workloads();
  const workloads = () => [{ ...web!, generation }];
  const status = { policy: POLICY, rule: POLICY.rules[0]!, state: "not enforced" } as const;
  const cases: [Partial<AgentState>, RegExp][] = [
    [{ rules: () => [{ ...status, reason: "no hook" }] }, /^no hook$/],
    [{ kernel: () => undefined }, /^nothing is enforced on this kernel$/],
    [
      { workloads: () => [{ ...web!, container: undefined, generation: undefined }] },
      /^the kernel does not know the container yet$/,
    ],
  ];
  for (const [over, why] of cases) {
    assert.match((await getJson(asked, { workloads, ...over })).body.notInForce, why);
  }
});

Deno.test("GET /v1/explain knows the rule that decides when its file has been read again", async () => {
  const again = structuredClone(POLICY);
  const lost = { policy: again, rule: again.rules[0]!, state: "not enforced", reason: "no hook" };
  const asked = "/v1/explain?container=web&access=read&object=/etc/shadow";
  const { generation } = (await getJson(asked)).body;
  const [web] = sampleState().workloads();
  const workloads = () => [{ ...web!, generation }];
  const rules = () => [lost as RuleStatus];
  assert.equal((await getJson(asked, { workloads, rules })).body.notInForce, "no hook");
  const other = { ...lost, policy: { ...again, namespace: "shop" } } as RuleStatus;
  const { body } = await getJson(asked, { workloads, rules: () => [other] });
  assert.equal(body.notInForce, undefined);
});

const LONG = "x".repeat(20_000);
const LONG_REQUESTS: [path: string, headers?: Record<string, string>][] = [
  [`/${LONG}`],
  [`/v1/policies/${LONG}`],
  [`/v1/policies/${LONG}?form=a`],
  [`/v1/status?${LONG}=a`],
  [`/v1/alerts?operation=${LONG}`],
  [`/v1/explain?container=${LONG}&access=read&object=/a`],
  [`/v1/explain?container=web&access=${LONG}&object=/a`],
  [`/v1/explain?container=web&access=read&object=${LONG}`],
  ["/v1/status", { accept: LONG }],
  ["/v1/status", { host: LONG }],
];

for (const [path, headers = {}] of LONG_REQUESTS) {
  const what = [path.replace(LONG, "LONG"), ...Object.keys(headers)].join(" with a long ");
  Deno.test(`the refusal of ${what} is short`, async () => {
    const { status, text } = await get(path, { headers });
    assert(status >= 400, String(status));
    assert(text.length < 1_000, text);
  });
}

const BAD_QUESTIONS: [query: string, status: number, detail: RegExp, hint: RegExp][] = [
  ["access=read&object=/a", 400, /^container: is missing$/, /^for example /],
  [
    "container=wbe&access=read&object=/a",
    404,
    /No container is named "wbe"/,
    /did you mean "web"\?/,
  ],
  ["container=zzzzz&access=read&object=/a", 404, /"zzzzz"/, /^known are web, idle$/],
  ["container=web&access=raed&object=/a", 400, /must be one of exec, /, /did you mean "read"\?/],
  ["container=web&access=read&object=a", 400, /must start with "\/"/, /real path/],
  [
    "container=web&access=read&object=/a&form=/b",
    400,
    /no parameter "form"/,
    /did you mean "from"\?/,
  ],
  ["container=web&access=socket&object=tpc", 400, /Cannot use socket "tpc": must be/, /^$/],
  ["container=web&access=read&object=", 400, /object: must not be empty/, /^$/],
  ["container=web&container=idle&access=read&object=/a", 400, /stands 2 times/, /^$/],
];

for (const [query, wanted, detail, hint] of BAD_QUESTIONS) {
  Deno.test(`GET /v1/explain?${query} is refused`, async () => {
    const { status, body } = await getJson(`/v1/explain?${query}`);
    assert.equal(status, wanted);
    assert.match(body.detail, detail);
    assert.match(body.hint ?? "", hint);
  });
}

Deno.test("GET /v1/explain offers no other access for a path that is too long", async () => {
  const path = `/${"a".repeat(200)}`.repeat(25);
  const { status, body } = await getJson(`/v1/explain?container=web&access=read&object=${path}`);
  assert.equal(status, 400);
  assert.match(body.detail, /must have at most \d+ bytes: it has 5025/);
  assert.equal(body.hint, undefined);
});

Deno.test("GET /v1/explain finds a container by its id, and keeps commas in paths", async () => {
  const [web] = sampleState().workloads();
  const begin = web!.workload.id.slice(0, 8);
  for (const container of [web!.workload.id, begin]) {
    const { body } = await getJson(`/v1/explain?container=${container}&access=read&object=/a,b`);
    assert.deepEqual([body.container.name, body.object], ["web", "/a,b"]);
  }
  const twins = ["a", "b"].map((id) => ({ ...web!, workload: { ...web!.workload, id } }));
  const { status, body } = await getJson("/v1/explain?container=web&access=read&object=/a", {
    workloads: () => twins,
  });
  assert.equal(status, 400);
  assert.match(body.detail, /^2 containers are named "web": container_namespace\/web a, /);
});
