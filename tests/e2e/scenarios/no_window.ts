/**
 * No window: a new container waits at its first program until it is described, and that program is judged by its policy. T6
 * and T8 of the evasion catalogue.
 *
 * ANKYLO_E2E_RACE: containers whose first act is a blocked one, some 8 s each; for 200 of them ANKYLO_E2E_TIMEOUT=3000.
 */

import { onHost, startAgent } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario, STRICT_AGENT } from "../harness.ts";
import { setting } from "../settings.ts";
import { compileTool } from "../tools/compile.ts";

const RACE = setting("ANKYLO_E2E_RACE", 4);
/** That nothing forbids it. */
const CONTROLS = 2;
/** How long what nobody describes waits: longer than it takes to see that it does, and the next to stop the agent. */
const TIMEOUT_S = 20;

const policies = {
  "keep.yaml": `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: keep
spec:
  selector:
    matchLabels:
      app: guarded
  file:
    matchPaths:
      - path: /etc/passwd
  process:
    matchPaths:
      - path: /bin/tac
  action: Block
`,
  "only.yaml": `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: only
spec:
  selector:
    matchLabels:
      app: strict
  process:
    matchPaths:
      - path: /bin/echo
  action: Allow
`,
};

const executed: AlertPattern = {
  ...{ PolicyName: "keep", Operation: "Process", Action: "Block", ProcessName: "/bin/tac" },
};
const opened: AlertPattern = {
  ...{ PolicyName: "keep", Operation: "File", Action: "Block", Resource: "/etc/passwd" },
};

/** Functions for acts on the host. Each act is a shell of its own. */
const functions = `
# begin NAME RUNTIME LABEL PROGRAM...: starts a container in the background; what it says goes to a file, then its status.
begin() {
  local name=$1 runtime=$2 label=$3
  shift 3
  (
    ctr run --rm --runc-binary "$runtime" --label "app=$label" \\
      --mount type=bind,src=/job/files,dst=/files,options=rbind:ro $image "$name" "$@"
    echo "status $?"
  ) >$work/out-$name 2>&1 </dev/null &
}
ended() { local name; for name; do grep -q '^status' $work/out-$name || return 1; done; }
outcome() { wait_until ended "$@"; local name; for name; do echo "$name: $(tr '\\n' ' ' <$work/out-$name)"; done; }
# Whether a process of each container is stopped.
held() {
  local name pid
  for name; do
    for pid in $(cat /sys/fs/cgroup/default/$name/cgroup.procs 2>/dev/null); do
      grep -q '^State:.T' /proc/$pid/status 2>/dev/null && continue 2
    done
    return 1
  done
}
pids_of() { cat /sys/fs/cgroup/default/$1/cgroup.procs; }
status() { ask /v1/status | grep -o "\\"$1\\":[0-9]*" | head -n 1; }
# bare NAME: a container that no runtime knows, by the specification on standard input; its cgroup is where containers are.
bare() {
  mkdir -p /run/bare-$1/rootfs && ctr images mount --rw $image /run/bare-$1/rootfs >/dev/null &&
    cat >/run/bare-$1/config.json || return
  (
    runc run --bundle /run/bare-$1 $1
    echo "status $?"
  ) >$work/out-$1 2>&1 </dev/null &
}
`;
const withFunctions = (run: string) => `${functions}\n${run}`;

/** Every container's first act is a blocked one: half of them execute, half open. */
const race = (label: string, count: number) =>
  withFunctions(`
names=
for i in $(seq ${count}); do
  runtime=$([ $((i % 4)) -lt 2 ] && echo runc || echo crun)
  if [ $((i % 2)) = 0 ]; then
    begin race-$i $runtime ${label} /bin/tac /proc/version
  else
    begin race-$i $runtime ${label} /files/first /etc/passwd
  fi
  names="$names race-$i"
  [ $((i % 4)) = 0 ] && outcome $names >/dev/null
done
outcome $names >$work/race
echo "escaped $(grep -cE 'escaped|Linux version' $work/race), refused $(grep -ci 'permission denied' $work/race)"
`);

/** What waits, by the way in which it starts. */
const waiting = `
begin by-runc runc guarded /bin/tac /proc/version
begin by-crun crun guarded /bin/tac /proc/version
begin opener runc guarded /files/first /etc/passwd
begin script runc guarded /files/first.sh
begin free runc other /files/first.sh
`;
const WAITING = "by-runc by-crun opener script free";

const bareSpec = JSON.stringify({
  ociVersion: "1.0.2",
  process: {
    ...{ user: { uid: 0, gid: 0 }, args: ["/bin/echo", "it ran"], env: ["PATH=/bin"], cwd: "/" },
  },
  root: { path: "rootfs" },
  mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
  linux: { cgroupsPath: "/default/NAME", namespaces: [{ type: "pid" }, { type: "mount" }] },
});
const bare = (name: string) => `bare ${name} <<<'${bareSpec.replace("NAME", name)}'`;

/** A container of containerd with a hook that runs in its cgroup, before its program. */
const hooked = (name: string, stage: string, path: string) => {
  const spec = {
    ...JSON.parse(bareSpec.replace("NAME", name)),
    root: { path: `/run/hooked-${name}` },
    hooks: { [stage]: [{ path, args: ["first", "/proc/version"] }] },
  };
  spec.mounts.push({
    ...{ destination: "/files", type: "bind", source: "/job/files", options: ["rbind", "ro"] },
  });
  return `mkdir -p /run/hooked-${name} && ctr images mount --rw $image /run/hooked-${name} >/dev/null &&
    echo '${JSON.stringify(spec)}' >/run/hooked-${name}.json &&
    ctr run --rm --config /run/hooked-${name}.json --label app=LABEL ${name} 2>&1`;
};

const hook = (stage: string, path: string): Act => {
  const name = stage.toLowerCase();
  return onHost(
    `an OCI hook of ${stage} is judged as the container's, and its container does not wait for itself`,
    hooked(name, stage, path).replace("LABEL", "strict"),
    { output: /permission denied/i },
    {
      alert: { PolicyName: "DefaultPosture", Operation: "Process", ProcessName: path },
      control: {
        in: "host",
        run: hooked(`${name}-free`, stage, path).replace("LABEL", "free"),
        expect: /it ran/,
      },
    },
  );
};

scenario({
  name: "no window",
  policies,
  containers: {},
  agentOptions: STRICT_AGENT,
  files: [
    await compileTool("first"),
    new URL("../tools/first.sh", import.meta.url).pathname,
  ],
  acts: [
    onHost(
      `T6 none of ${RACE} containers gets to its first act`,
      race("guarded", RACE),
      new RegExp(`^escaped 0, refused ${RACE}\\s*$`),
      {
        alert: [executed, opened],
        control: {
          in: "host",
          run: race("other", CONTROLS),
          expect: new RegExp(`^escaped ${CONTROLS}, refused 0\\s*$`),
        },
      },
    ),
    hook("createContainer", "/job/files/first"),
    hook("startContainer", "/files/first"),
    onHost(
      "containers that start while the agent is stopped wait at their program",
      withFunctions(`kill -STOP $(<$agent_pid); ${waiting} wait_until held ${WAITING}`),
      "ok",
    ),
    onHost(
      "T8 one that is continued by a signal waits again, and has not run",
      withFunctions(`
for i in 1 2 3; do kill -CONT $(pids_of by-runc); wait_until held by-runc || exit 1; done
cat $work/out-by-runc`),
      /^\s*$/,
    ),
    onHost(
      "once the agent goes on they are judged",
      withFunctions(`kill -CONT $(<$agent_pid); outcome ${WAITING}`),
      {
        output: new RegExp(
          "by-runc:.*permission denied.*status [1-9].*\\n" +
            "by-crun:.*permission denied.*status [1-9].*\\n" +
            "opener:.*Permission denied status 1.*\\n" +
            "script:.*permission denied.*status [1-9].*\\n" +
            "free: escaped.*status 0",
          "i",
        ),
      },
      { alert: [executed, opened] },
    ),
    onHost(
      "containers that start while no agent runs wait for the next",
      withFunctions(
        `stop_agent KILL; begin by-runc runc guarded /bin/tac /proc/version
begin free crun other /bin/tac /proc/version; wait_until held by-runc free`,
      ),
      "ok",
    ),
    onHost(
      "the next agent judges them",
      withFunctions(`${startAgent("--pending-containers block")}; outcome by-runc free`),
      /by-runc:.*permission denied.*\nfree: Linux version/i,
    ),
    onHost(
      "pendingContainers block: a container that starts while no agent runs is refused",
      withFunctions(
        "stop_agent KILL; begin late runc other /bin/tac /proc/version; outcome late",
      ),
      /permission denied/i,
    ),
    onHost("the next agent starts", startAgent(`--pending-timeout ${TIMEOUT_S}`), "ok"),
    onHost(
      "it tells of the refusal",
      `first_alert "" '"Reason":"pending"'`,
      /pending/,
    ),
    onHost(
      "a container that nobody describes waits",
      withFunctions(`${bare("nobody")}; wait_until held nobody && cat $work/out-nobody`),
      /^\s*$/,
    ),
    onHost(
      "a container that nobody describes in time goes on, and is counted",
      withFunctions("outcome nobody; status timedOut"),
      /it ran status 0.*\n"timedOut":1/,
    ),
    onHost(
      "no task is left staging",
      withFunctions(
        `none() { [ "$(status staging)" = '"staging":0' ]; }; wait_until none; status staging`,
      ),
      /"staging":0/,
    ),
    onHost(
      "an agent that stops lets go what waits",
      withFunctions(
        `${bare("waiter")}; wait_until held waiter && stop_agent TERM && outcome waiter`,
      ),
      /it ran status 0/,
    ),
    onHost(
      "pendingContainers audit: a container that starts while no agent runs starts",
      withFunctions("begin late runc guarded /bin/tac /proc/version; outcome late"),
      /Linux version/,
    ),
  ],
  // The agent's own tests tell which; here the alerts of one act may come during the next, with another agent.
  otherAlerts: "ignore",
});
