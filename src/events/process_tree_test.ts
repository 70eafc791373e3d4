import assert from "node:assert/strict";
import { decodeEvent } from "./decode.ts";
import { actorOf } from "./enrich.ts";
import type { AgentEvent } from "./event.ts";
import { ProcessTree, type Procfs } from "./process_tree.ts";
import { decisionRecord, execRecord, names, viewOf, words } from "./samples.ts";

class Clock {
  ms = 0;
  now = () => this.ms;
}

/** /proc with the processes that a test puts there. */
class FakeProcfs implements Procfs {
  readonly processes = new Map<number, { exe: string; args: string[]; cwd: string }>();
  exe = (pid: number) => this.processes.get(pid)?.exe;
  cmdline = (pid: number) => this.processes.get(pid)?.args;
  cwd = (pid: number) => this.processes.get(pid)?.cwd;
}

function as<T extends AgentEvent["type"]>(type: T, record: Uint8Array) {
  const event = decodeEvent(viewOf(record));
  assert(event?.type === type);
  return event as Extract<AgentEvent, { type: T }>;
}

const ref = (timeNs: number, pid: number) => ({ timeNs: BigInt(timeNs), pid });

function setUp(limits?: ConstructorParameters<typeof ProcessTree>[2]) {
  const clock = new Clock();
  const procfs = new FakeProcfs();
  return { clock, procfs, tree: new ProcessTree(procfs, clock.now, limits) };
}

/** An exec of `path` by `pid` at `timeNs`, forked from the image `parent`. */
function exec(path: string, timeNs: number, pid: number, parent = ref(0, 0)) {
  const header = { exec: ref(timeNs, pid), parent, pid, ppid: parent.pid };
  return as("exec", execRecord({ path, cwd: "/srv", args: [path, "-x"] }, header));
}

function open(execRef: ReturnType<typeof ref>, pid = execRef.pid, parent = ref(0, 0)) {
  const header = { exec: execRef, parent, pid, ppid: parent.pid };
  return as("decision", decisionRecord({ path: names("/etc/shadow") }, { header }));
}

Deno.test("ProcessTree tells who acted, by the image and not by the process id", () => {
  const { tree } = setUp();
  tree.onExec(exec("/bin/sh", 10, 5));
  tree.onExec(exec("/bin/cat", 20, 6, ref(10, 5)));
  const event = open(ref(20, 6), 6, ref(10, 5));
  assert.deepEqual(actorOf(event, tree.actor(event), tree), {
    exe: "/bin/cat",
    args: ["/bin/cat", "-x"],
    cwd: "/",
    parentExe: "/bin/sh",
  });
  assert.equal(tree.actor(open(ref(10, 5), 77))?.exe, "/bin/sh");
});

Deno.test("actorOf() prefers the arguments that the record carries", () => {
  const { tree } = setUp();
  tree.onExec(exec("/bin/cat", 20, 6));
  const text = { path: names("/etc/shadow"), args: words(["cat", "/etc/shadow"]) };
  const event = as("decision", decisionRecord(text, { header: { exec: ref(20, 6), pid: 6 } }));
  assert.deepEqual(actorOf(event, tree.actor(event), tree).args, ["cat", "/etc/shadow"]);
});

Deno.test("ProcessTree keeps an image for a while after its process went", () => {
  const { tree, clock } = setUp();
  tree.onExec(exec("/bin/cat", 20, 6));
  tree.onExit(6);
  clock.ms = 4_999;
  assert.equal(tree.actor(open(ref(20, 6)))?.exe, "/bin/cat");
  clock.ms = 9_998; // Asked for at 4,999, so it stays until 9,999.
  tree.onExec(exec("/bin/a", 30, 7));
  tree.onExit(7);
  assert(tree.knows(ref(20, 6)));
  clock.ms = 20_000;
  tree.onExec(exec("/bin/b", 40, 8));
  tree.onExit(8);
  assert(!tree.knows(ref(20, 6)));
  assert.equal(tree.counts.evicted, 0);
});

Deno.test("ProcessTree retires the image that an exec replaces, not the process", () => {
  const { tree } = setUp();
  tree.onExec(exec("/bin/sh", 10, 5));
  tree.onExec(exec("/bin/cat", 20, 5));
  assert.equal(tree.actor(open(ref(10, 5)))?.exe, "/bin/sh");
  assert.equal(tree.actor(open(ref(20, 5)))?.exe, "/bin/cat");
});

Deno.test("ProcessTree drops the oldest beyond its limit and counts them", () => {
  const { tree } = setUp({ entriesMax: 2, retiredMax: 1, retiredMs: 5_000 });
  for (let pid = 1; pid <= 4; pid++) tree.onExec(exec("/bin/x", pid * 10, pid));
  assert.deepEqual([tree.knows(ref(20, 2)), tree.knows(ref(30, 3))], [false, true]);
  tree.onExit(3);
  tree.onExit(4);
  assert.deepEqual([tree.knows(ref(30, 3)), tree.knows(ref(40, 4))], [false, true]);
  assert.deepEqual(tree.counts, { entries: 1, evicted: 3, unknown: 0 });
});

Deno.test("ProcessTree asks /proc for images that it never saw, and remembers the answer", () => {
  const { tree, procfs } = setUp();
  procfs.processes.set(9, { exe: "/bin/tail", args: ["tail", "-f"], cwd: "/var" });
  procfs.processes.set(3, { exe: "/bin/sh", args: [], cwd: "/" });
  const other = open(ref(1, 9), 9, ref(0, 3));
  assert.deepEqual(actorOf(other, tree.actor(other), tree), {
    exe: "/bin/tail",
    args: ["tail", "-f"],
    cwd: "/",
    parentExe: "/bin/sh",
  });
  procfs.processes.clear();
  assert.equal(tree.actor(open(ref(1, 9)))?.exe, "/bin/tail");
});

Deno.test("ProcessTree does not ask /proc about an image that its process has replaced", () => {
  const { tree, procfs } = setUp();
  procfs.processes.set(9, { exe: "/bin/new", args: [], cwd: "/" });
  tree.onExec(exec("/bin/new", 50, 9));
  assert.equal(tree.actor(open(ref(40, 9))), undefined);
  assert.equal(tree.counts.unknown, 1);
});

Deno.test("ProcessTree completes a process that ran before the agent from /proc", () => {
  const { tree, procfs } = setUp();
  procfs.processes.set(6, { exe: "/bin/cat", args: ["cat", "-"], cwd: "/home" });
  const found = { ...exec("/bin/cat", 20, 6), found: true, args: [], cwd: undefined };
  tree.onExec(found);
  assert.deepEqual(tree.actor(open(ref(20, 6)))?.args, ["cat", "-"]);
  assert.equal(tree.actor(open(ref(20, 6)))?.cwd, "/home");
});

Deno.test("ProcessTree keeps the parent's path although the parent went first", () => {
  const { tree, clock } = setUp();
  tree.onExec(exec("/bin/sh", 10, 5));
  tree.onExec(exec("/bin/cat", 20, 6, ref(10, 5)));
  tree.onExit(5);
  clock.ms = 60_000;
  tree.onExec(exec("/bin/x", 30, 7));
  tree.onExit(7);
  assert(!tree.knows(ref(10, 5)));
  assert.equal(tree.parentExe(open(ref(20, 6), 6, ref(10, 5))), "/bin/sh");
});
