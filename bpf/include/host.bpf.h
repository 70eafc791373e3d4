/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The node's own tasks, which have an identity while a host policy is in force: HOST_CONTAINER's image judges them as a container's
 * judges its own. None is staging: they are judged from the moment at which they are found, or forked by one that is.
 *
 * What keeps the node alive is in HOST_EXEMPT instead, whose image is made of policies that are forced: init with what it forks
 * and has not executed yet, kubelet and container runtimes with all that they start, the agent. By what they are: init by its pid, the
 * others by the path of their program, which only real root can make count. Kernel threads have no identity at all.
 *
 * Nothing here refuses for want of an identity, unlike with containers: a node that can't fork is lost. It is counted.
 */
#pragma once
#include "home.bpf.h"
#include "image.bpf.h"
#include "maps.bpf.h"
#include "path.bpf.h"
#include "tasks.bpf.h"

#define PF_KTHREAD 0x00200000

/* Number of init's mount namespace, where host tasks are at home; of the last run of the iterator. */
__u64 host_home = 0;

static __always_inline int is_host_followed(void)
{
	return word_of(HOST_CONTAINER) != WORD_FREE;
}

static __always_inline int is_init(struct task_struct *task)
{
	return BPF_CORE_READ(task, tgid) == 1;
}

/* Root of the initial user namespace, whatever the task may be in one of its own. */
static __always_inline int is_real_root(struct task_struct *task)
{
	return BPF_CORE_READ(task, cred, uid.val) == 0;
}

/* What a program is by its path hash: enum exemption. */
static __always_inline __u32 exemption_of(__u64 path_hash)
{
	__u32 *exemption = path_hash ? bpf_map_lookup_elem(&host_programs, &path_hash) : NULL;

	return exemption ? *exemption : EXEMPT_NOT;
}

static __always_inline void change_use(__u32 container, int change)
{
	struct container_use *use = bpf_map_lookup_elem(&container_use, &container);

	if (use)
		__sync_fetch_and_add(&use->tasks, change);
}

/* Counts a task once for as long as it lives, whoever comes first: its parent at fork, or itself. */
static __always_inline void begin_use(struct task_identity *identity)
{
	if (claim(&identity->counted, USE_NONE, USE_COUNTED))
		change_use(identity->container, 1);
}

static __always_inline void end_use(struct task_identity *identity)
{
	if (claim(&identity->counted, USE_COUNTED, USE_ENDED))
		change_use(identity->container, -1);
}

static __always_inline void place_on_host(struct task_identity *identity, __u32 exemption)
{
	identity->exempt = exemption;
	identity->container = exemption == EXEMPT_NOT ? HOST_CONTAINER : HOST_EXEMPT;
	identity->state = exemption == EXEMPT_AGENT ? TASK_STAGING : TASK_ARMED;
}

/* Of the running task, or of one that is just leaving the host. */
static __always_inline int pause_use(struct task_identity *identity)
{
	if (!claim(&identity->counted, USE_COUNTED, USE_NONE))
		return 0;
	change_use(identity->container, -1);
	return 1;
}

static __always_inline void move_on_host(struct task_identity *identity, __u32 exemption)
{
	int was_counted = pause_use(identity);

	place_on_host(identity, exemption);
	if (was_counted)
		begin_use(identity);
}

/* A host task enters a container: it becomes what one is that no host policy knew. */
static __always_inline void leave_host(struct task_identity *identity)
{
	identity->state = TASK_STAGING;
	pause_use(identity);
	identity->exempt = EXEMPT_NOT;
	identity->arms = 0;
	identity->loader = 0;
	identity->host_mounts = 0;
	identity->home = 0;
	identity->exe = 0;
	identity->parent_exe = 0;
}

/* An identity for a host task that has none, not yet placed; NULL: it has one, or there is no memory. */
static __always_inline struct task_identity *begin_on_host(struct task_struct *task)
{
	struct task_identity *identity = make_identity(task);

	/* Allows what the task does: see above. */
	if (!identity) {
		count(COUNT_HOST_UNJUDGED);
		return NULL;
	}
	if (!claim(&identity->claimed, 0, 1))
		return NULL;
	identity->container = HOST_CONTAINER;
	/* Names are those of the mounts that it runs in, or else of the host's. */
	identity->host_mounts = 1;
	identity->home = host_home;
	return identity;
}

/* The running task, which is about to execute and has no identity: the kernel's own helpers are init's. */
static __always_inline struct task_identity *find_executing_on_host(struct task_struct *task)
{
	if (!is_host_followed())
		return NULL;
	struct task_identity *identity = begin_on_host(task);

	if (!identity)
		return NULL;
	__u32 is_helper = BPF_CORE_READ(task, real_parent, flags) & PF_KTHREAD;

	identity->exec.time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	identity->exec.pid = BPF_CORE_READ(task, tgid);
	place_on_host(identity, is_init(task) || is_helper ? EXEMPT_INIT : EXEMPT_NOT);
	begin_use(identity);
	return identity;
}

/* Whether what init's lineage executes is init's own: its helpers, and the daemons that are exempt by themselves. */
static __always_inline int stays_inits(struct task_identity *identity, struct file *program)
{
	struct task_struct *task = current_task();

	if (is_init(task))
		return 1;
	if (!is_real_root(task) || walk_hashed(identity, object_of_file(program), task) != WALK_REACHED)
		return 0;
	return exemption_of(identity->walk.path_hash) != EXEMPT_NOT;
}

/* What a host task becomes by the program that it is about to execute, of which next_exe is the path's hash. */
static __always_inline __u32 next_exemption(struct task_identity *identity)
{
	__u32 exemption = is_real_root(current_task()) ? exemption_of(identity->next_exe) : EXEMPT_NOT;

	/* Init's helpers are what they are in init's hands only. Whoever is exempt for life stays so. */
	return exemption > identity->exempt && exemption > EXEMPT_INIT ? exemption : EXEMPT_NOT;
}
