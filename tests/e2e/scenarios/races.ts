/**
 * Names that change while files are opened. Whatever a ruled file is called at any instant, a rule blocks it; whatever a
 * free one is called, no rule does; only a path read half before and half after a change would be another verdict.
 *
 * ANKYLO_RACE_SECONDS makes each race longer: 60 by hand, with ANKYLO_E2E_PATIENCE=90.
 */

import { type Act, scenario } from "../harness.ts";
import { setting } from "../settings.ts";
import { compileTool } from "../tools/compile.ts";

const seconds = setting("ANKYLO_RACE_SECONDS", 5);

/** Twenty directories: the longer the climb, the more may happen during it. */
const deep = "/d".repeat(20);

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: races
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  action: Block
  file:
    matchPaths:
      - path: /files/p/a${deep}/key
      - path: /files/q/b${deep}/key
      - path: /one/a${deep}/key
      - path: /two/b${deep}/key
      - path: /data${deep}/key
      - path: /data/own
        fromSource:
          - path: /bin/source
`;

const fill = (...folders: string[]) =>
  folders.map((folder) => `mkdir -p ${folder}${deep} && echo content >${folder}${deep}/key`)
    .join(" && ");

const prepare = [
  // A mount each that moves between /one/a and /two/b, and between /one/b and /two/a.
  "for dir in /one /two; do mkdir $dir; mount -t tmpfs race $dir; mkdir $dir/a $dir/b; done",
  `for dir in /one/a /one/b; do mount -t tmpfs race $dir; done; ${fill("/one/a", "/one/b")}`,
  fill("/data", "/free"),
  "echo content >/data/own && cp /files/race /bin/source",
].join(" && ");

const noError = /^ruled: [1-9]\d* opens, 0 escapes\nfree: [1-9]\d* opens, 0 false denials\s*$/;

/**
 * Starts something on the host that goes on, and waits until it does its work: until `isAtWork` succeeds, which knows its
 * number as $pid. The number is kept in a file, for acts are subshells.
 */
const start = (
  name: string,
  command: string,
  isAtWork = "grep -qx race /proc/$pid/comm",
): Act => ({
  claim: `${name} begins`,
  in: "host",
  run:
    `(exec ${command}) >$work/${name}.out 2>&1 </dev/null & pid=$!; echo $pid >$work/${name}.pid; ` +
    `wait_until ${isAtWork}`,
  expect: "ok",
});

/** Ends it; that it never disturbed would be a failure. */
const stop = (name: string, what: string): Act => ({
  claim: `${name} happened, all the time`,
  in: "host",
  run:
    `kill $(<$work/${name}.pid); tail --pid=$(<$work/${name}.pid) -f /dev/null; cat $work/${name}.out`,
  expect: new RegExp(`^[1-9]\\d* ${what}`),
});

const opens = (claim: string, ruled: string, free: string): Act => ({
  claim: `${claim}: no open escapes, and none is refused falsely`,
  in: "web",
  run: `/files/race opens ${seconds} key ${ruled}${deep} ${free}${deep}`,
  expect: noError,
});

const inWeb = "nsenter -t $(ctr task ls | awk '$1 == \"web\" { print $2 }') -m";

const misses = `ask /v1/status | grep -oE '"(recursion_misses|misses_made_up)":[0-9]+'`;

/** Whether the agent's count of the container's live tasks is the kernel's. */
const defineCounted = "threads=/sys/fs/cgroup/default/web/cgroup.threads; " +
  `all_counted() { [[ "$(ask /v1/workloads)" == *'"tasks":'"$(wc -l <$threads),"* ]]; }`;

const defineTold = [
  `programs=$(${inWeb} awk '/programs/ { print $1 }' /tmp/births)`,
  `told() { grep -c 'race probe .*"Event":"'"$1"'"' $work/events.out; }`,
  'tell_all() { echo "$programs programs, $(told exec) begun, $(told exit) ended"; }',
  'all_told() { [ "$(tell_all)" = "$programs programs, $programs begun, $programs ended" ]; }',
].join("; ");

scenario({
  name: "races",
  policies: { "races.yaml": policy },
  containers: {
    web: {
      privileged: true,
      prepare,
      options: ["--with-ns", "pid:/proc/1/ns/pid"],
    },
  },
  files: [await compileTool("race")],
  acts: [
    {
      claim: "directories are there that the host can rename, what it calls /job/files",
      in: "host",
      run: `cd /job && mkdir -p files/q && ${fill("files/p/a", "files/p/b")}`,
      expect: "ok",
    },
    {
      claim: "control: the ruled files are there",
      in: "host",
      run: `${inWeb} cat /files/p/a${deep}/key /one/a${deep}/key /data${deep}/key`,
      expect: /^(content\s*){3}$/,
    },
    // The ruled directory is called p/a and q/b by turns, the free one p/b and q/a.
    start(
      "renames",
      "/job/files/race renames /job/files/p/a /job/files/q/b /job/files/p/b /job/files/q/a",
    ),
    opens("directories above are renamed", "/files/p/a", "/files/p/b"),
    stop("renames", "rounds of renames"),
    start("moves", `${inWeb} /files/race moves /one/a /two/b /one/b /two/a`),
    start("mounts", "/job/files/race mounts $work"),
    opens("mounts above are moved, others come and go", "/one/a", "/one/b"),
    stop("moves", "rounds of moves"),
    stop("mounts", "mounts"),
    {
      claim: "T1 a path that changes while it is opened: what is opened is what was judged",
      in: "web",
      run: `/files/race flip ${Math.ceil(seconds / 4)} /data${deep}/key /free${deep}/key`,
      expect: /[1-9]\d* opened, [1-9]\d* refused, 0 escapes/,
    },
    {
      claim: "the kernel may preempt a task wherever it is",
      in: "host",
      run: "echo full >/sys/kernel/debug/sched/preempt && cat /sys/kernel/debug/sched/preempt",
      expect: /\(full\)/,
    },
    {
      claim:
        "P1 tasks that preempt each other inside the programs: no open escapes, and none is refused falsely",
      in: "web",
      run: `/files/race preempt ${seconds} /data${deep}/key /free${deep}/key`,
      expect: noError,
    },
    {
      claim: "a task with which another program stored something is judged as any",
      in: "web",
      run: `/files/race stored /data${deep}/key /free${deep}/key`,
      expect: /^ruled: Permission denied\nfree: opened\s*$/,
      control: {
        in: "host",
        run: `/job/files/race stored /etc/hostname /etc/hostname`,
        expect: /^ruled: opened\nfree: opened\s*$/,
      },
    },
    start(
      "events",
      "curl -sN -D $work/events.headers $agent_url/v1/events",
      "grep -q ' 200' $work/events.headers",
    ),
    {
      claim:
        "P2 tasks that begin and end where others were preempted in doing so open nothing ruled",
      in: "web",
      run: `/files/race births ${seconds} /data${deep}/key >/tmp/births; cat /tmp/births`,
      expect: /^ruled: [1-9]\d* opens, 0 escapes\n[1-9]\d* programs\s*$/,
    },
    {
      // Since 7.0 the kernel leaves programs at tracepoints out then.
      claim: "P2 each of them was counted when it began, and when it ended",
      in: "host",
      run: `${defineCounted}; wait_until all_counted; all_counted && ${misses}`,
      expect: /"recursion_misses":0\n"misses_made_up":\d+/,
    },
    {
      claim: "P2 each program was told when it began, and when it ended",
      in: "host",
      run:
        `${defineTold}; wait_until all_told; all_told; s=$?; tell_all; kill $(<$work/events.pid); exit $s`,
      expect: "ok",
    },
    {
      claim: "a process of the host is there to be traced",
      in: "host",
      run: "setsid sleep 1000000 >/dev/null 2>&1 & echo $! >/job/files/victim.pid",
      expect: "ok",
    },
    {
      claim:
        "P2 a task whose identity can't be read for the moment opens nothing ruled, and traces nobody else's process",
      in: "web",
      run: `/files/race unseen ${seconds} /data${deep}/key $(cat /files/victim.pid)`,
      expect:
        /[1-9]\d* updates\nruled: [1-9]\d* opens, 0 escapes\ntraced: [1-9]\d* opens, 0 escapes/,
    },
    {
      claim:
        "P2 a program whose identity could not be read when it began is known by its name all the same",
      in: "web",
      run: `/files/race sources ${seconds} /bin/source /data/own`,
      expect: /[1-9]\d* updates\n\d+ programs refused\nsources: [1-9]\d* opens, 0 escapes/,
    },
    {
      claim: "control: another program reads that file",
      in: "web",
      run: "cat /data/own",
      expect: /content/,
    },
    {
      claim: "few walks gave up, and few identities could not be made",
      in: "host",
      run: `ask /v1/status | grep -oE '"(identity_failed|gave_up)":[0-9]+'`,
      // Both refuse. Of the free files none was, as the openers told; births may fail where the kernel's storage is in use.
      expect: /"gave_up":\d{1,2}\n"identity_failed":\d\s*$/,
    },
  ],
  otherAlerts: "unread",
});
