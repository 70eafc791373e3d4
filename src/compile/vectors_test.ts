/**
 * The test vectors of KubeArmor's documented behaviour (its BPF enforcer), each under its number, asked of the specification
 * and of the compiled image. tests/e2e/scenarios/precedence.ts shows those to a kernel that a shell can show.
 *
 * Where we answer otherwise, DEVIATIONS says what and why.
 */
import assert from "node:assert/strict";
import {
  OP_DELETE,
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_READ,
  OP_WRITE,
  REFERENCE_CAPABILITIES,
  SOCKET_ICMP_RAW,
  SOCKET_PACKET_RAW,
  SOCKET_TCP,
  SOCKET_UDP,
  VERDICT_ALLOW as ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK as DENY,
  VERDICT_NONE as NONE,
  VERDICT_POSTURE_AUDIT as POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK as POSTURE_BLOCK,
  VERDICT_SOURCE as SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { CAPABILITIES } from "../model/grammars.ts";
import type { Posture } from "../model/posture.ts";
import { evaluateNumbered } from "./evaluate_numbered.ts";
import { lookupNumber } from "./lookup.ts";
import { assertVector, read, say, type Vector } from "./test_comparison.ts";
import { about, AUDIT, BLOCK, policy, type RuleText } from "./test_policies.ts";

const process = about("process");
const file = about("file");

/** Numbers of all vectors. */
const LAST = 24;

const DEVIATIONS: Readonly<Record<number, string>> = {
  1: "a blocked program may not be mapped as code, either: the loader would launch it",
  2: "the source may be the caller, too: upstream's BPF enforcer takes the parent, its AppArmor mode the caller",
  22: "the kernel tells what is audited, whatever telemetry is on",
};

/** Vectors that the questions below can't ask, and where they are. */
const ELSEWHERE: Readonly<Record<number, string>> = {
  15: "allowedArgs: about arguments, which are no part of an image's rows",
  23: "audited containers: what the kernel does with a verdict, not the verdict",
};

const VECTORS: readonly (Vector & { readonly number: number })[] = [
  {
    number: 1,
    name: "a blocked path is not executed",
    rules: [process("/bin/sleep")],
    asks: [
      [OP_EXEC, "/bin/sleep", DENY],
      [OP_LOAD, "/bin/sleep", DENY],
      [OP_MMAP_EXEC, "/bin/sleep", DENY],
      [OP_EXEC, "/bin/ls", NONE],
      [OP_READ, "/bin/sleep", NONE],
    ],
  },
  {
    number: 2,
    name: "fromSource names the caller or its parent",
    rules: [process("/bin/ls", { from: ["/bin/dash"] })],
    asks: [
      [OP_EXEC, "/bin/ls", DENY | SOURCE, "/bin/dash", "/sbin/init"],
      [OP_EXEC, "/bin/ls", DENY | SOURCE, "/bin/env", "/bin/dash"],
      [OP_EXEC, "/bin/ls", NONE, "/bin/bash", "/sbin/init"],
    ],
  },
  {
    number: 3,
    name: "outside an allow-list, posture audit",
    rules: [process("/bin//", { action: "Allow" })],
    asks: [
      [OP_EXEC, "/bin/x", ALLOW],
      [OP_EXEC, "/opt/x", POSTURE_AUDIT],
      [OP_MMAP_EXEC, "/opt/x", NONE],
      [OP_READ, "/opt/x", NONE],
    ],
  },
  {
    number: 4,
    name: "outside an allow-list, posture block",
    rules: [process("/bin//", { action: "Allow" })],
    posture: BLOCK,
    asks: [[OP_EXEC, "/opt/x", POSTURE_BLOCK], [OP_LOAD, "/opt/x", POSTURE_BLOCK]],
  },
  {
    number: 5,
    name: "a file allow-list covers programs and libraries, which are opened to be executed",
    rules: [file("/secret", { action: "Allow" })],
    posture: BLOCK,
    asks: [
      [OP_READ, "/secret", ALLOW],
      [OP_READ, "/bin/cat", POSTURE_BLOCK],
      [OP_EXEC, "/bin/cat", NONE],
    ],
  },
  {
    number: 6,
    name: "an exact Allow beats a directory's Block",
    rules: [file("/a//"), file("/a/b", { action: "Allow" })],
    posture: BLOCK,
    asks: [[OP_READ, "/a/b", ALLOW], [OP_READ, "/a/c", DENY], [OP_READ, "/z", POSTURE_BLOCK]],
  },
  {
    number: 7,
    name: "an exact Block beats a directory's Allow",
    rules: [file("/a//", { action: "Allow" }), file("/a/b")],
    posture: BLOCK,
    asks: [[OP_READ, "/a/b", DENY], [OP_READ, "/a/c", ALLOW]],
  },
  {
    number: 8,
    name: "fromSource beats the same directory without",
    rules: [
      file("/d//"),
      file("/d//", { action: "Allow", from: ["/bin/cat"] }),
      file("///", { action: "Allow" }),
    ],
    posture: BLOCK,
    asks: [
      [OP_READ, "/d/x", ALLOW | SOURCE, "/bin/cat"],
      [OP_READ, "/d/x", DENY, "/bin/head"],
      [OP_READ, "/d/x", DENY, "/bin/head", "/bin/cat"],
      [OP_READ, "/etc/passwd", ALLOW, "/bin/head"],
      [OP_READ, "/etc/passwd", ALLOW, "/bin/cat"],
    ],
  },
  {
    number: 9,
    name: "Block with readOnly lets read",
    rules: [file("/p", { readOnly: true })],
    asks: [[OP_READ, "/p", ALLOW], [OP_WRITE, "/p", DENY], [OP_DELETE, "/p", DENY]],
  },
  {
    number: 10,
    name: "Allow with readOnly refuses to write",
    rules: [file("/p", { action: "Allow", readOnly: true }), file("/q", { action: "Allow" })],
    posture: BLOCK,
    asks: [
      [OP_READ, "/p", ALLOW],
      [OP_WRITE, "/p", POSTURE_BLOCK],
      [OP_DELETE, "/p", POSTURE_BLOCK],
      [OP_WRITE, "/q", ALLOW],
    ],
  },
  {
    number: 11,
    name: "Allow with readOnly refuses to write even if the posture is audit",
    rules: [file("/p", { action: "Allow", readOnly: true })],
    asks: [[OP_WRITE, "/p", POSTURE_BLOCK], [OP_WRITE, "/q", POSTURE_AUDIT]],
  },
  {
    number: 12,
    name: "a file for its owner only",
    rules: [file("/p", { ownerOnly: true })],
    asks: [[OP_READ, "/p", DENY], [OP_WRITE, "/p", DENY], [OP_READ, "/q", NONE]],
    owners: [[OP_READ, "/p", ALLOW], [OP_WRITE, "/p", ALLOW], [OP_READ, "/q", NONE]],
  },
  {
    number: 13,
    name: "a program for its owner only",
    rules: [process("/p", { ownerOnly: true })],
    asks: [[OP_EXEC, "/p", DENY], [OP_LOAD, "/p", DENY], [OP_READ, "/p", NONE]],
    owners: [[OP_EXEC, "/p", ALLOW], [OP_LOAD, "/p", ALLOW], [OP_READ, "/p", NONE]],
  },
  {
    number: 14,
    name: "a program on terminals only",
    rules: [process("/p", { terminalOnly: true })],
    asks: [[OP_EXEC, "/p", DENY], [OP_EXEC, "/q", NONE]],
    owners: [[OP_EXEC, "/p", DENY]],
    withoutTerminal: [[OP_EXEC, "/p", ALLOW], [OP_EXEC, "/q", NONE]],
  },
  {
    number: 16,
    name: "a directory that is not recursive covers itself and its children",
    rules: [file("/a/")],
    asks: [
      [OP_READ, "/a", DENY],
      [OP_READ, "/a/x", DENY],
      [OP_READ, "/a/b/x", NONE],
      [OP_READ, "/ab", NONE],
      [OP_READ, "/", NONE],
    ],
  },
  {
    number: 17,
    name: "a recursive ancestor beats a directory that is not",
    rules: [file("/a//"), file("/a/b/", { action: "Allow" })],
    posture: BLOCK,
    asks: [[OP_READ, "/a/b/x", DENY], [OP_READ, "/a/b", DENY], [OP_READ, "/z", POSTURE_BLOCK]],
  },
  {
    number: 18,
    name: "the deeper of two recursive directories decides",
    rules: [file("/a//"), file("/a/b//", { action: "Allow" })],
    posture: BLOCK,
    asks: [
      [OP_READ, "/a/b/x", ALLOW],
      [OP_READ, "/a/b/x/y/z", ALLOW],
      [OP_READ, "/a/b", ALLOW],
      [OP_READ, "/a/c", DENY],
      [OP_READ, "/a/c/d/e", DENY],
    ],
  },
  {
    number: 24,
    name: "posture without an allow-list means nothing",
    rules: [file("/a"), process("/b")],
    posture: BLOCK,
    asks: [[OP_READ, "/z", NONE], [OP_EXEC, "/z", NONE], [OP_MMAP_EXEC, "/z", NONE]],
  },
  {
    number: 22,
    name: "what is audited is told",
    rules: [file("/p", { action: "Audit" }), process("/x", { action: "Audit" })],
    asks: [[OP_READ, "/p", VERDICT_AUDIT], [OP_EXEC, "/x", VERDICT_AUDIT]],
  },
];

const NET_RAW = REFERENCE_CAPABILITIES + CAPABILITIES.indexOf("net_raw");

/** The same for what has a number and no path. */
const NUMBERED_VECTORS: readonly {
  readonly number: number;
  readonly name: string;
  readonly rules: readonly RuleText[];
  readonly posture?: Posture;
  readonly asks: readonly (readonly [of: number, verdict: number, caller: string])[];
}[] = [
  {
    number: 19,
    name: "who may use tcp may not resolve names, and who may not connects to no address",
    rules: [{ at: "net:tcp", action: "Allow", from: ["/usr/bin/curl"] }],
    posture: BLOCK,
    asks: [
      [SOCKET_TCP, ALLOW | SOURCE, "/usr/bin/curl"],
      [SOCKET_UDP, POSTURE_BLOCK, "/usr/bin/curl"],
      [SOCKET_TCP, POSTURE_BLOCK, "/usr/bin/wget"],
    ],
  },
  {
    number: 20,
    name: "raw is a type: of packet sockets and of ICMP's",
    rules: [{ at: "net:raw" }],
    asks: [
      [SOCKET_PACKET_RAW, DENY, "/usr/sbin/arping"],
      [SOCKET_ICMP_RAW, DENY, "/bin/ping"],
      [SOCKET_TCP, NONE, "/bin/ping"],
    ],
  },
  {
    number: 21,
    name: "a blocked capability is refused",
    rules: [{ at: "cap:net_raw" }],
    asks: [[NET_RAW, DENY, "/usr/sbin/arping"], [NET_RAW + 1, NONE, "/usr/sbin/arping"]],
  },
];

for (const vector of VECTORS) {
  Deno.test(`vector ${vector.number}: ${vector.name}`, () => assertVector(vector));
}

for (const { number, name, rules, posture = AUDIT, asks } of NUMBERED_VECTORS) {
  Deno.test(`vector ${number}: ${name}`, () => {
    const policies = [policy("p", ...rules)];
    const { reader } = read(policies, posture);
    for (const [of, verdict, caller] of asks) {
      const question = { number: of, caller };
      assert.equal(say(evaluateNumbered(question, policies, posture).verdict), say(verdict));
      assert.equal(say(lookupNumber(reader, question).verdict), say(verdict), `${of} by ${caller}`);
    }
  });
}

Deno.test("every vector is here, or it is said where", () => {
  const here = [...VECTORS, ...NUMBERED_VECTORS].map(({ number }) => number);
  const all = [...here, ...Object.keys(ELSEWHERE).map(Number)].sort((a, b) => a - b);
  assert.deepEqual(all, Array.from({ length: LAST }, (_, index) => index + 1));
  for (const number of Object.keys(DEVIATIONS)) assert.ok(here.includes(Number(number)), number);
});
