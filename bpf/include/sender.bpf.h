/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who sends through a socket. A packet leaves in whatever task runs then: TCP sends when an answer comes, and sends again by a
 * timer. So what asks for names is kept with its socket, when it sends, where the kernel asks in its own context. Several
 * programs may share a socket, and what one sent leaves while another sends: then none of them is taken for the sender.
 */
#pragma once
#include <bpf/bpf_endian.h>

#include "decide.bpf.h"
#include "network.bpf.h"

#define DNS_PORT 53

_Static_assert(SENDER_CWD_BYTES == TEXT_SHORT, "text");

/* Where a message goes, in the order of the network; 0: nowhere that is known. */
static __always_inline __u16 port_of(struct sock *sk, struct msghdr *message)
{
	struct sockaddr_in name = {};
	void *address = message->msg_name;

	if (!address)
		return BPF_CORE_READ(sk, __sk_common.skc_dport);
	/* The kernel's copy; IPv6 has the port at the same place. */
	if (bpf_probe_read_kernel(&name, 4, address))
		return bpf_htons(DNS_PORT);
	return name.sin_port;
}

/* Notes who sends. Global: verified once. */
__noinline int note_sender(identity_ref ref, struct sender *sender)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity || !sender)
		return 0;
	if (sender->container && (sender->container != identity->container || sender->exe != identity->exe))
		sender->is_shared = 1;
	sender->container = identity->container;
	sender->exe = identity->exe;
	fill_header(&sender->header, EVENT_DECISION, current_task(), identity);
	struct object directory = working_directory(current_task());

	identity->walk.text_at = 0;
	sender->cwd_bytes = write_short_names((struct short_text *)sender->cwd, ref, directory.dentry, directory.vfsmount);
	return 0;
}

STUB("lsm/socket_sendmsg", dns_sendmsg, 1)

SEC("lsm/socket_sendmsg")
int BPF_PROG(decide_dns_sendmsg, struct socket *socket, struct msghdr *message, int size, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about sockets or names. */
	if (!any_live(identity->container, OP(OP_NETWORK)))
		return 0;
	/* Trusted: what is kept with a socket is found by nothing else. */
	struct sock *sk = socket->sk;

	/* Allows: what is no socket any more. */
	if (!sk)
		return 0;
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	/* Allows: nothing of the internet's. */
	if (family != AF_INET && family != AF_INET6)
		return 0;
	__u32 asks = port_of(sk, untrusted(struct msghdr, message)) == bpf_htons(DNS_PORT);
	/* The bytes that such a socket sends may have any port. */
	__u32 is_raw = BPF_CORE_READ(socket, type) == SOCK_RAW;
	struct sender *sender = bpf_sk_storage_get(&senders, sk, NULL, asks || is_raw ? BPF_SK_STORAGE_GET_F_CREATE : 0);

	/* Without memory nobody is known to have sent, and the strictest rule counts. */
	if (!sender)
		return 0;
	if (asks || is_raw)
		note_sender(ref_of(identity), sender);
	else
		sender->elsewhere = 1;
	return 0;
}
