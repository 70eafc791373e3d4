/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Connecting to a unix socket that has a path.
 *
 * The kernel asks about the socket that was found, not about the name by which; that socket knows the dentry that it was
 * bound at, and the binder's mount, which may be another namespace's. So, as an attribute's, the object has every name by which a mount
 * of the task's own namespace shows that dentry, and each is judged. A hard link to a socket is judged by the socket's first name.
 * Allows what has no path: pairs, and abstract names, which no rule is about.
 * Known hole: datagrams, whose hook would cost each start as much again as this one.
 */
#include "decide.bpf.h"
#include "mounts.bpf.h"

/* Judges identity->old_name for OP_CONNECT. Returns the hook's value. Global, for its own stack, and verified once. */
__noinline int judge_connect(identity_ref ref, __u32 hook)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return -EACCES;
	return judge(identity, hook, OP_CONNECT, identity->old_name, 0);
}

static __always_inline int judge_listener(__u32 hook, struct sock *listener)
{
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about files that could refuse it. */
	if (!any_live(identity->container, OP(OP_CONNECT)))
		return 0;
	struct unix_sock *named = (void *)listener;
	__u64 dentry = (__u64)BPF_CORE_READ(named, path.dentry);

	/* Allows: it has no path. */
	if (!dentry)
		return 0;
	int mounts = find_mounts(identity, dentry);

	identity->old_name = (struct object){ dentry, 0 };
	/* None shows it, or they can't be told: judged as what has no path here. */
	if (mounts <= 0)
		return judge_connect(ref_of(identity), hook) ? -EACCES : 0;
	for (int i = 0; i < SHOWN_MAX && i < mounts; i++) {
		identity->old_name.vfsmount = identity->shown_by[i];
		if (judge_connect(ref_of(identity), hook))
			return -EACCES;
	}
	return 0;
}

DECIDING_HOOK(unix_stream_connect)

/* For sequenced packets, too. */
SEC("lsm/unix_stream_connect")
int BPF_PROG(decide_unix_stream_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_listener(HOOK_UNIX_STREAM_CONNECT, other);
}
