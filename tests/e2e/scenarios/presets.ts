/**
 * Presets: what each refuses, what it tells of where it is audited, and what it leaves alone, although it looks alike.
 */

import { DENIED, onHost } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const LOADER = "/lib64/ld-linux-x86-64.so.2";

const policyFor = (container: string, presets: string, action = "Block") => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${container}
spec:
  severity: 8
  message: said by the spec
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  presets:
${presets.split(" ").map((name) => `    - {name: ${name}, action: ${action}}`).join("\n")}
`;

const FILES = "protectEnv protectProc blockRawDevices protectKernelTunables";
const CODE = "filelessExec anonymousMapExec";
const WAYS = "protectRuntimeSocket denyUserNamespaces denyIoUring";

const told = (enforcer: string, lsm: string, Resource?: string | RegExp): AlertPattern => ({
  ...DENIED,
  ...{ PolicyName: "web", Severity: "8", Message: "said by the spec" },
  Enforcer: `PRESET-${enforcer}Preset`,
  ...lsm === "" ? {} : { Data: new RegExp(`^lsm=${lsm}( |$)`) },
  ...Resource === undefined ? {} : { Resource },
});

/** Refused in `web`, told of in `told`, and nothing in `free`. */
function refused(
  claim: string,
  run: string,
  alert: AlertPattern,
  expect: Act["expect"] = "ok",
): Act[] {
  return [
    { claim, in: "web", run, expect: "EACCES", alert, control: { in: "free", expect } },
    {
      claim: `${claim}: told where it is audited`,
      ...{ in: "told", run, expect },
      alert: { ...alert, PolicyName: "told", Action: "Audit", Result: "Passed" },
    },
  ];
}

const passes = (claim: string, run: string, expect: Act["expect"] = "ok"): Act => ({
  claim,
  ...{ in: "web", run, expect },
});

const tool = (way: string) => `/opt/presets ${way}`;

const fileless = (resource: string | RegExp, lsm = "SECURITY_BPRM_CHECK") =>
  told("FilelessExecution", lsm, resource);
const anonymous = (data: RegExp): AlertPattern => ({
  ...told("AnonMapExecution", ""),
  Data: data,
});

const programs: Act[] = [
  ...refused(
    "a program on tmpfs",
    "/scratch/cat /data/text",
    fileless("/scratch/cat /data/text"),
    /content/,
  ),
  ...refused("a script on tmpfs", "/scratch/script.sh", fileless("/scratch/script.sh"), /content/),
  ...refused(
    "a program in a memfd",
    "/opt/execute memory /bin/cat-dyn /data/text",
    fileless(/^memfd:program( |$)/),
    /content/,
  ),
  ...refused(
    "a program whose name is gone",
    "/opt/execute unlinked-copy /bin/cat-dyn /data/text",
    fileless(/^\/tmp\/unlinked( |$)/),
    /content/,
  ),
  {
    claim: "a program on tmpfs given to the loader",
    ...{ in: "web", run: `${LOADER} /scratch/cat /data/text` },
    expect: { status: 127, output: /failed to map segment/ },
    alert: fileless("/scratch/cat", "MMAP_FILE"),
    control: { in: "free", expect: /content/ },
  },
  passes("a program on a disk", "/bin/cat-dyn /data/text", /content/),
  passes("a program on a disk given to the loader", `${LOADER} /bin/cat-dyn /data/text`, /content/),
];

const memory: Act[] = [
  ...refused(
    "memory that may be written and executed",
    tool("anonymous"),
    anonymous(/^PROT_READ\|PROT_WRITE\|PROT_EXEC,.*,MAP_PRIVATE\|MAP_ANONYMOUS$/),
    /done/,
  ),
  ...refused(
    "X6 memory that becomes code",
    tool("later"),
    anonymous(/^PROT_READ\|PROT_EXEC,PROT_READ\|PROT_EXEC,MAP_PRIVATE\|MAP_ANONYMOUS$/),
    /done/,
  ),
  ...refused("a memfd mapped as code", tool("memfd"), anonymous(/,MAP_SHARED$/), /done/),
  ...refused(
    "a private copy of a file that was written and becomes code",
    tool("written /bin/busybox"),
    { ...anonymous(/,MAP_PRIVATE$/), Resource: "/bin/busybox" },
    /done/,
  ),
  passes("a file mapped as code", tool("code /bin/busybox"), /done/),
];

const processes: Act[] = [
  ...refused(
    "another process' environment",
    "cat /proc/1/environ",
    told("ProtectEnv", "FILE_OPEN", "/proc/1/environ"),
  ),
  ...refused(
    "another process' environment by another procfs",
    "cat /proc2/1/task/1/environ",
    told("ProtectEnv", "FILE_OPEN", "/proc2/1/task/1/environ"),
  ),
  ...refused(
    "another process' file in procfs",
    "cat /proc/1/status",
    told("ProtectProc", "FILE_OPEN", "/proc/1/status"),
    /Name:/,
  ),
  ...refused(
    "what lies below another process' directory without knowing it",
    "cat /proc/1/net/dev",
    told("ProtectProc", "FILE_OPEN", "/proc/1/net/dev"),
    /Inter/,
  ),
  ...refused(
    "another process' root directory",
    "cat /proc/1/root/data/text",
    told("ProtectProc", "INODE_FOLLOW_LINK", "/proc/1/root"),
    /content/,
  ),
  {
    claim: "where another process' link leads",
    ...{ in: "web", run: "readlink /proc/1/exe", expect: { status: 1 } },
    alert: told("ProtectProc", "INODE_READLINK", "/proc/1/exe"),
    control: { in: "free", expect: /sleep|busybox/ },
  },
  passes("its own environment", "cat /proc/self/environ"),
  passes("its own environment by a second thread", tool("thread-environ"), /done/),
  passes("its own by another procfs", "cat /proc2/self/environ /proc2/thread-self/status", /Name:/),
  passes("its own links", "readlink /proc/self/exe && cat /proc/self/root/data/text", /content/),
  passes("what procfs tells of the machine", "cat /proc/meminfo /proc/net/dev", /MemTotal/),
  passes("procfs itself", "ls /proc", /^1$/m),
];

const devices: Act[] = [
  ...refused(
    "O14 a disk",
    "head -c 1 /opt/disk",
    told("BlockRawDevices", "FILE_OPEN", "/opt/disk"),
  ),
  ...refused(
    "O14 the machine's memory",
    ": </opt/mem",
    told("BlockRawDevices", "FILE_OPEN", "/opt/mem"),
  ),
  ...refused(
    "O14 the machine's memory by procfs",
    ": </proc/kcore",
    told("BlockRawDevices", "FILE_OPEN", "/proc/kcore"),
  ),
  ...refused(
    "a disk that is made",
    "mknod /tmp/made b 7 7 && rm /tmp/made",
    { ...told("BlockRawDevices", "", "/tmp/made"), Data: "lsm=FILE_MKNOD device=7:7" },
  ),
  ...refused(
    "a disk that is mounted",
    "mount -t squashfs -o ro /opt/disk /mnt && umount /mnt",
    { ...told("BlockRawDevices", ""), Data: /^lsm=(SB_KERN_MOUNT device=\d+:\d+|FILE_OPEN)$/ },
  ),
  passes(
    "other devices",
    "head -c 1 /dev/zero | wc -c && mknod /tmp/null c 1 3 && echo >/tmp/null",
    /1/,
  ),
];

const tunables: Act[] = [
  ...refused(
    "O24 X9 where a crash goes",
    "cat /proc/sys/kernel/core_pattern >/tmp/core && cat /tmp/core >/proc/sys/kernel/core_pattern",
    told("ProtectKernelTunables", "FILE_OPEN", "/proc/sys/kernel/core_pattern"),
  ),
  ...refused(
    "a key of the console",
    ": >/proc/sysrq-trigger",
    told("ProtectKernelTunables", "FILE_OPEN", "/proc/sysrq-trigger"),
  ),
  ...refused(
    "a setting in sysfs",
    "echo 0 >/sys/kernel/rcu_expedited",
    told("ProtectKernelTunables", "FILE_OPEN", "/sys/kernel/rcu_expedited"),
  ),
  passes("reading settings", "cat /proc/sys/kernel/core_pattern /sys/kernel/rcu_expedited", /0/),
  passes("settings of its own process", "echo 0 >/proc/self/oom_score_adj"),
];

const others: Act[] = [
  ...refused(
    "a runtime's socket under another name",
    "/opt/sockets connect /opt/innocent.sock",
    told("ProtectRuntimeSocket", "UNIX_STREAM_CONNECT", /\/containerd\.sock$/),
  ),
  passes(
    "a socket of that name which is the container's own",
    "/opt/sockets listen /tmp/docker.sock && /opt/sockets connect /tmp/docker.sock",
  ),
  ...refused(
    "a user namespace",
    tool("namespace"),
    { ...told("DenyUserNamespaces", "USERNS_CREATE"), Operation: "Syscall" },
    /done/,
  ),
  ...refused(
    "a process in a user namespace",
    tool("clone"),
    told("DenyUserNamespaces", "USERNS_CREATE"),
    /done/,
  ),
  passes("a mount namespace", "unshare -m true"),
  ...refused(
    "M1 a ring of io_uring",
    tool("ring"),
    { ...told("DenyIoUring", "INODE_INIT_SECURITY_ANON"), Operation: "Syscall" },
    /done/,
  ),
];

const ENTER = "/job/files/presets terminal ctr task exec -t --exec-id";

const outside: Act[] = [
  onHost(
    "who enters on a terminal is refused",
    `${ENTER} one entered /bin/hostname`,
    { output: /ermission denied/ },
    {
      alert: {
        ...DENIED,
        ...{ PolicyName: "entered", Enforcer: "PRESET-ExecPreset", Operation: "Process" },
        ...{ Resource: "/bin/hostname", TTY: /^pts/ },
      },
      control: { in: "host", run: `${ENTER} two free /bin/hostname`, expect: "ok" },
    },
  ),
  {
    claim: "who enters without one, as a probe does, is not",
    ...{ in: "entered", run: ["/bin/true"], expect: "ok" },
  },
  {
    claim: "nor what is in the container, with a terminal of its own",
    ...{ in: "entered", run: "/files/terminal /bin/true", expect: "ok" },
  },
  {
    claim: "where programs are blocked memory without a file is none",
    ...{ in: "entered", run: "/files/presets anonymous && /files/presets later", expect: /done/ },
  },
  onHost(
    "nor a container that begins on a terminal",
    "/job/files/presets terminal ctr run -t --rm $image begins /bin/echo begun",
    /begun/,
  ),
];

/** A rule about a program makes the kernel ask about all that is mapped as code. */
const program = policyFor("entered", "exec").replace("name: entered", "name: program")
  .replace(/presets:[^]*$/, "process: {matchPaths: [{path: /bin/none}]}\n");

const prepare = [
  "mkdir -p /data /proc2 /mnt /opt /tmp && echo content >/data/text && mount -t proc proc /proc2",
  "cp /bin/cat-dyn /scratch/cat && cp /files/presets /files/execute /files/sockets /opt",
  "printf '#!/bin/sh\\necho content\\n' >/scratch/script.sh && chmod +x /scratch/script.sh",
  "mknod /opt/disk b $(cat /sys/block/vda/dev | tr : ' ') && mknod /opt/mem c 1 1",
  "ln -s /run/containerd/containerd.sock /opt/innocent.sock",
].join(" && ");

const privileged = {
  privileged: true,
  options: [
    "--mount",
    "type=tmpfs,src=tmpfs,dst=/scratch,options=rw",
    "--mount",
    "type=bind,src=/run/containerd,dst=/run/containerd,options=rbind:rw",
  ],
  prepare,
};

scenario({
  name: "presets",
  policies: {
    "web.yaml": policyFor("web", `${CODE} ${FILES} ${WAYS}`),
    "told.yaml": policyFor("told", `${CODE} ${FILES} ${WAYS}`, "Audit"),
    "entered.yaml": policyFor("entered", "exec"),
    "program.yaml": program,
    "begins.yaml": policyFor("begins", "exec"),
  },
  containers: { web: privileged, told: privileged, free: privileged, entered: {} },
  files: [
    await compileTool("presets"),
    await compileTool("execute"),
    await compileTool("sockets"),
    await compileTool("terminal"),
  ],
  acts: [...programs, ...memory, ...processes, ...devices, ...tunables, ...others, ...outside],
});
