/** Enforcement outlives the agent, however that ends; the next agent adopts it; `ankylo uninstall` ends it. */

import { DENIED, MODE, onHost, startAgent } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: guard
spec:
  severity: 7
  selector:
    matchLabels:
      app: web
  process:
    matchPaths:
      - path: /bin/sleep
  file:
    matchDirectories:
      - dir: /data/
        recursive: true
  action: Block
`;

const denied = { ...DENIED, PolicyName: "guard", Severity: "7" };

/** Refused while no agent runs that could tell. */
const refusedInSilence = (when: string): Act[] => [
  {
    claim: `${when} a blocked program is refused`,
    ...{ in: "web", run: "/bin/sleep 0", expect: "EACCES", control: "free" },
  },
  {
    claim: `${when} a blocked file is refused`,
    ...{ in: "web", run: "/bin/cat /data/x", expect: "EACCES", control: "free" },
  },
  {
    claim: `${when} the container is entered as ever`,
    ...{ in: "web", run: ["/bin/cat", "/etc/passwd"], expect: /root:/ },
  },
];

const refusedAndTold = (when: string): Act[] => [
  {
    claim: `${when} a refused program is told of with its policy`,
    ...{ in: "web", run: "/bin/sleep 0", expect: "EACCES" },
    alert: { ...denied, Operation: "Process", Resource: "/bin/sleep 0", ContainerName: "web" },
  },
  {
    claim: `${when} a refused file is told of with its policy`,
    ...{ in: "web", run: "/bin/cat /data/x", expect: "EACCES" },
    alert: { ...denied, Operation: "File", Resource: "/data/x", ContainerName: "web" },
  },
];

const prepare = "mkdir /data && echo text >/data/x";

scenario({
  name: "agent restart",
  policies: { "guard.yaml": policy },
  containers: {
    web: { labels: { app: "web" }, prepare },
    free: { prepare },
  },
  acts: [
    ...refusedAndTold("at first"),
    onHost("the first agent installs its programs", MODE, /"installed"/),
    onHost("uninstall is refused while an agent runs", "ankylo uninstall", {
      ...{ status: 6, output: /an agent runs already/ },
    }),

    onHost("the agent is killed", "stop_agent KILL"),
    ...refusedInSilence("without an agent"),
    onHost(
      "a container that comes meanwhile starts",
      "ctr run -d --label=app=web $image late /bin/sleep 1000000",
    ),

    onHost("the next agent starts", startAgent()),
    onHost("the next agent adopts what it finds", MODE, /"adopted"/),
    ...refusedAndTold("after a kill"),
    onHost(
      "the next agent goes on numbering, and says how many of the former's alerts are gone",
      `first_alert "" '"Lost":[0-9]*' 1`,
      /"Lost":[1-9]/,
    ),
    onHost(
      "what was refused while no agent ran is told by the next",
      "first_alert policy=guard /data/x",
      /data/,
    ),
    {
      claim: "the container that came meanwhile is governed now",
      in: "host",
      run: "wait_until agent_knows late && ctr task exec --exec-id late-1 late /bin/sleep 0",
      expect: "EACCES",
      alert: { ...denied, Operation: "Process", Resource: "/bin/sleep 0", ContainerName: "late" },
    },

    onHost("the agent is stopped", "stop_agent TERM"),
    ...refusedInSilence("after an orderly stop"),

    onHost("uninstall says what it removed", "ankylo uninstall", /Nothing is enforced any more/),
    onHost(
      "no pin is left",
      '[ ! -e /sys/fs/bpf/ankylo ] || [ -z "$(ls -A /sys/fs/bpf/ankylo)" ]',
    ),
    onHost(
      "no program is left in the kernel",
      "wait_until sh -c '! bpftool prog show | grep -E \"name (hook|decide|identity|monitor)_\"'",
    ),
    {
      claim: "without programs a blocked program runs",
      ...{ in: "web", run: "/bin/sleep 0", expect: "ok" },
    },
    {
      claim: "without programs a blocked file is read",
      ...{ in: "web", run: "/bin/cat /data/x", expect: /text/ },
    },
    onHost("nothing is left on the disk", "[ ! -e /var/lib/ankylo ]"),
    onHost("uninstall again finds nothing", "ankylo uninstall", /Nothing is installed/),

    onHost("an agent after that starts", startAgent()),
    onHost("an agent after that installs its programs", MODE, /"installed"/),
    ...refusedAndTold("after a new installation"),

    onHost("that is kept on the disk", 'wait_until grep -q \'"id":"web"\' /var/lib/ankylo/state'),
    onHost(
      "the agent is killed, and its pins go as in a reboot",
      "stop_agent KILL; umount /sys/fs/bpf/ankylo",
    ),
    onHost(
      "containerd does not run",
      "kill $(pids_of containerd); wait_until no_process containerd",
    ),
    onHost("the policy file is broken", "echo 'spec: [' >/etc/ankylo/policies/guard.yaml"),
    onHost("an agent starts then", startAgent()),
    onHost(
      "it says what comes from the last run",
      "ankylo status",
      /last run.*policies of guard\.yaml; containers.*default\/web/,
    ),
    ...refusedAndTold("by what the last run left"),
  ],
  // Alerts of the time without an agent come when the next one does, before or after its readers.
  otherAlerts: "ignore",
});
