/** What becomes of decisions: each has an alert or is counted in one, whatever floods, and whether or not an agent reads. */

import { onHost } from "../fixtures.ts";
import { scenario } from "../harness.ts";

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: guard
spec:
  selector:
    matchLabels:
      app: web
  file:
    matchDirectories:
      - dir: /data/
        recursive: true
  action: Block
`;

/** Files of which each is a kind of its own, with names so long that fewer records than that fill half of the ring. */
const FILES = 450;
const LONG = "/data/many/" + ["a", "b", "c"].map((letter) => letter.repeat(200)).join("/");
/** Refusals of one kind in a row. */
const REPEATED = 500;

const prepare = "mkdir -p /data/many && echo text >/data/x && echo text >/data/y";
const prepareMany = `${prepare}; mkdir -p ${LONG} && cd ${LONG} && seq ${FILES} | xargs touch`;

/** In the shell itself, without a process for each. Prints how many of the opens were refused. */
const refuse = (count: number, path: string) =>
  `i=0; n=0; while [ $i -lt ${count} ]; do true 2>/dev/null <${path} || n=$((n + 1)); i=$((i + 1)); done; echo $n`;

/** A field of a container's decisions, as /v1/workloads has it. */
const decisions = `
of() { curl -s $agent_url/v1/workloads | grep -o "\\"name\\":\\"$1\\".*" | grep -o '"decisions":{[^}]*}' | head -1 |
  grep -o "\\"$2\\":[0-9]*" | cut -d: -f2; }`;

/** Where a client puts the stream: at once, as a slow one is told of losses in place of alerts. */
const stream = "/run/alerts.stream";
const follow = `curl -sN $agent_url/v1/alerts >${stream} 2>/dev/null &`;
const arrives = (container: string, path: string) =>
  `arrived() { grep '"ContainerName":"${container}"' ${stream} | grep -q '"Resource":"${path}"'; }; wait_until arrived`;

/**
 * Succeeds when what was decided in a container is what its account has, and what its alerts stand for: one each, what they
 * suppressed, and what the stream says that its reader was too slow for.
 */
const balance = (container: string) =>
  `${decisions}
told() {
  awk 'function add(name) { if (match($0, "\\"" name "\\":[0-9]+")) told += substr($0, RSTART + length(name) + 3) + 0 }
    /"ContainerName":"${container}"/ { told++; add("Suppressed") } /^data: {"Lost"/ { add("Lost") } END { print told }' ${stream}
}
balanced() {
  denied=$(of ${container} denied)
  [ "$denied" = $(($(of ${container} sent) + $(of ${container} limited) + $(of ${container} lost))) ] &&
    [ "$denied" = "$(told)" ]
}
wait_until balanced; result=$?
for field in denied sent limited lost; do echo "$field=$(of ${container} $field)"; done
echo "told=$(told)"
[ $result = 0 ]`;

scenario({
  name: "accounting",
  policies: { "guard.yaml": policy },
  containers: {
    noisy: { labels: { app: "web" }, prepare: prepareMany },
    quiet: { labels: { app: "web" }, prepare },
    free: { prepare: prepareMany },
  },
  acts: [
    onHost("a client follows the alerts", `${follow} wait_until grep -q retry ${stream}`),
    {
      claim: "every one of many equal opens is refused",
      in: "noisy",
      run: refuse(REPEATED, "/data/x"),
      expect: new RegExp(`^${REPEATED}\\s*$`),
      control: { in: "free", expect: /^0\s*$/ },
    },
    {
      claim: "another file behind the flood is refused",
      in: "noisy",
      run: "cat /data/y",
      expect: "EACCES",
      control: "free",
    },
    onHost("its alert comes", arrives("noisy", "/data/y")),
    onHost(
      "what had no alert is told by number",
      balance("noisy"),
      new RegExp(
        `^denied=${REPEATED + 1}\\nsent=\\d+\\nlimited=(3\\d\\d|400)\\nlost=0\\ntold=${
          REPEATED + 1
        }\\s*$`,
      ),
    ),

    onHost("the agent stands still", "kill -STOP $(<$agent_pid)"),
    {
      claim: "every open is refused while no one reads the ring",
      in: "noisy",
      run: refuse(FILES, `${LONG}/$((i + 1))`),
      expect: new RegExp(`^${FILES}\\s*$`),
      control: { in: "free", expect: /^0\s*$/ },
    },
    {
      claim: "a neighbour's flood leaves room",
      in: "quiet",
      run: "cat /data/x",
      expect: "EACCES",
    },
    onHost("the agent goes on", "kill -CONT $(<$agent_pid)"),
    onHost("the neighbour's alert comes", arrives("quiet", "/data/x")),
    onHost(
      "what the ring had no room for is told by number",
      balance("noisy"),
      new RegExp(
        `^denied=${
          REPEATED + 1 + FILES
        }\\nsent=[45]\\d\\d\\nlimited=(3\\d\\d|400)\\nlost=[1-9]\\d+\\ntold=${
          REPEATED + 1 + FILES
        }\\s*$`,
      ),
    ),
    onHost(
      "metrics have the container's decisions",
      "curl -s $agent_url/metrics | grep 'container_decisions_total{container=\"noisy\"'",
      /outcome="sent"[\s\S]*outcome="limited"[\s\S]*outcome="lost"/,
    ),
  ],
  otherAlerts: "unread",
});
