/**
 * Evasions by identity: a task that leaves its container's cgroup, enters one in an unusual way, or comes before anyone
 * knows it. Claims begin with the row of tests/e2e/EVASIONS.md.
 */

import { GUARDED, refusal } from "../fixtures.ts";
import { type Act, type ContainerSpec, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const { labels, policy, prepare, opened, executed } = GUARDED;
const cgroups = ["--mount", "type=bind,src=/sys/fs/cgroup,dst=/cgroup,options=rbind:rw"];
const privileged: ContainerSpec = { prepare, privileged: true, options: cgroups };

/** Moves out of the container by means that its cgroup file system gives it. */
const leaving: Act[] = [
  refusal(
    "S7 reading after a move to another cgroup",
    "mkdir -p /cgroup/other; sh -c 'echo $$ >/cgroup/other/cgroup.procs && cat /data/secret'",
    opened,
  ),
  refusal(
    "S7 a program after a move to another cgroup",
    "sh -c 'echo $$ >/cgroup/other/cgroup.procs && echo content | /bin/tac'",
    executed("/bin/tac"),
  ),
  refusal(
    "S7 reading in a cgroup below the container's",
    "mkdir /cgroup/default/web/below; " +
      "sh -c 'echo $$ >/cgroup/default/web/below/cgroup.procs && cat /data/secret'",
    opened,
    { control: { in: "free", run: "cat /data/secret", expect: /content/ } },
  ),
  refusal(
    "S7 reading by a child that was born in another cgroup",
    "/files/execute cgroup /cgroup/other /bin/cat /data/secret",
    opened,
  ),
  refusal(
    "T9 a program after vfork",
    "/files/execute vfork /bin/tac /data/text",
    executed("/bin/tac"),
  ),
];

/** Ways into a container; its runtimes' own are the first two. */
const entering: Act[] = [
  refusal("S6 reading by a program entered by runc", ["/bin/cat", "/data/secret"], opened),
  refusal("S13 reading by a program entered by crun", ["/bin/cat", "/data/secret"], opened, {
    in: "crun",
  }),
  refusal("S13 a program entered by crun", ["/bin/tac", "/data/text"], executed("/bin/tac"), {
    in: "crun",
  }),
  refusal(
    "S13 a host's program born in the container's cgroup",
    "/job/files/execute cgroup /sys/fs/cgroup/default/web /usr/bin/tac /etc/hostname",
    executed("/usr/bin/tac"),
    {
      in: "host",
      control: {
        in: "host",
        run: "/job/files/execute cgroup /sys/fs/cgroup/default/free /usr/bin/tac /dev/null",
      },
    },
  ),
  refusal(
    "S11 a host's program that the second thread of a moved process executes",
    movedThread("web"),
    executed("/usr/bin/tac"),
    { in: "host", control: { in: "host", run: movedThread("free") } },
  ),
  refusal("S5 reading in a container with the host's pids", "cat /data/secret", opened, {
    in: "hostpid",
  }),
];

/** A process of the host with two threads is moved into a container's cgroup; then its second thread executes. */
function movedThread(container: string): string {
  return "rm -f /run/e2e/go && mkfifo /run/e2e/go && exec 9<>/run/e2e/go; " +
    "/job/files/execute waiting-thread /usr/bin/tac /dev/null </run/e2e/go & p=$!; " +
    `echo $p >/sys/fs/cgroup/default/${container}/cgroup.procs; echo x >&9; exec 9>&-; wait $p`;
}

/** A container without a mount namespace of its own: its paths are the host's, and runc enters it without a chroot. */
const shared = {
  ociVersion: "1.0.2",
  process: {
    user: { uid: 0, gid: 0 },
    args: ["/bin/sleep", "1000000"],
    env: ["PATH=/bin"],
    cwd: "/",
  },
  root: { path: "/run/shared/rootfs" },
  linux: { cgroupsPath: "/default/shared", namespaces: [{ type: "pid" }] },
};

const inHostNamespace: Act[] = [
  {
    claim: "S12 a container in the host's mount namespace starts",
    in: "host",
    run: [
      "mkdir -p /run/shared/rootfs/bin /run/shared/rootfs/proc",
      `cp ${taskRoot("free")}/bin/sleep /run/shared/rootfs/bin`,
      "mount -t proc proc /run/shared/rootfs/proc",
      `echo '${JSON.stringify(shared)}' >/run/shared/config.json`,
      "ctr run -d --config /run/shared/config.json --label app=guarded shared",
      "wait_until agent_knows shared",
    ].join(" && "),
    expect: "ok",
  },
  refusal(
    "S12 a program in the host's mount namespace",
    "ctr task exec --exec-id blocked shared /bin/tac /proc/version",
    executed("/usr/bin/tac"),
    {
      in: "host",
      control: {
        in: "host",
        run: "ctr task exec --exec-id allowed shared /bin/cat /proc/version",
        expect: /Linux/,
      },
    },
  ),
];

/** Where a container's root file system lies on the host. */
function taskRoot(container: string): string {
  return `/run/containerd/io.containerd.runtime.v2.task/default/${container}/rootfs`;
}

scenario({
  name: "evasion by identity",
  policies: { "keep.yaml": policy },
  containers: {
    web: { ...privileged, labels },
    crun: { ...privileged, labels, runtime: "crun" },
    hostpid: { ...privileged, labels, options: ["--with-ns", "pid:/proc/1/ns/pid"] },
    free: privileged,
  },
  files: [await compileTool("execute")],
  acts: [
    ...leaving,
    ...entering,
    ...inHostNamespace,
    refusal(
      "S5 reading after setns to the host's mount namespace",
      `nsenter -t 1 -m /bin/cat ${taskRoot("hostpid")}/data/secret`,
      { PolicyName: "keep", Operation: "File", Action: "Block", Data: /^lsm=FILE_OPEN/ },
      {
        in: "hostpid",
        control: { in: "host", run: `cat ${taskRoot("hostpid")}/data/secret`, expect: /content/ },
      },
    ),
  ],
});
