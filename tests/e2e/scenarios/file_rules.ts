/** File rules: by path, by directory, readOnly, by the program that acts; Block and Audit; every way to change a file. */

import { type Act, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const denied = { Operation: "File", Action: "Block", Result: "Permission denied" };
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
].join(" && ");

/** Ways to change /data/DIR/1, 2, ...; each with the hook that answers for it. */
const changes: [way: string, run: string, data: string][] = [
  ["opening for writing", "/bin/dd if=/bin/sh of=DIR/1 bs=1 count=1 conv=notrunc", "FILE_OPEN"],
  ["opening for reading and writing", ": 1<>DIR/2", "FILE_OPEN"],
  ["appending", "echo more >>DIR/3", "FILE_OPEN"],
  ["opening with O_TRUNC", ": >DIR/4", "FILE_OPEN"],
  ["truncate(2)", "/files/truncate DIR/5", "FILE_TRUNCATE"],
  ["unlinking", "/bin/unlink DIR/6", "FILE_UNLINK"],
  ["a hard link to it", "/bin/link DIR/7 /data/free/linked", "FILE_LINK"],
  ["renaming it away", "/bin/mv DIR/8 /data/free/moved", "FILE_RENAME"],
  ["renaming another over it", "/bin/mv /data/free/x DIR/9", "FILE_RENAME"],
];

/** The last word of a way that begins with the directory is the object, wherever it stands. */
const objectOf = (run: string, dir: string) => /DIR\/\d/.exec(run)![0].replace("DIR", dir);

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
    // Emptying a file that is there asks twice: at the open and at the truncation.
    const hooks = way.includes("O_TRUNC") ? [hook, "FILE_TRUNCATE"] : [hook];
    return {
      claim: `Audit lets ${way} ${rule} pass and tells`,
      in: "audit",
      run: `(${run.replace("DIR", dir)}) && ${restore}`,
      expect: "ok",
      alert: hooks.map((name) => ({ ...alert, Data: new RegExp(`^lsm=${name}( |$)`) })),
    };
  });
}

/** Makes the next round's changes possible again, by names that no rule has. */
const restore = "{ /bin/rm -f /data/free/linked /data/free/moved; echo text >/data/free/x; }";

/** What both actions match: claim, command, object. */
const matched: [claim: string, run: string, object: string][] = [
  ["reading a file, by its path", "/bin/cat /data/secret", "/data/secret"],
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
  files: [await compileTool("truncate")],
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
    ...toldChanges("/data/pages/a", "below a readOnly directory"),
  ],
});
