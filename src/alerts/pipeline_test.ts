import assert from "node:assert/strict";
import * as api from "../../ffi/generated/agent_api.ts";
import { ProcessTree } from "../events/process_tree.ts";
import {
  containerRecord,
  decisionRecord,
  execRecord,
  exitRecord,
  names,
} from "../events/samples.ts";
import { ManualClock } from "../lib/clock.ts";
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
  const pipeline = new EventPipeline({
    reporter: REPORTER,
    tree: new ProcessTree(NOTHING, () => clock.nowMs()),
    clock,
    workloadOf: (container) => container === 7 ? WORKLOAD : undefined,
    imageOf: (generation) => generation === 0x1234 ? TABLE : undefined,
    unixNs: (bootNs) => bootNs + 1_700_000_000_000_000_000n,
    onAlert: (_seq, json, its) => {
      alerts.push(JSON.parse(json));
      facets.push(its);
    },
    onLog: (_seq, json) => logs.push(JSON.parse(json)),
    onContainer: (event) => containers.push(event.cgroupPath),
  });
  return { clock, alerts, logs, facets, containers, pipeline };
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
  pipeline.takeEvents([exec("/bin/cat", 20, 6)]);
  pipeline.takeAlerts([open("/etc/shadow", 20, 6)]);
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
  pipeline.takeEvents([exec("/bin/known", 10, 5)]);
  pipeline.takeAlerts([open("/a", 20, 6), open("/b", 10, 5)]);
  assert.equal(alerts.length, 0);
  pipeline.takeEvents([exec("/bin/late", 20, 6)]);
  assert.deepEqual(alerts.map((alert) => [alert.Resource, alert.ProcessName]), [
    ["/a", "/bin/late"],
    ["/b", "/bin/known"],
  ]);
  pipeline.close();
});

Deno.test("EventPipeline lets an alert go when the exec never comes", async () => {
  const { pipeline, alerts, clock } = setUp();
  pipeline.takeAlerts([open("/a", 20, 6)]);
  await clock.sleeping();
  clock.advance(25);
  await Promise.resolve();
  assert.deepEqual(alerts.map((alert) => [alert.Resource, alert.ProcessName]), [["/a", undefined]]);
  assert.equal(pipeline.counts.unexplained, 1);
});

Deno.test("EventPipeline publishes what it holds when it closes", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeAlerts([open("/a", 20, 6)]);
  pipeline.close();
  pipeline.close();
  assert.equal(alerts.length, 1);
});

Deno.test("EventPipeline holds a bounded number of alerts", () => {
  const { pipeline, alerts } = setUp();
  pipeline.takeAlerts(Array.from({ length: 5_000 }, () => open("/a", 20, 6)));
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
  pipeline.takeEvents([
    found,
    exec("/bin/cat", 20, 6),
    exitRecord({ exec: ref(20, 6), pid: 6 }, 3 << 8),
    exitRecord({ exec: ref(1, 2), pid: 2 }, 9),
  ]);
  assert.deepEqual(logs.map((log) => [log.ProcessName, log.Data, log.Type]), [
    ["/bin/cat", "syscall=SYS_EXECVE", "ContainerLog"],
    ["/bin/cat", "tracepoint=SCHED_PROCESS_EXIT code=3", "ContainerLog"],
    ["/bin/old", "tracepoint=SCHED_PROCESS_EXIT signal=9", "ContainerLog"],
  ]);
});

Deno.test("EventPipeline gives a log KubeArmor's fields in its order", () => {
  const { pipeline, logs } = setUp();
  pipeline.takeEvents([
    exec("/bin/sh", 20, 6),
    execRecord(
      { path: "/bin/cat", args: ["cat", "x"], cwd: "/root" },
      { exec: ref(30, 7), parent: ref(20, 6), pid: 7 },
    ),
  ]);
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

Deno.test("EventPipeline hands container events on and counts what it can't read", () => {
  const { pipeline, containers } = setUp();
  pipeline.takeAlerts([containerRecord("/default/web"), new Uint8Array(5)]);
  assert.deepEqual(containers, ["/default/web"]);
  assert.equal(pipeline.counts.malformed, 1);
});
