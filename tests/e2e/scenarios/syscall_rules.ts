/**
 * Rules about system calls: every name of them, by each way into the kernel that x86-64 has; by program and by path argument; told and
 * never refused; and nothing told of what no rule names.
 */

import { nativeNumbers } from "../../../src/kernel/syscall_table.ts";
import { SYSCALL_NAMES } from "../../../src/model/syscall_names.ts";
import { onHost } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const numbers = new Map([...nativeNumbers("x86_64")].map(([number, name]) => [name, number]));

const policyFor = (container: string, syscalls: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${container}
spec:
  severity: 6
  action: Block
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  syscalls:
    message: said by the group
${syscalls.trim().split("\n").map((line) => `    ${line}`).join("\n")}
`;

/** Only of the tool, so that nobody else's are told. */
const every = policyFor(
  "every",
  `
matchSyscalls:
- syscall: [${SYSCALL_NAMES.join(", ")}]
  fromSource: [{path: /files/syscalls}]`,
);

const some = policyFor(
  "some",
  `
matchSyscalls:
- syscall: [setuid]
- syscall: [setgid]
  fromSource: [{path: /opt/one}]
- syscall: [getpgid]
  fromSource: [{dir: /opt/}]
- syscall: [getsid]
  fromSource: [{dir: /opt/, recursive: true}]
matchPaths:
- {syscall: [unlink, unlinkat], path: /srv/file}
- {syscall: [mkdir], path: /srv/}
- {syscall: [rmdir], path: /srv/, recursive: true}
- {syscall: [rename], path: /srv/new}
- {syscall: [chdir], path: /srv/sub/, fromSource: [{path: /opt/one}]}
- {syscall: [access], path: /srv/file, fromSource: [{dir: /opt/}]}
- {syscall: [truncate], path: /srv/file, fromSource: [{dir: /opt/, recursive: true}]}`,
);

const told = (name: string, more: AlertPattern = {}): AlertPattern => ({
  ...{ PolicyName: "some", Operation: "Syscall", Action: "Audit", Result: "Passed" },
  ...{ Severity: "6", Message: "said by the group" },
  ...{ Data: new RegExp(`^syscall=SYS_${name.toUpperCase()}( |$)`), ...more },
});

type Way = "native" | "i386" | "x32";

const call = (name: string, args = "", way: Way = "native", program = "/files/syscalls") =>
  `${program} ${way} ${way === "i386" ? I386[name] : numbers.get(name)} ${args}`;

const I386: Readonly<Record<string, number>> = { unlink: 10, setuid: 213, rename: 38 };

const act = (claim: string, run: string, ...alert: AlertPattern[]): Act => ({
  ...{ claim, in: "some", run, expect: /^done\s*$/ },
  ...alert.length === 0 ? {} : { alert },
});

/** Waits until the agent has told of every name: what found no room in the ring is told afterwards. */
const ALL_TOLD =
  "all_told() { [ $(grep PolicyName.:.every $alerts | grep -o 'syscall=SYS_[A-Z0-9_]*' | " +
  `sort -u | wc -l) = ${SYSCALL_NAMES.length} ]; }; wait_until all_told`;

scenario({
  name: "syscall rules",
  // What a process does on its way is told as well, as often as the rate allows.
  otherAlerts: "ignore",
  policies: { "every.yaml": every, "some.yaml": some },
  containers: {
    every: {},
    some: {
      prepare: "mkdir -p /opt/deep /srv/sub && for to in /opt/one /opt/two /opt/deep/three; do " +
        "cp /files/syscalls $to; done && ln -s /srv /link",
    },
    free: {},
  },
  files: [await compileTool("syscalls")],
  acts: [
    act("a system call is told of, and passes", call("setuid", "0"), told("setuid")),
    act(
      "what an i386 program would call is told of",
      call("setuid", "0", "i386"),
      told("setuid", { Data: "syscall=SYS_SETUID userid=0" }),
    ),
    act("what an x32 program would call is told of", call("setuid", "7", "x32"), told("setuid")),
    act(
      "by a program",
      call("setgid", "0", "native", "/opt/one"),
      told("setgid", { ProcessName: "/opt/one" }),
    ),
    act(
      "by a program of a directory",
      call("getpgid", "0", "native", "/opt/two"),
      told("getpgid", { ProcessName: "/opt/two" }),
    ),
    act(
      "by a program below a directory",
      call("getsid", "0", "native", "/opt/deep/three"),
      told("getsid", { ProcessName: "/opt/deep/three" }),
    ),
    act("by a path", call("unlink", "/srv/file"), told("unlink", { Resource: "/srv/file" })),
    act(
      "by a path of i386",
      call("unlink", "/srv//./sub/../file", "i386"),
      told("unlink", { Resource: "/srv/file" }),
    ),
    act(
      "by a relative path",
      `cd /srv/sub && ${call("unlink", "../file")}`,
      told("unlink", { Resource: "/srv/file", Cwd: "/srv/sub/" }),
    ),
    act(
      "by a path from a descriptor",
      `${call("unlinkat", "5 file 0")} 5</srv`,
      told("unlinkat", { Resource: "/srv/file" }),
    ),
    act(
      "by a directory",
      call("mkdir", "/srv/made 0700"),
      told("mkdir", { Resource: "/srv/made" }),
    ),
    act("by what lies below a directory", call("rmdir", "/srv/sub/x/y"), told("rmdir")),
    act(
      "by the second path",
      call("rename", "/none /srv/new"),
      told("rename", { Resource: "/srv/new" }),
    ),
    act(
      "by a program and a path",
      call("chdir", "/srv/sub", "native", "/opt/one"),
      told("chdir", { Resource: "/srv/sub" }),
    ),
    act(
      "by a program of a directory and a path",
      call("access", "/srv/file 0", "native", "/opt/two"),
      told("access", { Resource: "/srv/file", ProcessName: "/opt/two" }),
    ),
    act(
      "by a program below a directory and a path",
      call("truncate", "/srv/file 0", "native", "/opt/deep/three"),
      told("truncate", { Resource: "/srv/file", ProcessName: "/opt/deep/three" }),
    ),
    act("what another program calls is not told", call("setgid", "0", "native", "/opt/two")),
    act("nor what lies too deep", call("getpgid", "0", "native", "/opt/deep/three")),
    act("nor another path", call("unlink", "/srv/other")),
    act("nor what lies too deep there", call("mkdir", "/srv/none/made 0700")),
    act("nor a path by a link, which is another text", call("unlink", "/link/file")),
    act("nor a path of another program", call("chdir", "/srv/sub", "native", "/opt/two")),
    {
      claim: "every name of a system call is told of",
      ...{
        in: "every",
        run: `/files/syscalls every ${[...numbers.values()].sort((a, b) => a - b).join(" ")}`,
      },
      expect: /^done\s*$/,
      alert: { PolicyName: "every", Data: "syscall=SYS_SET_MEMPOLICY_HOME_NODE" },
    },
    onHost("so that all are", ALL_TOLD),
    {
      ...act("what comes last is told last", call("setuid", "9"), told("setuid")),
      control: { in: "free", expect: /^done\s*$/ },
    },
    onHost(
      "nothing else was told of the container",
      "grep -c PolicyName.:.some $alerts",
      /^17\s*$/,
    ),
    onHost(
      "the tracepoint goes with the last rule",
      "ls /sys/fs/bpf/ankylo/*/links/hook_sys_enter && rm /etc/ankylo/policies/*.yaml && " +
        "wait_until sh -c '! ls /sys/fs/bpf/ankylo/*/links/hook_sys_enter'",
    ),
  ],
});
