/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A task's home: the mount namespace in which it, or the ancestor that it inherits from, became the container's own. What
 * it took along into a namespace of its own (its program, open files, its parent's directories in /proc) lies in home
 * mounts, and has the names that rules were written for: so an object that the present namespace does not reach is judged
 * by its path in home's. A namespace is told by its number, which the kernel never gives twice; its address may be another's by now.
 */
#pragma once
#include "maps.bpf.h"
#include "path.bpf.h"

/* 6.18 numbers all namespaces alike. */
struct ns_common___numbered {
	__u64 ns_id;
} __attribute__((preserve_access_index));

/* 0: not a namespace, an anonymous one, or a kernel without such numbers, where nothing is home. */
static __always_inline __u64 namespace_number(struct mnt_namespace *namespace)
{
	struct ns_common___numbered *common = (void *)namespace + bpf_core_field_offset(struct mnt_namespace, ns);

	/* An error pointer marks a mount that only the kernel holds. */
	if (!namespace || (__u64)namespace >= (__u64)-ERRNO_MAX)
		return 0;
	if (bpf_core_field_exists(struct mnt_namespace, seq))
		return BPF_CORE_READ(namespace, seq);
	return bpf_core_field_exists(struct ns_common___numbered, ns_id) ? BPF_CORE_READ(common, ns_id) : 0;
}

static __always_inline __u64 home_of(struct task_struct *task)
{
	return namespace_number(BPF_CORE_READ(task, nsproxy, mnt_ns));
}

static __always_inline int is_home(struct task_identity *identity, struct mnt_namespace *namespace)
{
	return identity->home && namespace_number(namespace) == identity->home;
}

/* Walks the path of walk.object in the identity's home. */
static __always_inline int walk_home(struct task_identity *identity)
{
	struct mount *mount = (void *)mount_of(identity->walk.object.vfsmount);
	struct mnt_namespace *namespace = BPF_CORE_READ(mount, mnt_ns);

	if (!is_home(identity, namespace))
		return WALK_UNREACHABLE;
	return climb_to_root(ref_of(identity), (__u64)BPF_CORE_READ(namespace, root));
}
