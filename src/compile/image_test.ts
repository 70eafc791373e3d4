import assert from "node:assert/strict";
import {
  AGENT_FORMAT,
  BUCKET_SLOTS,
  decodeImageSlot,
  HASH_KEYS,
  IMAGE_BLOCKS,
  IMAGE_ENTRY_BYTES,
  IMAGE_MAGIC,
  IMAGE_SLOT_SIZE,
  IMAGE_TRUSTS_NAMES,
  NEXT_GUARD,
  NEXT_GUARD_END,
  NEXT_NODE,
  NODE_ROOT,
  OP_ATTR,
  OP_CLASSES,
  OP_CONNECT,
  OP_CREATE,
  OP_CREDS,
  OP_DELETE,
  OP_EXEC,
  OP_LINK,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_MOUNT,
  OP_NETWORK,
  OP_NOTIFY,
  OP_READ,
  OP_RENAME,
  OP_WRITE,
  ROW_BY_SOURCE,
  ROWS_PER_ENTRY,
  VERDICT_NONE as NONE,
  VERDICT_UNKNOWN_AUDIT as UNKNOWN_AUDIT,
  VERDICT_UNKNOWN_BLOCK as UNKNOWN_BLOCK,
} from "../../ffi/generated/agent_api.ts";
import type { Posture } from "../model/posture.ts";
import { compileImage } from "./compile.ts";
import { PathHasher } from "./hash.ts";
import { encodeImage, IMAGE_ENTRIES_MAX } from "./image.ts";
import { ImageReader } from "./lookup.ts";
import { buildPathTrie } from "./path_trie.ts";
import { type Row, RowTable, verdictIn } from "./row_table.ts";
import { AUDIT, BLOCK, KEYS, keysFrom, policy, type RuleText } from "./test_policies.ts";

const hasher = new PathHasher(KEYS);

function compiled(rules: readonly RuleText[], posture: Posture = AUDIT) {
  const image = compileImage([policy("p", ...rules)], posture, KEYS);
  assert.ok(image);
  return { image, reader: new ImageReader(image.bytes, hasher) };
}

const FILE_OPS = [
  ...[OP_READ, OP_WRITE, OP_CREATE, OP_DELETE, OP_RENAME, OP_LINK],
  ...[OP_ATTR, OP_MOUNT, OP_CONNECT],
];
const WRITE_OPS = FILE_OPS.filter((op) => op !== OP_READ);
const bitsOf = (ops: readonly number[]) => ops.reduce((bits, op) => bits | (1 << op), 0);

Deno.test("header: magic, format, generation and the places of everything", () => {
  const { image, reader } = compiled([{ at: "/a/b" }, { at: "/c//", from: ["/bin/cat"] }]);
  const { header } = reader;
  assert.equal(header.magic, IMAGE_MAGIC);
  assert.equal(header.format, AGENT_FORMAT);
  assert.equal(header.generation, image.generation);
  assert.equal(header.opsLive, image.opsLive);
  assert.equal(header.rowsEntry, 1 + header.buckets);
  assert.equal(header.sources, 1);
  assert.equal(image.bytes.length, image.entries * IMAGE_ENTRY_BYTES);
  assert.equal(image.entries, header.rowsEntry + Math.ceil(header.rows / ROWS_PER_ENTRY));
  assert.equal(header.rootNext & NEXT_NODE, NODE_ROOT);
  assert.equal(reader.row(0), 0n);
});

Deno.test("header: a trie without an edge has no root node, but flags", () => {
  const blocked = compiled([{ at: "///" }]).reader.header;
  assert.equal(blocked.rootNext, NEXT_GUARD | NEXT_GUARD_END);
  assert.equal(blocked.rootEnd, blocked.rootDesc);
  assert.notEqual(blocked.rootEnd, 0);
  assert.equal(compiled([{ at: "///", action: "Audit" }]).reader.header.rootNext, 0);
});

Deno.test("rows: by source only where the sources differ", () => {
  const { reader } = compiled([
    { at: "/a/x", from: ["/bin/cat"] },
    { at: "/b/x" },
    { at: "/c/x", from: ["/bin/cat", "/bin/dd"] },
  ]);
  const bySource = (path: string) => (reader.walk(path).reference & ROW_BY_SOURCE) !== 0;
  assert.equal(bySource("/a/x"), true);
  assert.equal(bySource("/c/x"), true);
  assert.equal(bySource("/a"), false);
  assert.equal(bySource("/b/x"), false);
  assert.equal(bySource("/"), false);
  assert.equal(reader.header.sources, 2);
});

Deno.test("sources: executables that the same rules name share a class", () => {
  const { reader } = compiled([{ at: "/a", from: ["/bin/cat", "/bin/dd", "/bin/cp"] }, {
    at: "/b",
    from: ["/bin/cp"],
  }]);
  assert.equal(reader.header.sources, 2);
  assert.equal(reader.sourceClass("/bin/cat"), reader.sourceClass("/bin/dd"));
  assert.notEqual(reader.sourceClass("/bin/cat"), reader.sourceClass("/bin/cp"));
  assert.equal(reader.sourceClass("/bin/sh"), 0);
});

Deno.test("guard: on every node above a Block row and on its own, nowhere else", () => {
  const { reader } = compiled([
    { at: "/a/b/secret" },
    { at: "/audited/x", action: "Audit" },
    { at: "/allowed/x", action: "Allow", readOnly: true },
    { at: "/named/x", from: ["/bin/cat"] },
    { at: "/bin/sleep", group: "process" },
    { at: "/dir//", readOnly: true },
    { at: "/dir/open", action: "Allow" },
  ], BLOCK);
  // The last one may be a directory, and would carry files out of /dir that only their place blocks.
  const guarded = [
    ...["/", "/a", "/a/b", "/a/b/secret", "/named", "/named/x", "/bin", "/bin/sleep"],
    ...["/dir", "/dir/open"],
  ];
  for (const path of guarded) assert.equal(reader.walk(path).guard, true, path);
  const free = ["/audited", "/audited/x", "/allowed", "/allowed/x", "/dir/z", "/z"];
  for (const path of free) assert.equal(reader.walk(path).guard, false, path);
});

Deno.test("flags: IMAGE_BLOCKS when a row can refuse", () => {
  const flags = (rules: RuleText[], posture: Posture) =>
    compiled(rules, posture).reader.header.flags;
  assert.equal(flags([{ at: "/a" }], AUDIT), IMAGE_BLOCKS);
  assert.equal(flags([{ at: "/a", action: "Audit" }], BLOCK), 0);
  assert.equal(flags([{ at: "/a", action: "Allow" }], AUDIT), 0);
  assert.equal(flags([{ at: "/a", action: "Allow" }], BLOCK), IMAGE_BLOCKS);
  assert.equal(flags([{ at: "/a", action: "Allow", readOnly: true }], AUDIT), IMAGE_BLOCKS);
  assert.equal(flags([{ at: "/a", group: "process", from: ["/b"] }], AUDIT), IMAGE_BLOCKS);
});

Deno.test("flags: IMAGE_TRUSTS_NAMES when a program's name gives it something", () => {
  const trusts = (rules: RuleText[], posture: Posture) =>
    (compiled(rules, posture).reader.header.flags & IMAGE_TRUSTS_NAMES) !== 0;
  assert.equal(trusts([{ at: "/a", action: "Allow", group: "process" }], BLOCK), true);
  assert.equal(trusts([{ at: "/a", action: "Allow", group: "process" }], AUDIT), false);
  assert.equal(trusts([{ at: "/a", action: "Allow" }], BLOCK), false);
  assert.equal(trusts([{ at: "/a" }, { at: "/a", action: "Allow", from: ["/b"] }], AUDIT), true);
  assert.equal(trusts([{ at: "/a" }, { at: "/a", action: "Audit", from: ["/b"] }], AUDIT), true);
  assert.equal(trusts([{ at: "/a", action: "Audit", from: ["/b"] }], AUDIT), false);
  assert.equal(trusts([{ at: "/a", group: "process", from: ["/b"] }], AUDIT), false);
});

interface Facts {
  name: string;
  rules: RuleText[];
  posture?: Posture;
  /** Op classes that get each verdict when the object is unreachable. */
  refused?: number[];
  reported?: number[];
  /** Verdict of OP_EXEC for an object that never had a path. */
  anonymousExec?: number;
  live: number[];
}

const PROCESS_OPS = [OP_EXEC, OP_MMAP_EXEC, OP_LOAD];
const FACTS: Facts[] = [
  { name: "Block file", rules: [{ at: "/a" }], refused: FILE_OPS, live: FILE_OPS },
  {
    name: "Block file, readOnly",
    rules: [{ at: "/a", readOnly: true }],
    refused: WRITE_OPS,
    live: WRITE_OPS,
  },
  {
    name: "Audit file",
    rules: [{ at: "/a", action: "Audit" }],
    reported: FILE_OPS,
    live: FILE_OPS,
  },
  {
    name: "Audit file and Block file, readOnly",
    rules: [{ at: "/a", action: "Audit" }, { at: "/b", readOnly: true }],
    refused: WRITE_OPS,
    reported: [OP_READ],
    live: FILE_OPS,
  },
  {
    name: "Allow file, posture audit",
    rules: [{ at: "/a", action: "Allow" }],
    reported: FILE_OPS,
    live: FILE_OPS,
  },
  {
    name: "Allow file, posture block",
    rules: [{ at: "/a", action: "Allow" }],
    posture: BLOCK,
    refused: FILE_OPS,
    live: FILE_OPS,
  },
  {
    name: "Allow file everywhere, posture block: only unreachable objects can be refused",
    rules: [{ at: "///", action: "Allow" }],
    posture: BLOCK,
    refused: FILE_OPS,
    live: FILE_OPS,
  },
  {
    name: "Block process path",
    rules: [{ at: "/a", group: "process" }],
    refused: PROCESS_OPS,
    anonymousExec: UNKNOWN_BLOCK,
    live: PROCESS_OPS,
  },
  {
    name: "Block process directory",
    rules: [{ at: "/a//", group: "process", from: ["/bin/sh"] }],
    refused: [OP_EXEC, OP_LOAD],
    anonymousExec: UNKNOWN_BLOCK,
    live: [OP_EXEC, OP_LOAD],
  },
  {
    name: "Audit process path",
    rules: [{ at: "/a", group: "process", action: "Audit" }],
    reported: PROCESS_OPS,
    anonymousExec: UNKNOWN_AUDIT,
    live: PROCESS_OPS,
  },
  {
    name: "Allow process, posture block",
    rules: [{ at: "/a", group: "process", action: "Allow" }],
    posture: BLOCK,
    refused: [OP_EXEC, OP_LOAD],
    anonymousExec: UNKNOWN_BLOCK,
    live: [OP_EXEC, OP_LOAD],
  },
];

for (const { name, rules, posture, refused = [], reported = [], anonymousExec, live } of FACTS) {
  Deno.test(`unreachable, anonymous, ops_live: ${name}`, () => {
    const { image, reader } = compiled(rules, posture);
    for (let op = 0; op < OP_CLASSES; op++) {
      const unreachable = refused.includes(op)
        ? UNKNOWN_BLOCK
        : reported.includes(op)
        ? UNKNOWN_AUDIT
        : NONE;
      const anonymous = op === OP_EXEC ? anonymousExec ?? NONE : NONE;
      assert.equal(verdictIn(reader.header.unreachable, op), unreachable, `unreachable, op ${op}`);
      assert.equal(verdictIn(reader.header.anonymous, op), anonymous, `anonymous, op ${op}`);
    }
    assert.equal(image.opsLive, bitsOf(live));
  });
}

Deno.test("ops_live: no rule about paths reaches sockets, fanotify marks and io_uring personalities", () => {
  const { image } = compiled([{ at: "///" }, { at: "///", group: "process" }, {
    at: "/a",
    action: "Allow",
  }], BLOCK);
  assert.equal(image.opsLive & bitsOf([OP_NETWORK, OP_NOTIFY, OP_CREDS]), 0);
});

Deno.test("rules that are not enforced count for nothing", () => {
  const rules: RuleText[] = [
    { at: "/a", action: "Allow", notEnforced: "owner is not compared yet" },
    { at: "/b", notEnforced: "owner is not compared yet" },
  ];
  assert.equal(compileImage([policy("p", ...rules)], BLOCK, KEYS), undefined);
  assert.equal(compileImage([], BLOCK, KEYS), undefined);
  const { image } = compiled([...rules, { at: "/c", action: "Audit" }], BLOCK);
  const { image: alone } = compiled([{ at: "/c", action: "Audit" }], BLOCK);
  assert.deepEqual(image.bytes.slice(IMAGE_ENTRY_BYTES), alone.bytes.slice(IMAGE_ENTRY_BYTES));
  assert.equal(image.opsLive, alone.opsLive);
});

Deno.test("guardRule is the first Block rule by policy name, then as written", () => {
  const policies = [
    policy("z", { at: "/z" }),
    policy("m", { at: "/m1", action: "Allow" }, { at: "/m2" }, { at: "/m3" }),
    policy("a", { at: "/a", action: "Audit" }),
  ];
  const image = compileImage(policies, AUDIT, KEYS);
  assert.equal(image?.guardRule?.rule, policies[1]!.rules[1]);
  assert.equal(image?.guardRule?.policy, policies[1]);
  assert.equal(compiled([{ at: "/a", action: "Allow" }], BLOCK).image.guardRule, undefined);
});

Deno.test("explain() of rows that do not exist is undefined", () => {
  const { image, reader } = compiled([{ at: "/a" }]);
  assert.equal(image.explain(0, OP_READ), undefined);
  assert.equal(image.explain(reader.header.rows, OP_READ), undefined);
  assert.equal(image.explain(-1, OP_READ), undefined);
  assert.equal(image.explain(1, OP_CLASSES), undefined);
});

Deno.test("generation: equal for equal rules, another when anything that an alert tells differs", () => {
  const base: RuleText[] = [{ at: "/a" }, { at: "/b//", action: "Allow", from: ["/c"] }];
  const of = (rules: RuleText[], name = "p", posture = AUDIT, keys = KEYS) =>
    compileImage([policy(name, ...rules)], posture, keys)!.generation;
  const generation = of(base);
  assert.notEqual(generation, 0);
  assert.equal(of(structuredClone(base), "p", AUDIT, keysFrom(1n)), generation);
  const others = [
    of([base[0]!]),
    of([{ at: "/a", action: "Audit" }, base[1]!]),
    of([{ at: "/a", readOnly: true }, base[1]!]),
    of([base[0]!, { ...base[1]!, from: ["/d"] }]),
    of(base, "q"),
    of(base, "p", BLOCK),
    of(base, "p", AUDIT, keysFrom(2n)),
  ];
  assert.equal(new Set([generation, ...others]).size, 1 + others.length);
});

Deno.test("generation: where a policy stands in its file is no part of it", () => {
  const one = policy("p", { at: "/a" });
  const moved = {
    ...one,
    where: { file: "other.yaml", line: 9, column: 1 },
    rules: one.rules.map((rule) => ({ ...rule, where: { file: "o", line: 12, column: 3 } })),
  };
  assert.equal(
    compileImage([one], AUDIT, KEYS)!.generation,
    compileImage([moved], AUDIT, KEYS)!.generation,
  );
});

Deno.test("10,000 rules: every one is found, nine slots in ten are used, keys are unique", () => {
  const rules = Array.from({ length: 10_000 }, (_, i): RuleText => ({
    at: `/srv/tenant-${i % 100}/data-${i}/file-${i}${["", "/", "//"][i % 3]}`,
    group: i % 5 === 0 ? "process" : "file",
    from: i % 7 === 0 ? [`/usr/bin/tool-${i % 20}`] : [],
  }));
  const { reader, image } = compiled(rules);
  for (let i = 0; i < rules.length; i += 97) {
    const path = rules[i]!.at.replace(/\/+$/, "");
    const row = reader.rowIndex(
      reader.walk(path).reference,
      reader.sourceClass(`/usr/bin/tool-${i % 20}`),
    );
    const op = i % 5 === 0 ? OP_EXEC : OP_READ;
    assert.equal(image.explain(row, op)?.rule.index, i);
  }
  const keys = slotKeys(image.bytes, reader.header.buckets);
  assert.equal(new Set(keys).size, keys.length);
  const fill = keys.length / (reader.header.buckets * BUCKET_SLOTS);
  assert.ok(fill > 0.88 && fill < 0.93, `fill is ${fill}`);
});

function slotKeys(bytes: Uint8Array, buckets: number): bigint[] {
  const view = new DataView(bytes.buffer);
  const keys: bigint[] = [];
  for (let entry = 1; entry <= buckets; entry++) {
    for (let i = 0; i < BUCKET_SLOTS; i++) {
      const slot = decodeImageSlot(view, entry * IMAGE_ENTRY_BYTES + i * IMAGE_SLOT_SIZE);
      if (slot.key !== 0n) keys.push(slot.key);
    }
  }
  return keys;
}

Deno.test("more rows than an index can name are refused, not cut", () => {
  const table = new RowTable(0, 4);
  const [first, second] = [1, 2].map((verdict) => table.intern([verdict], [0]));
  table.reference([first!, second!]);
  table.reference([first!]);
  assert.throws(() => table.reference([second!]), {
    name: "RangeError",
    message: "Cannot compile policies: more than 4 verdict rows are needed: " +
      "name fewer executables in fromSource, or fewer paths",
  });
});

const FACTS_NONE = {
  unreachable: 0n,
  anonymous: 0n,
  opsLive: 0,
  blocks: false,
  holdsCredentials: false,
  trustsNames: false,
  audits: false,
  presets: 0,
};

Deno.test("encodeImage() refuses an image that is too large", () => {
  const trie = buildPathTrie([], AUDIT);
  const rows = new Array<Row>(IMAGE_ENTRIES_MAX * ROWS_PER_ENTRY);
  assert.throws(() => encodeImage({ ...trie, rows }, hasher, FACTS_NONE), {
    name: "RangeError",
    message: /^Cannot compile policies: the image has 1048578 entries, 1048576 is the limit: name/,
  });
});

Deno.test("encodeImage() refuses keys under which two names are one", () => {
  const zeros = new BigUint64Array(HASH_KEYS);
  const keys = { a: zeros, b: zeros };
  assert.throws(() => compileImage([policy("p", { at: "/a" }, { at: "/b" })], AUDIT, keys), {
    message: "Cannot compile policies: two names have the same hash: install new hash keys",
  });
});

Deno.test("ImageReader refuses what is no image", () => {
  assert.throws(() => new ImageReader(new Uint8Array(IMAGE_ENTRY_BYTES), hasher), {
    name: "TypeError",
    message: "Cannot read policy image: magic is 0x0, not 0x4b4e4131",
  });
});
