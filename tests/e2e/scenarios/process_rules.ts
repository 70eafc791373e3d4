/** Process rules: by path, by directory, by the program that starts another, by owner and terminal (of files, too); Block and Audit; what an alert inherits. */

import { DENIED, makeTool } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const denied = { ...DENIED, Operation: "Process" };
const passed = { Operation: "Process", Action: "Audit", Result: "Passed" };

/** The same rules with either action, each for the container that is named after it. */
const everyForm = (action: "Block" | "Audit") => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${action.toLowerCase()}-programs
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${action.toLowerCase()}
  process:
    matchPaths:
      - path: /bin/sleep
      - path: /bin/date
        fromSource:
          - path: /bin/env
      - path: /bin/id
        fromSource:
          - path: /bin/xargs
    matchDirectories:
      - dir: /opt/flat/
      - dir: /opt/deep/
        recursive: true
      - dir: /opt/tools/
        recursive: true
        fromSource:
          - path: /bin/env
          - path: /bin/timeout
  action: ${action}
`;

const inherited = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: inherited-words
spec:
  severity: 2
  tags: [spec-tag]
  message: said by the policy
  action: Audit
  selector:
    matchLabels:
      app: words
  process:
    severity: 5
    tags: [group-tag, other-tag]
    matchPaths:
      - path: /bin/sleep
        severity: 9
        tags: [rule-tag]
        message: said by the rule
        action: Block
      - path: /bin/date
  file:
    matchPaths:
      - path: /etc/shadow
`;

/** Beside it: what the policy says of rules that say nothing, and the group otherwise. */
const byGroup = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: group-action
spec:
  action: Block
  selector:
    matchLabels:
      app: words
  process:
    action: Audit
    matchPaths:
      - path: /bin/arch
`;

/** What is the user's own, whose number is 1000, and nobody else's; and what no one touches who has a terminal. */
const owners = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: owners-only
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: mine
  process:
    matchPaths:
      - path: /home/tool
        ownerOnly: true
      - path: /home/typed-tool
        pts: false
    matchDirectories:
      - dir: /home/tools/
        ownerOnly: true
      - dir: /home/typed-tools/
        pts: false
  network:
    matchProtocols:
      - protocol: udp
        pts: false
  file:
    matchPaths:
      - path: /home/key
        ownerOnly: true
      - path: /home/page
        ownerOnly: true
        readOnly: true
      - path: /home/seen
        ownerOnly: true
        action: Audit
      - path: /home/root
        ownerOnly: true
      - path: /home/typed
        pts: false
    matchDirectories:
      - dir: /home/drop/
        recursive: true
        ownerOnly: true
      - dir: /home/typed-files/
        pts: false
`;

const prepareHome = [
  "mkdir -p /home/drop/theirs /home/tools /home/typed-tools /home/typed-files /tmp && cd /home",
  ...["tool", "typed-tool", "tools/tool", "typed-tools/tool"].map((name) =>
    makeTool(`/home/${name}`)
  ),
  "echo text >typed-files/x",
  "for f in key page seen root typed /tmp/x; do echo text >$f; done",
  "chown 1000 tool tools/tool key page seen drop && chmod 666 key page seen root && chmod 777 . drop",
  "echo text >drop/theirs/secret && chown 2000 drop/theirs",
].join(" && ");

const ROOT = 0;
const OWNER = 1000;
const OTHER = 2000;

/** Claim, who tries, what they run, the object, and what it takes for the control to leave all as it was. */
const othersActs: [claim: string, user: number, run: string, object: string, restore?: string][] = [
  ["does not let root execute a program of somebody", ROOT, "/home/tool", "/home/tool"],
  ["in a directory does not let root execute it", ROOT, "/home/tools/tool", "/home/tools/tool"],
  ["does not let root read a file of somebody", ROOT, "/bin/cat /home/key", "/home/key"],
  ["does not let another user write it", OTHER, "echo x >>/home/key", "/home/key"],
  ["with readOnly does not let others read", ROOT, "/bin/cat /home/page", "/home/page"],
  [
    "does not let root make itself the owner of the file",
    ROOT,
    "/bin/chown 0 /home/key",
    "/home/key",
    "/bin/chown 1000 /home/key",
  ],
  [
    "does not let root make itself the owner of the program",
    ROOT,
    "/bin/chown 0 /home/tool",
    "/home/tool",
    "/bin/chown 1000 /home/tool",
  ],
  [
    "does not let root put a file of its own there",
    ROOT,
    "/bin/mv /tmp/x /home/key",
    "/home/key",
    "/bin/chown 1000 /home/key && /bin/chmod 666 /home/key",
  ],
  [
    "of a new name asks for the owner of its directory",
    OTHER,
    "echo x >/home/drop/new",
    "/home/drop/new",
    "/bin/rm /home/drop/new",
  ],
  [
    "does not let the owner of a directory carry off what is another's in it",
    OTHER,
    "/bin/mv /home/drop/theirs /home/moved",
    "/home/drop/theirs",
    "/bin/mv /home/moved /home/drop/theirs",
  ],
  [
    "does not take who is root in a user namespace for root",
    OTHER,
    "unshare -Ur /bin/cat /home/root",
    "/home/root",
  ],
];

const ownActs: [claim: string, user: number, run: string][] = [
  ["lets the owner execute the program", OWNER, "/home/tool"],
  ["in a directory lets the owner execute it", OWNER, "/home/tools/tool"],
  ["lets the owner read and write the file", OWNER, "cat /home/key && echo x >>/home/key"],
  ["with readOnly lets the owner read", OWNER, "/bin/cat /home/page"],
  ["of a new name lets the directory's owner make it", OWNER, "echo x >/home/drop/mine"],
  ["knows root as the owner of what is root's", ROOT, "/bin/cat /home/root"],
  ["lets the owner pass untold where it audits others", OWNER, "/bin/cat /home/seen"],
];

const ownerAlert = (object: string) => ({
  ...{ ...DENIED, PolicyName: "owners-only" },
  Resource: new RegExp(`^${object}( |$)`),
});

const socketPasses = { in: "free", expect: /2\/2\/17 passed/ };

const ownerActs: Act[] = [
  ...ownActs.map(([claim, user, run]): Act => ({
    ...{ claim: `ownerOnly ${claim}`, in: "mine", user, run, expect: "ok" },
  })),
  ...othersActs.map(([claim, user, run, object, restore]): Act => ({
    ...{ claim: `ownerOnly ${claim}`, in: "mine", user, run, expect: "EACCES" },
    alert: ownerAlert(object),
    control: { in: "free", run: restore === undefined ? run : `${run} && ${restore}` },
  })),
  {
    ...{ claim: "ownerOnly with readOnly does not let the owner write", in: "mine", user: OWNER },
    ...{ run: "echo x >>/home/page", expect: "EACCES", control: "free" },
    alert: ownerAlert("/home/page"),
  },
  ...[
    ["executes it", "/home/typed-tool", ""],
    ["reads it", "/home/typed", "/bin/cat "],
    ["executes it in a directory", "/home/typed-tools/tool", ""],
    ["reads it in a directory", "/home/typed-files/x", "/bin/cat "],
  ].flatMap(
    ([does, path, program]): Act[] => [
      {
        ...{ claim: `pts: false refuses who ${does} on a terminal`, in: "mine" },
        ...{ run: `/files/terminal ${program}${path}`, expect: "EACCES", control: "free" },
        alert: { ...ownerAlert(path!), TTY: /^pts\d+$/ },
      },
      {
        ...{ claim: `pts: false lets pass who ${does} without one`, in: "mine" },
        ...{ run: `${program}${path}`, expect: "ok" },
      },
    ],
  ),
  {
    claim: "pts: false refuses who makes a socket on a terminal",
    ...{ in: "mine", run: "/files/terminal /files/network make 2/2/17", control: socketPasses },
    expect: /2\/2\/17 refused/,
    alert: { ...DENIED, PolicyName: "owners-only", Operation: "Network", TTY: /^pts\d+$/ },
  },
  {
    claim: "pts: false lets pass who makes a socket without one",
    ...{ in: "mine", run: "/files/network make 2/2/17", expect: /2\/2\/17 passed/ },
  },
  {
    claim: "ownerOnly with Audit tells who else reads",
    ...{ in: "mine", user: OTHER, run: "/bin/cat /home/seen", expect: "ok" },
    alert: { ...passed, Operation: "File", PolicyName: "owners-only", Resource: "/home/seen" },
  },
];

const prepare = [
  "mkdir -p /opt/flat/below /opt/deep/a/b /opt/tools",
  ...["/opt/flat/tool", "/opt/flat/below/tool", "/opt/deep/tool", "/opt/deep/a/b/tool"].map(
    makeTool,
  ),
  ...["/opt/tools/tool", "/opt/other"].map(makeTool),
  "printf '#!/bin/sleep\\n' > /opt/by-interpreter && chmod +x /opt/by-interpreter",
  "mkdir /opt/link && ln -s /bin/sleep /opt/link/sleep",
].join(" && ");

/** What both actions match: claim, command, and the program that the alert names. */
const matched: [claim: string, run: string, program: string][] = [
  ["a program, by its path", "/bin/sleep 0", "/bin/sleep"],
  ["a program, by a symbolic link to it", "/opt/link/sleep 0", "/bin/sleep"],
  ["the interpreter of a script", "/bin/env PATH=/bin /opt/by-interpreter", "/bin/sleep"],
  ["a program directly in a directory", "/opt/flat/tool", "/opt/flat/tool"],
  ["a program in a recursive directory", "/opt/deep/tool", "/opt/deep/tool"],
  ["a program far below a recursive directory", "/opt/deep/a/b/tool", "/opt/deep/a/b/tool"],
  ["a program whose fromSource is the caller", "/bin/env /bin/date +%s", "/bin/date"],
  ["a program whose fromSource forked the caller", ": | /bin/xargs /bin/env /bin/id", "/bin/id"],
  ["a directory whose fromSource is the caller", "/bin/env /opt/tools/tool", "/opt/tools/tool"],
  ["a directory's second fromSource", "/bin/timeout 9 /opt/tools/tool", "/opt/tools/tool"],
];

const unmatched: [claim: string, run: string][] = [
  ["a directory without recursive leaves what is below its subdirectories", "/opt/flat/below/tool"],
  ["a rule leaves its program to callers other than its fromSource", "/bin/date +%s"],
  ["a fromSource two forks away is no source", ": | /bin/xargs /bin/sh -c '/bin/id; :'"],
  ["a directory with fromSource leaves its programs to other callers", "/opt/tools/tool"],
  ["a program that no rule names runs", "/opt/other"],
];

/** A script's arguments come behind its path; an interpreter's begin with the script. */
const resource = (program: string) => new RegExp(`^${program}( |$)`);

const formActs = [
  ...matched.map(([claim, run, program]): Act => ({
    claim: `Block refuses ${claim}`,
    in: "block",
    run,
    expect: "EACCES",
    alert: { ...denied, PolicyName: "block-programs", Resource: resource(program) },
    control: { in: "free", run: run.replace("by-interpreter", "other") },
  })),
  ...matched.map(([claim, run, program]): Act => ({
    claim: `Audit lets ${claim} run and tells`,
    in: "audit",
    run: run.replace("/opt/by-interpreter", "/opt/by-interpreter || :"),
    expect: "ok",
    alert: { ...passed, PolicyName: "audit-programs", Resource: resource(program) },
  })),
  ...["block", "audit"].flatMap((container) =>
    unmatched.map(([claim, run]): Act => ({ claim, in: container, run, expect: "ok" }))
  ),
];

scenario({
  name: "process rules",
  policies: {
    "block.yaml": everyForm("Block"),
    "audit.yaml": everyForm("Audit"),
    "words.yaml": inherited,
    "group.yaml": byGroup,
    "owners.yaml": owners,
  },
  containers: {
    block: { prepare },
    audit: { prepare },
    words: { labels: { app: "words" } },
    mine: { prepare: prepareHome },
    free: { prepare: `${prepare} && ${prepareHome}` },
  },
  files: await Promise.all(["network", "terminal"].map(compileTool)),
  acts: [
    ...formActs,
    ...ownerActs,
    {
      claim: "a program entered from outside is refused like any other",
      in: "block",
      run: ["/bin/sleep", "0"],
      expect: "EACCES",
      alert: { ...denied, PolicyName: "block-programs", Resource: "/bin/sleep 0" },
      control: "free",
    },
    {
      claim: "a copy of a blocked program is another program",
      in: "block",
      run: "/bin/cp /bin/sleep /opt/sleep && /opt/sleep 0; s=$?; /bin/rm /opt/sleep; exit $s",
      expect: "ok",
    },
    {
      claim: "a rule's own action, severity, tags and message are what its alert says",
      in: "words",
      run: "/bin/sleep 0",
      expect: "EACCES",
      alert: {
        ...denied,
        PolicyName: "inherited-words",
        Severity: "9",
        Tags: "rule-tag",
        Message: "said by the rule",
        Source: "/bin/sh",
        ProcessName: "/bin/sleep",
        Resource: "/bin/sleep 0",
        ContainerName: "words",
        Labels: /app=words/,
        Enforcer: "BPFLSM",
        Type: "MatchedPolicy",
      },
      control: "free",
    },
    {
      claim: "what a rule leaves out comes from its group, then from the policy",
      in: "words",
      run: "/bin/date +%s",
      expect: "ok",
      alert: {
        ...passed,
        PolicyName: "inherited-words",
        Severity: "5",
        Tags: "group-tag,other-tag",
        Message: "said by the policy",
      },
    },
    {
      claim: "a group's action stands before the policy's",
      ...{ in: "words", run: "/bin/arch", expect: "ok" },
      alert: { ...passed, PolicyName: "group-action", Resource: "/bin/arch" },
    },
    {
      claim: "what a group leaves out comes from the policy",
      in: "words",
      run: "/bin/cat /etc/shadow",
      expect: "ok",
      alert: {
        ...passed,
        Operation: "File",
        Resource: "/etc/shadow",
        Severity: "2",
        Tags: "spec-tag",
        Message: "said by the policy",
      },
    },
  ],
});
