/** Random uses of sockets and capabilities, as operations.ts has them of files. */

import { REFERENCE_CAPABILITIES } from "../../../ffi/generated/agent_api.ts";
import { capabilityName } from "../../../src/alerts/numbered.ts";
import { socketKind } from "../../../src/compile/socket_kind.ts";
import { CAPABILITIES } from "../../../src/model/grammars.ts";
import type { Random } from "../random.ts";
import type { Operation } from "./operations.ts";
import type { Step } from "./specification.ts";

const INET = 2;
const INET6 = 10;
const NETLINK = 16;
const PACKET = 17;
const UNIX = 1;

/** family, type, protocol, what else it can be used for, and whether it takes a capability to make one. */
const SOCKETS: readonly (readonly [
  family: number,
  type: number,
  protocol: number,
  uses: string,
  raw?: true,
])[] = [
  [INET, 1, 0, "bl"],
  [INET, 1, 6, "blc"],
  [INET, 2, 0, "bcs"],
  [INET, 2, 17, "bcs"],
  [INET6, 1, 0, ""],
  [INET6, 2, 17, ""],
  [INET, 3, 1, "cs", true],
  [INET, 3, 255, "c", true],
  [INET6, 3, 58, "", true],
  [PACKET, 2, 0, "", true],
  [PACKET, 3, 0, "", true],
  [UNIX, 1, 0, ""],
  [NETLINK, 3, 0, ""],
];

/** As differ.c uses them. */
const USED_CAPABILITIES = [
  ...["sys_chroot", "setuid", "setgid", "sys_admin", "sys_resource", "setpcap"],
  ...["sys_tty_config", "sys_nice"],
];

const USES: Readonly<Record<string, readonly string[]>> = {
  b: ["SOCKET_BIND"],
  l: ["SOCKET_BIND", "SOCKET_LISTEN"],
  c: ["SOCKET_CONNECT"],
  s: ["SOCKET_SENDMSG"],
  n: [],
};

export function randomUse(random: Random): Operation {
  return random.chance(0.55) ? socketUse(random) : capabilityUse(random.pick(USED_CAPABILITIES));
}

function capabilityUse(name: string): Operation {
  return { words: ["capability", name], steps: [capability(name)] };
}

function capability(name: string): Step {
  const number = CAPABILITIES.indexOf(name);
  return {
    ...{ kind: "number", number: REFERENCE_CAPABILITIES + number, lsm: "CAPABLE" },
    resource: capabilityName(number),
  };
}

/** Binding to a low port takes a capability. */
function socketUse(random: Random): Operation {
  const [family, type, protocol, uses, isRaw = false] = random.pick(SOCKETS);
  const use = random.pick([...uses, "n"]);
  const isLow = (use === "b" || use === "l") && random.chance(0.3);
  const kind = socketKind({ family, type, protocol });
  const socket = (lsm: string, seen: number): Step[] => {
    if (kind === undefined) return [];
    const facts = family | type << 8 | seen << 16;
    return [{ kind: "number", number: kind, resource: `${facts}`, lsm }];
  };
  // What names no protocol gets one when it is made.
  const given = protocol || ({ 1: 6, 2: 17 } as Record<number, number>)[type] || 0;
  const [first = "", ...others] = USES[use]!;
  return {
    words: ["socket", family, type, protocol, use, isLow ? 80 : 0],
    steps: [
      ...socket("SOCKET_CREATE", protocol),
      ...isRaw ? [capability("net_raw")] : [],
      ...first === "" ? [] : socket(first, given),
      ...isLow ? [capability("net_bind_service")] : [],
      ...others.flatMap((lsm) => socket(lsm, given)),
    ],
  };
}
