/** File rules: by path, by directory, readOnly, by the program that acts; Block and Audit; every way to change a file. */

import { DENIED } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const denied = { ...DENIED, Operation: "File" };
const passed = { Operation: "File", Action: "Audit", Result: "Passed" };

/** The same rules with either action, each for the container that is named after it. */
const everyForm = (action: "Block" | "Audit") => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${action.toLowerCase()}-files
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${action.toLowerCase()}
  file:
    matchPaths:
      - path: /data/secret
      - path: /data/page
        readOnly: true
      - path: /data/key
        fromSource:
          - path: /bin/head
          - path: /bin/tail
    matchDirectories:
      - dir: /data/flat/
      - dir: /data/deep/
        recursive: true
      - dir: /data/pages/
        recursive: true
        readOnly: true
      - dir: /data/keys/
        recursive: true
        fromSource:
          - path: /bin/head
  action: ${action}
`;

const prepare = [
  "mkdir -p /data/flat/below /data/deep/a/b /data/pages/a /data/keys /data/free",
  "cd /data",
  "for f in secret page key flat/x flat/below/x deep/a/b/x keys/x free/x; do echo text >$f; done",
  "for f in 1 2 3 4 5 6 7 8 9; do for d in deep/a pages/a free; do echo text >$d/$f; done; done",
  "mkdir deep/a/empty pages/a/empty",
  "for d in deep/a pages/a free; do /files/sockets listen $d/socket; done",
  "/files/attributes set deep/a/2 && /files/attributes set pages/a/2",
  "/files/attributes share deep/a/3 && /files/attributes share pages/a/3",
].join(" && ");

/** Ways to change what is in DIR; each with the hook that answers for it, on some kernels another. */
const changes: [way: string, run: string, data: string][] = [
  ["making a directory", "/bin/mkdir DIR/made", "FILE_MKDIR"],
  ["removing a directory", "/bin/rmdir DIR/empty", "FILE_RMDIR"],
  ["making a pipe", "/bin/mkfifo DIR/pipe", "FILE_MKNOD"],
  ["making a file by opening it", "echo text >DIR/new", "FILE_MKNOD"],
  ["making a symbolic link", "/bin/ln -s /etc DIR/symlink", "FILE_SYMLINK"],
  ["changing its mode", "/bin/chmod 600 DIR/1", "FILE_CHMOD"],
  ["changing its owner", "/bin/chown 1:1 DIR/1", "FILE_CHOWN"],
  ["a chown that names no owner", "/files/attributes disown DIR/1", "FILE_CHOWN"],
  ["setting an attribute", "/files/attributes set DIR/1", "FILE_SETXATTR"],
  ["removing an attribute", "/files/attributes remove DIR/2", "FILE_REMOVEXATTR"],
  ["giving it an ACL", "/files/attributes share DIR/1", "FILE_SET(XATTR|_ACL)"],
  ["taking its ACL", "/files/attributes unshare DIR/3", "FILE_REMOVE(XATTR|_ACL)"],
  ["opening for writing", "/bin/dd if=/bin/sh of=DIR/1 bs=1 count=1 conv=notrunc", "FILE_OPEN"],
  ["opening for reading and writing", ": 1<>DIR/2", "FILE_OPEN"],
  ["appending", "echo more >>DIR/3", "FILE_OPEN"],
  ["opening with O_TRUNC", ": >DIR/4", "FILE_OPEN"],
  ["truncate(2)", "/files/truncate DIR/5", "FILE_TRUNCATE"],
  ["connecting to a socket", "/files/sockets connect DIR/socket", "UNIX_STREAM_CONNECT"],
  ["unlinking", "/bin/unlink DIR/6", "FILE_UNLINK"],
  ["a hard link to it", "/bin/link DIR/7 /data/free/linked", "FILE_LINK"],
  ["renaming it away", "/bin/mv DIR/8 /data/free/moved", "FILE_RENAME"],
  ["renaming another over it", "/bin/mv /data/free/x DIR/9", "FILE_RENAME"],
];

/** The last word of a way that begins with the directory is the object, wherever it stands. */
const objectOf = (run: string, dir: string) => /DIR\/\w+/.exec(run)![0].replace("DIR", dir);

/** The same way in the same image without a policy is the control; one of them serves both directories. */
function refusedChanges(dir: string, rule: string, control: boolean): Act[] {
  return changes.map(([way, run, hook]): Act => {
    const command = run.replace("DIR", dir);
    return {
      claim: `Block refuses ${way} ${rule}`,
      in: "block",
      run: command,
      expect: "EACCES",
      alert: {
        ...{ ...denied, PolicyName: "block-files", Resource: objectOf(run, dir) },
        Data: new RegExp(`^lsm=${hook}( |$)`),
      },
      ...control ? { control: { in: "free", run: `(${command}) && ${restore}` } } : {},
    };
  });
}

function toldChanges(dir: string, rule: string): Act[] {
  return changes.map(([way, run, hook]): Act => {
    const alert = { ...passed, PolicyName: "audit-files", Resource: objectOf(run, dir) };
    const hooks = [hook, ...alsoAsked(way)];
    return {
      claim: `Audit lets ${way} ${rule} pass and tells`,
      in: "audit",
      run: `(${run.replace("DIR", dir)}) && ${restore}`,
      expect: "ok",
      alert: hooks.map((name) => ({ ...alert, Data: new RegExp(`^lsm=${name}( |$)`) })),
    };
  });
}

/** Emptying a file that is there asks again after the open, making one before it. */
function alsoAsked(way: string): string[] {
  if (way.includes("O_TRUNC")) return ["FILE_TRUNCATE"];
  return way === "making a file by opening it" ? ["FILE_OPEN"] : [];
}

/** Makes the next round's changes possible again, by names that no rule has. */
const restore = "{ /bin/rm -f /data/free/linked /data/free/moved; echo text >/data/free/x; }";

/** What both actions match: claim, command, object. */
const matched: [claim: string, run: string, object: string][] = [
  ["reading a file, by its path", "/bin/cat /data/secret", "/data/secret"],
  ["reading a file by io_uring", "/files/open uring /data/secret", "/data/secret"],
  ["reading a file by its worker", "/files/open uring-worker /data/secret", "/data/secret"],
  ["writing a file, by its path", "echo x >>/data/secret", "/data/secret"],
  ["writing a readOnly file", "echo x >>/data/page", "/data/page"],
  ["reading directly in a directory", "/bin/cat /data/flat/x", "/data/flat/x"],
  ["listing the directory itself", "/bin/ls /data/flat", "/data/flat"],
  ["reading far below a recursive directory", "/bin/cat /data/deep/a/b/x", "/data/deep/a/b/x"],
  ["a file whose fromSource acts", "/bin/head /data/key", "/data/key"],
  ["a file's second fromSource", "/bin/tail /data/key", "/data/key"],
  ["a directory's fromSource", "/bin/head /data/keys/x", "/data/keys/x"],
];

const unmatched: [claim: string, run: string][] = [
  ["a readOnly file can be read", "/bin/cat /data/page"],
  ["below a readOnly directory can be read", "/bin/cat /data/pages/a/1"],
  ["a readOnly directory can be listed", "/bin/ls /data/pages/a"],
  ["a directory without recursive leaves its subdirectories' files", "/bin/cat /data/flat/below/x"],
  ["a rule leaves its file to programs other than its fromSource", "/bin/cat /data/key"],
  ["the shell that starts a fromSource is not it", "read line </data/keys/x"],
  ["a directory with fromSource leaves its files to others", "/bin/cat /data/keys/x"],
  ["a file that no rule names can be read and written", "echo x >>/data/free/x"],
];

scenario({
  name: "file rules",
  policies: { "block.yaml": everyForm("Block"), "audit.yaml": everyForm("Audit") },
  containers: { block: { prepare }, audit: { prepare }, free: { prepare } },
  files: await Promise.all(["attributes", "open", "sockets", "truncate"].map(compileTool)),
  acts: [
    ...matched.flatMap(([claim, run, object]): Act[] => [
      {
        claim: `Block refuses ${claim}`,
        in: "block",
        run,
        expect: "EACCES",
        alert: { ...denied, PolicyName: "block-files", Resource: object },
        control: "free",
      },
      {
        claim: `Audit lets ${claim} pass and tells`,
        in: "audit",
        run,
        expect: "ok",
        alert: { ...passed, PolicyName: "audit-files", Resource: object },
      },
    ]),
    ...["block", "audit"].flatMap((container) =>
      unmatched.map(([claim, run]): Act => ({ claim, in: container, run, expect: "ok" }))
    ),
    ...refusedChanges("/data/deep/a", "below a recursive directory", false),
    ...refusedChanges("/data/pages/a", "below a readOnly directory", true),
    {
      claim: "Nothing was made or changed by what was refused",
      in: "block",
      run:
        "cd /data/pages/a; [ ! -e made ] && [ -d empty ] && [ ! -e pipe ] && [ ! -e new ] && ls -ln",
      expect: /^-rw-r--r-- +1 0 +0 +5 .* 1$/m,
    },
    ...toldChanges("/data/pages/a", "below a readOnly directory"),
  ],
});
