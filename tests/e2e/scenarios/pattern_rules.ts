/** Rules with patterns and with execname: each form of a glob, for files and programs; programs by their last name; what carries a name out of a pattern, or into it. */

import { DENIED, makeTool } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";

const LONG = "n".repeat(249);

/** A path below /srv of so many names, which are what the kernel compares: 64. */
const deep = (names: number, last: string) => `/srv${"/d".repeat(names - 2)}/${last}`;

const files = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: files
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  file:
    matchPatterns:
      - pattern: /data/*.key
      - pattern: /data/v?
      - pattern: /data/[a-c]class
      - pattern: /data/not[^0-9]*
      - pattern: /data/{red,gr{e,a}y}/x
      - pattern: /data/star\\*
      - pattern: /srv/**.secret
      - pattern: /home/*/.ssh/**
      - pattern: /pages/**
        readOnly: true
      - pattern: /data/*.own
        ownerOnly: true
      - pattern: /data/told-*
        action: Audit
    matchPaths:
      - path: /data/open.key
        action: Audit
    matchDirectories:
      - dir: /data/closed/
        recursive: true
  action: Block
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: programs
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  process:
    matchPaths:
      - execname: named
      - execname: sourced
        fromSource:
          - path: /bin/env
    matchPatterns:
      - pattern: /opt/*-admin
      - pattern: /opt/{x,y}/**
      - pattern: /opt/own-*
        ownerOnly: true
  action: Block
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: list
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: list
  process:
    matchPatterns:
      - pattern: "{/usr,}/bin/[^u]*"
  action: Allow
`;

const prepare = [
  `mkdir -p ${deep(66, "")}`,
  ...[64, 65, 66].map((names) => `touch ${deep(names, "x.secret")} ${deep(names, "x.open")}`),
  `mkdir -p /free${"/d".repeat(65)} && touch /free${"/d".repeat(65)}/x.secret`,
  "mkdir -p /data/red /data/gray /data/blue /data/closed /srv/a/b /srv/c /srv/d /home/u/.ssh/keys",
  "mkdir -p /home/v /pages/a /opt/x/y /opt/z /free /opt/any/where && cd /data",
  "for f in a.key .key open.key va bclass not-a not1 red/x gray/x blue/x told-a 'star*' plain" +
  ` vab dclass starx a.keys ${LONG}.key ${LONG}.kez closed/x` +
  " /srv/a/b/x.secret /srv/a/open /home/u/.ssh/id /home/u/.ssh/keys/k /home/u/doc /pages/a/x;" +
  ' do echo text >"$f"; done',
  "touch root.own other.own && chown 1000 other.own",
  ...["/opt/named", "/opt/any/where/named", "/opt/any/sourced", "/opt/named.not"].map(makeTool),
  ...["/opt/net-admin", "/opt/x/tool", "/opt/x/y/tool", "/opt/z/tool", "/opt/adm"].map(makeTool),
  ...["/opt/own-root", "/opt/own-tool"].map(makeTool),
  "chown 1000 /opt/own-tool",
].join(" && ");

/** Claim, and file. */
const refused: [form: string, file: string][] = [
  ["* at the start of a name", "/data/a.key"],
  ["* that stands for nothing", "/data/.key"],
  ["* for a name of 253 bytes", `/data/${LONG}.key`],
  ["?", "/data/va"],
  ["a class", "/data/bclass"],
  ["a negated class", "/data/not-a"],
  ["a choice", "/data/red/x"],
  ["a choice in a choice", "/data/gray/x"],
  ["an escaped star", "/data/star*"],
  ["** over several directories", "/srv/a/b/x.secret"],
  ["* for a directory", "/home/u/.ssh/id"],
  ["** at the end", "/home/u/.ssh/keys/k"],
  ["** in a path of 64 names", deep(64, "x.secret")],
];

const passing: [form: string, file: string][] = [
  ["* before another ending", "/data/a.keys"],
  ["* before another ending of a long name", `/data/${LONG}.kez`],
  ["? for two characters", "/data/vab"],
  ["a class for another character", "/data/dclass"],
  ["a negated class for its own character", "/data/not1"],
  ["a choice for another word", "/data/blue/x"],
  ["an escaped star for another character", "/data/starx"],
  ["** before another ending", "/srv/a/open"],
  ["* for a directory with another name below", "/home/u/doc"],
  ["a pattern that is readOnly, for reading", "/pages/a/x"],
  ["a pattern that is ownerOnly, for the owner", "/data/root.own"],
  ["** before another ending, 64 names deep", deep(64, "x.open")],
  ["** elsewhere, 67 names deep", `/free${"/d".repeat(65)}/x.secret`],
];

const denied = { ...DENIED, PolicyName: "files", Operation: "File" };
const deniedProgram = { ...DENIED, PolicyName: "programs", Operation: "Process" };
const of = (hook: string) => new RegExp(`^lsm=${hook}( |$)`);

/** Refused in web; the same in a container without a policy passes. */
function refusal(
  claim: string,
  run: string,
  hook: string,
  resource: string | RegExp,
  alert: AlertPattern = denied,
): Act {
  return {
    claim: `${claim} is refused`,
    in: "web",
    run,
    expect: "EACCES",
    alert: { ...alert, Resource: resource, Data: of(hook) },
    control: "free",
  };
}

scenario({
  name: "rules with patterns",
  policies: { "patterns.yaml": files },
  containers: { web: { prepare }, list: { prepare }, free: { prepare } },
  agentOptions: ["--posture-file", "block"],
  acts: [
    ...refused.map(([form, file]) =>
      refusal(`reading what ${form} matches`, `/bin/cat '${file}'`, "FILE_OPEN", file)
    ),
    ...passing.map(([form, file]): Act => ({
      claim: `what does not match passes: ${form}`,
      in: "web",
      run: `/bin/cat '${file}'`,
      expect: "ok",
    })),
    ...[65, 66].flatMap((names) =>
      ["x.secret", "x.open"].map((last) =>
        refusal(
          `reading ${last} where ** may match and no more names are compared, at ${names},`,
          `/bin/cat ${deep(names, last)}`,
          "FILE_OPEN",
          deep(names, last),
          { ...DENIED, PolicyName: "DefaultPosture", Operation: "File" },
        )
      )
    ),
    {
      claim: "an exact path decides before a pattern, and Audit tells",
      in: "web",
      run: "/bin/cat /data/open.key /data/told-a",
      expect: "ok",
      alert: ["/data/open.key", "/data/told-a"].map((Resource) => ({
        ...{ PolicyName: "files", Action: "Audit", Result: "Passed", Resource },
      })),
    },
    refusal(
      "writing what a pattern makes readOnly",
      "echo x >>/pages/a/x",
      "FILE_OPEN",
      "/pages/a/x",
    ),
    refusal(
      "reading what a pattern leaves to its owner",
      "/bin/cat /data/other.own",
      "FILE_OPEN",
      "/data/other.own",
    ),
    refusal(
      "making a file with a matching name",
      ": >/data/new.key",
      "FILE_MKNOD",
      "/data/new.key",
    ),
    refusal("renaming out of a pattern", "/bin/mv /data/va /free/va", "FILE_RENAME", "/data/va"),
    refusal(
      "renaming into a pattern",
      "/bin/mv /data/plain /data/p.key",
      "FILE_RENAME",
      "/data/p.key",
    ),
    refusal(
      "a hard link from a pattern",
      "/bin/ln /data/a.key /free/k",
      "FILE_LINK",
      "/data/a.key",
    ),
    refusal(
      "a hard link into a pattern",
      "/bin/ln /data/not1 /data/l.key",
      "FILE_LINK",
      "/data/l.key",
    ),
    refusal(
      "following a symbolic link into a pattern",
      "/bin/ln -sf /data/.key /free/s && /bin/cat /free/s",
      "FILE_OPEN",
      "/data/.key",
    ),
    refusal(
      "renaming a directory that stands for *",
      "/bin/mv /home/u /free/u",
      "FILE_RENAME",
      "/home/u",
    ),
    refusal(
      "renaming a directory out of what ** covers",
      "/bin/mv /srv/c /free/c",
      "FILE_RENAME",
      "/srv/c",
    ),
    refusal(
      "renaming a directory before the first star",
      "/bin/mv /srv /free/srv",
      "FILE_RENAME",
      "/srv",
    ),
    {
      claim: "a directory may move to where the same patterns hold for all that is below it",
      in: "web",
      run: "/bin/mv /srv/d /srv/a/b/d && /bin/mv /home/v /home/w && [ -d /srv/a/b/d ]",
      expect: "ok",
    },
    ...["/opt/net-admin", "/opt/x/tool", "/opt/x/y/tool"].map((tool) =>
      refusal(
        `the program ${tool}, which a pattern matches,`,
        tool,
        "SECURITY_BPRM_CHECK",
        new RegExp(`^${tool}( |$)`),
        deniedProgram,
      )
    ),
    refusal(
      "the program /opt/own-tool, which a pattern leaves to its owner,",
      "/opt/own-tool",
      "SECURITY_BPRM_CHECK",
      /^\/opt\/own-tool( |$)/,
      deniedProgram,
    ),
    ...["/opt/named", "/opt/any/where/named", "/bin/env /opt/any/sourced"].map((run) =>
      refusal(
        `the program of ${run}, by its last name,`,
        run,
        "SECURITY_BPRM_CHECK",
        new RegExp(`^${run.split(" ").at(-1)}( |$)`),
        deniedProgram,
      )
    ),
    refusal(
      "another name for a program that is refused by its name",
      "/bin/mv /opt/named /opt/other",
      "FILE_RENAME",
      "/opt/named",
      { ...deniedProgram, Operation: "File" },
    ),
    {
      claim: "the directory of such a program may be renamed, and the rule goes with it",
      in: "web",
      run: "/bin/mv /opt/any /opt/some && /opt/some/where/named",
      expect: "EACCES",
      alert: { ...deniedProgram, Resource: /^\/opt\/some\/where\/named( |$)/ },
      control: { in: "free", run: "/bin/mv /opt/any /opt/some && /opt/some/where/named" },
    },
    {
      claim: "programs that no pattern or name matches, or leaves to their owner, run",
      in: "web",
      run: "/opt/z/tool && /opt/adm && /opt/own-root && /opt/some/sourced && /opt/named.not",
      expect: "ok",
    },
    {
      claim: "a program does not get rid of a pattern by another name",
      in: "web",
      run: "/bin/mv /opt/net-admin /free/tool",
      expect: "EACCES",
      alert: { ...DENIED, PolicyName: "programs" },
      control: "free",
    },
    {
      claim: "an allow-list by pattern lets what matches run",
      in: "list",
      run: "/bin/echo ran && /bin/cat /etc/passwd",
      expect: "ok",
    },
    {
      claim: "an allow-list by pattern refuses what does not match",
      in: "list",
      run: "/bin/uname",
      expect: "EACCES",
      alert: {
        ...DENIED,
        PolicyName: "DefaultPosture",
        Operation: "Process",
        Resource: "/bin/uname",
      },
      control: "free",
    },
  ],
});
