/**
 * Enforcement has no gap: while the agent is killed, started, exchanged for another build and given new policies, two
 * processes open a blocked and an allowed file without an end, outside the cgroup that their container once gave them.
 */

import { buildSecondBinary } from "../../../scripts/build_binary.ts";
import { MODE, onHost, startAgent } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";
import { setting } from "../settings.ts";
import { compileTool } from "../tools/compile.ts";

/**
 * Policies put into force one after the other, some 2 s each; a long run has 500, and
 * ANKYLO_E2E_TIMEOUT=5400 ANKYLO_E2E_PATIENCE=1500.
 */
const SWAPS = setting("ANKYLO_SWAPS", 15);

/**
 * Of each loop after an open: each refusal is an alert, which is work for the agent. Emulation is thirty times as slow as
 * hardware, so this is a look at what is in force every few instants of an exchange.
 */
const PAUSE_US = setting("ANKYLO_PAUSE_US", 4_000);

/** Different images that all refuse /data/blocked and let /data/allowed pass. */
const policy = (rules: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: guard
spec:
  selector:
    matchLabels:
      app: web
  file:
${rules}
  action: Block
`;
const VARIANTS = {
  "guard.yaml": policy("    matchPaths:\n      - path: /data/blocked"),
  "variant1": policy(
    "    matchDirectories:\n      - dir: /data/\n    matchPaths:\n" +
      "      - path: /data/allowed\n        action: Allow",
  ),
  "variant2": policy("    matchPaths:\n      - path: /data/blocked\n      - path: /data/other"),
  "variant3": policy("    matchPaths:\n      - path: /data/blocked"),
};

const startSecond =
  "mkdir -p /run/second && ln -sf /job/files/ankylo-second /run/second/ankylo && " +
  `(PATH=/run/second:$PATH; start_agent) >/dev/null 2>&1`;
const counts = "/job/files/loops /proc/$pid/root/scratch/counts";

/** Puts so many policies into force, each before the next, and each another than the one before, whoever was killed meanwhile. */
const swap = (count: number) =>
  "generation() { ask /v1/status | grep -o '\"generation\":[0-9]*' | head -n 1; }; " +
  'applied() { [ "$(generation)" != "$before" ]; }; ' +
  `for i in $(seq ${Math.ceil(count)}); do before=$(generation); ` +
  "n=$(($(cat /run/swaps 2>/dev/null || echo 0) + 1)); echo $n >/run/swaps; " +
  "cp /etc/ankylo/policies/variant$((n % 3 + 1)) /run/next && mv /run/next /etc/ankylo/policies/guard.yaml && " +
  "wait_until applied || exit 1; done";

const stillCounting = (when: string): Act =>
  onHost(
    `${when} the loops go on, and none escapes`,
    `pid=$(pids_of loops | head -n 1); first=$(${counts} | cut -d ' ' -f 2); more() { [ $(${counts} | cut -d ' ' -f 2) -gt $((first + 20)) ]; }; ` +
      `wait_until more && ${counts}`,
    /denied [1-9]\d* escapes 0 opened [1-9]\d* refused 0 other 0/,
  );

const refused = (when: string): Act => ({
  claim: `${when} a blocked file is refused`,
  ...{ in: "web", run: "/bin/cat /data/blocked", expect: "EACCES", control: "free" },
});

const prepare = "mkdir /data /scratch && echo text >/data/blocked && echo text >/data/allowed";

scenario({
  name: "persistence",
  policies: VARIANTS,
  containers: { web: { labels: { app: "web" }, prepare }, free: { prepare } },
  files: [await compileTool("loops"), await buildSecondBinary()],
  acts: [
    {
      claim: "two loops begin",
      in: "web",
      run:
        `/files/loops /scratch/counts /data/blocked /data/allowed ${PAUSE_US} >/dev/null 2>&1 & ` +
        "while [ ! -s /scratch/counts ]; do :; done",
      expect: "ok",
    },
    onHost(
      "they are moved out of their container's cgroup",
      `for pid in $(pids_of loops); do echo $pid >/sys/fs/cgroup/init/cgroup.procs || exit 1; done; ` +
        "cat /proc/$pid/cgroup",
      /0::\/init/,
    ),
    stillCounting("at first"),
    onHost("policies are exchanged", swap(SWAPS / 3)),

    onHost(
      "the agent is killed in the middle of an exchange of policies",
      `begun=$(</run/swaps); more() { [ $(</run/swaps) -ge $((begun + 3)) ]; }; ` +
        `(${swap(SWAPS)}) >/dev/null 2>&1 & swapping=$!; wait_until more; stop_agent KILL; ` +
        "kill $swapping; wait $swapping; true",
    ),
    stillCounting("without an agent"),
    refused("without an agent"),
    onHost("the next agent starts", startAgent()),
    onHost("it adopts what it finds", MODE, /"adopted"/),

    onHost("the agent is killed again", "stop_agent KILL"),
    onHost("another build's agent starts", startSecond),
    onHost("it exchanges the programs where they are", MODE, /"renewed"/),
    stillCounting("after the upgrade"),
    refused("after the upgrade"),
    onHost("policies are exchanged under the other build", swap(SWAPS / 3)),

    onHost("the other build's agent is killed", "stop_agent KILL"),
    onHost(
      "it had not finished its exchange of programs, as far as can be seen",
      "mkdir /sys/fs/bpf/ankylo/v1/changing",
    ),
    onHost("the first build's agent starts", startAgent()),
    onHost("it exchanges them again", MODE, /"renewed"/),
    stillCounting("after the way back"),

    onHost("the agent is stopped", "stop_agent TERM"),
    onHost(
      "someone takes a program out",
      "rm /sys/fs/bpf/ankylo/v1/links/hook_path_unlink && ls /sys/fs/bpf/ankylo",
      /^v1$/m,
    ),
    onHost("the agent starts after that", startAgent()),
    onHost("it puts the program back", "ls /sys/fs/bpf/ankylo/v1/links", /hook_path_unlink/),
    stillCounting("after the repair"),

    onHost("the agent is stopped once more", "stop_agent TERM"),
    onHost(
      "the loops are moved back: another format's programs know tasks by their cgroup",
      `for pid in $(pids_of loops); do echo $pid >/sys/fs/cgroup/default/web/cgroup.procs || exit 1; done`,
    ),
    onHost(
      "what is there is not known to be complete",
      "rm /sys/fs/bpf/ankylo/v1/maps/hooks_ro",
    ),
    onHost("an agent starts beside it", startAgent()),
    onHost("it replaces what it found", MODE, /"replaced"/),
    onHost("only the new installation is left", "ls /sys/fs/bpf/ankylo", /^v2$/m),
    stillCounting("after the replacement"),
    refused("after the replacement"),
    onHost("policies are exchanged at the end", swap(SWAPS / 3)),
    stillCounting("at the end"),
  ],
  otherAlerts: "unread",
});
