/**
 * Rules about DNS names: every way to send a query, names in any case and of any length, what can't be read, programs, and
 * allow-lists.
 */

import { DENIED, MODE, onHost, startAgent } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const policyFor = (container: string, queries: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${container}
spec:
  severity: 3
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  network:
    severity: 4
    tags: [DNS]
    matchDNSQueries:
${queries.trim().split("\n").map((line) => `      ${line}`).join("\n")}
`;

const block = policyFor(
  "block",
  `
- {domain: "Blocked.Test., also.test"}
- {domain: "*.below.test"}
- {domain: fine.blocked.test, action: Audit}
- {domain: sourced.test, fromSource: [{path: /opt/by}]}
- {domain: audited.test, action: Audit}`,
);

const list = policyFor(
  "list",
  `
- {domain: allowed.test, action: Allow}
- {domain: harmless.test, action: Allow}
- {domain: bad.allowed.test}`,
);

const alertOf = (
  policy: string,
  resource: string,
  domain: string,
  more: AlertPattern = {},
): AlertPattern => ({
  ...DENIED,
  ...{ PolicyName: policy, Severity: "4", Tags: "DNS", Type: "MatchedPolicy" },
  ...{ Operation: "Network", Enforcer: "BPFLSM" },
  ...resource === "" ? {} : { Resource: resource },
  Data: `lsm=SOCKET_SENDMSG domain=${domain}`,
  ...more,
});

const NAME = "www.blocked.test";
const CALLER: AlertPattern = { ContainerName: "block", Cwd: "/" };

/** How a query is sent, and whether the rules' names can be read in it. */
const DATAGRAMS = ["udp", "write", "sendto", "sendmmsg", "udp6", "options", "mapped", "edns", "two"]
  .concat(["ring", "raw"]);
const STREAMS = ["tcp", "tcp6", "fastopen", "second", "pipeline"];
const UNREADABLE = ["pointer", "short", "segments"];
/** What is sent again comes in one segment, and is read. */
const TORN = /domain=(www\.blocked\.test)?$/;

/** Over TCP nobody is told: the query never arrives. */
function refused(way: string, name: string, alert: AlertPattern): Act {
  const isStream = [...STREAMS, "split"].includes(way);
  return {
    claim: `a query for ${name.length > 60 ? "a name of 255 bytes" : name} by ${way} is refused`,
    in: "block",
    run: `/files/dns ask ${way} ${name}${isStream ? " 1" : ""}`,
    expect: isStream ? "EAGAIN" : "EPERM",
    alert,
    control: { in: "free", run: `/files/dns ask ${way} ${name}`, expect: /^answered\s*$/ },
  };
}

/** One of 255 bytes on the wire. */
const LONGEST = [63, 63, 63, 47].map((length) => "x".repeat(length)).join(".") + ".also.test";

function passes(claim: string, container: string, run: string, alert?: AlertPattern): Act {
  return {
    ...{ claim, in: container, run, expect: /^answered\s*$/ },
    ...alert === undefined ? {} : { alert },
  };
}

const dns = { options: ["--net-host"], prepare: "mkdir -p /opt && cp /files/dns /opt/by" };

scenario({
  name: "dns rules",
  // Older ones have no programs about names.
  kernels: ["6.12"],
  agentOptions: ["--posture-network", "block"],
  // What TCP is refused it sends again, as often as it finds time for.
  otherAlerts: "ignore",
  policies: { "block.yaml": block, "list.yaml": list },
  containers: {
    block: { ...dns, privileged: true },
    list: dns,
    free: { ...dns, privileged: true },
  },
  files: [await compileTool("dns")],
  acts: [
    onHost("a resolver answers whatever it is asked", "/job/files/dns serve"),
    onHost(
      "the programs about names are loaded when a policy needs them",
      `ask /v1/status | grep -o '"name":"[a-z_]*","state":"attached"' | grep -c -e dns_ -e socket_`,
      /^2\s*$/,
    ),
    ...[...DATAGRAMS, ...STREAMS].map((way) =>
      refused(way, NAME, alertOf("block", "blocked.test", NAME, CALLER))
    ),
    ...[...UNREADABLE, "split"].map((way) =>
      refused(way, NAME, alertOf("block", "", "", { ...CALLER, Data: TORN }))
    ),
    refused("udp", "blocked.test", alertOf("block", "blocked.test", "blocked.test")),
    refused("sendto", "wWw.BLOCKED.tEsT", alertOf("block", "blocked.test", "wWw.BLOCKED.tEsT")),
    refused("udp", "also.test", alertOf("block", "also.test", "also.test")),
    refused("udp", LONGEST, alertOf("block", "also.test", LONGEST)),
    refused("udp", "a.below.test", alertOf("block", "*.below.test", "a.below.test")),
    refused(
      "udp",
      "blocked.test.svc.cluster.local",
      alertOf("block", "blocked.test", "blocked.test.svc.cluster.local"),
    ),
    passes("a name that only ends alike is another", "block", "/files/dns ask udp notblocked.test"),
    passes(
      "a longer domain decides",
      "block",
      "/files/dns ask udp a.fine.blocked.test",
      alertOf("block", "fine.blocked.test", "a.fine.blocked.test", {
        ...{ Action: "Audit", Result: "Passed" },
      }),
    ),
    passes("a wildcard is not about the name itself", "block", "/files/dns ask udp below.test"),
    passes(
      "Audit tells, and lets pass",
      "block",
      "/files/dns ask udp audited.test",
      alertOf("block", "audited.test", "audited.test", { Action: "Audit", Result: "Passed" }),
    ),
    {
      claim: "a rule for one program refuses it",
      ...{ in: "block", run: "/opt/by ask udp sourced.test", expect: "EPERM" },
      alert: alertOf("block", "sourced.test", "sourced.test"),
      control: { in: "block", run: "/files/dns ask udp sourced.test", expect: /^answered\s*$/ },
    },
    passes("an allow-list lets pass what it names", "list", "/files/dns ask udp allowed.test"),
    passes("and over TCP", "list", "/files/dns ask second www.allowed.test"),
    {
      claim: "an allow-list refuses what it does not name",
      ...{ in: "list", run: "/files/dns ask sendto other.test", expect: "EPERM" },
      alert: {
        ...DENIED,
        ...{ PolicyName: "DefaultPosture", Operation: "Network", Resource: "other.test" },
        Data: "lsm=SOCKET_SENDMSG domain=other.test",
      },
      control: { in: "free", expect: /^answered\s*$/ },
    },
    {
      claim: "Block decides within an allow-list",
      ...{ in: "list", run: "/files/dns ask udp bad.allowed.test", expect: "EPERM" },
      alert: alertOf("list", "bad.allowed.test", "bad.allowed.test"),
    },
    onHost(
      "the next agent takes the programs over",
      `stop_agent KILL && ${startAgent("--posture-network audit")} && ${MODE}`,
      /"adopted"/,
    ),
    refused("udp", "blocked.test", alertOf("block", "blocked.test", "blocked.test")),
    passes(
      "with posture.network audit what the list does not name passes, and is told of",
      "list",
      "/files/dns ask udp other.test",
      {
        ...{ PolicyName: "DefaultPosture", Action: "Audit", Result: "Passed" },
        ...{ Operation: "Network", Resource: "other.test" },
      },
    ),
    onHost("uninstall removes them", "stop_agent TERM && ankylo uninstall >/dev/null"),
    passes("after that every name may be asked for", "block", `/files/dns ask udp ${NAME}`),
  ],
});
