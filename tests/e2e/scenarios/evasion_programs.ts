/**
 * Evasions by execution: a blocked program started by another way, and a program that pretends to be another. Claims
 * begin with the row of tests/e2e/EVASIONS.md.
 */

import { refusal, refusedBy } from "../fixtures.ts";
import { type Act, scenario, STRICT_AGENT } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const LOADER = "/lib64/ld-linux-x86-64.so.2";

const deny = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: deny
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  process:
    matchPaths:
      - path: /bin/cat-dyn
      - path: /bin/tac
      - path: /opt/script.sh
    matchDirectories:
      - dir: /opt/tools/
        recursive: true
  file:
    matchPaths:
      - path: /data/from-tool
        fromSource:
          - path: /files/execute
      - path: /data/from-head
        fromSource:
          - path: /bin/head
  action: Block
`;

/** Programs outside these are refused; what is not executed is free. */
const allow = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: only
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: strict
  process:
    matchPaths:
      - path: /files/execute
      - path: /files/mounts
    matchDirectories:
      - dir: /bin/
        recursive: true
  action: Allow
`;

/** One program alone reads a key; the Allow for / keeps the allow-list from saying anything about other files. */
const vault = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: vault
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: vault
  file:
    matchPaths:
      - path: /data/key
        action: Block
      - path: /data/key
        action: Allow
        fromSource:
          - path: /bin/head
    matchDirectories:
      - dir: /
        recursive: true
        action: Allow
  action: Block
`;

const prepare = [
  "mkdir -p /data /opt/tools /scratch && chmod 777 /scratch /data",
  "for f in text key from-tool from-head; do echo content >/data/$f; done",
  "cp /bin/cat-dyn /opt/tools/cat && cp /bin/cat-dyn /scratch/cat && cp /bin/cat-dyn /opt/tools/gone",
  "printf '#!/bin/sh\\necho content\\n' >/opt/script.sh && chmod +x /opt/script.sh",
].join(" && ");

const refused = (lsm: string, resource?: string | RegExp, policy = "deny") =>
  refusedBy(policy, lsm, resource, lsm === "FILE_OPEN" ? "File" : "Process");

const executed = (path: string, PolicyName = "deny") =>
  refused("SECURITY_BPRM_CHECK", new RegExp(`^${path}( |$)`), PolicyName);

/** The loader's words for a mapping that the kernel refused; it does not name the error. */
const unmapped: Partial<Act> = {
  expect: { status: 127, output: /failed to map segment/ },
};

const launched: Act[] = [
  refusal(
    "X1 a blocked program given to the loader",
    `${LOADER} /bin/cat-dyn /data/text`,
    refused("MMAP_FILE", "/bin/cat-dyn"),
    unmapped,
  ),
  refusal(
    "X1 a program of a blocked directory given to the loader",
    `${LOADER} /opt/tools/cat /data/text`,
    refused("MMAP_FILE", "/opt/tools/cat"),
    unmapped,
  ),
  refusal(
    "X1 a blocked program given to a copy of the loader",
    `cp ${LOADER} /scratch/l; /scratch/l /bin/cat-dyn /data/text`,
    refused("MMAP_FILE", "/bin/cat-dyn"),
    unmapped,
  ),
  refusal(
    "X8 a blocked program mapped as code",
    "/files/execute map /bin/tac",
    refused("MMAP_FILE", "/bin/tac"),
  ),
  refusal(
    "X8 a blocked program mapped first and made code later",
    "/files/execute map-later /bin/tac",
    refused("FILE_MPROTECT", "/bin/tac"),
  ),
  refusal(
    "X5 a program in memory",
    "/files/execute memory /scratch/cat /data/text",
    refused("SECURITY_BPRM_CHECK"),
  ),
  refusal(
    "X5 a blocked program whose name was removed",
    "/files/execute after-unlink /opt/tools/gone /data/text",
    executed("/opt/tools/gone"),
  ),
  refusal(
    "X9 a blocked program by its descriptor",
    "/files/execute descriptor /opt/tools/cat /data/text",
    executed("/opt/tools/cat"),
  ),
  refusal(
    "S11 a blocked program executed by a second thread",
    "/files/execute thread /opt/tools/cat /data/text",
    executed("/opt/tools/cat"),
  ),
  refusal(
    "T9 a blocked program after vfork",
    "/files/execute vfork /opt/tools/cat /data/text",
    executed("/opt/tools/cat"),
  ),
  refusal("X3 a blocked script", "/opt/script.sh", executed("/opt/script.sh")),
];

const inAllowList: Act[] = [
  refusal(
    "X2 a copy of a program, in an allow-list",
    "cp /bin/cat-dyn /scratch/c; /scratch/c /data/text",
    executed("/scratch/c", "DefaultPosture"),
    { in: "strict" },
  ),
  refusal(
    "X5 a program in memory, in an allow-list",
    "/files/execute memory /scratch/cat /data/text",
    refused("SECURITY_BPRM_CHECK", undefined, "DefaultPosture"),
    { in: "strict" },
  ),
  refusal(
    "X5 a copy whose name was removed, in an allow-list",
    "/files/execute unlinked-copy /scratch/cat /data/text",
    executed("/tmp/unlinked", "DefaultPosture"),
    { in: "strict" },
  ),
  refusal(
    "X1 a loader that is not listed, in an allow-list",
    `${LOADER} /bin/cat-dyn /data/text`,
    executed(LOADER, "DefaultPosture"),
    { in: "strict" },
  ),
];

/** A fresh file system gives any program any name below it. */
const covered: Act[] = [
  ...["strict", "vault"].map((container): Act =>
    refusal(
      `O7 a tmpfs over the ${container === "strict" ? "allowed directory" : "named source"}`,
      "unshare -m /files/mounts fresh tmpfs /bin",
      { Action: "Block", Resource: "/bin", Data: /^lsm=SB_MOUNT/ },
      { in: container },
    )
  ),
  refusal(
    "O3 a hard link of a file that is blocked for one source",
    "ln /data/from-head /scratch/link && /bin/head -n 1 /scratch/link",
    { PolicyName: "deny", Action: "Block", Resource: "/data/from-head", Data: /^lsm=FILE_LINK/ },
  ),
];

const fromTool = refused("FILE_OPEN", "/data/from-tool");
const key = refused("FILE_OPEN", "/data/key", "vault");
const disguised: Act[] = [
  refusal("S8 the named source", "/files/execute as-itself /data/from-tool", fromTool),
  refusal(
    "S8 the named source under another comm",
    "/files/execute as-other-comm /data/from-tool",
    fromTool,
  ),
  refusal(
    "S8 the named source by a symbolic link",
    "ln -sf /files/execute /scratch/cat-link; /scratch/cat-link as-itself /data/from-tool",
    fromTool,
  ),
  refusal(
    "S9 the named source with another /proc/self/exe",
    "/files/execute as-other-exe /data/from-tool /bin/ls",
    fromTool,
  ),
  {
    claim: "S8 the allowed source reads the key",
    in: "vault",
    run: "/bin/head -n 1 /data/key",
    expect: /content/,
  },
  refusal("S8 another program, for a key with one reader", "/bin/cat /data/key", key, {
    in: "vault",
  }),
  refusal(
    "S8 another program that is called as the reader",
    "mkdir -p /scratch/x; cp /scratch/cat /scratch/x/head; cd /scratch/x; PATH=/scratch/x head /data/key",
    key,
    { in: "vault" },
  ),
  refusal("S8 a program with the reader's comm", "/files/execute as-other-comm /data/key", key, {
    in: "vault",
  }),
  refusal(
    "S9 a program with the reader as its /proc/self/exe",
    "/files/execute as-other-exe /data/key /bin/head",
    key,
    { in: "vault" },
  ),
];

/** What the rules do not stop; the table says why. */
const open: [claim: string, run: string][] = [
  [
    "X2 a copy of a blocked program under a deny-list",
    "cp /opt/tools/cat /scratch/c2; /scratch/c2 /data/text",
  ],
  ["X3 an interpreter that reads a blocked script", "sh /opt/script.sh"],
  [
    "X5 an unlinked copy under a deny-list",
    "/files/execute unlinked-copy /opt/tools/gone2 /data/text",
  ],
  [
    "S8 a copy of a source under a deny-list",
    "cp /bin/head /scratch/head; /scratch/head /data/from-head",
  ],
];

const container = { prepare: `${prepare} && cp /bin/cat-dyn /opt/tools/gone2`, privileged: true };

scenario({
  name: "evasion by programs",
  policies: { "deny.yaml": deny, "allow.yaml": allow, "vault.yaml": vault },
  containers: { web: container, strict: container, vault: container, free: container },
  agentOptions: STRICT_AGENT,
  files: await Promise.all(["execute", "mounts"].map(compileTool)),
  acts: [
    ...launched,
    ...inAllowList,
    ...disguised,
    ...covered,
    ...open.map(([claim, run]): Act => ({
      claim: `${claim} passes`,
      in: "web",
      run,
      expect: /content/,
    })),
  ],
});
