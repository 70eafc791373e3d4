// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Sockets, by family, type and protocol, and by the executable of the task that makes or uses one. Loaded
 * when a policy has such rules.
 *
 * Making one is judged, and so is each use: a socket may be older than the policy, come from another process by SCM_RIGHTS or
 * pidfd_getfd, or be inherited from a program that may have it. Sending too, because TCP Fast Open connects by it, and
 * UDP needs no connect; io_uring comes by the same hooks. What a socket is, is read from the kernel's own structure.
 *
 * Not judged: sockets that the kernel makes for itself (a volume by NFS), and what a block device's driver sends while a
 * container's task waits for it (nbd; NVMe over TCP, whose sockets look like a user's before 6.15). Known holes: receiving; before 6.5 sendfile and splice
 * into a socket that is connected already; who may make raw sockets can write any protocol into them, and only `raw` speaks of those.
 */
#include "network.bpf.h"

#define PF_MEMALLOC 0x800

/*
 * Judges a socket for the running task. `tells`: whether Audit has something to say; a connected socket's every message is
 * not worth a record, its connect was. Returns the hook's value. Global, so that it is verified once.
 */
__noinline int judge_socket(identity_ref ref, __u32 hook, __u32 facts, __u32 tells)
{
	struct task_identity *identity = identity_at(ref);
	struct act act;

	if (!identity)
		return -EACCES;
	begin_act(&act, identity, hook, OP_NETWORK);
	identity->decision.open_flags = facts;
	NEED_IMAGE(&act);
	__u32 verdict = verdict_of_number(&act, kind_of(facts), OP_NETWORK);

	if (!tells && (!refuses(verdict) || identity->decision.image_flags & IMAGE_AUDITS))
		return 0;
	return conclude_unwalked(&act, verdict) ? -EACCES : 0;
}

static __always_inline int judge_use(struct socket *socket, __u32 hook, __u32 tells)
{
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about sockets. */
	if (!any_live(identity->container, OP(OP_NETWORK)))
		return 0;
	socket = untrusted(struct socket, socket);
	struct sock *sk = socket->sk;

	/* Allows: what is no socket any more, and the kernel's own. */
	if (!sk || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return 0;
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	/* Allows: no network. */
	if (!is_network(family))
		return 0;
	__u32 facts = socket_facts(family, socket->type, BPF_CORE_READ(sk, sk_protocol));

	return judge_socket(ref_of(identity), hook, facts, tells) ? -EACCES : 0;
}

DECIDING_HOOK(socket_create)

SEC("lsm/socket_create")
int BPF_PROG(decide_socket_create, int family, int type, int protocol, int kern, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: the kernel's own, and no network. */
	if (kern || !is_network(family))
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about sockets. */
	if (!any_live(identity->container, OP(OP_NETWORK)))
		return 0;
	return judge_socket(ref_of(identity), HOOK_SOCKET_CREATE, socket_facts(family, type, protocol), 1) ? -EACCES : 0;
}

DECIDING_HOOK(socket_bind)

SEC("lsm/socket_bind")
int BPF_PROG(decide_socket_bind, struct socket *socket, struct sockaddr *address, int length, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_use(socket, HOOK_SOCKET_BIND, 1);
}

DECIDING_HOOK(socket_listen)

SEC("lsm/socket_listen")
int BPF_PROG(decide_socket_listen, struct socket *socket, int backlog, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_use(socket, HOOK_SOCKET_LISTEN, 1);
}

DECIDING_HOOK(socket_connect)

SEC("lsm/socket_connect")
int BPF_PROG(decide_socket_connect, struct socket *socket, struct sockaddr *address, int length, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_use(socket, HOOK_SOCKET_CONNECT, 1);
}

DECIDING_HOOK(socket_accept)

SEC("lsm/socket_accept")
int BPF_PROG(decide_socket_accept, struct socket *socket, struct socket *accepted, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_use(socket, HOOK_SOCKET_ACCEPT, 1);
}

DECIDING_HOOK(socket_sendmsg)

SEC("lsm/socket_sendmsg")
int BPF_PROG(decide_socket_sendmsg, struct socket *socket, struct msghdr *message, int size, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: a block device's driver, which may use the memory's reserve to send (memalloc_noreclaim_save); no user can say so. */
	if (task_read(current_task(), flags) & PF_MEMALLOC)
		return 0;
	message = untrusted(struct msghdr, message);
	__u32 begins = message->msg_name != NULL || message->msg_flags & MSG_FASTOPEN;

	return judge_use(socket, HOOK_SOCKET_SENDMSG, begins);
}
