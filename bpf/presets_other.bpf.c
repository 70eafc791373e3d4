// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Presets about ways out: protectRuntimeSocket, denyUserNamespaces, denyIoUring. Loaded when a policy names one.
 *
 * A runtime's socket is known by the name at which its daemon bound it, whatever name leads to it here, and only when it was made outside
 * of the container: who runs a runtime inside may talk to it. Known holes: a runtime that listens elsewhere, or on TCP; a connection that is
 * handed in; rings and user namespaces that are older than the policy.
 */
#include "identity.bpf.h"
#include "presets.bpf.h"

/* Directories above a socket that are looked at. */
#define SOCKET_LEVELS_MAX 4

/* Room for the longest name that matters, with its NUL. */
struct socket_name {
	char text[24];
};

static __always_inline struct socket_name name_of_bound(struct dentry *dentry)
{
	struct socket_name name = {};

	bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(dentry, d_name.name));
	return name;
}

#define IS_BOUND_AS(name, wanted) (!__builtin_memcmp((name).text, wanted, sizeof(wanted)))

static __always_inline int is_runtimes_name(struct dentry *dentry)
{
	struct socket_name name = name_of_bound(dentry);

	return IS_BOUND_AS(name, "docker.sock") || IS_BOUND_AS(name, "containerd.sock") ||
	       IS_BOUND_AS(name, "containerd.sock.ttrpc") || IS_BOUND_AS(name, "crio.sock") ||
	       IS_BOUND_AS(name, "podman.sock") || IS_BOUND_AS(name, "cri-dockerd.sock") ||
	       IS_BOUND_AS(name, "dockershim.sock") || IS_BOUND_AS(name, "buildkitd.sock") || IS_BOUND_AS(name, "nri.sock");
}

struct directory_search {
	struct dentry *dentry;
	__u64 found;
};

static long search_directory(__u32 level, struct directory_search *search)
{
	/* Not within BPF_CORE_READ, which would look for this structure in the kernel. */
	struct dentry *dentry = search->dentry;
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	if (!parent || parent == dentry)
		return 1;
	struct socket_name name = name_of_bound(parent);

	search->dentry = parent;
	search->found = IS_BOUND_AS(name, "containerd");
	return search->found;
}

/* Its shims' sockets have no names that could be known: /run/containerd/s/NUMBER. */
static __always_inline int is_containerds(struct dentry *dentry)
{
	struct directory_search search = { .dentry = dentry };

	repeat(SOCKET_LEVELS_MAX, search_directory, &search);
	return search.found;
}

/* Whether a socket was made by the container's own tasks. Where sockets know no cgroup, by others. */
static __always_inline int is_made_by(struct sock *sock, __u32 container)
{
	if (!bpf_core_field_exists(sock->sk_cgrp_data))
		return 0;
	return container_of_cgroup(BPF_CORE_READ(sock, sk_cgrp_data.cgroup)) == container;
}

STUB("lsm/unix_stream_connect", preset_unix_stream_connect, 1)

SEC("lsm/unix_stream_connect")
int BPF_PROG(decide_preset_unix_stream_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	struct unix_sock *named = (void *)other;
	struct dentry *dentry = BPF_CORE_READ(named, path.dentry);

	/* Allows: it has no path; or another socket's; or it is the container's own. */
	if (!dentry || !(is_runtimes_name(dentry) || is_containerds(dentry)) || is_made_by(other, identity->container))
		return 0;
	identity->old_name = (struct object){ (__u64)dentry, (__u64)BPF_CORE_READ(named, path.mnt) };
	return judge_preset(ref_of(identity), HOOK_UNIX_STREAM_CONNECT, CASE(PROTECT_RUNTIME_SOCKET), 0) ? -EACCES : 0;
}

#ifndef KERNEL_5_10 /* It has no such hooks. */

static __always_inline int judge_alone(__u32 hook, __u32 preset)
{
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	return judge_preset_alone(identity, hook, preset, 0) ? -EACCES : 0;
}

DECIDING_HOOK(userns_create)

SEC("lsm/userns_create")
int BPF_PROG(decide_userns_create, const struct cred *credentials, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_alone(HOOK_USERNS_CREATE, CASE(DENY_USER_NAMESPACES));
}

DECIDING_HOOK(inode_init_security_anon)

/* io_uring_setup(2) makes the file that is the ring. The kernel itself gives it this name. */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(decide_inode_init_security_anon, struct inode *inode, const struct qstr *name,
	     const struct inode *context_inode, int ret)
{
	KEEP_REFUSAL(ret);
	char text[16] = {};

	bpf_probe_read_kernel_str(text, sizeof(text), BPF_CORE_READ(name, name));
	/* Allows: a file of another kind. */
	if (__builtin_memcmp(text, "[io_uring]", sizeof("[io_uring]")))
		return 0;
	return judge_alone(HOOK_INODE_INIT_SECURITY_ANON, CASE(DENY_IO_URING));
}

#endif
