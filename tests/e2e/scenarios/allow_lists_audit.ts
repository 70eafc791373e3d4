/** Allow-lists with `posture.file: audit`, the default: what the list does not name passes and is told of. */

import { DENIED, makeTool, onHost } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

const notListed = { PolicyName: "DefaultPosture", Action: "Audit", Result: "Passed" };
const policy = (name: string, spec: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${name}
${spec}`;

const programs = policy(
  "programs",
  `
  process:
    matchPaths:
      - path: /bin/sh
      - path: /bin/uname
        action: Block
      - path: /bin/uname
        fromSource:
          - path: /bin/env
      - path: /bin/hostname
        action: Audit
        message: asked for its name
    matchDirectories:
      - dir: /opt/
        recursive: true
  action: Allow
`,
);

const files = policy(
  "files",
  `
  file:
    matchPaths:
      - path: /dev/null
      - path: /data/one
      - path: /data/page
        readOnly: true
      - path: /data/watched
        action: Audit
    matchDirectories:
      - dir: /data/blocked/
        recursive: true
        action: Block
  action: Allow
`,
);

const prepareFiles = "mkdir -p /data/blocked && cd /data && " +
  "for f in one page watched blocked/x other; do echo text >$f; done";
const prepareTools = `mkdir -p /opt/a && ${makeTool("/opt/a/tool")} && ${makeTool("/usr/other")}`;

/** What the list would have refused, had the posture been block. */
const against = (name: string) =>
  `{ ankylo check --against agent --posture-file block /etc/ankylo/policies/${name}.yaml; [ $? = 3 ]; }`;

const passes = (container: string, claim: string, run: string): Act => ({
  ...{ claim, in: container, run, expect: "ok" },
});

scenario({
  name: "allow-lists that tell",
  policies: { "programs.yaml": programs, "files.yaml": files },
  containers: {
    programs: { prepare: prepareTools },
    files: { prepare: prepareFiles },
    free: { prepare: `${prepareTools}; ${prepareFiles}` },
  },
  acts: [
    passes("programs", "a listed program runs in silence", "/opt/a/tool"),
    {
      claim: "a program outside the list runs and is told of",
      ...{ in: "programs", run: "/usr/other", expect: "ok" },
      alert: { ...notListed, Operation: "Process", Resource: "/usr/other", Source: "/bin/sh" },
    },
    {
      claim: "a program outside the list, entered from outside, runs and is told of",
      ...{ in: "programs", run: ["/bin/true"], expect: "ok" },
      alert: { ...notListed, Operation: "Process", Resource: "/bin/true" },
    },
    {
      claim: "Block inside the list is refused",
      ...{ in: "programs", run: "/bin/uname", expect: "EACCES", control: "free" },
      alert: { ...DENIED, PolicyName: "programs", Operation: "Process", Resource: "/bin/uname" },
    },
    {
      claim: "Allow for a source beats Block for all, though the source's parent is blocked",
      ...{ in: "programs", run: "/bin/env /bin/uname", expect: "ok" },
      alert: { ...notListed, Operation: "Process", Resource: "/bin/env /bin/uname" },
    },
    {
      claim: "Audit inside the list is told of under its own name",
      ...{ in: "programs", run: "/bin/hostname", expect: "ok" },
      alert: { PolicyName: "programs", Action: "Audit", Message: "asked for its name" },
    },
    passes("files", "a listed file is read and written in silence", "echo x >>/data/one"),
    passes("files", "a file listed with readOnly is read in silence", "read line </data/page"),
    {
      claim: "writing a file listed with readOnly is refused whatever the posture",
      ...{ in: "files", run: "echo x >>/data/page", expect: "EACCES", control: "free" },
      alert: {
        ...{ ...DENIED, PolicyName: "DefaultPosture", Operation: "File" },
        Resource: "/data/page",
      },
    },
    {
      claim: "unlinking a file listed with readOnly is refused whatever the posture",
      ...{ in: "files", run: "/bin/unlink /data/page", expect: "EACCES", control: "free" },
      alert: [
        { ...notListed, Operation: "File", Resource: "/bin/unlink" },
        {
          ...{ ...DENIED, PolicyName: "DefaultPosture", Operation: "File" },
          Resource: "/data/page",
        },
      ],
    },
    {
      claim: "a file outside the list is read and told of",
      ...{ in: "files", run: "read line </data/other", expect: "ok" },
      alert: { ...notListed, Operation: "File", Resource: "/data/other" },
    },
    {
      claim: "a file outside the list is written and told of",
      ...{ in: "files", run: "echo x >>/data/other", expect: "ok" },
      alert: { ...notListed, Operation: "File", Resource: "/data/other" },
    },
    {
      claim: "Block beside the list is refused",
      ...{ in: "files", run: "read line </data/blocked/x", expect: "EACCES", control: "free" },
      alert: { ...DENIED, PolicyName: "files", Operation: "File", Resource: "/data/blocked/x" },
    },
    {
      claim: "Audit beside the list is told of under its own name",
      ...{ in: "files", run: "read line </data/watched", expect: "ok" },
      alert: { PolicyName: "files", Action: "Audit", Result: "Passed", Resource: "/data/watched" },
    },
    onHost(
      "check --against names the program that the list would have refused, and who ran it",
      against("programs"),
      /^REFUSED {2}programs: exec \/usr\/other by \/bin\/sh[^\n]*\n +posture\.file: the process allow-list/m,
    ),
    onHost(
      "check --against lets pass what the list names",
      `${against("programs")} | { ! grep /opt/a/tool; }`,
    ),
    onHost(
      "check --against names the file that the list would have refused, and who read it",
      against("files"),
      /^REFUSED {2}files: read \/data\/other by \/bin\/sh[^\n]*\n +posture\.file: the file allow-list/m,
    ),
    onHost(
      "check --against names the Block rule with its place",
      against("files"),
      /^REFUSED {2}files: read \/data\/blocked\/x by \/bin\/sh[^\n]*\n +\S*files\.yaml:\d+:\d+ spec\.file\.matchDirectories\[0\] of files/m,
    ),
  ],
});
