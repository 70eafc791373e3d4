/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What belongs to the agent, and who may not touch it: a container's own tasks, and under `protect: host` every task but the
 * agent, its ancestors and init. protect.bpf.c has the hooks; those of files and mounts ask here too.
 */
#pragma once
#include "emit.bpf.h"
#include "identity.bpf.h"
#include "maps.bpf.h"
#include "path.bpf.h"
#include "tasks.bpf.h"

/* Of a dentry that was made for a file handle and has no name yet; the same bit since 2.6.38. */
#define DCACHE_DISCONNECTED 0x20
#define PROC_MAGIC 0x9fa0
#define CGROUP2_MAGIC 0x63677270
#define CGROUP1_MAGIC 0x27e0eb
#define OVERLAY_MAGIC 0x794c7630
/* Mounting there, or unmounting, happens in other namespaces as well. */
#define MNT_SHARED 0x1000

static __always_inline struct protection *the_protection(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&protection, &first);
}

static __always_inline int is_process(struct task_struct *task, struct process_ref *process)
{
	return process->pid && process->pid == (__u32)BPF_CORE_READ(task, tgid) &&
	       process->start_ns == BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline struct process_ref process_of(struct task_struct *task)
{
	return (struct process_ref){
		.start_ns = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
	};
}

static __always_inline int same_process(struct process_ref *process, struct process_ref *other)
{
	return process->pid == other->pid && process->start_ns == other->start_ns;
}

static __always_inline int is_agent(struct task_struct *task)
{
	struct protection *own = the_protection();

	return own && is_process(task, &own->agent);
}

struct ancestor_search {
	struct process_ref process;
	struct protection *own;
	__u64 found;
};

static long try_ancestor(__u32 index, struct ancestor_search *search)
{
	if (index >= PROTECTED_ANCESTORS_MAX)
		return 1;
	search->found = same_process(&search->process, &search->own->ancestors[index]);
	return search->found;
}

/* Under `protect: host`: whether a host task may touch the agent all the same. */
static __always_inline int is_trusted(struct protection *own, struct task_struct *task)
{
	struct process_ref process = process_of(task);

	if (process.pid == 1 || BPF_CORE_READ(task, flags) & PF_KTHREAD || same_process(&process, &own->agent))
		return 1;
	struct ancestor_search search = { .process = process, .own = own };

	repeat(PROTECTED_ANCESTORS_MAX, try_ancestor, &search);
	return search.found;
}

/*
 * Whether the running task may not touch the agent. A runtime at work is the host's, also when somebody wrote it into a
 * container's cgroup. Global: verified once.
 */
__noinline int is_suspect(void)
{
	struct task_struct *task = current_task();
	struct task_identity *identity = current_identity();
	struct protection *own = the_protection();

	if (!own)
		return 0;
	if (identity && identity->state == TASK_ARMED && !is_host(identity->container))
		return task_read(task, tgid) != (pid_t)own->agent.pid || !is_process(task, &own->agent);
	return own->host && !is_trusted(own, task);
}

static __always_inline void tell_refusal(struct task_identity *identity, __u32 hook, __u32 detail, struct object object)
{
	struct decision *decision = &identity->decision;

	__builtin_memset(decision, 0, sizeof(*decision));
	decision->hook = hook;
	decision->op = OP_PROTECTED;
	decision->verdict = VERDICT_BLOCK;
	decision->reason = REASON_PROTECTED;
	decision->open_flags = detail;
	decision->object = object;
	emit_unwalked(identity);
}

/*
 * Reports that the running task's act on `dentry` (0: on no file) was refused. `detail`: flags of an open or mount, a signal, a
 * mode, an id.
 * Global: verified once.
 */
__noinline int report_refusal_at(__u32 hook, __u32 detail, __u64 dentry, __u64 vfsmount)
{
	struct task_identity *identity = current_identity();
	struct protection *own = the_protection();
	struct object object = { dentry, vfsmount };

	count(COUNT_PROTECTED);
	if (identity && identity->state == TASK_ARMED) {
		tell_refusal(identity, hook, detail, object);
		return 0;
	}
	/* A host task has no scratch of its own. Two at once: one of them is counted only (on 5.10 their records may mix). */
	identity = own && claim(&own->borrowed, 0, 1) ? borrowed_identity() : NULL;
	if (!identity) {
		count(COUNT_DENIED);
		count(COUNT_ALERTS_LOST);
		return 0;
	}
	struct task_struct *task = current_task();

	identity->container = container_of_cgroup(cgroup_of(task));
	identity->exec = found_exec_ref(task);
	tell_refusal(identity, hook, detail, object);
	*(volatile __u32 *)&own->borrowed = 0;
	return 0;
}

static __always_inline void report_refusal(__u32 hook, __u32 detail, const void *dentry, const void *vfsmount)
{
	report_refusal_at(hook, detail, address_of(dentry), address_of(vfsmount));
}

/* Global: every comparison would double what the verifier follows at each use. */
__noinline int may_be_on(__u32 device)
{
	struct protection *own = the_protection();

	if (!own || own->devices_overflow)
		return 1;
	for (int i = 0; i < PROTECTED_DEVICES_MAX; i++)
		if (own->devices[i] == device)
			return 1;
	return 0;
}

/*
 * What tells an inode from others of its device. overlayfs gives the numbers of its layers, of which two files may have the
 * same: there it is the address, which stays as long as the agent has the file open.
 */
static __always_inline __u64 number_of(struct inode *inode, __u64 magic)
{
	return magic == OVERLAY_MAGIC ? (__u64)inode >> 4 : read_any(struct inode, inode, i_ino);
}

static __always_inline struct protected_key key_of(struct inode *inode, __u32 device, __u64 magic)
{
	return (struct protected_key){
		.inode = number_of(inode, magic),
		.device = device,
		.generation = BPF_CORE_READ(inode, i_generation),
	};
}

/* The process that a file of proc belongs to is the agent, or one of its threads. */
static __always_inline int is_agents_proc_file(struct dentry *dentry)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct proc_inode *proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct pid *pid = BPF_CORE_READ(proc, pid);
	void *node = pid ? BPF_CORE_READ(pid, tasks[0].first) : NULL;

	return node && is_agent(node - bpf_core_field_offset(struct task_struct, pid_links));
}

/* cgroup.procs, cgroup.threads, and v1's tasks. Whoever sees the agent's pid can move the agent by them. */
static __always_inline int moves_processes(struct dentry *dentry)
{
	char name[16] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	if (name[0] == 't')
		return name[1] == 'a' && name[2] == 's' && name[3] == 'k' && name[4] == 's' && !name[5];
	return name[0] == 'c' && name[6] == '.' && (name[7] == 'p' || (name[7] == 't' && name[8] == 'h'));
}

/* What file systems of the kernel's own say about a file of theirs. */
static __always_inline __u32 special_protection(struct dentry *dentry, __u64 magic)
{
	if (magic == PROC_MAGIC && is_agents_proc_file(dentry))
		return PROTECT_TREE;
	if ((magic == CGROUP2_MAGIC || magic == CGROUP1_MAGIC) && moves_processes(dentry))
		return PROTECT_MOVE;
	return 0;
}

/* PROTECT_* of an inode as it was registered; 0: it was not, or is NULL. Global: verified once. */
__noinline __u32 registered_flags(__u64 address, __u32 device, __u64 magic)
{
	struct protection *own = the_protection();
	struct inode *inode = (void *)address;

	/* A name that is only about to be made has no inode. */
	if (!own || !inode)
		return 0;
	__u64 number = number_of(inode, magic);

	if (!(own->filter[number / 64 % PROTECTED_FILTER_WORDS] & 1ULL << number % 64))
		return 0;
	struct protected_key key = key_of(inode, device, magic);
	struct protected_object *found = bpf_map_lookup_elem(&protected_objects, &key);

	return found ? found->flags : 0;
}

/* What of an object's flags concerns another one so many levels below it. */
static __always_inline __u32 flags_for(int level)
{
	return PROTECT_TREE | PROTECT_SECRET | (level ? 0 : PROTECT_NAME) | (level == 1 ? PROTECT_FILES : 0);
}

/* As protection_of, of a dentry's address. Global: verified once. */
__noinline __u32 protection_at(__u64 address)
{
	struct dentry *dentry = (void *)address;
	struct super_block *sb = read_any(struct dentry, dentry, d_sb);
	__u32 device = read_any(struct super_block, sb, s_dev);
	__u64 magic = read_any(struct super_block, sb, s_magic);
	__u32 flags = special_protection(dentry, magic);

	if (!may_be_on(device))
		return flags;
	for (int level = 0; level <= PROTECTED_LEVELS; level++) {
		struct inode *inode = read_any(struct dentry, dentry, d_inode);
		struct dentry *parent = read_any(struct dentry, dentry, d_parent);

		flags |= registered_flags(address_of(inode), device, magic) & flags_for(level);
		if (parent == dentry)
			break;
		dentry = parent;
	}
	/* A file by its handle: the directory that it lies in is not known. */
	if (read_any(struct dentry, dentry, d_flags) & DCACHE_DISCONNECTED && BPF_CORE_READ(dentry, d_parent) == dentry)
		flags |= PROTECT_UNKNOWN;
	return flags;
}

/*
 * Why an object is the agent's: PROTECT_*, 0 when it is not. Goes by the object's own directories, never by mounts, so it does not
 * matter through which mount it was reached.
 */
static __always_inline __u32 protection_of(const struct dentry *dentry)
{
	return protection_at(address_of(dentry));
}

/* Names of one inode that are looked at; ext4 allows 65,000. */
#define ALIASES_MAX 65536

struct alias_search {
	__u64 node; /* of the inode's list of names; 0: the end */
	__u32 flags;
	__u32 found;
};

static long ask_alias(__u32 index, struct alias_search *search)
{
	struct hlist_node *node = (void *)search->node;

	if (!node)
		return 1;
	if (!bpf_core_field_exists(struct dentry, d_u.d_alias))
		return 1;
	search->flags |= protection_at(search->node - bpf_core_field_offset(struct dentry, d_u.d_alias));
	search->found = 1;
	search->node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

LONG_LOOP(ask_alias, struct alias_search, no_pointers)

/* As protection_of, of an inode, by every name that it has. Global: verified once. */
__noinline __u32 protection_of_inode(__u64 address)
{
	struct inode *inode = (void *)address;
	struct alias_search search = { .node = (__u64)BPF_CORE_READ(inode, i_dentry.first) };

	if (!may_be_on(BPF_CORE_READ(inode, i_sb, s_dev)))
		return 0;
	repeat_long(ALIASES_MAX, ask_alias, &search);
	return search.found && !search.node ? search.flags : search.flags | PROTECT_UNKNOWN;
}

/* In the host's pid namespace, where the agent's pid means the agent. */
static __always_inline int sees_host_pids(void)
{
	return BPF_CORE_READ(current_task(), thread_pid, level) == 0;
}

/* Whether an open must be looked at further by opens_protected(); one that only reads: while something is secret. */
static __always_inline int may_be_protected(__u32 writes)
{
	struct protection *own = the_protection();

	return own && (writes || own->secrets);
}

/* For a suspect's open: 1 refuses, and that was reported. */
static __always_inline int opens_protected(struct file *file, __u32 writes)
{
	/* Most opens do not come here, so quicker loads are not worth what verifying them costs. */
	file = untrusted(struct file, file);
	__u32 flags = protection_of(file->f_path.dentry);

	/* Before 6.7 overlayfs opens the layer's inode under the user's own name. */
	if (file->f_inode->i_sb != file->f_path.dentry->d_sb)
		flags |= protection_of_inode(address_of(file->f_inode));
	if (flags & PROTECT_MOVE && !sees_host_pids())
		flags &= ~PROTECT_MOVE;
	flags &= writes ? ~PROTECT_NAME : PROTECT_SECRET;
	if (!flags || !is_suspect())
		return 0;
	report_refusal(HOOK_FILE_OPEN, file->f_flags, file->f_path.dentry, file->f_path.mnt);
	return 1;
}

static __always_inline int is_in_hosts_namespace(struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt_ns, ns.inum) == (__u32)settings.init_mnt_ns;
}

/* Whether what is mounted on a mount, or unmounted from it, is so for the host: it is the host's own, or passes that on. */
static __always_inline int changes_hosts_view(struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt.mnt_flags) & MNT_SHARED || is_in_hosts_namespace(mount);
}

static __always_inline int hides_protected(__u32 hook, __u32 detail, __u64 dentry, __u64 vfsmount)
{
	if (!(protection_of((void *)dentry) & (PROTECT_TREE | PROTECT_NAME)) || !is_suspect())
		return 0;
	report_refusal(hook, detail, (void *)dentry, (void *)vfsmount);
	return 1;
}

/* For a mount at `dentry` of a mount: 1 refuses, and that was reported. */
static __always_inline int covers_protected(__u32 hook, __u32 detail, __u64 dentry, __u64 vfsmount)
{
	return changes_hosts_view((void *)mount_of(vfsmount)) && hides_protected(hook, detail, dentry, vfsmount);
}

/* For unmounting a mount, which those see that share the one below it. */
static __always_inline int uncovers_protected(__u32 hook, __u32 detail, __u64 vfsmount)
{
	struct mount *mount = (void *)mount_of(vfsmount);

	if (!changes_hosts_view(mount) && !changes_hosts_view(BPF_CORE_READ(mount, mnt_parent)))
		return 0;
	return hides_protected(hook, detail, (__u64)BPF_CORE_READ(mount, mnt.mnt_root), vfsmount);
}

/* For taking a mount from where it is: nobody but its own namespace sees that. */
static __always_inline int takes_protected(__u32 hook, __u64 dentry, __u64 vfsmount)
{
	return is_in_hosts_namespace((void *)mount_of(vfsmount)) && hides_protected(hook, 0, dentry, vfsmount);
}

/* For what moves a mount of the task's namespace, of which the hook does not tell. */
static __always_inline int moves_hosts_mounts(__u32 hook, __u32 detail, const struct path *path)
{
	if (!is_in_host_mounts(current_task()) || !is_suspect())
		return 0;
	path = untrusted(struct path, path);
	report_refusal(hook, detail, path->dentry, path->mnt);
	return 1;
}
