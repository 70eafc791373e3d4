/** Containers' labels: which are only audited, which are left alone, and which have a posture of their own. */

import { DENIED } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: guard
spec:
  selector:
    matchLabels:
      app: guarded
  process:
    matchPaths:
      - path: /bin/uname
  file:
    matchPaths:
      - path: /data/secret/key
  network:
    matchProtocols:
      - protocol: raw
  capabilities:
    matchCapabilities:
      - capability: sys_chroot
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: listed
spec:
  selector:
    matchLabels:
      app: listed
  file:
    matchPaths:
      - path: /data/secret/key
      - path: /data/page
        readOnly: true
    matchDirectories:
      - { dir: /bin/, recursive: true }
      - { dir: /lib/, recursive: true }
      - { dir: /dev/, recursive: true }
      - { dir: /proc/, recursive: true }
  action: Allow
`;

const prepare =
  "mkdir -p /data/secret && cd /data && for f in secret/key page other; do echo x >$f; done";
const container = (app: string, labels: Record<string, string> = {}) => ({
  prepare,
  labels: { app, ...labels },
  privileged: true,
});

const audited = { Action: "Audit (Block)", Result: "Passed", PolicyName: "guard" };

/** The same act under each label: refused, told, passed in silence. */
const underEach = (claim: string, run: string, alert: Record<string, unknown>): Act[] => [
  {
    ...{ claim: `${claim}: refused where nothing else is said`, in: "enabled", run },
    ...{ expect: "EACCES", control: "free" },
    alert: { ...DENIED, PolicyName: "guard", ...alert },
  },
  {
    ...{ claim: `${claim}: passes and is told in an audited container`, in: "audited", run },
    ...{ expect: "ok", alert: { ...audited, ...alert } },
  },
  {
    ...{ claim: `${claim}: passes in silence where policies are disabled`, in: "disabled", run },
    expect: "ok",
  },
];

scenario({
  name: "governance",
  policies: { "policies.yaml": policy },
  agentOptions: ["--trust-labels", "on"],
  containers: {
    enabled: container("guarded", { "kubearmor-policy": "bogus" }),
    audited: container("guarded", { "kubearmor-policy": "Audited" }),
    disabled: container("guarded", { "kubearmor-policy": "disabled" }),
    strict: container("listed", { "kubearmor-file-posture": "block" }),
    lenient: container("listed"),
    tried: container("listed", {
      "kubearmor-file-posture": "block",
      "kubearmor-policy": "audited",
    }),
    free: container("none"),
  },
  acts: [
    ...underEach("a program", "/bin/uname", { Operation: "Process", Resource: "/bin/uname" }),
    ...underEach("a file", "read line </data/secret/key", {
      Operation: "File",
      Resource: "/data/secret/key",
    }),
    ...underEach("the directory above a file", "mv /data/secret /data/s2", {
      ...{ Operation: "File", Resource: "/data/secret", Data: /^lsm=FILE_RENAME / },
    }),
    {
      claim: "a mount that would alias a file passes in an audited container and is told",
      ...{ in: "audited", run: "mkdir /m && mount --bind /data /m", expect: "ok" },
      alert: { ...audited, Operation: "File", Data: /^lsm=SB_MOUNT/ },
    },
    {
      claim: "a capability is had in an audited container and told",
      ...{ in: "audited", run: "chroot / /bin/true", expect: "ok" },
      alert: { ...audited, Operation: "Capabilities", Resource: "CAP_SYS_CHROOT" },
    },
    {
      claim: "what no list names is refused under the container's own posture",
      ...{ in: "strict", run: "read line </data/other", expect: "EACCES", control: "free" },
      alert: {
        ...{ ...DENIED, PolicyName: "DefaultPosture", Operation: "File" },
        Resource: "/data/other",
      },
    },
    {
      claim: "what no list names passes under the node's posture and is told of",
      ...{ in: "lenient", run: "read line </data/other", expect: "ok" },
      alert: {
        ...{ Action: "Audit", Result: "Passed", PolicyName: "DefaultPosture" },
        Resource: "/data/other",
      },
    },
    {
      claim: "what its posture would refuse is told of in an audited container",
      ...{ in: "tried", run: "read line </data/other; echo x >>/data/page", expect: "ok" },
      alert: [
        {
          ...{ Action: "Audit (Block)", Result: "Passed", PolicyName: "DefaultPosture" },
          Resource: "/data/other",
        },
        {
          ...{ Action: "Audit (Block)", Result: "Passed", PolicyName: "DefaultPosture" },
          Resource: "/data/page",
        },
      ],
    },
  ],
});
