/**
 * Policies of the node itself: what they refuse and tell on the host, that they leave containers alone and containers' policies
 * leave the host alone, and that the node stays usable under the worst of them.
 */

import { DENIED, MODE, onHost, startAgent } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const host = (name: string, hostname: string, spec: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata:
  name: ${name}
spec:
  severity: 7
  nodeSelector:
    matchLabels:
      kubernetes.io/hostname: ${hostname}
${spec}
`;

const RULES = `
  process:
    matchPaths:
      - path: /usr/bin/tac
      - path: /usr/bin/nl
        fromSource:
          - path: /usr/bin/env
    matchDirectories:
      - dir: /srv/tools/
        recursive: true
  file:
    matchPaths:
      - path: /srv/secret
      - path: /srv/page
        readOnly: true
    matchDirectories:
      - dir: /srv/keys/
        recursive: true
  network:
    matchProtocols:
      - protocol: udp
        fromSource:
          - path: /job/files/network
  capabilities:
    matchCapabilities:
      - capability: sys_time
        fromSource:
          - path: /job/files/capabilities
  action: Block
`;

const WATCHED = `
  file:
    matchPaths:
      - path: /srv/watched
  action: Audit
`;

/** Nothing may be executed, and no program or image may be changed. */
const HOSTILE = `
  process:
    matchDirectories:
      - dir: /
        recursive: true
  file:
    matchDirectories:
      - dir: /usr/
        recursive: true
        readOnly: true
      - dir: /var/
        recursive: true
        readOnly: true
  action: Block
`;

const CONTAINERS = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: for-containers
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  file:
    matchPaths:
      - path: /srv/free
  action: Block
`;

const refused = (
  claim: string,
  run: string,
  alert: AlertPattern,
  more: Partial<Act> = {},
): Act => ({
  ...{ claim, in: "host", run, expect: "EACCES" },
  alert: { ...DENIED, ...FROM_HOST, PolicyName: "guard-host", Severity: "7", ...alert },
  ...more,
});

const BY_ANOTHER = RULES.replaceAll("/usr/bin/tac", "/usr/bin/cksum");

/** Of every alert about the node: no field of a container. */
const FROM_HOST: AlertPattern = { Type: "MatchedHostPolicy", UserName: "root", HostName: /./ };

/** What the agent says of itself, by the shell alone: also where it may start no program. */
const STATUS = "status() { local lines; exec {api}<>/dev/tcp/127.0.0.1/8420 || return; " +
  "printf 'GET /v1/status HTTP/1.0\\r\\nHost: 127.0.0.1:8420\\r\\n\\r\\n' >&$api; mapfile -t lines <&$api; " +
  'exec {api}<&-; echo "${lines[*]}"; }; is_ready() { [[ $(status) == *\'"ready":true\'* ]]; }; ';

/** Changes the folder of policies, and waits until that is in force. */
const applied = (command: string) =>
  `${STATUS} generation() { local text; text=$(status); text=\${text#*'"generation":'}; echo \${text%%,*}; }; ` +
  'changed() { [ "$(generation)" != "$before" ]; }; ' +
  `before=$(generation); cd /etc/ankylo/policies && ${command} && wait_until changed`;

/** Starts an agent whose alerts nobody follows, as that needs programs. */
const STARTED_ALONE =
  `${STATUS} ankylo run --policies /etc/ankylo/policies >>$agent_log 2>&1 </dev/null & ` +
  "echo $! >$agent_pid; wait_until is_ready; status";

/** What a container's policy refuses, and the host's does not; the other way round in the next. */
const BOTH_SIDES: Act[] = [
  {
    ...{ claim: "a host policy does not judge a container's tasks", in: "web" },
    ...{ run: "cat /srv/secret && tac /srv/secret", expect: /content\s+content/ },
  },
  {
    ...{ claim: "a container's policy refuses in the container", in: "web", run: "cat /srv/free" },
    expect: "EACCES",
    alert: { ...DENIED, Type: "MatchedPolicy", PolicyName: "for-containers", ContainerName: "web" },
  },
  onHost("a container's policy does not judge the node's tasks", "cat /srv/free", /content/),
];

const INSIDE = "unshare -m sh -c";

const use = (name: string) => `cd /srv && /job/files/capabilities ${name}`;

scenario({
  name: "host rules",
  policies: {
    "host.yaml": host("guard-host", '"*"', RULES),
    "watched.yaml": host("watch-host", '"*"', WATCHED),
    "elsewhere.yaml": host("guard-another", "another-node", BY_ANOTHER),
    "containers.yaml": CONTAINERS,
    "hostile": host("lock-out", '"*"', HOSTILE),
  },
  containers: {
    web: {
      options: ["--mount=type=bind,src=/srv,dst=/node,options=rbind:rw"],
      prepare:
        "mkdir -p /srv /node/keys && for f in secret free; do echo content >/srv/$f; done && " +
        "for f in secret page watched free keys/a keys/b; do echo content >/node/$f; done",
    },
  },
  files: await Promise.all(["network", "capabilities"].map(compileTool)),
  acts: [
    onHost(
      "the node's files that no rule names are read and written",
      "mkdir -p /mnt/other && cat /srv/free && echo content >/srv/free",
    ),
    refused("a program is not executed on the node", "/usr/bin/tac /srv/free", {
      ...{ Operation: "Process", ProcessName: "/usr/bin/tac", Resource: "/usr/bin/tac /srv/free" },
      ...{ ParentProcessName: "/usr/bin/bash", Source: "/usr/bin/bash", UserName: "root" },
    }, { control: { in: "host", run: "/usr/bin/cksum /srv/free" } }),
    refused(
      "a program is not executed by the one that fromSource names",
      "/usr/bin/env /usr/bin/nl /srv/free",
      { Operation: "Process", ProcessName: "/usr/bin/nl" },
      { control: { in: "host", run: "/usr/bin/nl /srv/free" } },
    ),
    refused("a file is not made in a directory", "echo text >/srv/keys/new", {
      ...{ Operation: "File", Resource: "/srv/keys/new", Data: /^lsm=FILE_MKNOD/ },
    }, { control: { in: "host", run: "echo text >/srv/new" } }),
    refused("a file of a directory is not read", "cat /srv/keys/a", {
      ...{ Operation: "File", Resource: "/srv/keys/a", Source: "/usr/bin/cat /srv/keys/a" },
    }, { control: { in: "host", run: "cat /srv/free" } }),
    refused("a readOnly file is not written", "echo more >>/srv/page", {
      ...{ Operation: "File", Resource: "/srv/page" },
    }, { control: { in: "host", run: "cat /srv/page" } }),
    refused("a file is not read in a mount namespace of its own", `${INSIDE} 'cat /srv/secret'`, {
      ...{ Operation: "File", Resource: "/srv/secret" },
    }, { control: { in: "host", run: `${INSIDE} 'cat /srv/free'` } }),
    refused(
      "a directory of ruled files gets no second name by a bind mount",
      `${INSIDE} 'mount --bind /srv /mnt/other && cat /mnt/other/secret'`,
      { Operation: "File", Data: /^lsm=(SB_MOUNT|MOVE_MOUNT)/ },
      {
        expect: { status: 32 },
        control: { in: "host", run: `${INSIDE} 'mount -t tmpfs none /mnt/other'` },
      },
    ),
    refused("a directory of ruled files keeps its name", "mv /srv /srv2", {
      ...{ Operation: "File", Data: /^lsm=FILE_RENAME/ },
    }, { control: { in: "host", run: "mv /mnt/other /mnt/another" } }),
    {
      ...{ claim: "Audit tells and lets pass", in: "host", run: "cat /srv/watched" },
      expect: /content/,
      alert: {
        ...{ ...FROM_HOST, PolicyName: "watch-host", Action: "Audit", Result: "Passed" },
        ...{ Operation: "File", Resource: "/srv/watched" },
      },
    },
    refused(
      "a socket is refused to the program that a rule names",
      "/job/files/network make 2/2/17",
      {
        ...{ Operation: "Network", Data: /^lsm=SOCKET_CREATE / },
      },
      {
        expect: /^2\/2\/17 refused\s*$/,
        control: { in: "host", run: "/job/files/network make 2/1/6", expect: /passed/ },
      },
    ),
    refused("a capability is refused to the program that a rule names", use("sys_time"), {
      ...{ Operation: "Capabilities", Resource: "CAP_SYS_TIME" },
    }, {
      expect: /^sys_time refused\s*$/,
      control: { in: "host", run: use("sys_nice"), expect: /passed/ },
    }),
    ...BOTH_SIDES,
    onHost(
      "the node is a workload that the API shows, with its policies",
      "ask /v1/workloads",
      /"id":"host".*"policies":\["guard-host","watch-host"\]/,
    ),
    onHost(
      "explain tells for the node what decides",
      "ankylo explain --host --open /srv/secret",
      /REFUSED[^]*guard-host/,
    ),

    onHost("a killed agent leaves the node's policy in force", "stop_agent KILL"),
    onHost("without an agent, a file is not read", "cat /srv/keys/b", "EACCES"),
    onHost("the next agent starts under it, and adopts it", `${startAgent()}; ${MODE}`, /adopted/),
    onHost(
      "what was refused while no agent ran is told by the next",
      `first_alert "" '"guard-host".*/srv/keys/b'`,
      /keys/,
    ),

    onHost("a policy that blocks every program comes", applied("cp hostile hostile.yaml")),
    {
      ...{ claim: "it blocks programs that a shell starts", in: "host" },
      ...{ run: "/usr/bin/true", expect: "EACCES" },
      alert: {
        ...DENIED,
        Type: "MatchedHostPolicy",
        PolicyName: "lock-out",
        Resource: "/usr/bin/true",
      },
    },
    onHost(
      "under it a container starts and ends",
      "ctr run --rm docker.io/library/busybox:latest fresh /bin/echo started",
      /started/,
    ),
    onHost("under it the agent's own commands work", "ankylo status", /ENFORCING/),
    onHost(
      "under it the agent starts anew",
      `stop_agent KILL; ${STARTED_ALONE}`,
      /"mode":"adopted"/,
    ),
    onHost("when its file is emptied it ends", applied(": >hostile.yaml")),
    onHost("programs start again", "/usr/bin/true"),
  ],
  // Alerts of the time without an agent come when the next one does, before or after its readers.
  otherAlerts: "ignore",
});
