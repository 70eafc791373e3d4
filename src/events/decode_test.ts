import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as api from "../../ffi/generated/agent_api.ts";
import { decodeEvent as decodeView, EventDecoder, exitedPid } from "./decode.ts";
import {
  concat,
  containerRecord,
  decisionRecord,
  execRecord,
  exitRecord,
  names,
  suppressedRecord,
  viewOf,
  words,
} from "./samples.ts";

const decodeEvent = (record: Uint8Array) => decodeView(viewOf(record));

Deno.test("exitedPid() tells an exit from everything else, and from half an exit", () => {
  const exit = exitRecord({ pid: 77 });
  assert.equal(exitedPid(viewOf(exit)), 77);
  assert.equal(exitedPid(viewOf(exit.slice(0, -1))), undefined);
  assert.equal(exitedPid(viewOf(execRecord({ path: "/bin/sh" }, { pid: 77 }))), undefined);
});

Deno.test("decodeEvent() gives a decision with its names, paths and flags", () => {
  const event = decodeEvent(decisionRecord(
    {
      path: names("/etc/shadow"),
      path2: names("/tmp/x"),
      cwd: names("/root"),
      args: words(["mv", "a b"]),
    },
    { verdict: api.VERDICT_BLOCK | api.VERDICT_SOURCE, hook: api.HOOK_PATH_RENAME },
  ));
  assert(event?.type === "decision");
  assert.equal(event.path, "/etc/shadow");
  assert.equal(event.path2, "/tmp/x");
  assert.equal(event.cwd, "/root");
  assert.deepEqual(event.args, ["mv", "a b"]);
  assert.deepEqual([event.verdict, event.bySource, event.denied], ["block", true, true]);
  assert.deepEqual([event.hook, event.opName, event.reason], ["path_rename", "read", "rule"]);
  assert.equal(event.tty, "pts0");
  assert.deepEqual(event.exec, { timeNs: 4_000_000_000n, pid: 4242 });
});

Deno.test("decodeEvent() reads no names as the root and no second path as undefined", () => {
  const event = decodeEvent(decisionRecord({ path: new Uint8Array() }));
  assert(event?.type === "decision");
  assert.deepEqual([event.path, event.path2, event.cwd], ["/", undefined, "/"]);
});

Deno.test("decodeEvent() gives no path to a hook without an object", () => {
  const hook = api.HOOK_URING_OVERRIDE_CREDS;
  const event = decodeEvent(decisionRecord({ path: new Uint8Array() }, { hook }));
  assert(event?.type === "decision");
  assert.equal(event.path, "");
});

Deno.test("decodeEvent() gives exec, exit and container events", () => {
  const exec = decodeEvent(execRecord({ path: "/bin/cat", cwd: "/root", args: ["cat", "x"] }));
  assert(exec?.type === "exec");
  assert.deepEqual([exec.path, exec.cwd, exec.args, exec.found], [
    "/bin/cat",
    "/root",
    ["cat", "x"],
    false,
  ]);
  const exit = decodeEvent(exitRecord({}, 256));
  assert(exit?.type === "exit");
  assert.equal(exit.status, 256);
  const container = decodeEvent(containerRecord("/default/web", true));
  assert(container?.type === "container");
  assert.deepEqual([container.cgroupPath, container.gone, container.cgroupId], [
    "/default/web",
    true,
    0x1_0000_0007n,
  ]);
});

Deno.test("decodeEvent() leaves the working directory of a found process open", () => {
  const event = decodeEvent(execRecord({ path: "/bin/cat" }, { flags: api.EVENT_FOUND }));
  assert(event?.type === "exec");
  assert.deepEqual([event.found, event.cwd], [true, undefined]);
});

Deno.test("decodeEvent() writes bytes outside UTF-8 as \\xHH and keeps the rest", () => {
  const path = Uint8Array.from([0x61, 0xff, 0xc3, 0xa9, 0xc3, 0]); // a, stray, é, cut sequence
  const event = decodeEvent(decisionRecord({ path }));
  assert(event?.type === "decision");
  assert.equal(event.path, "/a\\xffé\\xc3");
});

Deno.test("decodeEvent() tells a name that looks escaped from the byte it looks like", () => {
  const literal = decodeEvent(decisionRecord({ path: names("/\\xff") }));
  const raw = decodeEvent(decisionRecord({ path: Uint8Array.from([0xff, 0]) }));
  assert(literal?.type === "decision" && raw?.type === "decision");
  assert.deepEqual([literal.path, raw.path], ["/\\x5cxff", "/\\xff"]);
});

/** The inverse of the escaping: what a reader of alerts does to get a name's bytes back. */
function unescape(text: string): number[] {
  const parts = text.split(/(\\x[0-9a-f]{2})/);
  return parts.flatMap((part, i) =>
    i % 2 === 1 ? [parseInt(part.slice(2), 16)] : [...Buffer.from(part)]
  );
}

Deno.test("decodeEvent() loses no byte of a path or an argument", () => {
  const fragment = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 6, min: 1 }),
    fc.constantFrom("\\", "\\x", "\\x5", "ff", "é", "\uFFFD", "\uFEFF").map((s) => Buffer.from(s)),
  );
  const name = fc.array(fragment, { minLength: 1, maxLength: 5 })
    .map((parts) => concat(...parts.map((part) => Uint8Array.from(part))))
    .filter((bytes) => !bytes.includes(0x2f) && !bytes.includes(0));
  fc.assert(fc.property(name, name, (leaf, argument) => {
    const end = Uint8Array.of(0);
    const event = decodeEvent(decisionRecord({
      path: concat(leaf, end, names("/usr")),
      args: concat(argument, end),
    }));
    assert(event?.type === "decision");
    assert.deepEqual(unescape(event.path), [...Buffer.from("/usr/"), ...leaf]);
    assert.deepEqual(unescape(event.args[0]!), [...argument]);
  }));
});

Deno.test("decodeEvent() never throws and never reads behind the record", () => {
  const valid = decisionRecord({ path: names("/a/b"), args: words(["x"]) });
  fc.assert(fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => {
        const bytes = valid.slice();
        bytes[at] = byte;
        return bytes;
      }),
    ),
    fc.nat(8).map((count) => 8 * count),
    (bytes, before) => {
      // The record lies inside a larger buffer, as in the ring reader's.
      const buffer = new Uint8Array(before + bytes.length + 64).fill(0x41);
      buffer.set(bytes, before);
      const memory = {
        view: new DataView(buffer.buffer),
        bytes: Buffer.from(buffer.buffer),
        words: new Uint32Array(buffer.buffer, 0, buffer.length >> 2),
      };
      decodeView({ ...memory, start: before, length: bytes.length });
    },
  ));
});

Deno.test("EventDecoder counts what it can't read and goes on", () => {
  const decoder = new EventDecoder();
  const good = decisionRecord({ path: names("/a") });
  assert.equal(decoder.decode(viewOf(new Uint8Array(3))), undefined);
  assert.equal(decoder.decode(viewOf(good.subarray(0, good.length - 1))), undefined);
  assert.equal(
    decoder.decode(viewOf(decisionRecord({ path: names("/a") }, { hook: 99 }))),
    undefined,
  );
  assert.notEqual(decoder.decode(viewOf(good)), undefined);
  assert.deepEqual(decoder.counts, { decoded: 1, malformed: 3 });
});

Deno.test("decodeEvent() ignores slack behind the text", () => {
  const event = decodeEvent(concat(decisionRecord({ path: names("/a") }), new Uint8Array(40)));
  assert(event?.type === "decision");
  assert.equal(event.path, "/a");
});

Deno.test("decodeEvent() knows what was limited by what it is, where it has no path", () => {
  const facts = 2 | 1 << 8 | 6 << 16;
  const kind = { hook: api.HOOK_SOCKET_CONNECT, op: api.OP_NETWORK, object: BigInt(facts) };
  const event = decodeEvent(suppressedRecord(3, kind));
  assert.ok(event?.type === "suppressed");
  assert.equal(event.decision.openFlags, facts);
  assert.equal(event.decision.path, "");
});
