/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whose task is it: by what it inherited, else by its cgroup. */
#pragma once
#include "home.bpf.h"
#include "host.bpf.h"
#include "image.bpf.h"
#include "maps.bpf.h"
#include "path.bpf.h"
#include "tasks.bpf.h"

/* How far up from a task's cgroup its container's may be: a container that delegates makes cgroups of its own below. */
#define ANCESTORS_MAX 32
#define PF_EXITING 0x4

struct container_search {
	__u64 cgroup;
	__u32 container;
	__u32 _pad;
};

static long search_cgroup(__u32 level, struct container_search *search)
{
	struct cgroup *cgroup = (void *)search->cgroup;
	__u64 id = BPF_CORE_READ(cgroup, kn, id);
	__u32 *container = bpf_map_lookup_elem(&cgroups, &id);

	if (container) {
		search->container = *container;
		return 1;
	}
	/* `self` is a cgroup's first member, so a parent's css is the parent. */
	search->cgroup = (__u64)BPF_CORE_READ(cgroup, self.parent);
	return !search->cgroup;
}

/* The container of a cgroup: the nearest ancestor that is one. 0: none. */
static __always_inline __u32 container_of_cgroup(struct cgroup *cgroup)
{
	struct container_search search = { .cgroup = (__u64)cgroup };

	if (cgroup)
		repeat(ANCESTORS_MAX, search_cgroup, &search);
	return search.container;
}

#define CONTROLLER(name)                                                         \
	(bpf_core_enum_value_exists(enum cgroup_subsys_id, name##_cgrp_id)        \
		 ? bpf_core_enum_value(enum cgroup_subsys_id, name##_cgrp_id)     \
		 : 0)

/* A task's cgroup in the hierarchy that is followed. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct cgroup_subsys_state *state = NULL;
	struct css_set *set = task_read(untrusted(struct task_struct, task), cgroups);
	__u32 controller;

	if (settings.cgroup_controller == CGROUP_UNIFIED)
		return task_read(set, dfl_cgrp);
	if (settings.cgroup_controller == CGROUP_PIDS)
		controller = CONTROLLER(pids);
	else if (settings.cgroup_controller == CGROUP_MEMORY)
		controller = CONTROLLER(memory);
	else
		controller = CONTROLLER(cpu);
	bpf_core_read(&state, sizeof(state), &set->subsys[0] + controller);
	return BPF_CORE_READ(state, cgroup);
}

/* Other hierarchies raise the same tracepoints, with the same numbers (kernel/cgroup/cgroup.c). */
static __always_inline int is_followed(struct cgroup *cgroup)
{
	return (__u32)BPF_CORE_READ(cgroup, root, hierarchy_id) == settings.cgroup_hierarchy;
}

static __always_inline struct exec_ref found_exec_ref(struct task_struct *task)
{
	return (struct exec_ref){
		.time_ns = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
	};
}

static __always_inline int is_last_thread(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) == 0;
}

/*
 * Makes a task that came from outside a staging task of its cgroup's container. Returns NULL when it is in none, or when no
 * memory could be had, which is counted.
 */
static __always_inline struct task_identity *stage(struct task_struct *task, struct cgroup *cgroup)
{
	__u32 container = container_of_cgroup(cgroup);

	/* Not in a container's cgroup: a host task, which no container's policy governs. */
	if (!container)
		return NULL;
	struct task_identity *identity = make_identity(task);

	if (!identity) {
		count(COUNT_IDENTITY_FAILED);
		return NULL;
	}
	/* It has one already: what a container's task is does not change with its cgroup. */
	if (!claim(&identity->claimed, 0, 1)) {
		if (!is_host(identity->container))
			return identity;
		leave_host(identity);
	}
	identity->container = container;
	identity->entered_ns = bpf_ktime_get_boot_ns();
	identity->exec = found_exec_ref(task);
	identity->state = TASK_STAGING;
	/* The use of one that ended already may not end again. */
	if (!(BPF_CORE_READ(task, flags) & PF_EXITING))
		begin_use(identity);
	count(COUNT_STAGED);
	return identity;
}

static __always_inline int is_hosts(struct mnt_namespace *mounts)
{
	return task_read(mounts, ns.inum) == (__u32)settings.init_mnt_ns;
}

static __always_inline int is_in_host_mounts(struct task_struct *task)
{
	return is_hosts(mounts_of(task));
}

static __always_inline void arm(struct task_identity *identity, struct task_struct *task)
{
	__u32 container = identity->container;
	struct container_use *use = bpf_map_lookup_elem(&container_use, &container);

	if (use)
		use->begun = 1;
	identity->host_mounts = is_in_host_mounts(task);
	identity->home = home_of(task);
	identity->state = TASK_ARMED;
	count(COUNT_ARMED);
}

/* The running task's exec is done: it is now what was remembered of that. Global: verified once. */
__noinline int note_exec(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);
	struct task_struct *task = current_task();

	if (!identity)
		return 0;
	if (is_host(identity->container)) {
		if (identity->arms)
			move_on_host(identity, identity->arms);
	} else if (identity->state == TASK_STAGING && identity->arms) {
		arm(identity, task);
	}
	identity->exe = identity->next == NEXT_NONE ? 0 : identity->next_exe;
	identity->loader = identity->next == NEXT_LOADER;
	identity->next = NEXT_NONE;
	identity->exec.time_ns = bpf_ktime_get_boot_ns();
	identity->exec.pid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}

/*
 * The identity of the running task's process, or NULL. The task's own may be missing: the attach event comes for the
 * leader of a thread group only.
 */
static __always_inline struct task_identity *process_identity(void)
{
	struct task_struct *task = current_task();
	struct task_identity *identity = current_identity();

	if (identity && identity->state != TASK_RESERVED)
		return identity;
	if (task_read(task, pid) == task_read(task, tgid))
		return NULL;
	identity = identity_of(task_read(task, group_leader));
	return identity && identity->state != TASK_RESERVED ? identity : NULL;
}

/* setns to the host: every name is another one there. A staging task is judged at its arming exec, wherever that is. */
static __always_inline int is_astray(struct task_identity *identity, struct mnt_namespace *mounts)
{
	return identity->state == TASK_ARMED && !identity->host_mounts && is_hosts(mounts);
}

static __always_inline int climb_by_rules(struct task_identity *identity)
{
	struct mnt_namespace *mounts = mounts_of(current_task());
	int end = climb_to_root(ref_of(identity), address_of(task_read(mounts, root)));

	if (end == WALK_UNREACHABLE)
		return walk_home(identity);
	return end == WALK_REACHED && is_astray(identity, mounts) ? WALK_UNREACHABLE : end;
}

/*
 * Walks the path of identity->walk.object as the container's rules mean it: in the running task's mount namespace, or else in
 * the identity's home. Global, so that the verifier follows one way behind it.
 */
__noinline int walk_by_rules(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return WALK_GAVE_UP;
	int end = climb_by_rules(identity);

	identity->walk.named_end = end;
	return end;
}

static __always_inline int walk_named(struct task_identity *identity, struct object object)
{
	identity->walk.object = object;
	return walk_by_rules(ref_of(identity));
}

struct named_walk {
	struct task_identity *identity;
	__u32 end;
	__u32 _pad;
};

STEP try_named_walk(__u32 index, struct named_walk *try)
{
	try->end = walk_by_rules(ref_of(try->identity));
	if (try->end != WALK_REACHED || hash_settled_path(&try->identity->walk))
		return 1;
	try->end = WALK_GAVE_UP;
	return 0;
}

/* As walk_named() for the running task, with the path's hash. */
static __always_inline int walk_named_hashed(struct task_identity *identity, struct object object)
{
	struct named_walk try = { .identity = identity, .end = WALK_GAVE_UP };

	identity->walk.object = object;
	repeat(TRIES_MAX, try_named_walk, &try);
	return try.end;
}

static __always_inline void inherit(struct task_identity *child, struct task_identity *parent, int is_thread)
{
	child->claimed = 1;
	child->container = parent->container;
	child->loader = parent->loader;
	child->host_mounts = parent->host_mounts;
	child->exempt = parent->exempt;
	child->home = parent->home;
	child->exe = parent->exe;
	child->entered_ns = parent->entered_ns;
	child->exec = parent->exec;
	/* A thread is its process; a child process was forked by the image that runs now. */
	child->parent_exe = is_thread ? parent->parent_exe : parent->exe;
	child->parent = is_thread ? parent->parent : parent->exec;
	child->state = parent->state;
}

/* Of one that is about to exec and has no identity of its own, though its process has one. */
static __always_inline struct task_identity *join_process(struct task_struct *task, struct task_identity *process)
{
	struct task_identity *identity = make_identity(task);

	if (identity) {
		inherit(identity, process, 1);
		begin_use(identity);
	}
	return identity;
}

/*
 * The identity of a task that is about to exec. An empty look-up is not final: a thread that execs becomes the leader of
 * its process, whose identity it takes over; failing that, its cgroup tells, as it does of a host task: no event came with a
 * runtime's thread. NULL: it is in no container and no host policy is there, or, with *failed set, its identity can't be had.
 */
static __always_inline struct task_identity *identity_at_exec(int *failed)
{
	struct task_struct *task = current_task();

	*failed = 0;
	struct task_identity *identity = identity_of(task);
	int has_own = identity && identity->state != TASK_RESERVED;

	if (has_own && !is_host(identity->container))
		return identity;
	struct task_identity *process = process_identity();

	if (process && !has_own) {
		identity = join_process(task, process);
		if (!identity && is_host(process->container)) {
			count(COUNT_HOST_UNJUDGED);
		} else if (!identity) {
			count(COUNT_IDENTITY_FAILED);
			*failed = 1;
		}
		return identity;
	}
	struct cgroup *cgroup = cgroup_of(task);

	if (container_of_cgroup(cgroup)) {
		identity = stage(task, cgroup);
		*failed = !identity;
		return identity;
	}
	return has_own ? identity : find_executing_on_host(task);
}

/*
 * Is this exec the one that ends the runtime's work?  In a mount namespace other than the host's: the first exec. In the
 * host's own (a container that shares it): the first of a reachable file that is not the entering program itself.
 * runc's copy of itself is unreachable, crun executes nothing of its own. The program is the one that runs: its inode can't
 * be given to another file meanwhile.
 */
static __always_inline int exec_arms(struct task_identity *identity, struct linux_binprm *bprm)
{
	struct task_struct *task = current_task();

	if (!is_in_host_mounts(task))
		return 1;
	if (BPF_CORE_READ(bprm, file, f_inode) == BPF_CORE_READ(task, mm, exe_file, f_inode))
		return 0;
	/* A walk that gave up ends it too: better a runtime's program judged than the container's first one not. */
	return walk_hashed(identity, object_of_file(BPF_CORE_READ(bprm, file)), task) != WALK_UNREACHABLE;
}

/* A dynamic loader by its name: ld-linux-x86-64.so.2, ld-musl-x86_64.so.1, ld.so. */
static __always_inline int is_loader(struct file *program)
{
	char name[6] = {};

	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(program, f_path.dentry, d_name.name));
	return name[0] == 'l' && name[1] == 'd' && (name[2] == '-' || (name[2] == '.' && name[3] == 's'));
}

/* For the hook that begins: what an earlier one walked may be gone. */
static __always_inline void forget_judged_path(struct task_identity *identity)
{
	identity->walk.named_end = WALK_GAVE_UP;
}

/* Hashes the path that this hook has judged the program by, if it did and nothing has moved since; else walks again. */
static __always_inline int hash_judged_path(struct task_identity *identity, struct file *program)
{
	if (identity->walk.named_end == WALK_REACHED && hash_settled_path(&identity->walk))
		return WALK_REACHED;
	return walk_named_hashed(identity, object_of_file(program));
}

/*
 * What the running task is about to execute, for note_exec. An interpreter takes the place of its script. Before the program
 * was judged, forget_judged_path() was called.
 */
static __always_inline void remember_exec(struct task_identity *identity, struct file *program)
{
	int end = hash_judged_path(identity, program);

	identity->next_exe = end == WALK_REACHED ? identity->walk.path_hash : 0;
	identity->next_bytes = walked_bytes(&identity->walk, end);
	identity->next = is_loader(program) ? NEXT_LOADER : NEXT_PROGRAM;
}
