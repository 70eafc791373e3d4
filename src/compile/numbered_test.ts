import assert from "node:assert/strict";
import fc from "fast-check";
import {
  IMAGE_BLOCKS,
  IMAGE_TRUSTS_NAMES,
  OP_NETWORK,
  REFERENCE_CAPABILITIES,
  SOCKET_ICMP_RAW,
  SOCKET_KINDS,
  SOCKET_PACKET_DGRAM,
  SOCKET_RAW,
  SOCKET_TCP,
  SOCKET_UDP,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { CAPABILITIES, PROTOCOLS } from "../model/grammars.ts";
import type { Policy } from "../model/policy.ts";
import { compileImage } from "./compile_image.ts";
import { evaluateNumbered } from "./evaluate_numbered.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader, lookupNumber } from "./lookup.ts";
import { namesNumber, opOfNumber, SOCKET_WORDS } from "./numbered.ts";
import { comparePrecedence } from "./precedence.ts";
import { type Socket, socketKind } from "./socket_kind.ts";
import { enforcedRules } from "./rules.ts";
import { AUDIT, BLOCK, KEYS, policy, type RuleText } from "./test_policies.ts";

const NUMBERS = [
  ...Array.from({ length: SOCKET_KINDS }, (_, kind) => kind),
  ...CAPABILITIES.map((_, capability) => REFERENCE_CAPABILITIES + capability),
  // One that Linux may get.
  REFERENCE_CAPABILITIES + 50,
];

const SOURCES = ["/a", "/b/a", "/c"];

const anyRule: fc.Arbitrary<RuleText> = fc.record({
  at: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...PROTOCOLS).map((word) => `net:${word}`) },
    { weight: 2, arbitrary: fc.constantFrom("cap:net_raw", "cap:sys_admin", "cap:bpf") },
    { weight: 1, arbitrary: fc.constantFrom("/a", "/b/") },
  ),
  action: fc.constantFrom("Block", "Audit", "Allow"),
  from: fc.oneof(fc.constant([]), fc.subarray(["/a", "/b/a"], { minLength: 1 })),
});
const anyPolicies = fc.array(fc.array(anyRule, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
}).map((all) => all.map((rules, i) => policy(`p${i}`, ...rules)));

const RUNS = 200;

function read(policies: readonly Policy[], posture = AUDIT) {
  const image = compileImage(policies, posture, KEYS)!;
  return { image, reader: new ImageReader(image.bytes, PathHasher.of(KEYS)) };
}

Deno.test("lookupNumber() in the image equals evaluateNumbered(), and explain() names its rule", () => {
  fc.assert(
    fc.property(anyPolicies, fc.constantFrom(AUDIT, BLOCK), (policies, posture) => {
      const { image, reader } = read(policies, posture);
      for (const number of NUMBERS) {
        for (const caller of SOURCES) {
          const spec = evaluateNumbered({ number, caller }, policies, posture);
          const { verdict, row } = lookupNumber(reader, { number, caller });
          assert.equal(verdict, spec.verdict, `${number} by ${caller}`);
          const op = opOfNumber(number);
          assert.equal(image.explain(row, op)?.rule, spec.rule?.rule, `${number} by ${caller}`);
        }
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("of the rules that name a socket or capability the one decides that the table of precedence says", () => {
  fc.assert(
    fc.property(anyPolicies, (policies) => {
      for (const number of NUMBERS) {
        for (const caller of SOURCES) {
          const { rule: decides } = evaluateNumbered({ number, caller }, policies, AUDIT);
          const matching = enforcedRules(policies).filter(({ rule: { target, fromSource } }) =>
            namesNumber(target, number) && (fromSource.length === 0 || fromSource.includes(caller))
          );
          for (const { rule } of matching) {
            assert.ok(comparePrecedence(decides!.rule, rule, opOfNumber(number)) <= 0);
          }
        }
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("the order of policies changes no verdict about sockets and capabilities", () => {
  fc.assert(
    fc.property(anyPolicies, fc.constantFrom(AUDIT, BLOCK), (policies, posture) => {
      const [one, other] = [policies, policies.toReversed()].map((all) => read(all, posture));
      assert.deepEqual(one!.image.bytes, other!.image.bytes);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("another Block rule never makes Block rules about sockets and capabilities say less", () => {
  const onlyBlock = anyRule.map((text) => ({ ...text, action: "Block" as const }));
  const some = fc.array(onlyBlock, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(some, onlyBlock, (texts, more) => {
      const before = [policy("p", ...texts)], after = [...before, policy("q", more)];
      for (const number of NUMBERS) {
        for (const caller of SOURCES) {
          const [less, full] = [before, after].map((all) =>
            evaluateNumbered({ number, caller }, all, AUDIT).verdict & ~VERDICT_SOURCE
          );
          if (less === VERDICT_BLOCK) assert.equal(full, VERDICT_BLOCK);
        }
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("every protocol word names a kind of socket, and all names each", () => {
  for (const protocol of PROTOCOLS) {
    const named = NUMBERS.filter((number) => namesNumber({ kind: "protocol", protocol }, number));
    assert.ok(named.length > 0, protocol);
    if (protocol === "all") assert.equal(named.length, SOCKET_KINDS);
  }
  assert.equal(Object.keys(SOCKET_WORDS).length, SOCKET_KINDS);
});

const verdictOf = (number: number, rules: readonly RuleText[], posture = AUDIT, caller = "/x") =>
  evaluateNumbered({ number, caller }, [policy("p", ...rules)], posture).verdict;

Deno.test("a protocol decides before a type, a type before all, a source before each", () => {
  const rules: RuleText[] = [
    { at: "net:all", action: "Block" },
    { at: "net:stream", action: "Audit" },
    { at: "net:tcp", action: "Allow" },
    { at: "net:all", action: "Block", from: ["/a"] },
  ];
  assert.equal(verdictOf(SOCKET_TCP, rules), VERDICT_ALLOW);
  assert.equal(verdictOf(SOCKET_TCP, rules.slice(0, 2)), VERDICT_AUDIT);
  assert.equal(verdictOf(SOCKET_UDP, rules), VERDICT_BLOCK);
  assert.equal(verdictOf(SOCKET_TCP, rules, AUDIT, "/a"), VERDICT_BLOCK | VERDICT_SOURCE);
});

Deno.test("a rule about raw sockets governs ICMP's, and packets', that no other rule names", () => {
  const raw: RuleText = { at: "net:raw" };
  assert.equal(verdictOf(SOCKET_ICMP_RAW, [raw]), VERDICT_BLOCK);
  assert.equal(
    verdictOf(SOCKET_ICMP_RAW, [raw, { at: "net:icmp", action: "Allow" }]),
    VERDICT_ALLOW,
  );
  assert.equal(verdictOf(SOCKET_PACKET_DGRAM, [raw]), VERDICT_NONE);
  assert.equal(verdictOf(SOCKET_PACKET_DGRAM, [{ at: "net:packet" }]), VERDICT_BLOCK);
});

Deno.test("an allow-list of protocols leaves the rest to posture.network, and other groups alone", () => {
  const list: RuleText[] = [{ at: "net:tcp", action: "Allow" }];
  const strict = { ...AUDIT, network: "block" } as const;
  assert.equal(verdictOf(SOCKET_UDP, list), VERDICT_POSTURE_AUDIT);
  assert.equal(verdictOf(SOCKET_UDP, list, strict), VERDICT_POSTURE_BLOCK);
  assert.equal(verdictOf(SOCKET_UDP, list, { ...BLOCK, network: "audit" }), VERDICT_POSTURE_AUDIT);
  assert.equal(verdictOf(REFERENCE_CAPABILITIES, list, BLOCK), VERDICT_NONE);
});

Deno.test("rules about sockets make no path live, and guard no name but a source's", () => {
  const flagsOf = (...rules: RuleText[]) => {
    const { image, reader } = read([policy("p", ...rules)], BLOCK);
    assert.equal(image.opsLive, 1 << OP_NETWORK);
    assert.deepEqual(image.blockRules, []);
    return reader.header.flags & (IMAGE_BLOCKS | IMAGE_TRUSTS_NAMES);
  };
  assert.equal(flagsOf({ at: "net:tcp" }), 0);
  assert.equal(flagsOf({ at: "net:tcp", from: ["/a"] }), 0);
  const trusted = flagsOf({ at: "net:tcp", action: "Allow", from: ["/a"] });
  assert.equal(trusted, IMAGE_BLOCKS | IMAGE_TRUSTS_NAMES);
  const told = flagsOf({ at: "net:tcp" }, { at: "net:tcp", action: "Audit", from: ["/a"] });
  assert.equal(told, IMAGE_BLOCKS | IMAGE_TRUSTS_NAMES);
});

Deno.test("guardRule is a rule about sockets where none about a path blocks, so that a guard's alert names one", () => {
  const sockets: RuleText[] = [
    { at: "net:tcp", action: "Allow", from: ["/a"] },
    { at: "net:tcp" },
    { at: "net:udp" },
  ];
  const { image, reader } = read([policy("p", ...sockets)], BLOCK);
  assert.equal(reader.header.flags & IMAGE_BLOCKS, IMAGE_BLOCKS);
  assert.deepEqual(image.guardRule?.rule, image.rules[1]!.rule);
  const both = read([policy("p", ...sockets, { at: "/b" })], BLOCK).image;
  assert.deepEqual(both.guardRule?.rule, both.rules[3]!.rule);
});

Deno.test("an image without such rules has no references, and one with them just three entries more", () => {
  const file = read([policy("p", { at: "/a" })]);
  const both = read([policy("p", { at: "/a" }, { at: "net:tcp" })]);
  assert.equal(file.reader.header.referencesEntry, 0);
  assert.equal(both.image.entries, file.image.entries + 3);
});

const KINDS: [text: string, socket: Socket, words: readonly string[] | undefined][] = [
  ["TCP", { family: 2, type: 1, protocol: 0 }, ["tcp", "stream"]],
  ["TCP over IPv6", { family: 10, type: 1, protocol: 6 }, ["tcp", "stream"]],
  ["MPTCP", { family: 2, type: 1, protocol: 262 }, ["tcp", "stream"]],
  ["SMC of its own family", { family: 43, type: 1, protocol: 1 }, ["tcp", "stream"]],
  ["SMC of the internet", { family: 10, type: 1, protocol: 256 }, ["tcp", "stream"]],
  ["UDP", { family: 10, type: 2, protocol: 17 }, ["udp", "dgram"]],
  ["UDP-Lite", { family: 2, type: 2, protocol: 136 }, ["dgram"]],
  ["a ping socket", { family: 2, type: 2, protocol: 1 }, ["icmp", "dgram"]],
  ["a raw ICMP socket", { family: 2, type: 3, protocol: 1 }, ["icmp", "raw"]],
  ["a ping socket of IPv6", { family: 10, type: 2, protocol: 58 }, ["icmpv6", "dgram"]],
  ["a raw ICMPv6 socket", { family: 10, type: 3, protocol: 58 }, ["icmpv6", "raw"]],
  ["raw IP", { family: 2, type: 3, protocol: 255 }, ["raw"]],
  ["SCTP one to one", { family: 2, type: 1, protocol: 132 }, ["sctp", "stream"]],
  ["SCTP one to many", { family: 2, type: 5, protocol: 132 }, ["sctp", "seqpacket"]],
  ["SCTP by default", { family: 10, type: 5, protocol: 0 }, ["sctp", "seqpacket"]],
  ["DCCP", { family: 2, type: 6, protocol: 33 }, ["dccp"]],
  ["a packet socket with headers", { family: 17, type: 3, protocol: 768 }, ["packet", "raw"]],
  ["a packet socket without", { family: 17, type: 2, protocol: 768 }, ["packet", "dgram"]],
  ["SOCK_PACKET", { family: 17, type: 10, protocol: 768 }, ["packet"]],
  ["RDS", { family: 21, type: 5, protocol: 0 }, ["seqpacket"]],
  ["TIPC's RDM", { family: 30, type: 4, protocol: 0 }, ["rdm"]],
  ["VSOCK", { family: 40, type: 1, protocol: 0 }, ["stream"]],
  ["VSOCK datagrams", { family: 40, type: 2, protocol: 6 }, ["dgram"]],
  ["XDP", { family: 44, type: 3, protocol: 1 }, ["raw"]],
  ["a unix stream", { family: 1, type: 1, protocol: 0 }, undefined],
  ["a unix datagram", { family: 1, type: 2, protocol: 0 }, undefined],
  ["netlink", { family: 16, type: 3, protocol: 0 }, undefined],
  ["a type that there is not", { family: 2, type: 9, protocol: 0 }, []],
];

for (const [text, socket, words] of KINDS) {
  Deno.test(`socketKind() of ${text} has the words ${words?.join(", ") || "of none"}`, () => {
    const kind = socketKind(socket);
    assert.deepEqual(kind === undefined ? undefined : SOCKET_WORDS[kind], words);
  });
}

Deno.test("raw IP sockets are no other protocol's, whatever they carry", () => {
  assert.equal(socketKind({ family: 2, type: 3, protocol: 6 }), SOCKET_RAW);
});
