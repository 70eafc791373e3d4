/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What kind of socket it is, as rules about networks mean it: enum socket_kind. */
#pragma once
#include "numbered.bpf.h"

/* include/linux/socket.h: macros, so that the kernel's types do not have them. */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_SMC 43

/* include/uapi/linux/in.h */
#define PROTOCOL_ANY 0
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMPV6 58
#define PROTOCOL_SCTP 132
#define PROTOCOL_SMC 256
#define PROTOCOL_MPTCP 262

#define MSG_FASTOPEN 0x20000000

/* As decision_event.open_flags tells it. */
static __always_inline __u32 socket_facts(__u32 family, __u32 type, __u32 protocol)
{
	return (family & 0xff) | (type & 0xff) << 8 | protocol << 16;
}

/* Sockets to other processes of the machine and to the kernel are no network. */
static __always_inline int is_network(__u32 family)
{
	return family != AF_UNIX && family != AF_NETLINK;
}

/* SMC and MPTCP are TCP to whoever can't do more, and ask no hook again when they fall back to it. */
static __always_inline __u32 stream_kind(__u32 family, __u32 protocol)
{
	if (family == AF_SMC)
		return SOCKET_TCP;
	if (family != AF_INET && family != AF_INET6)
		return SOCKET_STREAM;
	if (protocol == PROTOCOL_ANY || protocol == PROTOCOL_TCP || protocol == PROTOCOL_MPTCP ||
	    protocol == PROTOCOL_SMC)
		return SOCKET_TCP;
	return protocol == PROTOCOL_SCTP ? SOCKET_SCTP_STREAM : SOCKET_STREAM;
}

static __always_inline __u32 dgram_kind(__u32 family, __u32 protocol)
{
	if (family == AF_PACKET)
		return SOCKET_PACKET_DGRAM;
	if (family != AF_INET && family != AF_INET6)
		return SOCKET_DGRAM;
	if (protocol == PROTOCOL_ANY || protocol == PROTOCOL_UDP)
		return SOCKET_UDP;
	if (protocol == PROTOCOL_ICMP)
		return SOCKET_ICMP_DGRAM;
	return protocol == PROTOCOL_ICMPV6 ? SOCKET_ICMPV6_DGRAM : SOCKET_DGRAM;
}

static __always_inline __u32 raw_kind(__u32 family, __u32 protocol)
{
	if (family == AF_PACKET)
		return SOCKET_PACKET_RAW;
	if (family != AF_INET && family != AF_INET6)
		return SOCKET_RAW;
	if (protocol == PROTOCOL_ICMP)
		return SOCKET_ICMP_RAW;
	return protocol == PROTOCOL_ICMPV6 ? SOCKET_ICMPV6_RAW : SOCKET_RAW;
}

/* The internet's only protocol with such sockets is SCTP, which is what it gives to who names none. */
static __always_inline __u32 seqpacket_kind(__u32 family, __u32 protocol)
{
	if (family != AF_INET && family != AF_INET6)
		return SOCKET_SEQPACKET;
	return protocol == PROTOCOL_ANY || protocol == PROTOCOL_SCTP ? SOCKET_SCTP_SEQPACKET : SOCKET_SEQPACKET;
}

static __always_inline __u32 kind_of(__u32 facts)
{
	__u32 family = facts & 0xff, protocol = facts >> 16;

	switch (facts >> 8 & 0xff) {
	case SOCK_STREAM:
		return stream_kind(family, protocol);
	case SOCK_DGRAM:
		return dgram_kind(family, protocol);
	case SOCK_RAW:
		return raw_kind(family, protocol);
	case SOCK_RDM:
		return SOCKET_RDM;
	case SOCK_SEQPACKET:
		return seqpacket_kind(family, protocol);
	case SOCK_DCCP:
		return SOCKET_DCCP;
	case SOCK_PACKET:
		return SOCKET_PACKET;
	default:
		return SOCKET_OTHER;
	}
}
