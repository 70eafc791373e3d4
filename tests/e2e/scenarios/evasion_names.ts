/**
 * Evasions by name: the same file or program reached by another spelling, another link or another system call; and what
 * must not suffer from the rules. Claims begin with the row of tests/e2e/EVASIONS.md.
 */

import { refusedBy } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

/** Lengths around the limits of a name that a dentry holds inline, and the longest. */
const NAMES = [1, 31, 32, 33, 39, 40, 41, 255].map((length) => `/names/${"n".repeat(length)}`);
/** Files whose path has so many names. */
const DEEP = [30, 60].map((names) => `/deep${names}${"/d".repeat(names - 2)}/key`);

/** More names than a rule may have, below a directory that a rule names. */
const DEEPEST = `/data/locked${"/d".repeat(100)}/key`;

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: keep
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  file:
    matchPaths:
      - path: /data/secret
      - path: /data/sub/key
      - path: /etc/shadow
      - path: /data/config
        readOnly: true
${[...NAMES, ...DEEP].map((path) => `      - path: ${path}`).join("\n")}
    matchDirectories:
      - dir: /data/locked/
        recursive: true
  process:
    matchPaths:
      - path: /bin/cat-dyn
    matchDirectories:
      - dir: /opt/tools/
        recursive: true
  action: Block
`;

const write = (path: string) =>
  `mkdir -p ${path.slice(0, path.lastIndexOf("/"))} && echo content >${path}`;
const prepare = [
  ...["/data/secret", "/data/public", "/data/sub/key", "/data/other/key", "/data/config"].map(
    write,
  ),
  ...["/data/locked/a/b/key", "/scratch/text", "/data/kept", ...NAMES, ...DEEP, DEEPEST].map(
    write,
  ),
  ...NAMES.map((path) => `${path.slice(0, -1)}m`).map(write),
  "mkdir -p /opt/tools/sub /data/empty && cp /bin/cat-dyn /opt/tools/sub/tool",
  "echo text >/opt/tools/sub/text",
  "chmod -R a+rwX /data /names /scratch",
  ...["/data/config", "/data/public", "/data/secret read", "/bin/cat-dyn read"].map((file, i) =>
    `mkdir /scratch/keeper${i} && set -- ${file} && /files/held keep $1 /scratch/keeper${i} $2`
  ),
].join(" && ");

const refused = (
  resource: string | RegExp,
  lsm: string,
  more: AlertPattern = {},
): AlertPattern => ({ ...refusedBy("keep", lsm, resource), ...more });

/** An act that the rules refuse, and that works where no rule is. */
const refusal = (claim: string, run: string, alert: AlertPattern, control = "free"): Act => ({
  claim,
  in: "web",
  run,
  expect: "EACCES",
  alert,
  control: { in: control, expect: /ontent|^\s*$/ },
});

const readings: [claim: string, run: string, file?: string][] = [
  ["O0 its own name, once in the alerts", "cat /data/secret"],
  ["O1 a symbolic link", "ln -s /data/secret /tmp/l; cat /tmp/l; s=$?; rm /tmp/l; exit $s"],
  [
    "O1 a symbolic link to its directory",
    "ln -s /data /tmp/d; cat /tmp/d/secret; s=$?; rm /tmp/d; exit $s",
  ],
  ["O2 dots and slashes", "cat /data/sub/..//./secret"],
  ["O2 /proc/self/root", "cat /proc/self/root/data/secret"],
  ["O2 /proc/1/root", "cat /proc/1/root/data/secret"],
  ["O2 /proc/self/cwd", "cd /data; cat /proc/self/cwd/secret"],
  ["O2 a redirection and /dev/fd", "exec 5</data/secret; cat /dev/fd/5"],
  ["O2 openat below a descriptor of its directory", "/files/open directory /data/secret"],
  ["O2 openat2 with its directory as root", "/files/open in-root /data/secret"],
  ["O13 O_PATH and /proc/self/fd", "/files/open path-descriptor /data/secret"],
  ["S11 a second thread", "/files/open thread /data/secret"],
  ["M1 io_uring", "/files/open uring /data/secret"],
  ["M1 io_uring's worker thread", "/files/open uring-worker /data/secret"],
  ...NAMES.map((path): [string, string, string] => [
    `O9 a name of ${path.length - 7} bytes`,
    `cat ${path}`,
    path,
  ]),
  ["O8 a path of 30 names", `cat ${DEEP[0]}`, DEEP[0]!],
  ["O8 a path of 60 names", `cat ${DEEP[1]}`, DEEP[1]!],
  ["O8 a path of 103 names below a ruled directory", `cat ${DEEPEST}`, DEEPEST],
  ["O8 a path of 60 names, from far below", `cd ${DEEP[1]!.slice(0, -6)}; cat d/key`, DEEP[1]!],
];

const linksAndNames: Act[] = [
  refusal(
    "O0 an open that would make a file of the image, whose name the kernel does not know yet, is refused and told once",
    "echo content >>/etc/shadow",
    refused("/etc/shadow", "FILE_MKNOD"),
  ),
  refusal(
    "O3 a hard link of a file is refused",
    "ln /data/secret /tmp/h && cat /tmp/h && rm /tmp/h",
    refused("/data/secret", "FILE_LINK"),
  ),
  refusal(
    "O3 a hard link out of a ruled directory is refused",
    "ln /data/locked/a/b/key /tmp/h && cat /tmp/h && rm /tmp/h",
    refused("/data/locked/a/b/key", "FILE_LINK"),
  ),
  refusal(
    "O4 a hard link of a blocked program is refused",
    "ln /bin/cat-dyn /bin/t && /bin/t /data/public && rm /bin/t",
    refused("/bin/cat-dyn", "FILE_LINK"),
  ),
  refusal(
    "O4 a blocked program gets no other name",
    "mv /bin/cat-dyn /bin/t && /bin/t /data/public && mv /bin/t /bin/cat-dyn",
    refused("/bin/cat-dyn", "FILE_RENAME"),
  ),
  refusal(
    "O4 a blocked program keeps a bit that shows it is one",
    "cd /opt; chmod 644 tools/sub/tool && mv tools/sub/tool t && chmod 755 t && ./t /data/public && mv t tools/sub/tool",
    refused("/opt/tools/sub/tool", "FILE_CHMOD"),
  ),
  refusal(
    "O4 nor is the bit taken away by an access control list",
    "cd /opt; /files/attributes only-readable tools/sub/tool && mv tools/sub/tool t && chmod 755 t && ./t /data/public && mv t tools/sub/tool",
    refused("/opt/tools/sub/tool", "FILE_SET(XATTR|_ACL)"),
  ),
  refusal(
    "O4 a directory does not leave a directory of blocked programs",
    "mv /opt/tools/sub /opt/sub && /opt/sub/tool /data/public && mv /opt/sub /opt/tools/sub",
    refused("/opt/tools/sub", "FILE_RENAME"),
  ),
  refusal(
    "O4 a symbolic link to a blocked program is refused",
    "ln -s /bin/cat-dyn /tmp/t; /tmp/t /data/public; s=$?; rm /tmp/t; exit $s",
    refused(/^\/bin\/cat-dyn/, "SECURITY_BPRM_CHECK", { Operation: "Process" }),
  ),
  refusal(
    "O5 rename of the parent directory is refused",
    "mv /data/sub /data/s2 && cat /data/s2/key && mv /data/s2 /data/sub",
    refused("/data/sub", "FILE_RENAME"),
  ),
  refusal(
    "O5 rename of a directory two above is refused",
    "mv /data /d2 && cat /d2/sub/key && mv /d2 /data",
    refused("/data", "FILE_RENAME"),
  ),
  refusal(
    "O5 exchange of the parent directory is refused",
    "/files/mounts exchange /data/sub /data/other /data/other/key",
    refused("/data/sub", "FILE_RENAME"),
  ),
  refusal(
    "O5 exchange in the other direction is refused",
    "/files/mounts exchange /data/other /data/sub /data/other/key",
    refused("/data/sub", "FILE_RENAME"),
  ),
  refusal(
    "O5 a directory of programs keeps its name",
    "mv /opt/tools /opt/t2 && /opt/t2/sub/tool /data/public && mv /opt/t2 /opt/tools",
    refused("/opt/tools", "FILE_RENAME"),
  ),
  refusal(
    "O5 exchange of a file with a neighbour is refused",
    "/files/mounts exchange /data/public /data/secret /data/public",
    refused("/data/secret", "FILE_RENAME"),
  ),
];

const replacements: Act[] = [
  refusal(
    "O12 another file is not moved over it",
    "echo content >/tmp/n && mv -f /tmp/n /data/sub/key",
    refused("/data/sub/key", "FILE_RENAME"),
  ),
  refusal(
    "O12 it is not removed",
    "rm -f /data/sub/key && echo content >/data/sub/key",
    refused("/data/sub/key", "FILE_UNLINK"),
  ),
  refusal(
    "W1 readOnly: a shared mapping does not write",
    "/files/open shared-mapping /data/config && echo content >/data/config",
    refused("/data/config", "FILE_OPEN"),
  ),
  {
    claim: "W1 readOnly: reading passes",
    in: "web",
    run: "cat /data/config",
    expect: /^content/,
  },
  {
    claim: "O11 a file of the image is refused after touch has copied it up",
    in: "web",
    run: "touch /etc/shadow; cat /etc/shadow",
    expect: "EACCES",
    alert: refused("/etc/shadow", "FILE_OPEN"),
    control: { in: "free", expect: /root/ },
  },
];

/** Makes a process use what it has held since before there was a policy, or takes it from there. */
const ask = (keeper: number, way: string) => `/files/held ask /scratch/keeper${keeper} ${way}`;

const olderThanThePolicy: Act[] = [
  refusal(
    "W1 readOnly: a descriptor from before is not mapped for writing",
    ask(0, "map-to-write"),
    refused("/data/config", "MMAP_FILE"),
  ),
  refusal(
    "W1 readOnly: a mapping from before is not made writable",
    ask(0, "protect-to-write"),
    refused("/data/config", "FILE_MPROTECT"),
  ),
  refusal(
    "X8 a mapping from before is not made code",
    ask(3, "protect-as-code"),
    refused("/bin/cat-dyn", "FILE_MPROTECT", { Operation: "Process" }),
  ),
  refusal(
    "O15 a descriptor for writing is not handed on",
    ask(0, "send"),
    refused("/data/config", "FILE_RECEIVE"),
  ),
  refusal(
    "O15 a descriptor for reading is not handed on",
    ask(2, "send"),
    refused("/data/secret", "FILE_RECEIVE"),
  ),
  refusal(
    "O15 a descriptor is not taken from its process",
    ask(2, "take"),
    refused("/data/secret", "FILE_RECEIVE"),
  ),
];

const dumpCore =
  "(ulimit -c unlimited; sh -c 'kill -SEGV $$'); [ -e core ] && echo dumped || echo none";

/** What the kernel itself opens for a task is judged as the task's. */
const dumps: Act[] = [
  {
    claim: "the kernel writes core dumps to the current directory",
    in: "host",
    run: "echo core >/proc/sys/kernel/core_pattern",
    expect: "ok",
  },
  {
    claim: "O24 a core dump to a ruled directory is refused",
    in: "web",
    run: `cd /data/locked; ${dumpCore}`,
    expect: /none/,
    alert: refused("/data/locked/core", "FILE_MKNOD"),
    control: { in: "free", expect: /dumped/ },
  },
];

/** What rules on other files must leave alone; no alert is expected of any of it. */
const undisturbed: [claim: string, run: string, expect?: Act["expect"]][] = [
  [
    "O9 names of equal length that differ in the last byte are readable",
    `cat ${NAMES.map((n) => `${n.slice(0, -1)}m`).join(" ")}`,
    /content/,
  ],
  ["O23 mq_open", "/files/open message-queue /evasion"],
  ["O23 a namespace is opened", "/files/open namespace /proc/self/ns/mnt"],
  ["O23 a memfd is opened again", "/files/open memfd x", /memory/],
  ["O23 a memfd of huge pages is opened again", "/files/open huge-memfd x"],
  ["O23 pipes, sockets and terminals", "echo a | cat /dev/stdin; cat </dev/null; echo >/dev/null"],
  [
    "O23 a descriptor of an unlinked file",
    "echo gone >/scratch/u; exec 5<>/scratch/u; rm /scratch/u; cat /proc/self/fd/5",
    /gone/,
  ],
  ["O15 what no rule names is handed on", ask(1, "send"), /content/],
  ["O15 and taken", ask(1, "take"), /content/],
  ["W1 and mapped for writing", ask(1, "map-to-write")],
  [
    "W1 a copy of a readOnly file in memory is written",
    `${ask(0, "map-copy")} && ${ask(0, "protect-copy")}`,
  ],
  [
    "work: cp -r, mv, rm",
    "cp -r /data/other /scratch/o && mv /scratch/o /scratch/p && rm -r /scratch/p",
  ],
  [
    "work: tar",
    "tar -cf /scratch/t.tar /data/public /etc/passwd /bin/ls && tar -tf /scratch/t.tar",
    /passwd/,
  ],
  ["work: find", "find / -xdev -path /data/locked -prune -o -name secret -print", /\/data\/secret/],
  ["work: ls -lR", "ls -lR /data/sub /etc"],
  [
    "work: sed -i copies up and replaces",
    "sed -i 's/content/changed/' /scratch/text && cat /scratch/text",
    /changed/,
  ],
  [
    "work: a file of the image is appended to",
    "echo '# more' >>/etc/passwd && tail -n 1 /etc/passwd",
    /# more/,
  ],
  [
    "work: chmod, chown, touch, truncate, link",
    "cd /scratch; echo x >f; chmod 600 f; chown 1:1 f; touch f; : >f; ln f g; mv g h; rm f h",
  ],
  [
    "work: a text leaves a directory of blocked programs, whose modes may change",
    "cd /opt/tools/sub; chmod 600 text && chmod 700 tool && mv text /opt/ && mv /opt/text .",
  ],
  ["work: a neighbour is renamed and comes back", "mv /data/kept /data/k && mv /data/k /data/kept"],
  [
    "work: an empty directory of the parent is renamed",
    "mv /data/empty /data/e && mv /data/e /data/empty",
  ],
  [
    "work: a program is copied, linked and run",
    "cp /files/open /scratch/o && ln /scratch/o /scratch/e2 && /scratch/e2 memfd x",
    /memory/,
  ],
];

scenario({
  name: "evasion by names",
  policies: { "keep.yaml": policy },
  containers: { web: { prepare }, free: { prepare } },
  files: await Promise.all(["attributes", "held", "mounts", "open"].map(compileTool)),
  acts: [
    ...readings.map(([what, run, file = "/data/secret"]) =>
      refusal(`${what}: reading is refused`, run, refused(file, "FILE_OPEN"))
    ),
    ...linksAndNames,
    ...replacements,
    ...olderThanThePolicy,
    ...dumps,
    ...undisturbed.map(([claim, run, expect = "ok"]): Act => ({ claim, in: "web", run, expect })),
  ],
});
