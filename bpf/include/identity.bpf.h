/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whose task is it: by what it inherited, else by its cgroup. */
#pragma once
#include "maps.bpf.h"
#include "path.bpf.h"

/* How far up from a task's cgroup its container's may be: a container that delegates makes cgroups of its own below. */
#define ANCESTORS_MAX 8

/* The container of a cgroup: the nearest ancestor that is one. 0: none. */
static __always_inline __u32 container_of_cgroup(struct cgroup *cgroup)
{
	for (int level = 0; level < ANCESTORS_MAX && cgroup; level++) {
		__u64 id = BPF_CORE_READ(cgroup, kn, id);
		__u32 *container = bpf_map_lookup_elem(&cgroups, &id);

		if (container)
			return *container;
		/* `self` is a cgroup's first member, so a parent's css is the parent. */
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return 0;
}

static __always_inline struct exec_ref found_exec_ref(struct task_struct *task)
{
	return (struct exec_ref){
		.time_ns = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
	};
}

static __always_inline void use_container(__u32 container, int change)
{
	struct container_use *use = bpf_map_lookup_elem(&container_use, &container);

	if (use)
		__sync_fetch_and_add(&use->tasks, change);
}

/* Makes a task that came from outside a staging task of its cgroup's container. Returns NULL when it is in none. */
static __always_inline struct task_identity *stage(struct task_struct *task, struct cgroup *cgroup)
{
	__u32 container = container_of_cgroup(cgroup);

	/* Not in a container's cgroup: a host task, which no container's policy governs. */
	if (!container)
		return NULL;
	struct task_identity *identity =
		bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!identity) {
		count(COUNT_IDENTITY_FAILED);
		return NULL;
	}
	/* It has one already: what a task is does not change with its cgroup. */
	if (identity->state != TASK_RESERVED)
		return identity;
	identity->container = container;
	identity->entered_as = (__u64)BPF_CORE_READ(task, mm, exe_file, f_inode);
	identity->exec = found_exec_ref(task);
	identity->state = TASK_STAGING;
	use_container(container, 1);
	count(COUNT_STAGED);
	return identity;
}

/*
 * The identity of a task that is about to exec. An empty look-up is not final: the attach event comes for the leader of
 * a thread group only, and a thread that execs becomes the leader.
 */
static __always_inline struct task_identity *identity_at_exec(void)
{
	struct task_identity *identity = current_identity();

	if (identity)
		return identity;
	struct task_struct *task = bpf_get_current_task_btf();

	return stage(task, task->cgroups->dfl_cgrp);
}

static __always_inline __u32 mount_namespace_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

/*
 * Is this exec the one that ends the runtime's work?  In a mount namespace other than the host's: the first exec. In the
 * host's own (a container that shares it): the first of a reachable file that is not the entering program itself.
 * runc's copy of itself is unreachable, crun executes nothing of its own.
 */
static __always_inline int exec_arms(struct task_identity *identity, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (mount_namespace_of(task) != (__u32)settings.init_mnt_ns)
		return 1;
	if ((__u64)BPF_CORE_READ(bprm, file, f_inode) == identity->entered_as)
		return 0;
	return walk_path(&identity->walk, object_of_file(BPF_CORE_READ(bprm, file)), task) == WALK_REACHED;
}
