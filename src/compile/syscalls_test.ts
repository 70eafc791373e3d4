import assert from "node:assert/strict";
import fc from "fast-check";
import { OP_SYSCALL, SYSCALL_RULES_MAX, SYSCALLS } from "../../ffi/generated/agent_api.ts";
import { WORKLOAD } from "../alerts/samples.ts";
import type { PathTarget, Rule, SyscallTarget } from "../model/rule.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { compile } from "./compile.ts";
import { compileImage } from "./compile_image.ts";
import { evaluateSyscall, type SyscallQuestion } from "./evaluate_syscall.ts";
import { explain, readAsk } from "./explain.ts";
import { PathHasher } from "./hash.ts";
import { ImageReader } from "./lookup.ts";
import { enforcedRules } from "./rules.ts";
import { AUDIT, KEYS, policy, rule, under } from "./test_policies.ts";

type Told = Partial<Omit<SyscallTarget, "kind">>;

const labelled = (app: string) => ({ matchLabels: { app }, containerNames: [] });

function telling(...told: readonly Told[]) {
  const rules = told.map((target, index): Rule => ({
    ...rule({ at: "/any" }, index),
    group: "syscalls",
    list: target.object === undefined ? "matchSyscalls" : "matchPaths",
    action: "Audit",
    target: { kind: "syscall", syscalls: ["unlink"], sources: [], ...target },
  }));
  return { ...policy("told"), rules };
}

const path = (path: string): PathTarget => ({ kind: "path", path });
const dir = (path: string, recursive = false): PathTarget => ({
  kind: "directory",
  path,
  recursive,
});

/** Index of the rule that the image names, by its place in the policy. */
function toldBy(question: Partial<SyscallQuestion>, ...told: readonly Told[]): number | undefined {
  const image = compileImage([telling(...told)], AUDIT, KEYS)!;
  const reader = new ImageReader(image.bytes, PathHasher.of(KEYS));
  const asked = { syscall: "unlink", caller: "/bin/rm", paths: ["/tmp/a"], ...question };
  const row = reader.syscallRule(asked);
  return row === undefined ? undefined : image.explain(row, OP_SYSCALL)?.rule.index;
}

Deno.test("SYSCALLS has a number for every name of a system call", () => {
  assert.ok(SYSCALL_NAMES.length <= SYSCALLS);
  assert.equal(new Set(SYSCALL_NAMES).size, SYSCALL_NAMES.length);
});

Deno.test("compileImage() tells of the system calls that are named, and of no others", () => {
  for (const [number, syscall] of SYSCALL_NAMES.entries()) {
    const other = SYSCALL_NAMES[(number + 1) % SYSCALL_NAMES.length]!;
    const told = { syscalls: [syscall] };
    assert.equal(toldBy({ syscall, paths: [] }, told), 0, syscall);
    assert.equal(toldBy({ syscall: other, paths: [] }, told), undefined, other);
  }
});

for (
  const [claim, told, question, by] of [
    ["a program", { sources: [path("/bin/rm")] }, {}, 0],
    ["another program", { sources: [path("/bin/mv")] }, {}, undefined],
    ["a program of a directory", { sources: [dir("/bin")] }, {}, 0],
    ["no program below a directory", { sources: [dir("/")] }, {}, undefined],
    ["a program below a directory", { sources: [dir("/", true)] }, {}, 0],
    ["a path", { object: path("/tmp/a") }, {}, 0],
    ["another path", { object: path("/tmp/b") }, {}, undefined],
    ["the second path", { object: path("/tmp/b") }, { paths: ["/tmp/a", "/tmp/b"] }, 0],
    ["a path of a directory", { object: dir("/tmp") }, {}, 0],
    ["a directory itself", { object: dir("/tmp") }, { paths: ["/tmp"] }, 0],
    ["no path below a directory", { object: dir("/tmp") }, { paths: ["/tmp/a/b"] }, undefined],
    ["a path below a directory", { object: dir("/tmp", true) }, { paths: ["/tmp/a/b"] }, 0],
    ["no path", { object: dir("/", true) }, { paths: [] }, undefined],
  ] as const
) {
  Deno.test(`compileImage() tells of system calls by ${claim}`, () => {
    assert.equal(toldBy(question, told), by);
  });
}

Deno.test("compileImage() names the most specific rule about a system call", () => {
  const told = [{}, { object: dir("/tmp") }, { object: path("/tmp/a") }, {
    sources: [dir("/bin")],
  }];
  assert.equal(toldBy({}, ...told), 3);
  assert.equal(toldBy({ caller: "/x" }, ...told), 2);
  assert.equal(toldBy({ caller: "/x", paths: ["/tmp/b"] }, ...told), 1);
  assert.equal(toldBy({ caller: "/x", paths: [] }, ...told), 0);
});

Deno.test("compileImage() takes as many rules about system calls as fit, and leaves the last ones out", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ object: path(`/f${index}`) }));
  const last = SYSCALL_RULES_MAX - 1;
  assert.equal(toldBy({ paths: [`/f${last}`] }, ...many(SYSCALL_RULES_MAX)), last);
  assert.equal(toldBy({ paths: [`/f${last}`] }, ...many(SYSCALL_RULES_MAX + 1)), last);
  assert.equal(toldBy({ paths: [`/f${last + 1}`] }, ...many(SYSCALL_RULES_MAX + 1)), undefined);
});

Deno.test("compile() says which rules about system calls one container's image has no room for, and takes all others", () => {
  const many = Array.from(
    { length: SYSCALL_RULES_MAX + 1 },
    (_, i) => ({ object: path(`/f${i}`) }),
  );
  const crowded = { ...telling(...many), selector: labelled("crowded") };
  const files = { ...policy("files", { at: "/etc/shadow" }), selector: labelled("other") };
  const workloads = ["crowded", "other"].map((app) => ({ ...WORKLOAD, id: app, labels: { app } }));
  const { rules, workloads: images } = compile([crowded, files], workloads, under(AUDIT), KEYS);
  assert.equal(new Set(images.values()).size, 2);
  const out = rules.filter(({ state }) => state === "not enforced");
  assert.deepEqual(out.map(({ rule: { index } }) => index), [SYSCALL_RULES_MAX]);
  assert.match(out[0]!.reason!, /more than 1024 rules about system calls select one container/);
});

Deno.test("compileImage() says the same about files with rules about system calls beside them", () => {
  const files = policy("files", { at: "/etc/shadow", from: ["/bin/a"] }, { at: "/tmp//" });
  const alone = compileImage([files], AUDIT, KEYS)!;
  const beside = compileImage([files, telling({ sources: [path("/bin/b")] })], AUDIT, KEYS)!;
  assert.equal(beside.opsLive, alone.opsLive);
  assert.deepEqual(beside.blockRules, alone.blockRules);
  const header = (bytes: Uint8Array) => new ImageReader(bytes, PathHasher.of(KEYS)).header;
  assert.deepEqual(
    { ...header(beside.bytes), generation: 0, buckets: 0, rowsEntry: 0 },
    {
      ...{ ...header(alone.bytes), generation: 0, buckets: 0, rowsEntry: 0 },
      syscallsEntry: header(beside.bytes).syscallsEntry,
      callers: header(beside.bytes).callers,
      arguments: header(beside.bytes).arguments,
    },
  );
});

Deno.test("the image names the rule that evaluateSyscall() names, and explain() that one before the others", () => {
  const somePath = fc.constantFrom("/", "/a", "/a/b", "/a/b/c", "/b", "/b/a", "/c/a");
  const place = fc.oneof(
    somePath.map((at): PathTarget => path(at)),
    fc.tuple(somePath, fc.boolean()).map(([at, recursive]) => dir(at, recursive)),
  );
  const syscalls = fc.constantFrom("unlink", "rename", "getpid");
  const told = fc.record({
    syscalls: fc.uniqueArray(syscalls, { minLength: 1 }),
    sources: fc.array(place, { maxLength: 2 }),
    object: fc.option(place, { nil: undefined }),
  });
  const questions = fc.array(
    fc.record({ syscall: syscalls, caller: somePath, paths: fc.array(somePath, { maxLength: 2 }) }),
    { minLength: 10, maxLength: 10 },
  );
  fc.assert(
    fc.property(fc.array(told, { minLength: 1, maxLength: 6 }), questions, (rules, asked) => {
      const policies = [telling(...rules as Told[])];
      const image = compileImage(policies, AUDIT, KEYS)!;
      const reader = new ImageReader(image.bytes, PathHasher.of(KEYS));
      for (const question of asked) {
        const row = reader.syscallRule(question);
        const found = row === undefined ? undefined : image.explain(row, OP_SYSCALL);
        const wanted = evaluateSyscall(question, enforcedRules(policies));
        assert.equal(found?.rule.index, wanted?.rule.index, JSON.stringify(question));
        if (question.paths.length > 1) continue;
        const { caller: from, paths: [path], syscall: object } = question;
        const ask = readAsk({ access: "syscall", object, from, ...path !== undefined && { path } });
        const { explanations: [told], others } = explain(ask, image, policies, KEYS);
        assert.equal(told!.winner?.rule.index, wanted?.rule.index);
        const naming = rules.filter(({ syscalls }) => syscalls.includes(object)).length;
        assert.equal((told!.winner ? 1 : 0) + told!.runnersUp.length + others.length, naming);
        explain({ ...ask, from: "" }, image, policies, KEYS);
      }
    }),
  );
});
