import assert from "node:assert/strict";
import fc from "fast-check";
import * as api from "../../ffi/generated/agent_api.ts";
import { ProcessTree } from "../events/process_tree.ts";
import {
  batchOf,
  containerRecord,
  type DecisionFields,
  decisionRecord,
  execRecord,
  exitRecord,
  heldRecord,
  names,
  suppressedRecord,
} from "../events/samples.ts";
import { ManualClock } from "../lib/clock.ts";
import { jsonText } from "./json_record.ts";
import { EventPipeline, type RecordFacets } from "./pipeline.ts";
import { REPORTER, TABLE, WORKLOAD } from "./samples.ts";

const NOTHING = { exe: () => undefined, cmdline: () => undefined, cwd: () => undefined };
const ref = (timeNs: number, pid: number) => ({ timeNs: BigInt(timeNs), pid });

function setUp() {
  const clock = new ManualClock();
  const alerts: Record<string, unknown>[] = [];
  const logs: Record<string, unknown>[] = [];
  const facets: RecordFacets[] = [];
  const containers: string[] = [];
  const owners = new Map([[7, WORKLOAD]]);
  const skipped: number[] = [];
  const wants = { logs: true };
  const held: number[] = [];
  const hurried = { times: 0 };
  const pipeline = new EventPipeline({
    reporter: REPORTER,
    tree: new ProcessTree(NOTHING, () => clock.nowMs()),
    clock,
    workloadOf: (container) => owners.get(container),
    imageOf: (generation) => generation === 0x1234 ? TABLE : undefined,
    unixNs: (bootNs) => bootNs + 1_700_000_000_000_000_000n,
    onAlert: (_seq, record, its) => {
      alerts.push(JSON.parse(jsonText(record)));
      facets.push(its);
    },
    wantsLogs: () => wants.logs,
    onLogSkipped: (seq) => skipped.push(seq),
    onLog: (_seq, record) => logs.push(JSON.parse(jsonText(record))),
    onContainer: (event) => containers.push(event.cgroupPath),
    onProcessHeld: (event) => held.push(event.pid),
    onHeld: () => hurried.times++,
  });
  return {
    clock,
    alerts,
    logs,
    facets,
    containers,
    held,
    hurried,
    owners,
    skipped,
    wants,
    pipeline,
  };
}

/** An open of `path` by the image (time, pid). */
function open(path: string, time: number, pid: number) {
  return decisionRecord({ path: names(path) }, { header: { exec: ref(time, pid), pid } });
}

function exec(path: string, time: number, pid: number) {
  return execRecord({ path, args: [path] }, { exec: ref(time, pid), pid });
}

Deno.test("EventPipeline numbers, attributes and places an alert", () => {
  const { pipeline, alerts, facets } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  pipeline.takeAlerts(batchOf(open("/etc/shadow", 20, 6)));
  assert.equal(alerts.length, 1);
  assert.equal(alerts[0]!.PolicyName, "protect-web");
  assert.equal(alerts[0]!.ProcessName, "/bin/cat");
  assert.equal(alerts[0]!.UpdatedTime, "2023-11-14T22:13:25.000000Z");
  assert.deepEqual(facets, [{
    policy: "protect-web",
    containers: ["web", WORKLOAD.id],
    action: "Block",
    operation: "File",
  }]);
});

Deno.test("EventPipeline holds an alert until the exec that explains it is here, in order", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/known", 10, 5)));
  pipeline.takeAlerts(batchOf(open("/a", 20, 6), open("/b", 10, 5)));
  assert.equal(alerts.length, 0);
  pipeline.takeEvents(batchOf(exec("/bin/late", 20, 6)));
  assert.deepEqual(alerts.map((alert) => [alert.Resource, alert.ProcessName]), [
    ["/a", "/bin/late"],
    ["/b", "/bin/known"],
  ]);
  pipeline.close();
});

Deno.test("EventPipeline lets an alert go when the exec never comes", async () => {
  const { pipeline, alerts, clock } = setUp();
  pipeline.takeAlerts(batchOf(open("/a", 20, 6)));
  await clock.sleeping();
  clock.advance(50);
  await Promise.resolve();
  assert.deepEqual(alerts.map((alert) => [alert.Resource, alert.ProcessName]), [["/a", undefined]]);
  assert.equal(pipeline.counts.unexplained, 1);
});

Deno.test("EventPipeline publishes what it holds when it closes", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeAlerts(batchOf(open("/a", 20, 6)));
  pipeline.close();
  pipeline.close();
  assert.equal(alerts.length, 1);
});

Deno.test("EventPipeline holds a bounded number of alerts", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeAlerts(batchOf(...Array.from({ length: 5_000 }, () => open("/a", 20, 6))));
  assert.equal(alerts.length, 5_000 - 4_096);
  pipeline.close();
});

Deno.test("EventPipeline tells of execs and exits, but not of processes that it found", () => {
  const { pipeline, logs } = setUp();
  const found = execRecord({ path: "/bin/old" }, {
    exec: ref(1, 2),
    pid: 2,
    flags: api.EVENT_FOUND,
  });
  pipeline.takeEvents(batchOf(
    found,
    exec("/bin/cat", 20, 6),
    exitRecord({ exec: ref(20, 6), pid: 6 }, 3 << 8),
    exitRecord({ exec: ref(1, 2), pid: 2 }, 9),
  ));
  assert.deepEqual(logs.map((log) => [log.ProcessName, log.Data, log.Type]), [
    ["/bin/cat", "syscall=SYS_EXECVE", "ContainerLog"],
    ["/bin/cat", "tracepoint=SCHED_PROCESS_EXIT code=3", "ContainerLog"],
    ["/bin/old", "tracepoint=SCHED_PROCESS_EXIT signal=9", "ContainerLog"],
  ]);
});

Deno.test("EventPipeline gives a log KubeArmor's fields in its order", () => {
  const { pipeline, logs } = setUp();
  pipeline.takeEvents(batchOf(
    exec("/bin/sh", 20, 6),
    execRecord(
      { path: "/bin/cat", args: ["cat", "x"], cwd: "/root" },
      { exec: ref(30, 7), parent: ref(20, 6), pid: 7 },
    ),
  ));
  assert.deepEqual(Object.keys(logs[1]!), [
    "Timestamp",
    "UpdatedTime",
    "ClusterName",
    "HostName",
    "NamespaceName",
    "PodName",
    "Labels",
    "ContainerID",
    "ContainerName",
    "ContainerImage",
    "ParentProcessName",
    "ProcessName",
    "HostPPID",
    "HostPID",
    "PPID",
    "PID",
    "UID",
    "Type",
    "Source",
    "Operation",
    "Resource",
    "Data",
    "EventData",
    "Result",
    "Cwd",
    "TTY",
    "ExecEvent",
    "NodeID",
    "Ankylo",
  ]);
  assert.deepEqual([logs[1]!.Source, logs[1]!.Resource, logs[1]!.Cwd], [
    "/bin/sh",
    "/bin/cat x",
    "/root/",
  ]);
});

Deno.test("EventPipeline copies the alert of a record that repeats, with its own time and numbers", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  const at = (timeNs: bigint, suppressed: bigint, tid: number) =>
    decisionRecord({ path: names("/etc/shadow") }, {
      suppressed,
      header: { exec: ref(20, 6), pid: 6, tid, timeNs },
    });
  pipeline.takeAlerts(batchOf(at(5_000_000_999n, 0n, 6), at(7_000_001_000n, 3n, 8)));
  const [first, second] = alerts.map(({ Ankylo, Timestamp, UpdatedTime, ...rest }) => ({
    ...{ Ankylo: Ankylo as Record<string, unknown>, Timestamp, UpdatedTime },
    rest,
  }));
  assert.deepEqual(second!.rest, first!.rest);
  assert.deepEqual([first!.UpdatedTime, second!.UpdatedTime], [
    "2023-11-14T22:13:25.000000Z",
    "2023-11-14T22:13:27.000001Z",
  ]);
  assert.deepEqual([first!.Timestamp, second!.Timestamp], [1_700_000_005, 1_700_000_007]);
  assert.deepEqual(second!.Ankylo, { ...first!.Ankylo, Seq: 2, Suppressed: 3 });
});

Deno.test("EventPipeline remembers who executed what, also where a process executes once more, and no process that was found", () => {
  const { pipeline } = setUp();
  const found = execRecord({ path: "/bin/found" }, {
    ...{ exec: ref(1, 4), pid: 4, flags: api.EVENT_FOUND },
  });
  const child = { exec: ref(30, 7), pid: 7, parent: ref(20, 6) };
  pipeline.takeEvents(batchOf(
    found,
    exec("/bin/sh", 20, 6),
    execRecord({ path: "/bin/env" }, child),
    execRecord({ path: "/bin/ls" }, { ...child, exec: ref(40, 7) }),
  ));
  const seen = pipeline.seen.entries.map(({ object, from, parent }) => [object, from, parent]);
  assert.deepEqual(seen, [
    ["/bin/sh", "", ""],
    ["/bin/env", "/bin/sh", "/bin/sh"],
    ["/bin/ls", "/bin/env", "/bin/sh"],
  ]);
});

Deno.test("EventPipeline does not remember how a runtime sets a container up, nor what no runtime has described", () => {
  const { pipeline } = setUp();
  pipeline.takeEvents(batchOf(
    execRecord({ path: "/bin/runc" }, { exec: ref(20, 6), pid: 6, flags: api.EVENT_STAGING }),
    execRecord({ path: "/bin/sh" }, { exec: ref(30, 7), pid: 7, container: 9 }),
  ));
  assert.deepEqual(pipeline.seen.entries, []);
});

Deno.test("EventPipeline counts operations whose records it does not decode, and no summaries", () => {
  const { pipeline } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  const repeated = Array.from({ length: 4 }, () => open("/etc/shadow", 20, 6));
  pipeline.takeAlerts(batchOf(...repeated, suppressedRecord(5)));
  const [, shadow, ...others] = pipeline.seen.entries;
  assert.deepEqual([shadow!.object, shadow!.count, shadow!.from], ["/etc/shadow", 4, "/bin/cat"]);
  assert.deepEqual(others, []);
});

Deno.test("EventPipeline copies no alert of a record that differs, or under other circumstances", () => {
  const open = (path: string, over: DecisionFields = {}) =>
    decisionRecord({ path: names(path) }, {
      ...over,
      header: { exec: ref(20, 6), pid: 6, ...over.header },
    });
  const { pipeline, alerts, owners } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  pipeline.takeAlerts(batchOf(open("/a/b"), open("/a/c"), open("/a/b", { openFlags: 1 })));
  owners.set(7, { ...WORKLOAD, name: "other" });
  pipeline.takeAlerts(batchOf(open("/a/b")));
  pipeline.takeEvents(batchOf(exec("/bin/tac", 20, 6)));
  pipeline.takeAlerts(batchOf(open("/a/b")));
  const facts = alerts.map((alert) => [
    alert.Resource,
    (alert.Ankylo as Record<string, unknown>).Flags,
    alert.ContainerName,
    alert.ProcessName,
  ]);
  assert.deepEqual(facts, [
    ["/a/b", "O_RDONLY", "web", "/bin/cat"],
    ["/a/c", "O_RDONLY", "web", "/bin/cat"],
    ["/a/b", "O_WRONLY", "web", "/bin/cat"],
    ["/a/b", "O_RDONLY", "other", "/bin/cat"],
    ["/a/b", "O_RDONLY", "other", "/bin/tac"],
  ]);
});

Deno.test("EventPipeline gives the same alerts whatever was seen before", () => {
  const record = fc.record({
    path: fc.constantFrom("/a", "/b", "/a/bc", "/abcd"),
    cwd: fc.constantFrom("/", "/r", "/root"),
    exec: fc.nat(2),
    tid: fc.nat(3),
    suppressed: fc.nat(2),
    row: fc.nat(1),
  });
  fc.assert(fc.property(fc.array(record, { maxLength: 30 }), (records) => {
    const encode = ({ path, cwd, exec, tid, suppressed, row }: typeof records[number]) =>
      decisionRecord({ path: names(path), cwd: names(cwd) }, {
        ...{ row, suppressed: BigInt(suppressed), object: BigInt(path.length) },
        header: { exec: ref(20, exec + 1), pid: exec + 1, tid, timeNs: BigInt(tid) },
      });
    const alertsOf = (batches: Uint8Array<ArrayBuffer>[], fresh: boolean) => {
      let run = setUp();
      const got: unknown[] = [];
      for (const batch of batches) {
        if (fresh) run = setUp();
        for (const pid of [1, 2, 3]) run.pipeline.takeEvents(batchOf(exec("/bin/cat", 20, pid)));
        run.pipeline.takeAlerts(batch);
        for (const alert of run.alerts.splice(0)) {
          got.push({ ...alert, Ankylo: { ...alert.Ankylo as object, Seq: 0 } });
        }
      }
      return got;
    };
    const batches = records.map((record) => batchOf(encode(record)));
    assert.deepEqual(alertsOf(batches, false), alertsOf(batches, true));
  }));
});

Deno.test("EventPipeline tells afterwards what was suppressed, as the latest of its kind", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  pipeline.takeAlerts(batchOf(open("/etc/shadow", 20, 6), suppressedRecord(5)));
  const [first, second] = alerts as [Record<string, unknown>, Record<string, unknown>];
  assert.equal(second.Resource, "/etc/shadow");
  assert.equal(second.HostPID, 6);
  const { Flags: _, ...own } = first.Ankylo as Record<string, unknown>;
  assert.deepEqual(second.Ankylo, { ...own, Seq: 2, Suppressed: 4, Summary: true });
});

Deno.test("EventPipeline tells of a suppressed kind that it never saw", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeAlerts(batchOf(suppressedRecord(1)));
  const [alert] = alerts as [Record<string, unknown>];
  assert.deepEqual([alert.PolicyName, alert.ContainerName, alert.Resource, alert.Result], [
    ...["protect-web", "web", undefined, "Permission denied"],
  ]);
  assert.equal((alert.Ankylo as Record<string, unknown>).Summary, true);
});

Deno.test("EventPipeline numbers logs that no one reads, and makes none", () => {
  const { pipeline, logs, skipped, wants } = setUp();
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  wants.logs = false;
  pipeline.takeEvents(batchOf(exec("/bin/tac", 21, 7), exitRecord({ exec: ref(21, 7), pid: 7 })));
  wants.logs = true;
  pipeline.takeEvents(batchOf(exitRecord({ exec: ref(20, 6), pid: 6 })));
  assert.deepEqual(logs.map((log) => (log.Ankylo as Record<string, unknown>).Seq), [1, 4]);
  assert.deepEqual(skipped, [3]);
});

Deno.test("EventPipeline hands container events on and counts what it can't read", () => {
  const { pipeline, containers } = setUp();
  pipeline.takeAlerts(batchOf(containerRecord("/default/web"), new Uint8Array(5)));
  assert.deepEqual(containers, ["/default/web"]);
  assert.equal(pipeline.counts.malformed, 1);
});

Deno.test("telemetry is hurried for each alert that waits, also for one behind another", () => {
  const { pipeline, alerts, hurried } = setUp();
  pipeline.takeAlerts(batchOf(open("/a", 20, 6), open("/b", 30, 7)));
  assert.equal(hurried.times, 1);
  pipeline.takeEvents(batchOf(exec("/bin/cat", 20, 6)));
  assert.deepEqual(alerts.map(({ Resource }) => Resource), ["/a"]);
  assert.equal(hurried.times, 2);
  pipeline.takeEvents(batchOf(exec("/bin/head", 30, 7)));
  assert.deepEqual(alerts.map(({ ProcessName }) => ProcessName), ["/bin/cat", "/bin/head"]);
  assert.equal(hurried.times, 2);
  pipeline.close();
});

Deno.test("takeAlerts() hands on who is held, at once", () => {
  const { pipeline, held } = setUp();
  pipeline.takeAlerts(batchOf(heldRecord({ pid: 11 }), heldRecord({ pid: 12 }).subarray(0, 90)));
  assert.deepEqual(held, [11]);
  assert.equal(pipeline.counts.malformed, 1);
});
