/**
 * Allow-lists with `posture.file: block`: what the list names passes, all else is refused; and a container of which only
 * what it needs is allowed is started, entered and ended as if nothing were there, by runc and by crun.
 */

import { DENIED, makeTool } from "../fixtures.ts";
import { type Act, scenario, STRICT_AGENT } from "../harness.ts";

const notListed = { ...DENIED, PolicyName: "DefaultPosture" };

const strict = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: strict
spec:
  selector:
    matchLabels:
      app: strict
  process:
    matchPaths:
      - path: /bin/sh
      - path: /bin/sleep
      - path: /bin/cat
      - path: /bin/true
  file:
    matchPaths:
      - path: /bin/sh
      - path: /bin/sleep
      - path: /bin/cat
      - path: /bin/true
      - path: /dev/null
      - path: /etc/passwd
      - path: /etc/group
        readOnly: true
  action: Allow
`;

/** Processes only, so that anything may be read, and the programs can be tried by any means. */
const programs = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: allow-programs
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: programs
  process:
    matchPaths:
      - path: /bin/sh
      - path: /bin/env
      - path: /bin/date
        fromSource:
          - path: /bin/env
      - path: /opt/flat/refused
        action: Block
    matchDirectories:
      - dir: /opt/flat/
      - dir: /opt/deep/
        recursive: true
      - dir: /opt/tools/
        recursive: true
        fromSource:
          - path: /bin/env
  action: Allow
`;

/** Read by the shell itself: no program could start. */
const files = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: allow-files
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: files
  file:
    matchPaths:
      - path: /dev/null
      - path: /data/one
      - path: /data/page
        readOnly: true
      - path: /data/blocked/but-one
      - path: /data/deep/refused
        action: Block
      - path: /data/by-shell
        fromSource:
          - path: /bin/sh
      - path: /data/by-cat
        fromSource:
          - path: /bin/cat
    matchDirectories:
      - dir: /data/flat/
      - dir: /data/deep/
        recursive: true
      - dir: /data/pages/
        recursive: true
        readOnly: true
      - dir: /data/blocked/
        recursive: true
        action: Block
  action: Allow
`;

const onlyBlock = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: only-block
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: only-block
  process:
    matchPaths:
      - path: /bin/sleep
  file:
    matchPaths:
      - path: /etc/shadow
  action: Block
`;

const preparePrograms = [
  "mkdir -p /opt/flat/below /opt/deep/a/b /opt/tools",
  ...["/opt/flat/tool", "/opt/flat/refused", "/opt/flat/below/tool", "/opt/deep/a/b/tool"].map(
    makeTool,
  ),
  ...["/opt/tools/tool", "/opt/other"].map(makeTool),
].join(" && ");

const prepareFiles = [
  "mkdir -p /data/flat/below /data/deep/a/b /data/pages/a /data/blocked",
  "cd /data",
  "for f in one page flat/x flat/below/x deep/refused deep/a/b/x pages/a/x blocked/x blocked/but-one other by-cat " +
  "by-shell; do echo text >$f; done",
].join(" && ");

/** Reading and writing by the shell alone. */
const read = (path: string) => `read line <${path} && echo $line`;
const append = (path: string) => `echo more >>${path}`;

const listed = (container: string, claim: string, run: string): Act => ({
  ...{ claim, in: container, run, expect: "ok" },
});

const program = (what: string, run: string, resource: string, policy = "DefaultPosture"): Act => ({
  ...{ claim: `${what} is not executed`, in: "programs", run, expect: "EACCES", control: "free" },
  alert: { ...DENIED, PolicyName: policy, Operation: "Process", Resource: resource },
});

const file = (what: string, run: string, object: string, policy = "DefaultPosture"): Act => ({
  ...{ claim: `${what} is refused`, in: "files", run, expect: "EACCES", control: "free" },
  alert: { ...DENIED, PolicyName: policy, Operation: "File", Resource: object },
});

const controlOf = (index: number) => index === 0 ? { control: "free" } : {};

/** What a strict container must be able to do, and what it must not. The control is the same for all: one is enough. */
const strictActs = (container: string, index: number): Act[] => [
  {
    claim: `a strict container, ${container}, is entered with a shell that works`,
    ...{ in: container, run: "/bin/cat /etc/passwd", expect: /root:/ },
  },
  {
    claim: `a strict container, ${container}, is entered without a shell, as another user`,
    ...{ in: container, user: 65534, run: ["/bin/cat", "/etc/passwd"], expect: /root:/ },
  },
  {
    claim: `a strict container, ${container}, runs no other program`,
    ...{ in: container, run: ["/bin/ls", "/"], expect: "EACCES", ...controlOf(index) },
    alert: { ...notListed, Operation: "Process", Resource: "/bin/ls /", ContainerName: container },
  },
  {
    claim: `a strict container, ${container}, reads no other file`,
    ...{ in: container, run: "/bin/cat /etc/shadow", expect: "EACCES", ...controlOf(index) },
    alert: { ...notListed, Operation: "File", Resource: "/etc/shadow", ContainerName: container },
  },
];

scenario({
  name: "allow-lists that refuse",
  agentOptions: STRICT_AGENT,
  policies: {
    "strict.yaml": strict,
    "programs.yaml": programs,
    "files.yaml": files,
    "only-block.yaml": onlyBlock,
  },
  containers: {
    "runc-before": { labels: { app: "strict" } },
    "crun-before": { labels: { app: "strict" }, runtime: "crun" },
    "runc-after": { labels: { app: "strict" }, start: "after" },
    "crun-after": { labels: { app: "strict" }, runtime: "crun", start: "after" },
    programs: { prepare: preparePrograms },
    files: { prepare: prepareFiles },
    "only-block": {},
    free: { prepare: `${preparePrograms} && ${prepareFiles}` },
  },
  acts: [
    ...["runc-before", "crun-before", "runc-after", "crun-after"].flatMap(strictActs),

    listed("programs", "a listed directory's programs run", "/opt/flat/tool"),
    listed("programs", "a listed recursive directory's programs run", "/opt/deep/a/b/tool"),
    listed("programs", "a program listed for a source runs for it", "/bin/env /bin/date +%s"),
    listed("programs", "a directory listed for a source runs for it", "/bin/env /opt/tools/tool"),
    program("a program outside the list", "/opt/other", "/opt/other"),
    program(
      "a program below a subdirectory of a listed directory",
      "/opt/flat/below/tool",
      "/opt/flat/below/tool",
    ),
    program("a program listed for a source, by another,", "/bin/date +%s", "/bin/date +%s"),
    program("a directory listed for a source, by another,", "/opt/tools/tool", "/opt/tools/tool"),
    program(
      "what is blocked by path inside a listed directory",
      "/opt/flat/refused",
      "/opt/flat/refused",
      "allow-programs",
    ),

    listed("files", "a listed file is read", read("/data/one")),
    listed("files", "a listed file is written", append("/data/one")),
    listed("files", "a listed directory's files are written", append("/data/flat/x")),
    listed("files", "a listed recursive directory's files are written", append("/data/deep/a/b/x")),
    listed("files", "a file listed for a source is open to it", read("/data/by-shell")),
    listed(
      "files",
      "a file listed inside a blocked directory is open",
      read("/data/blocked/but-one"),
    ),
    listed("files", "a file listed with readOnly is read", read("/data/page")),
    listed("files", "a directory listed with readOnly is read", read("/data/pages/a/x")),
    file("writing a file listed with readOnly", append("/data/page"), "/data/page"),
    file(
      "writing below a directory listed with readOnly",
      ": >/data/pages/a/x",
      "/data/pages/a/x",
    ),
    file("a file outside the list", read("/data/other"), "/data/other"),
    file(
      "a file below a subdirectory of a listed directory",
      read("/data/flat/below/x"),
      "/data/flat/below/x",
    ),
    file("a file listed for a source, to another,", read("/data/by-cat"), "/data/by-cat"),
    file("starting a program that the file list does not name", "/bin/true", "/bin/true"),
    file(
      "what is blocked around a listed file",
      read("/data/blocked/x"),
      "/data/blocked/x",
      "allow-files",
    ),
    file(
      "what is blocked by path inside a listed directory",
      read("/data/deep/refused"),
      "/data/deep/refused",
      "allow-files",
    ),

    {
      claim: "without any Allow rule the posture refuses nothing",
      in: "only-block",
      run: "/bin/cat /etc/passwd && echo x >>/etc/group && /bin/date +%s",
      expect: "ok",
    },
    {
      claim: "without any Allow rule what is blocked is refused",
      in: "only-block",
      run: "/bin/cat /etc/shadow",
      expect: "EACCES",
      alert: { ...DENIED, PolicyName: "only-block", Resource: "/etc/shadow" },
      control: "free",
    },
    {
      claim: "a strict container ends as it should",
      in: "host",
      run:
        "ctr task kill -s KILL runc-after && wait_until sh -c 'ctr task ls | grep -q \"runc-after .*STOPPED\"' && " +
        "ctr task rm runc-after; ctr container rm runc-after",
      expect: "ok",
    },
    {
      claim: "another strict container starts and does its work in the foreground",
      in: "host",
      run: "ctr run --rm --label=app=strict $image strict-once /bin/cat /etc/passwd",
      expect: /root:/,
    },
  ],
});
