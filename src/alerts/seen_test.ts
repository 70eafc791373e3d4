import assert from "node:assert/strict";
import * as api from "../../ffi/generated/agent_api.ts";
import type { DecisionFields } from "../events/samples.ts";
import type { ExecEvent } from "../events/event.ts";
import { ACTOR, decision, WORKLOAD } from "./samples.ts";
import { SEEN_MAX, SEEN_PATH_MAX, SeenOperations, touch } from "./seen.ts";

const exec = (path: string, tty = ""): ExecEvent => ({
  ...decision(path),
  ...{ type: "exec", found: false, path, cwd: "/", args: [], tty, staging: false },
});

const BY_SHELL = { from: "/bin/sh", parent: "/bin/sh" };

function filled(max: number, ...paths: string[]): SeenOperations {
  const seen = new SeenOperations(max);
  paths.forEach((path, at) => seen.addExec(exec(path), WORKLOAD, BY_SHELL, at));
  return seen;
}

const objects = (seen: SeenOperations) => seen.entries().map(({ object }) => object);

Deno.test("addExec() counts what it has seen before, by the same program on the same terminal", () => {
  const seen = new SeenOperations();
  seen.addExec(exec("/bin/ls"), WORKLOAD, BY_SHELL, 10);
  seen.addExec(exec("/bin/ls"), WORKLOAD, BY_SHELL, 30);
  seen.addExec(exec("/bin/ls", "pts0"), WORKLOAD, BY_SHELL, 40);
  seen.addExec(exec("/bin/ls"), { ...WORKLOAD, id: "other" }, BY_SHELL, 50);
  const found = seen.entries().map(({ count, firstMicros, lastMicros, terminal }) =>
    [count, firstMicros, lastMicros, terminal] as const
  );
  assert.deepEqual(found, [[2, 10, 30, false], [1, 40, 40, true], [1, 50, 50, false]]);
});

Deno.test("SeenOperations drops the oldest that did not happen again, and counts it", () => {
  const seen = filled(3, "/a", "/b", "/a", "/c", "/d");
  assert.deepEqual(objects(seen), ["/c", "/d", "/a"]);
  assert.equal(seen.dropped, 1);
});

Deno.test("SeenOperations never holds more than its limit, whatever happens again", () => {
  const paths = Array.from({ length: 500 }, (_, at) => `/${at * 7 % 13 % (at + 1)}-${at % 90}`);
  const seen = filled(8, ...paths);
  assert.ok(seen.entries().length <= 8);
  assert.equal(new Set(objects(seen)).size, seen.entries().length);
});

Deno.test("SeenOperations never holds more text than its limit, whatever happens again", () => {
  const seen = new SeenOperations(SEEN_MAX, 1_000);
  for (let at = 0; at < 500; at++) {
    const path = `/${"x".repeat(at * 7 % 90)}${at % 40}`;
    seen.addExec(exec(path), WORKLOAD, BY_SHELL, at);
    const texts = seen.entries().map(({ object, from, parent }) => object + from + parent);
    assert.ok(texts.join("").length <= 1_000);
    assert.ok(texts.length > 0);
  }
  assert.ok(seen.dropped > 0);
});

Deno.test("SeenOperations counts paths that are too long, and does not keep them", () => {
  const long = `/${"x".repeat(SEEN_PATH_MAX)}`;
  const seen = new SeenOperations();
  seen.addExec(exec(long.slice(1)), WORKLOAD, BY_SHELL, 1);
  assert.deepEqual([seen.entries().length, seen.tooLong], [1, 0]);
  seen.addExec(exec(long), WORKLOAD, BY_SHELL, 2);
  seen.addExec(exec("/a"), WORKLOAD, { ...BY_SHELL, from: long }, 3);
  seen.addExec(exec("/a"), WORKLOAD, { ...BY_SHELL, parent: long }, 4);
  assert.equal(seen.addDecision(decision(long), WORKLOAD, ACTOR, 5), undefined);
  assert.deepEqual([seen.entries().length, seen.tooLong], [1, 4]);
});

Deno.test("addExec() leaves out programs of a memfd, whatever its name", () => {
  assert.deepEqual(objects(filled(8, "/memfd:x", "/memfd:a/b (deleted)", "/memfd")), ["/memfd"]);
});

Deno.test("SeenOperations keeps containers apart that follow each other under one id", () => {
  const seen = new SeenOperations();
  const labelled = (app: string, more = {}) => ({ ...WORKLOAD, labels: { app }, ...more });
  seen.addExec(exec("/bin/ls"), labelled("a"), BY_SHELL, 1);
  seen.addExec(exec("/bin/ls"), labelled("b", { cgroupId: 78n }), BY_SHELL, 2);
  seen.addExec(exec("/bin/ls"), labelled("c", { runtimeNamespace: "other" }), BY_SHELL, 3);
  seen.addExec(exec("/bin/ls"), labelled("d"), BY_SHELL, 4);
  const found = seen.entries().map(({ workload, count }) => [workload.labels["app"], count]);
  assert.deepEqual(found, [["d", 2], ["b", 1], ["c", 1]]);
});

/** As the kernel tells what has no path. */
const numbered = (facts: number) => ({ openFlags: facts, object: BigInt(facts) });

const CASES: readonly (readonly [
  claim: string,
  path: string,
  fields: DecisionFields,
  found: readonly [access: string, object: string] | undefined,
])[] = [
  ["a file", "/etc/shadow", { op: api.OP_WRITE }, ["write", "/etc/shadow"]],
  ["a refused program", "/bin/sh", { op: api.OP_EXEC, hook: api.HOOK_BPRM_CHECK }, [
    "exec",
    "/bin/sh",
  ]],
  [
    "a socket, by its kind",
    "",
    { op: api.OP_NETWORK, hook: api.HOOK_SOCKET_CREATE, ...numbered(2 | 1 << 8 | 6 << 16) },
    ["socket", "tcp"],
  ],
  [
    "a unix socket, which no word means",
    "",
    { op: api.OP_NETWORK, hook: api.HOOK_SOCKET_CREATE, ...numbered(1 | 1 << 8) },
    undefined,
  ],
  ["a capability", "", { op: api.OP_CAPABILITY, hook: api.HOOK_CAPABLE, ...numbered(13) }, [
    "capability",
    "CAP_NET_RAW",
  ]],
  [
    "a capability that nobody knows",
    "",
    { op: api.OP_CAPABILITY, hook: api.HOOK_CAPABLE, ...numbered(60) },
    undefined,
  ],
  [
    "what is the agent's",
    "/run",
    { op: api.OP_PROTECTED, reason: api.REASON_PROTECTED },
    undefined,
  ],
  ["what has a name and no path", "", { op: api.OP_EXEC, hook: api.HOOK_SB_KERN_MOUNT }, undefined],
  ["what has no path", "/x", { op: api.OP_READ, reason: api.REASON_UNREACHABLE }, undefined],
];

for (const [claim, path, fields, found] of CASES) {
  Deno.test(`addDecision() ${found === undefined ? "leaves out" : "takes"} ${claim}`, () => {
    const seen = new SeenOperations();
    const entry = seen.addDecision(decision(path, fields), WORKLOAD, ACTOR, 5);
    assert.deepEqual(entry && [entry.access, entry.object], found);
    if (entry !== undefined) {
      assert.deepEqual([entry.from, entry.parent], [ACTOR.exe, ACTOR.parentExe]);
    }
    assert.equal(seen.entries().length, found === undefined ? 0 : 1);
  });
}

Deno.test("touch() counts an operation whose record was not decoded", () => {
  const seen = new SeenOperations();
  const entry = seen.addDecision(decision("/etc/shadow"), WORKLOAD, ACTOR, 5)!;
  touch(entry, 9);
  assert.deepEqual([seen.entries()[0]!.count, seen.entries()[0]!.lastMicros], [2, 9]);
});
