/**
 * Which rule decides: the vectors of KubeArmor's specification that a container can show, by their numbers there. Every
 * container has its own policy of the same name.
 */

import { type Act, scenario } from "../harness.ts";

const policy = (container: string, spec: string, name = container) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
${spec}`;

/** Blocks only: what no rule names passes. */
const blocks = `
  process:
    matchPaths:
      - path: /bin/sleep
      - path: /bin/date
        fromSource:
          - path: /bin/xargs
  file:
    matchPaths:
      - path: /data/page
        readOnly: true
      - path: /data/other
        readOnly: true
    matchDirectories:
      - dir: /a/
  action: Block
`;

/** Allow for everything, so that only explicit Blocks bite: KubeArmor's idiom for exceptions. */
const exceptions = `
  file:
    matchDirectories:
      - dir: /
        recursive: true
        action: Allow
      - dir: /data/
        recursive: true
        action: Block
      - dir: /data/
        recursive: true
        action: Allow
        fromSource:
          - path: /bin/cat
      - dir: /a/
        recursive: true
        action: Block
      - dir: /a/flat/
        action: Allow
      - dir: /a/deep/
        recursive: true
        action: Allow
    matchPaths:
      - path: /a/file
        action: Allow
      - path: /a/deep/file
        action: Block
`;

/** Two policies that say the opposite about the same selector. */
const contradicts = (action: string) => `
  file:
    matchPaths:
      - path: /data/page
    matchDirectories:
      - dir: /a/
        recursive: true
  process:
    matchPaths:
      - path: /bin/sleep
  action: ${action}
`;

const prepare =
  "mkdir -p /data /a/flat /a/deep /a/b && echo text >/data/page && echo text >/data/other && " +
  "for f in x file flat/x deep/x deep/file b/x; do echo text >/a/$f; done";

const refuses = (
  container: string,
  claim: string,
  run: string,
  alert: Record<string, string>,
): Act => ({
  ...{ claim, in: container, run, control: "free" },
  expect: "EACCES",
  alert: { PolicyName: container, Action: "Block", Result: "Permission denied", ...alert },
});

const passes = (container: string, claim: string, run: string): Act => ({
  ...{ claim, in: container, run, expect: "ok" },
});

scenario({
  name: "precedence",
  policies: {
    "blocks.yaml": policy("blocks", blocks),
    "exceptions.yaml": policy("exceptions", exceptions),
    "contradiction-1.yaml": policy("contradiction", contradicts("Allow"), "a-allow"),
    "contradiction-2.yaml": policy("contradiction", contradicts("Block"), "contradiction"),
    "contradiction-3.yaml": policy("contradiction", contradicts("Audit"), "z-audit"),
  },
  containers: {
    blocks: { prepare },
    exceptions: { prepare },
    contradiction: { prepare },
    free: { prepare },
  },
  acts: [
    refuses("blocks", "1: Block by path is refused", "/bin/sleep 0", { Resource: "/bin/sleep 0" }),
    refuses("blocks", "2: Block for a source is refused to it", "echo -u | /bin/xargs /bin/date", {
      Resource: "/bin/date -u",
    }),
    passes("blocks", "2: Block for a source is open to others", "/bin/date -u"),
    passes("blocks", "9: Block with readOnly is read", "/bin/cat /data/page"),
    refuses("blocks", "9: Block with readOnly is not appended to", "echo x >>/data/page", {
      Resource: "/data/page",
    }),
    refuses("blocks", "9: Block with readOnly is not unlinked", "/bin/unlink /data/other", {
      Resource: "/data/other",
    }),
    refuses("blocks", "16: a directory covers its files", "/bin/cat /a/x", { Resource: "/a/x" }),
    refuses("blocks", "16: a directory covers itself", "/bin/ls /a", { Resource: "/a" }),
    passes("blocks", "16: a directory covers no subdirectory", "/bin/cat /a/b/x"),

    refuses("exceptions", "6: Block by directory is refused", "/bin/cat /a/x", {
      Resource: "/a/x",
    }),
    passes("exceptions", "6: Allow by path inside a blocked directory passes", "/bin/cat /a/file"),
    refuses("exceptions", "7: Block by path inside an allowed directory", "/bin/cat /a/deep/file", {
      Resource: "/a/deep/file",
    }),
    passes("exceptions", "8: Allow for a source passes for it", "/bin/cat /data/page"),
    refuses("exceptions", "8: and is refused to others", "/bin/head /data/page", {
      Resource: "/data/page",
    }),
    passes("exceptions", "8: what neither names passes", "/bin/head /etc/passwd"),
    refuses(
      "exceptions",
      "17: a recursive Block beats a flat Allow below it",
      "/bin/cat /a/flat/x",
      {
        Resource: "/a/flat/x",
      },
    ),
    passes("exceptions", "18: a deeper recursive Allow beats a Block", "/bin/cat /a/deep/x"),

    refuses(
      "contradiction",
      "Block beats Allow and Audit on the same path",
      "/bin/cat /data/page",
      {
        Resource: "/data/page",
      },
    ),
    refuses(
      "contradiction",
      "Block beats Allow and Audit on the same directory",
      "/bin/cat /a/b/x",
      {
        Resource: "/a/b/x",
      },
    ),
    refuses("contradiction", "Block beats Allow and Audit on the same program", "/bin/sleep 0", {
      Resource: "/bin/sleep 0",
    }),
  ],
  // The contradicting policies are an allow-list too, so that everything else in that container is told of.
  otherAlerts: "ignore",
});
