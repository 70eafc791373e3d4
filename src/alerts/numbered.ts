/** KubeArmor's words for sockets and capabilities. */
import type { RuleRef } from "../compile/compile.ts";
import { PROTOCOL_WORDS, SOCKET_WORDS } from "../compile/numbered.ts";
import { socketKind } from "../compile/socket_kind.ts";
import { CAPABILITIES, type Protocol } from "../model/grammars.ts";

const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: "SOCK_STREAM",
  2: "SOCK_DGRAM",
  3: "SOCK_RAW",
  4: "SOCK_RDM",
  5: "SOCK_SEQPACKET",
  6: "SOCK_DCCP",
  10: "SOCK_PACKET",
};

/**
 * `protocol` and `type` of a socket. Where a rule about a type decided, the type alone, as KubeArmor looks such rules up.
 * @param facts as decision_event.open_flags of bpf/agent_api.h
 */
export function socketWords(
  facts: number,
  rule: RuleRef | undefined,
): (readonly [string, string])[] {
  const socket = { family: facts & 0xff, type: facts >> 8 & 0xff, protocol: facts >>> 16 };
  const type = ["type", TYPE_NAMES[socket.type] ?? String(socket.type)] as const;
  const word = protocolOf(socketKind(socket));
  const target = rule?.rule.target;
  const isByType = target?.kind === "protocol" && !PROTOCOL_WORDS.includes(target.protocol);
  return word === undefined || isByType ? [type] : [["protocol", word.toUpperCase()], type];
}

/** The word of a rule that names the protocol of such sockets. */
function protocolOf(kind: number | undefined): Protocol | undefined {
  return kind === undefined
    ? undefined
    : SOCKET_WORDS[kind]?.find((word) => PROTOCOL_WORDS.includes(word));
}

/** `CAP_NET_RAW` */
export function capabilityName(number: number): string {
  const name = CAPABILITIES[number];
  return name === undefined ? `CAP_${number}` : `CAP_${name.toUpperCase()}`;
}
