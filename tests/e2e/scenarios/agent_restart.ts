/** Enforcement outlives the agent, however that ends; the next agent adopts it; `ankylo uninstall` ends it. */

import { DENIED, MODE, onHost, startAgent } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

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

/** Starts an agent that will not be ready, and whose alerts nobody follows. */
const runAgent = (options = "") =>
  `ankylo run --policies /etc/ankylo/policies ${options} >>$agent_log 2>&1 </dev/null & echo $! >$agent_pid`;

/** Its programs can't follow a path to the root of the agent's namespace that lies in a mount of another one. */
const wronglyRead: Act[] = [
  onHost(
    "an agent whose programs read paths wrongly says so",
    "mkdir /run/away; unshare -m sh -c 'mount -t bpf bpf /run/away && exec sleep 1000000' >/dev/null 2>&1 & " +
      "away=$!; wait_until grep -q /run/away /proc/$away/mounts; " +
      `${runAgent("--state off --bpffs /proc/$away/root/run/away")}; ` +
      "wait_until ask /v1/status >/dev/null; ankylo status; kill $away",
    /NOT ENFORCING\n +- Test path walker: a path of \d+ names, .* was not followed to the root\n/,
  ),
  onHost(
    "it is not ready, and says why",
    "curl -s $agent_url/readyz",
    /"Not ready".*Test path walker/,
  ),
  onHost(
    "its rules are not enforced",
    "wait_until eval 'ask /v1/policies/guard | grep not.enforced'",
    /"reason":"paths can't be read rightly here"/,
  ),
  onHost(
    "it attaches nothing",
    "! bpftool prog show | grep -E 'name (hook|decide|identity|monitor)_' && stop_agent",
  ),
];

/** The tool stands for a verifier that follows other paths than those of the tested kernels. */
const refusedProgram: Act[] = [
  onHost(
    "the kernel refuses a program from now on",
    "/job/files/hooks refuse decide_sb_mount >/run/refuse.log 2>&1 </dev/null & echo $! >/run/refuse.pid; " +
      "wait_until grep refusing /run/refuse.log",
    /refusing decide_sb_mount/,
  ),
  onHost("probe says what is not enforced then, also by its status", "ankylo probe --verify", {
    status: 4,
    output:
      /but not all of it\.\n[^]*Not enforced: the kernel refuses the program of hook sb_mount, so a bind mount gives objects another path: this concerns process and file rules/,
  }),
  onHost(
    "an agent that starts is not ready, and names the rules",
    `${runAgent()}; wait_until eval 'ask /v1/status | grep -q "not enforced: the kernel"'; curl -s $agent_url/readyz`,
    /not enforced: the kernel refused the program of hook sb_mount \(.*Operation not permitted.*\), so a bind mount gives objects another path: this concerns guard spec\.process\.matchPaths\[0\], guard spec\.file\.matchDirectories\[0\]/,
  ),
  onHost(
    "its status says it of the hook, and of each rule",
    "ankylo status",
    /ENFORCING, BUT NOT ALL OF IT\n[^]*hook sb_mount refused: [^]*\/bin\/sleep +enforced: a bind mount gives objects another path \(the kernel refused/,
  ),
  {
    claim: "what the other programs decide is enforced",
    ...{ in: "web", run: "/bin/sleep 0; /bin/cat /data/x", expect: "EACCES", control: "free" },
  },
  onHost(
    "that agent is taken out again",
    "stop_agent; pid=$(</run/refuse.pid); kill $pid; tail --pid=$pid -f /dev/null; ankylo uninstall >/dev/null",
  ),
];

const prepare = "mkdir /data && echo text >/data/x";

scenario({
  name: "agent restart",
  policies: { "guard.yaml": policy },
  containers: {
    web: { labels: { app: "web" }, prepare },
    free: { prepare },
  },
  files: [await compileTool("hooks")],
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

    ...wronglyRead,
    ...refusedProgram,

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
