/** Process rules: by path, by directory, by the program that starts another; Block and Audit; what an alert inherits. */

import { DENIED, makeTool } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

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
  },
  containers: {
    block: { prepare },
    audit: { prepare },
    words: { labels: { app: "words" } },
    free: { prepare },
  },
  acts: [
    ...formActs,
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
