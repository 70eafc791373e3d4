/**
 * Self-protection: what a container can't do to the agent, however much of the host it was given. It is privileged, sees
 * the host's processes and all of its files. The same acts by the host's root are the controls: they work, as the agent
 * is protected from containers only; then it is started with `protect: host`. Claims begin with the row of tests/e2e/EVASIONS.md.
 */

import { type Act, type AlertPattern, type ContainerSpec, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const host = ["--mount", "type=bind,src=/,dst=/host,options=rbind:rw"];
const intruder: ContainerSpec = {
  privileged: true,
  options: [...host, "--with-ns", "pid:/proc/1/ns/pid"],
};

const told = (Operation: string, lsm: string, more: AlertPattern = {}): AlertPattern => ({
  PolicyName: "SelfProtection",
  ContainerName: "intruder",
  Operation,
  Action: "Block",
  Result: "Operation not permitted",
  Data: new RegExp(`^lsm=${lsm}( |$)`),
  ...more,
});

const AGENT = "agent=$(cat /host/run/agent/pid); ";

/** An act on the agent's process, and the same on a process of the container's own. */
function onTask(claim: string, run: (pid: string) => string, lsm: string): Act[] {
  const own = run("0").startsWith("/files/")
    ? run("0")
    : `sleep 99 & ${run("$!")}; s=$?; kill -9 $!; exit $s`;
  return [
    {
      claim: `${claim} is refused`,
      in: "intruder",
      run: AGENT + run("$agent"),
      expect: "refused",
      alert: told("Process", lsm),
      control: { in: "intruder", run: own },
    },
  ];
}

const tamper = (way: string) => (pid: string) => `/files/tamper ${way} ${pid}`;

const tasks: Act[] = [
  ...onTask("M3 killing the agent", (pid) => `kill -9 ${pid}`, "TASK_KILL"),
  ...onTask("P8 stopping the agent", (pid) => `kill -STOP ${pid}`, "TASK_KILL"),
  ...onTask("M3 signalling the agent by a pidfd", tamper("pidfd"), "TASK_KILL"),
  ...onTask("M3 tracing the agent", tamper("trace"), "PTRACE_ACCESS_CHECK"),
  ...onTask("M3 writing to the agent's memory", tamper("write-memory"), "PTRACE_ACCESS_CHECK"),
  ...onTask("M3 opening /proc/PID/mem", tamper("mem"), "PTRACE_ACCESS_CHECK"),
  ...onTask("M3 taking a descriptor", tamper("getfd"), "PTRACE_ACCESS_CHECK"),
  ...onTask("M3 changing the agent's limits", tamper("limit"), "TASK_SETRLIMIT"),
  ...onTask("M3 changing the agent's CPUs", tamper("schedule"), "TASK_SETSCHEDULER"),
  ...onTask("M3 changing the agent's priority", tamper("nice"), "TASK_SETNICE"),
  ...onTask("M3 changing the agent's priority for disks", tamper("io-priority"), "TASK_SETIOPRIO"),
  {
    claim:
      "M3 reading the agent's environment is refused, and counted only, as pidof looks at every process",
    in: "intruder",
    run: AGENT + "/files/tamper environ $agent",
    expect: "refused",
    control: { in: "intruder", run: "/files/tamper environ 0" },
  },
  {
    claim: "M3 a signal that the kernel sends for a pipe does not arrive",
    in: "intruder",
    run: AGENT + "/files/tamper pipe $agent",
    expect: "EPERM",
    control: { in: "intruder", run: "/files/tamper pipe 0" },
  },
  {
    claim: "P8 offering the agent to the out-of-memory killer is refused",
    in: "intruder",
    run: AGENT + "echo 1000 >/proc/$agent/oom_score_adj",
    expect: "EPERM",
    alert: told("File", "FILE_OPEN"),
    control: { in: "intruder", run: "echo 999 >/proc/self/oom_score_adj" },
  },
  {
    claim: "X7 tracing a process of the host is refused",
    in: "intruder",
    run: "/files/tamper trace $(cat /host/run/e2e/victim.pid)",
    expect: "EPERM",
    alert: told("Process", "PTRACE_ACCESS_CHECK"),
    control: { in: "host", run: "/job/files/tamper trace $(cat /run/e2e/victim.pid)" },
  },
  {
    claim: "X7 tracing a process of another container is refused",
    in: "intruder",
    run: "/files/tamper trace $(pidof sleep | tr ' ' '\\n' | while read p; do " +
      "grep -q default/bystander /proc/$p/cgroup && echo $p; done)",
    expect: "EPERM",
    alert: told("Process", "PTRACE_ACCESS_CHECK", { Resource: "/bin/sleep" }),
    control: { in: "bystander", run: "/files/tamper trace 0" },
  },
];

/** bpf(2) on what the agent has in the kernel. */
const kernelObjects: Act[] = [
  ...(["maps", "programs", "links"] as const).map((way): Act => ({
    claim: `M2 getting the agent's ${way} by id is refused`,
    in: "intruder",
    run: `/files/tamper ${way} 0`,
    expect: "EPERM",
    alert: told("Syscall", { maps: "BPF_MAP", programs: "BPF_PROG", links: "BPF" }[way]),
    control: { in: "host", run: `/job/files/tamper ${way} 0` },
  })),
  {
    claim: "M2 opening the pin of a map is refused",
    in: "intruder",
    run: "/files/tamper pin /host/sys/fs/bpf/ankylo/v1/maps/containers",
    expect: "EPERM",
    alert: told("Syscall", "BPF_MAP"),
    control: { in: "intruder", run: "/files/tamper own-map 0" },
  },
  {
    claim: "M2 a link whose pin was opened can't be detached",
    in: "intruder",
    run: "/files/tamper detach /host/sys/fs/bpf/ankylo/v1/links/hook_file_open",
    expect: { status: 1 },
  },
];

/** An act on a file of the agent's, refused with one alert. */
const onFile = (claim: string, run: string, lsm: string, control?: Act["control"]): Act => ({
  claim: `${claim} is refused`,
  in: "intruder",
  run,
  expect: "EPERM",
  alert: told("File", lsm),
  ...control === undefined ? {} : { control },
});

/** The same by busybox's mount, which has words of its own for EPERM. */
const refusedMount = (...act: Parameters<typeof onFile>): Act => ({
  ...onFile(...act),
  expect: { status: 1, output: /permission denied/ },
});

const inIntruder = (run: string): Act["control"] => ({ in: "intruder", run });
const pins = "/host/sys/fs/bpf/ankylo";
const policies = "/host/etc/ankylo/policies";

const files: Act[] = [
  onFile(
    "M2 removing a pin",
    `rm -f ${pins}/v1/links/hook_file_open`,
    "INODE_UNLINK",
    inIntruder("mkdir -p /tmp/d && touch /tmp/d/f && rm /tmp/d/f"),
  ),
  onFile(
    "M2 renaming a pin",
    `mv ${pins}/v1/maps/containers ${pins}/v1/maps/x`,
    "INODE_RENAME",
    inIntruder("touch /host/tmp/f && mv /host/tmp/f /host/tmp/g && rm /host/tmp/g"),
  ),
  onFile(
    "M2 removing the directory on which the pins are mounted, which would unmount them,",
    "unshare -m sh -c 'umount /host/sys/fs/bpf/ankylo && rmdir /host/sys/fs/bpf/ankylo'",
    "INODE_RMDIR",
    inIntruder("mkdir /host/sys/fs/bpf/other && rmdir /host/sys/fs/bpf/other"),
  ),
  onFile(
    "M4 adding a policy",
    `echo x >${policies}/more.yaml`,
    "INODE_CREATE",
    inIntruder("echo x >/host/etc/other.yaml && rm /host/etc/other.yaml"),
  ),
  onFile("M4 writing to a policy", `echo x >>${policies}/keep.yaml`, "FILE_OPEN"),
  onFile(
    "M4 truncating a policy",
    `truncate -s 0 ${policies}/keep.yaml`,
    "(FILE_OPEN|INODE_SETATTR)",
  ),
  onFile("M4 removing a policy", `rm -f ${policies}/keep.yaml`, "INODE_UNLINK"),
  onFile(
    "M4 replacing a policy",
    `touch /host/etc/p; mv -f /host/etc/p ${policies}/keep.yaml`,
    "INODE_RENAME",
  ),
  onFile(
    "M4 linking a policy to a place where it could be written",
    `ln ${policies}/keep.yaml /host/etc/linked.yaml`,
    "INODE_LINK",
  ),
  onFile("M4 making a link to be read as a policy", `ln -s /x ${policies}/l.yaml`, "INODE_SYMLINK"),
  onFile("M4 making a pipe to be read as a policy", `mkfifo ${policies}/p.yaml`, "INODE_MKNOD"),
  onFile("M4 making a directory among the policies", `mkdir ${policies}/d`, "INODE_MKDIR"),
  onFile(
    "M4 renaming a directory above the policies",
    "mv /host/etc/ankylo /host/etc/gone",
    "INODE_RENAME",
    inIntruder("mkdir /host/etc/a && mv /host/etc/a /host/etc/b && rmdir /host/etc/b"),
  ),
  onFile("M4 changing the mode of a policy", `chmod 666 ${policies}/keep.yaml`, "INODE_SETATTR"),
  onFile(
    "M4 removing the agent's lock through an overlay of the container's own",
    "mkdir -p /tmp/o && mount -t tmpfs t /tmp/o && mkdir /tmp/o/l /tmp/o/m /host/run/w; " +
      "mount -t overlay -o lowerdir=/tmp/o/l,upperdir=/host/run/ankylo,workdir=/host/run/w o /tmp/o/m && " +
      "rm /tmp/o/m/agent.lock",
    "INODE_(UNLINK|RENAME|MKNOD)",
    inIntruder(
      "cd /tmp/o && mkdir n u w && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o n && touch n/f && rm n/f",
    ),
  ),
  onFile(
    "M4 writing to the agent's lock through that overlay",
    "echo x >>/tmp/o/m/agent.lock",
    "FILE_OPEN",
    inIntruder("echo x >/tmp/o/n/f && echo x >>/tmp/o/n/f"),
  ),
  onFile("M4 removing the agent's socket", "rm -f /host/run/ankylo/ankylo.sock", "INODE_UNLINK"),
  onFile(
    "M4 removing what the executable unpacked",
    "rm /host/var/cache/ankylo/runtime/ankylo-deno-*",
    "INODE_UNLINK",
  ),
  onFile(
    "P8 freezing the agent's cgroup",
    "echo 1 >/host/sys/fs/cgroup/init/cgroup.freeze",
    "FILE_OPEN",
    inIntruder("mkdir /host/sys/fs/cgroup/x && echo 1 >/host/sys/fs/cgroup/x/cgroup.freeze"),
  ),
  onFile(
    "P7 killing the agent's cgroup",
    "echo 1 >/host/sys/fs/cgroup/init/cgroup.kill",
    "FILE_OPEN",
  ),
  onFile(
    "P7 moving the agent to a cgroup of the container's choice",
    AGENT + "mkdir -p /host/sys/fs/cgroup/x; echo $agent >/host/sys/fs/cgroup/x/cgroup.procs",
    "FILE_OPEN",
    {
      in: "bystander",
      run: "mkdir /host/sys/fs/cgroup/y && echo 0 >/host/sys/fs/cgroup/y/cgroup.procs",
    },
  ),
  refusedMount(
    "M2 making the pins read-only",
    `mount -o remount,ro ${pins}`,
    "SB_REMOUNT",
    inIntruder(
      "mkdir -p /tmp/r && mount -t tmpfs t /tmp/r && mount -o remount,ro /tmp/r && umount /tmp/r",
    ),
  ),
  onFile(
    "M2 unmounting the pins in the host's namespace",
    "nsenter -t 1 -m umount -l /sys/fs/bpf/ankylo",
    "SB_UMOUNT",
    inIntruder("mkdir -p /tmp/u && mount -t tmpfs t /tmp/u && umount -l /tmp/u"),
  ),
  refusedMount(
    "M4 mounting over the policies in the host's namespace",
    "nsenter -t 1 -m mount -t tmpfs t /etc/ankylo/policies",
    "SB_MOUNT",
    inIntruder("mkdir -p /tmp/m && mount -t tmpfs t /tmp/m && umount /tmp/m"),
  ),
];

/** A command of the intruder's in the host's mount namespace. */
const outside = (run: string) => `nsenter -t 1 -m sh -c '${run}'`;
const mounts = "/job/files/mounts";

/** Moving the host's mounts away, which would hide from the next agent what this one left. */
const moves: Act[] = [
  onFile(
    "M2 moving the pins' mount",
    outside(`mkdir -p /tmp/d && ${mounts} move /sys/fs/bpf/ankylo /tmp/d /etc/passwd`),
    "SB_MOUNT",
    inIntruder(
      "cd /tmp && mkdir a b && unshare -m sh -c 'mount -t tmpfs a a && touch a/f && /files/mounts move a b b/f'",
    ),
  ),
  onFile(
    "M2 moving the pins' mount by move_mount",
    outside(`${mounts} tree-moved /sys/fs/bpf/ankylo /tmp/d /etc/passwd`),
    "MOVE_MOUNT",
    inIntruder(outside(
      `cd /tmp && mkdir a b && mount -t tmpfs a a && ${mounts} tree-moved a b /etc/passwd && umount b`,
    )),
  ),
  onFile(
    "M2 pivot_root in the host's namespace",
    outside(
      `${mounts} pivot /tmp/d /old/etc/passwd; s=$?; cd /; umount /tmp/d; exit $s`,
    ),
    "SB_PIVOTROOT",
    inIntruder("mkdir /tmp/p && unshare -m /files/mounts pivot /tmp/p /old/etc/passwd"),
  ),
];

const byHandle = (way: string, more = "") =>
  `echo 2 >/proc/sys/vm/drop_caches; ${mounts} handle-${way} /mnt/disk /job/files/keep.handle ${more}`;

/** By its handle a file is reached without its directory, on file systems that keep their names on a disk. */
const handles: Act[] = [
  {
    claim: "the policies lie on a disk, beside other files",
    in: "host",
    run: [
      "modprobe loop && truncate -s 8M /run/disk && busybox mke2fs -F /run/disk",
      "mkdir -p /mnt/disk && mount -o loop /run/disk /mnt/disk && mkdir /mnt/disk/other",
      "cp -a /etc/ankylo /mnt/disk && mount --bind /mnt/disk/ankylo /etc/ankylo",
      `${mounts} save-handle /etc/ankylo/policies/keep.yaml /job/files/keep.handle`,
    ].join(" && "),
    expect: "ok",
  },
  onFile(
    "M4 changing what has been mounted over the policies, once the agent has seen it,",
    outside("until ! chmod 600 /etc/ankylo/policies/keep.yaml; do sleep 0.5; done; exit 1"),
    "INODE_SETATTR",
  ),
  onFile(
    "M4 writing to a policy by its handle",
    outside(byHandle("write")),
    "FILE_OPEN",
    { in: "host", run: byHandle("write") },
  ),
  onFile(
    "M4 changing the mode of a policy by its handle",
    outside(byHandle("change")),
    "INODE_SETATTR",
    { in: "host", run: byHandle("change") },
  ),
  onFile(
    "M4 linking a policy by its handle to where it could be written",
    outside(byHandle("link", "/mnt/disk/other/l")),
    "INODE_LINK",
    { in: "host", run: byHandle("link", "/mnt/disk/other/l") },
  ),
  {
    claim:
      "work: a file beside the policies is changed by its handle, while the kernel knows its name",
    in: "intruder",
    run: outside(
      `cd /mnt/disk/other && echo x >f && ${mounts} save-handle f /job/files/f.handle && ` +
        `exec 5<f && ${mounts} handle-write /mnt/disk /job/files/f.handle && ` +
        `${mounts} handle-change /mnt/disk /job/files/f.handle`,
    ),
    expect: "ok",
  },
];

const after: Act[] = [
  {
    claim: "the agent is alive, and what it enforces holds",
    in: "bystander",
    run: "cat /etc/passwd",
    expect: "EACCES",
    alert: { PolicyName: "keep", ContainerName: "bystander", Operation: "File" },
  },
  {
    claim: "M3 the host's root can stop the agent",
    in: "host",
    run: "stop_agent KILL && ! agent_runs",
    expect: "ok",
  },
];

/** Each command but the last `kill` is a process of its own; that one is the shell's, which started the agent. */
const byHost = [
  "start_agent --protect host",
  "env kill -9 $(<$agent_pid) && echo killed",
  "/job/files/tamper trace $(<$agent_pid) && echo traced",
  "/job/files/tamper maps 0 && echo taken",
  "env rm /sys/fs/bpf/ankylo/v1/links/hook_file_open && echo removed",
  "/job/files/tamper trace 0",
  "told_of_host() { grep INODE_UNLINK $alerts | grep -qv ContainerName; }; wait_until told_of_host",
  "stop_agent TERM",
].join("; ");

const toldOfHost = (Operation: string, lsm: string): AlertPattern => ({
  ...told(Operation, lsm),
  ContainerName: /^$/,
});

/** `protect: host`: all but init and those that started the agent are kept off it; and the node can be repaired all the same. */
const fromHost: Act[] = [
  {
    claim:
      "M2, M3 with protect: host its other processes are refused; the shell that started the agent can end it",
    in: "host",
    run: byHost,
    expect: /^(?!.*(killed|traced|taken|removed)).*\bdone\b/s,
    alert: [
      toldOfHost("Process", "TASK_KILL"),
      toldOfHost("Process", "PTRACE_ACCESS_CHECK"),
      toldOfHost("Syscall", "BPF_MAP"),
      toldOfHost("File", "INODE_UNLINK"),
    ],
  },
  {
    claim: "M2 pins and policies are safe from containers while no agent runs",
    in: "intruder",
    run: `rm -f ${pins}/v1/links/hook_file_open`,
    expect: "EPERM",
  },
  {
    claim: "M2 the host's root takes all out",
    in: "host",
    run: "ankylo uninstall",
    expect: /Nothing is enforced any more/,
  },
];

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: keep
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: bystander
  file:
    matchPaths:
      - path: /etc/passwd
  action: Block
`;

scenario({
  name: "self-protection",
  policies: { "keep.yaml": policy },
  containers: {
    intruder,
    bystander: { privileged: true, options: host },
  },
  files: await Promise.all(["tamper", "mounts"].map(compileTool)),
  acts: [
    {
      claim: "a process of the host is there to be traced",
      in: "host",
      run: "setsid sleep 1000000 >/dev/null 2>&1 & echo $! >/run/e2e/victim.pid",
      expect: "ok",
    },
    ...tasks,
    ...kernelObjects,
    ...files,
    ...moves,
    ...handles,
    ...after,
    ...fromHost,
  ],
});
