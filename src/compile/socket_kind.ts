/** Which kind of socket it is, as bpf/include/network.bpf.h says. */
import {
  SOCKET_DCCP,
  SOCKET_DGRAM,
  SOCKET_ICMP_DGRAM,
  SOCKET_ICMP_RAW,
  SOCKET_ICMPV6_DGRAM,
  SOCKET_ICMPV6_RAW,
  SOCKET_OTHER,
  SOCKET_PACKET,
  SOCKET_PACKET_DGRAM,
  SOCKET_PACKET_RAW,
  SOCKET_RAW,
  SOCKET_RDM,
  SOCKET_SCTP_SEQPACKET,
  SOCKET_SCTP_STREAM,
  SOCKET_SEQPACKET,
  SOCKET_STREAM,
  SOCKET_TCP,
  SOCKET_UDP,
} from "../../ffi/generated/agent_api.ts";

/** As of socket(2): numbers of include/linux/socket.h and include/uapi/linux/in.h. */
export interface Socket {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const AF_SMC = 43;

/** Of the internet's families, by type and protocol; 0 is what the kernel gives to who names none. */
const INTERNET: Readonly<Record<string, number>> = {
  ...{ "1/0": SOCKET_TCP, "1/6": SOCKET_TCP, "1/132": SOCKET_SCTP_STREAM },
  // SMC and MPTCP fall back to TCP.
  ...{ "1/256": SOCKET_TCP, "1/262": SOCKET_TCP },
  ...{ "2/0": SOCKET_UDP, "2/17": SOCKET_UDP },
  ...{ "2/1": SOCKET_ICMP_DGRAM, "2/58": SOCKET_ICMPV6_DGRAM },
  ...{ "3/1": SOCKET_ICMP_RAW, "3/58": SOCKET_ICMPV6_RAW },
  ...{ "5/0": SOCKET_SCTP_SEQPACKET, "5/132": SOCKET_SCTP_SEQPACKET },
};

/** Of the others, by type. */
const BY_TYPE: Readonly<Record<number, number>> = {
  1: SOCKET_STREAM,
  2: SOCKET_DGRAM,
  3: SOCKET_RAW,
  4: SOCKET_RDM,
  5: SOCKET_SEQPACKET,
  6: SOCKET_DCCP,
  10: SOCKET_PACKET,
};

/** SOCKET_*; undefined for sockets to other processes of the machine and to the kernel, which no rule is about. */
export function socketKind({ family, type, protocol }: Socket): number | undefined {
  if (family === AF_UNIX || family === AF_NETLINK) return undefined;
  if (family === AF_SMC && type === 1) return SOCKET_TCP;
  if (family === AF_PACKET && type === 2) return SOCKET_PACKET_DGRAM;
  if (family === AF_PACKET && type === 3) return SOCKET_PACKET_RAW;
  const known = family === AF_INET || family === AF_INET6
    ? INTERNET[`${type}/${protocol}`]
    : undefined;
  return known ?? BY_TYPE[type] ?? SOCKET_OTHER;
}
