/**
 * Network rules: every word for every kind of socket, by the program that acts or by all, Block, Audit and allow-lists; sockets
 * that are made, that were there before the policy, and that another process sends.
 */

import { buildSecondBinary } from "../../../scripts/build_binary.ts";
import { socketWords } from "../../../src/alerts/numbered.ts";
import type { RuleRef } from "../../../src/compile/compile.ts";
import { evaluateNumbered } from "../../../src/compile/evaluate_numbered.ts";
import { socketKind } from "../../../src/compile/socket_kind.ts";
import { PROTOCOLS } from "../../../src/model/grammars.ts";
import { parsePolicies } from "../../../src/model/parse.ts";
import type { PostureAction } from "../../../src/model/posture.ts";
import { DENIED, MODE, onHost } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const policyFor = (container: string, network: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${container}
spec:
  severity: 3
  tags: [NET]
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  network:
    severity: 4
    matchProtocols:
${network.trim().split("\n").map((line) => `      ${line}`).join("\n")}
`;

/** Each word for the program that is named after it. */
const words = policyFor(
  "words",
  PROTOCOLS.map((word) => `- {protocol: ${word}, fromSource: [{path: /opt/by-${word}}]}`).join(
    "\n",
  ),
);

/** A protocol stands above a type, a type above all, a source above each; of equals the strictest. */
const order = policyFor(
  "order",
  `
- {protocol: all}
- {protocol: stream, action: Audit}
- {protocol: "tcp, ICMP", action: Allow}
- {protocol: tcp, action: Audit}
- {protocol: raw, action: Audit}
- {protocol: dgram, fromSource: [{path: /opt/by-udp}], action: Audit}
- {protocol: all, fromSource: [{path: /opt/by-tcp}], message: by source}`,
);

const block = policyFor("block", `- {protocol: "tcp,udp"}`);
const list = policyFor(
  "list",
  `
- {protocol: tcp, action: Allow}
- {protocol: udp, action: Allow, fromSource: [{path: /opt/by-udp}]}
- {protocol: icmp, action: Block}`,
);

/** As of socket(2): family, type, protocol. */
const SOCKETS = [
  ...["2/1/0", "2/1/6", "10/1/6", "2/1/262", "43/1/0", "10/1/256"],
  ...["2/2/0", "10/2/17", "2/2/136", "2/2/1", "10/2/58", "2/3/1", "10/3/58", "2/3/6", "2/3/255"],
  ...["2/1/132", "2/5/132", "10/5/0", "2/6/33", "17/3/768", "17/2/768", "17/10/768"],
  ...["21/5/0", "30/4/0", "30/5/0", "40/1/0", "44/3/0", "41/2/0"],
  ...["1/1/0", "1/2/0", "1/5/0", "16/3/0", "16/2/0"],
];

function parseSocket(text: string) {
  const [family, type, protocol] = text.split("/").map(Number) as [number, number, number];
  return { family, type, protocol };
}

/** What the evaluator says of a socket. */
function judge(text: string, container: string, caller: string, posture: PostureAction) {
  const yaml = { words, order, block, list }[container]!;
  const { policies } = parsePolicies(yaml, "p.yaml");
  const number = socketKind(parseSocket(text));
  if (number === undefined) return { verdict: "none" };
  const postures = { file: "audit", network: posture, capabilities: "audit" } as const;
  const { verdict, rule } = evaluateNumbered({ number, caller }, policies, postures);
  const names = ["none", "allow", "audit", "block", "posture-audit", "posture-block"];
  return { verdict: names[verdict & 7]!, rule };
}

const refuses = (verdict: string) => verdict.endsWith("block");
const reports = (verdict: string) => verdict !== "none" && verdict !== "allow";

/** The alert about a socket, with its words. */
function alertOf(
  text: string,
  container: string,
  lsm: string,
  verdict: string,
  rule?: RuleRef,
): AlertPattern {
  const { family, type, protocol } = parseSocket(text);
  const facts = family | type << 8 | protocol << 16;
  const socket = socketWords(facts, rule).map((word) => word.join("=")).join(" ");
  return {
    PolicyName: rule === undefined ? "DefaultPosture" : container,
    ...refuses(verdict) ? DENIED : { Action: "Audit", Result: "Passed" },
    ...rule === undefined ? {} : { Severity: "4", Tags: "NET" },
    ...{ Type: "MatchedPolicy", Operation: "Network", Enforcer: "BPFLSM" },
    ...{ Resource: socket, Data: `lsm=${lsm} ${socket}` },
  };
}

/** Makes one socket of each kind, and compares with what the evaluator says. */
function everySocket(
  container: string,
  program: string,
  posture: PostureAction = "block",
  claim = `every socket of ${program} in container ${container} is judged as the evaluator says`,
  control: Pick<Act, "control"> = {},
): Act {
  const judged = SOCKETS.map((text) => ({ text, ...judge(text, container, program, posture) }));
  const lines = judged.map(({ text, verdict }) =>
    `${text} ${refuses(verdict) ? "refused" : "passed"}`
  );
  return {
    ...{ claim, in: container, run: `${program} make ${SOCKETS.join(" ")}` },
    expect: new RegExp(`^${lines.join("\\s+")}\\s*$`),
    alert: judged.filter(({ verdict }) => reports(verdict))
      .map(({ text, verdict, rule }) => alertOf(text, container, "SOCKET_CREATE", verdict, rule)),
    ...control,
  };
}

const TCP = "2/1/6";
const UDP = "2/2/17";
const KEEPER = "/tmp/keeper";

/** What a socket of that kind is used for, and the hook that answers. */
const USES: [name: string, socket: string, lsm: string][] = [
  ["bind", TCP, "SOCKET_BIND"],
  ["listen", TCP, "SOCKET_LISTEN"],
  ["connect", TCP, "SOCKET_CONNECT"],
  ["accept", TCP, "SOCKET_ACCEPT"],
  ["send", TCP, "SOCKET_SENDMSG"],
  ["write", TCP, "SOCKET_SENDMSG"],
  ["fastopen", TCP, "SOCKET_SENDMSG"],
  ["sendto", UDP, "SOCKET_SENDMSG"],
  ["sendmmsg", UDP, "SOCKET_SENDMSG"],
];

const blocked = (socket: string, lsm: string) => alertOf(socket, "block", lsm, "block", ruleOf());
const audited = (socket: string, lsm: string) => alertOf(socket, "order", lsm, "audit", ruleOf());

/** Where no rule is, no kind of socket is refused: one control for all. */
const allPass: Pick<Act, "control"> = {
  control: {
    in: "free",
    expect: new RegExp(`^${SOCKETS.map((text) => `${text} passed`).join("\\s+")}\\s*$`),
  },
};

/** A rule about a protocol. */
function ruleOf(): RuleRef {
  return judge(TCP, "block", "/x", "audit").rule!;
}

/** Of sockets that are older than the policy: by their own process, by one that got them, by io_uring. */
function refusedUses(): Act[] {
  const again = USES.filter(([name]) => ["listen", "send", "sendto", "sendmmsg"].includes(name));
  const rings: typeof USES = [["connect-ring", TCP, "SOCKET_CONNECT"], [
    "send",
    TCP,
    "SOCKET_SENDMSG",
  ]];
  const verbs = { use: USES, take: again, ring: rings };
  const claims = {
    use: "of a socket from before the policy is refused",
    take: "of a socket that another process sent is refused",
    ring: "of such a socket by io_uring is refused",
  };
  return (["use", "take", "ring"] as const).flatMap((verb) =>
    verbs[verb].map(([name, socket, lsm]): Act => ({
      claim: `${name} ${claims[verb]}`,
      ...{ in: "block", run: `/files/network ${verb} ${KEEPER} ${name}`, expect: "EACCES" },
      ...{ alert: blocked(socket, lsm), control: "free" },
    }))
  );
}

const prepare = [
  "mkdir -p /opt",
  ...PROTOCOLS.map((word) => `cp /files/network /opt/by-${word}`),
  `/files/network keep ${KEEPER}`,
].join(" && ");

const network = { options: ["--net-host"], prepare };

const startSecond =
  "mkdir -p /run/second && ln -sf /job/files/ankylo-second /run/second/ankylo && " +
  "(PATH=/run/second:$PATH; start_agent --posture-network audit) >/dev/null 2>&1";

const SOCKET_HOOKS =
  `ask /v1/status | grep -o '"name":"socket_[a-z]*","state":"[a-z]*"' | sort -u | wc -l`;

scenario({
  name: "network rules",
  agentOptions: ["--posture-network", "block"],
  policies: {
    "words.yaml": words,
    "order.yaml": order,
    "block.yaml": block,
    "list.yaml": list,
  },
  containers: {
    words: network,
    order: network,
    // For the disk.
    block: { ...network, privileged: true },
    list: network,
    free: { ...network, privileged: true },
  },
  files: [await compileTool("network"), await compileTool("nbd"), await buildSecondBinary()],
  acts: [
    onHost(
      "the programs about sockets are loaded when a policy needs them",
      SOCKET_HOOKS,
      /^6\s*$/,
    ),
    onHost(
      "ping sockets are for everybody",
      "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range",
    ),
    ...PROTOCOLS.map((word) =>
      everySocket(
        "words",
        `/opt/by-${word}`,
        "block",
        `${word} for one program refuses the sockets that it names, and no other`,
        word === "all" ? allPass : {},
      )
    ),
    everySocket("words", "/files/network"),
    everySocket("order", "/files/network"),
    everySocket("order", "/opt/by-tcp"),
    everySocket("order", "/opt/by-udp"),
    everySocket("list", "/files/network"),
    everySocket("list", "/opt/by-udp"),

    ...refusedUses(),
    {
      claim: "a socket is not made by io_uring either",
      ...{ in: "block", run: "/files/network ring x socket", expect: "EACCES" },
      ...{ alert: blocked("2/1/0", "SOCKET_CREATE"), control: "free" },
    },
    {
      claim: "a socket is not made in a network and a user namespace of one's own",
      ...{ in: "block", user: 65534, run: "unshare -U -r -n /files/network make 2/2/0" },
      ...{ expect: /^2\/2\/0 refused\s*$/, alert: blocked("2/2/0", "SOCKET_CREATE") },
      control: { in: "free", expect: /^2\/2\/0 passed\s*$/ },
    },
    {
      claim: "a program of the image is refused a connection",
      ...{
        in: "block",
        run: "/bin/wget -q -O /dev/null http://127.0.0.1:8420/readyz",
        expect: "EACCES",
      },
      ...{
        alert: { ...blocked("2/1/0", "SOCKET_CREATE"), ProcessName: "/bin/wget" },
        control: "free",
      },
    },
    onHost(
      "a disk is there that lies behind a TCP connection",
      "modprobe nbd nbds_max=1 && wait_until [ -e /dev/nbd0 ] && " +
        "{ setsid /job/files/nbd /dev/nbd0 >/run/nbd.log 2>&1 </dev/null & } && " +
        "wait_until grep -qx 8192 /sys/block/nbd0/size",
    ),
    {
      claim: "what the kernel sends to that disk for a container is the kernel's",
      in: "block",
      run: "mknod /tmp/disk b 43 0 && dd if=/tmp/disk of=/dev/null bs=4096 skip=256 count=1",
      ...{ expect: "ok", control: "free" },
    },
    {
      claim: "what stays in the machine is no network",
      ...{ in: "block", run: `/files/network take ${KEEPER} unix`, expect: "ok" },
    },
    {
      claim: "Audit tells of the socket and of what it is used for, and lets pass",
      ...{
        in: "order",
        run: "/bin/wget -q -O /dev/null http://127.0.0.1:8420/readyz",
        expect: "ok",
      },
      alert: ["SOCKET_CREATE", "SOCKET_CONNECT"].map((lsm) => ({
        ...audited("2/1/6", lsm),
        ProcessName: "/bin/wget",
      })),
    },
    {
      claim: "Audit tells of a datagram, and of TCP Fast Open",
      in: "order",
      run: `for act in sendto fastopen; do /opt/by-udp take ${KEEPER} $act || exit; done`,
      expect: "ok",
      alert: [
        {
          ...audited(UDP, "SOCKET_SENDMSG"),
          Resource: "type=SOCK_DGRAM",
          Data: /type=SOCK_DGRAM$/,
        },
        audited(TCP, "SOCKET_SENDMSG"),
      ],
    },
    {
      claim: "Audit does not tell of each message of a connection",
      ...{ in: "order", run: `/opt/by-udp take ${KEEPER} send`, expect: "ok" },
    },

    onHost(
      "another build's agent exchanges the programs about sockets, too",
      `stop_agent TERM && ${startSecond} && ${MODE} && ${SOCKET_HOOKS}`,
      /"renewed"\s+6\s*$/,
    ),
    everySocket(
      "list",
      "/files/network",
      "audit",
      "with posture.network audit what the list does not name passes, and is told of",
    ),
    everySocket("block", "/files/network", "audit", "Block refuses under the next agent as well"),
    onHost("uninstall removes them", "stop_agent TERM && ankylo uninstall >/dev/null"),
    {
      claim: "after that sockets are everybody's",
      ...{
        in: "block",
        run: "/bin/wget -q -O /dev/null http://127.0.0.1:8420/readyz",
        expect: { output: /refused/ },
      },
    },
  ],
});
