/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Self-protection: a container's task can't end the agent, drive it, take from it, or change what it leaves in the kernel and
 * on disk, however privileged the container is. EPERM, unlike a policy's EACCES.
 *
 * Signals, ptrace (with it /proc/PID/mem, pidfd_getfd, process_vm_writev), limits and scheduling go by the target task;
 * descriptors of maps, programs and links by their ids; files by device and inode, at the inode hooks, which an overlay over
 * the agent's directories can't avoid. ptrace is also confined to the task's own container, and there to what is not the
 * runtime any more. What is trusted: the host's tasks, unless `protect: host`. Known holes: who may load kernel modules or
 * programs (CAP_BPF with CAP_PERFMON), write block devices or the kernel's memory can do anything; what the kernel does for
 * all (sysrq, out of memory) hits the agent too. Enforcement goes on without it.
 */
#include "decide.bpf.h"
#include "protect.bpf.h"

#define PTRACE_MODE_ATTACH 2
#define BPF_LINK_GET_FD_BY_ID 30
#define SIGCONT 18

/* The program that a task runs: what the alert names as the target. */
static __always_inline void report_target(__u32 hook, __u32 detail, struct task_struct *target)
{
	struct file *exe = BPF_CORE_READ(target, mm, exe_file);

	report_refusal_at(hook, detail, (__u64)BPF_CORE_READ(exe, f_path.dentry), (__u64)BPF_CORE_READ(exe, f_path.mnt));
}

static __always_inline int touches_agent(struct task_struct *target, __u32 hook, __u32 detail)
{
	if (!is_agent(target) || !is_suspect())
		return 0;
	report_target(hook, detail, target);
	return 1;
}

DECIDING_HOOK(task_kill)

SEC("lsm/task_kill")
int BPF_PROG(decide_task_kill, struct task_struct *target, struct kernel_siginfo *info, int signal,
	     const struct cred *cred, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: signal 0 only asks whether the process is there. */
	if (!signal)
		return 0;
	return touches_agent(target, HOOK_TASK_KILL, signal) ? -EPERM : 0;
}

DECIDING_HOOK(file_send_sigiotask)

/*
 * A signal that someone had the kernel send when a file gets ready (F_SETOWN, F_SETSIG): task_kill is not asked. Whoever runs now is not
 * who asked for it, and the agent asks for none, so none arrives. Interrupts come here: counted, not told.
 */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(decide_file_send_sigiotask, struct task_struct *target, struct fown_struct *owner, int signal, int ret)
{
	KEEP_REFUSAL(ret);
	if (!is_agent(target))
		return 0;
	count(COUNT_PROTECTED);
	return -EPERM;
}

/* The container that a task belongs to, 0 for a host task; *staging: its runtime is still at work. */
static __always_inline __u32 container_of_task(struct task_struct *task, int *staging)
{
	struct task_identity *identity = identity_of(task);

	if (!identity || identity->state == TASK_RESERVED)
		identity = identity_of(task_read(task, group_leader));
	if (!identity || identity->state == TASK_RESERVED) {
		*staging = 0;
		return container_of_cgroup(cgroup_of(task));
	}
	*staging = identity->state == TASK_STAGING;
	return is_host(identity->container) ? 0 : identity->container;
}

/* The running task's container, 0 where it may trace all: for a host task, and a runtime at work. */
static __always_inline __u32 container_of_tracer(void)
{
	struct task_identity *identity = current_identity();

	return identity && identity->state == TASK_ARMED && !is_host(identity->container) ? identity->container : 0;
}

DECIDING_HOOK(ptrace_access_check)

SEC("lsm/ptrace_access_check")
int BPF_PROG(decide_ptrace_access_check, struct task_struct *target, unsigned int mode, int ret)
{
	KEEP_REFUSAL(ret);
	if (is_agent(target)) {
		if (!is_suspect())
			return 0;
		/* Counted, not told: pidof and the like look at every process, and pass over those that they may not look at. */
		if (mode & PTRACE_MODE_ATTACH)
			report_target(HOOK_PTRACE_ACCESS_CHECK, mode, target);
		else
			count(COUNT_PROTECTED);
		return -EPERM;
	}
	__u32 tracer = mode & PTRACE_MODE_ATTACH ? container_of_tracer() : 0;

	/* Allows: looking at others; and a host task, or a runtime at work, traces what it likes. */
	if (!tracer)
		return 0;
	int staging = 0;
	__u32 container = container_of_task(target, &staging);

	/* Allows: its own container's. */
	if (container == tracer && !staging)
		return 0;
	/* Denies: a host task, another container's, or a runtime, whose acts no policy judges. */
	report_target(HOOK_PTRACE_ACCESS_CHECK, mode, target);
	return -EPERM;
}

DECIDING_HOOK(task_setrlimit)

SEC("lsm/task_setrlimit")
int BPF_PROG(decide_task_setrlimit, struct task_struct *target, unsigned int resource, struct rlimit *limit, int ret)
{
	KEEP_REFUSAL(ret);
	return touches_agent(target, HOOK_TASK_SETRLIMIT, resource) ? -EPERM : 0;
}

DECIDING_HOOK(task_setscheduler)

SEC("lsm/task_setscheduler")
int BPF_PROG(decide_task_setscheduler, struct task_struct *target, int ret)
{
	KEEP_REFUSAL(ret);
	return touches_agent(target, HOOK_TASK_SETSCHEDULER, 0) ? -EPERM : 0;
}

DECIDING_HOOK(task_setnice)

SEC("lsm/task_setnice")
int BPF_PROG(decide_task_setnice, struct task_struct *target, int nice, int ret)
{
	KEEP_REFUSAL(ret);
	return touches_agent(target, HOOK_TASK_SETNICE, nice) ? -EPERM : 0;
}

DECIDING_HOOK(task_setioprio)

SEC("lsm/task_setioprio")
int BPF_PROG(decide_task_setioprio, struct task_struct *target, int priority, int ret)
{
	KEEP_REFUSAL(ret);
	return touches_agent(target, HOOK_TASK_SETIOPRIO, priority) ? -EPERM : 0;
}

/* ---- descriptors of what is in the kernel ---------------------------------------------------------------------------- */

static __always_inline int is_protected_id(__u32 kind, __u32 id)
{
	struct protected_id key = { .kind = kind, .id = id };

	return !!bpf_map_lookup_elem(&protected_ids, &key);
}

DECIDING_HOOK(bpf)

/* A link's descriptor can only be had here: bpf_map and bpf_prog guard the other two, by whatever command. */
SEC("lsm/bpf")
int BPF_PROG(decide_bpf, int command, union bpf_attr *attr, unsigned int size)
{
	/* Allows: nothing that hands out a link. */
	if (command != BPF_LINK_GET_FD_BY_ID)
		return 0;
	__u32 id = BPF_CORE_READ(attr, link_id);

	if (!is_protected_id(PROTECTED_LINK, id) || !is_suspect())
		return 0;
	report_refusal_at(HOOK_BPF, id, 0, 0);
	return -EPERM;
}

/* Images and what libbpf makes for the programs' own data have ids that nobody lists; their names begin with this. */
static __always_inline int has_agents_name(struct bpf_map *map)
{
	char name[8] = {};

	bpf_probe_read_kernel(name, sizeof(name), map->name);
	return name[0] == 'a' && name[1] == 'n' && name[2] == 'k' && name[3] == 'y' && name[4] == 'l' && name[5] == 'o';
}

DECIDING_HOOK(bpf_map)

SEC("lsm/bpf_map")
int BPF_PROG(decide_bpf_map, struct bpf_map *map, fmode_t mode, int ret)
{
	KEEP_REFUSAL(ret);
	__u32 id = BPF_CORE_READ(map, id);

	if ((!is_protected_id(PROTECTED_MAP, id) && !has_agents_name(map)) || !is_suspect())
		return 0;
	report_refusal_at(HOOK_BPF_MAP, id, 0, 0);
	return -EPERM;
}

DECIDING_HOOK(bpf_prog)

SEC("lsm/bpf_prog")
int BPF_PROG(decide_bpf_prog, struct bpf_prog *program, int ret)
{
	KEEP_REFUSAL(ret);
	__u32 id = BPF_CORE_READ(program, aux, id);

	if (!is_protected_id(PROTECTED_PROGRAM, id) || !is_suspect())
		return 0;
	report_refusal_at(HOOK_BPF_PROG, id, 0, 0);
	return -EPERM;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

/* 1 refuses, and that was reported: a suspect changes `dentry`, which is protected by one of `flags`. */
static __always_inline int changes_protected(__u32 hook, struct dentry *dentry, __u32 flags)
{
	/* Cheapest first: most tasks are the host's, and most files none of ours. */
	if (!is_suspect() || !(protection_of(dentry) & flags))
		return 0;
	report_refusal(hook, 0, dentry, NULL);
	return 1;
}

#define NEW_NAME_HOOK(hook, HOOK, ...)                                                                 \
	DECIDING_HOOK(hook)                                                                            \
	SEC("lsm/" #hook)                                                                              \
	int BPF_PROG(decide_##hook, struct inode *directory, struct dentry *dentry, __VA_ARGS__)       \
	{                                                                                              \
		KEEP_REFUSAL(ret);                                                                     \
		return changes_protected(HOOK, dentry, PROTECT_TREE) ? -EPERM : 0;                     \
	}

/* In a protected directory nothing is made: a policy file, or a link that is read as one. */
NEW_NAME_HOOK(inode_create, HOOK_INODE_CREATE, umode_t mode, int ret)
NEW_NAME_HOOK(inode_symlink, HOOK_INODE_SYMLINK, const char *target, int ret)
NEW_NAME_HOOK(inode_mkdir, HOOK_INODE_MKDIR, umode_t mode, int ret)
NEW_NAME_HOOK(inode_mknod, HOOK_INODE_MKNOD, umode_t mode, dev_t device, int ret)

DECIDING_HOOK(inode_link)

SEC("lsm/inode_link")
int BPF_PROG(decide_inode_link, struct dentry *old_dentry, struct inode *directory, struct dentry *new_dentry, int ret)
{
	KEEP_REFUSAL(ret);
	/* Under a second name a file would lie outside of the directory that protects it. */
	if (changes_protected(HOOK_INODE_LINK, old_dentry, PROTECT_TREE | PROTECT_SECRET | PROTECT_UNKNOWN))
		return -EPERM;
	return changes_protected(HOOK_INODE_LINK, new_dentry, PROTECT_TREE) ? -EPERM : 0;
}

DECIDING_HOOK(inode_unlink)

SEC("lsm/inode_unlink")
int BPF_PROG(decide_inode_unlink, struct inode *directory, struct dentry *dentry, int ret)
{
	KEEP_REFUSAL(ret);
	return changes_protected(HOOK_INODE_UNLINK, dentry, PROTECT_TREE | PROTECT_NAME) ? -EPERM : 0;
}

DECIDING_HOOK(inode_rmdir)

/* Removing the directory that the pins are mounted on would unmount them everywhere, and with them all enforcement. */
SEC("lsm/inode_rmdir")
int BPF_PROG(decide_inode_rmdir, struct inode *directory, struct dentry *dentry, int ret)
{
	KEEP_REFUSAL(ret);
	return changes_protected(HOOK_INODE_RMDIR, dentry, PROTECT_TREE | PROTECT_NAME) ? -EPERM : 0;
}

DECIDING_HOOK(inode_rename)

SEC("lsm/inode_rename")
int BPF_PROG(decide_inode_rename, struct inode *old_directory, struct dentry *old_dentry, struct inode *new_directory,
	     struct dentry *new_dentry, int ret)
{
	KEEP_REFUSAL(ret);
	if (changes_protected(HOOK_INODE_RENAME, old_dentry, PROTECT_TREE | PROTECT_NAME))
		return -EPERM;
	return changes_protected(HOOK_INODE_RENAME, new_dentry, PROTECT_TREE | PROTECT_NAME) ? -EPERM : 0;
}

#define ATTR_UID 2u
#define ATTR_GID 4u
#define ATTR_SIZE (1u << 3)
#define ATTR_FORCE (1u << 9)
#define ATTR_KILL_SUID (1u << 11)
#define ATTR_KILL_SGID (1u << 12)

/* A chown that names no owner (-1:-1) takes setuid bits all the same; what a write or a truncation takes is no change of owners. */
static __always_inline int changes_owner(struct iattr *change)
{
	__u32 valid = BPF_CORE_READ(change, ia_valid);

	return valid & (ATTR_UID | ATTR_GID) ||
	       (valid & (ATTR_KILL_SUID | ATTR_KILL_SGID) && !(valid & (ATTR_FORCE | ATTR_SIZE)));
}

DECIDING_HOOK(inode_setattr)

/* Mode, owner, times, and truncation. Of a container's own files, an owner where path_chown can't decide. Since 6.9 (which brought inode_post_setattr) the dentry comes second. */
SEC("lsm/inode_setattr")
int decide_inode_setattr(unsigned long long *ctx)
{
	int shift = bpf_core_field_exists(((union security_list_options *)0)->inode_post_setattr) ? 1 : 0;
	struct dentry *dentry = NULL;
	__u64 value = 0;

	/* Not by a plain load, for which the verifier wants one offset only. */
	bpf_probe_read_kernel(&dentry, sizeof(dentry), ctx + shift);
	bpf_probe_read_kernel(&value, sizeof(value), ctx + shift + 2);
	int ret = value;

	KEEP_REFUSAL(ret);
	if (changes_protected(HOOK_INODE_SETATTR, dentry, PROTECT_TREE | PROTECT_FILES | PROTECT_UNKNOWN))
		return -EPERM;
	if (OWNERS_AT_INODE && changes_owner((struct iattr *)ctx[1]))
		return judge_dentry(HOOK_PATH_CHOWN, dentry, CHANGES_OWNER);
	return 0;
}

DECIDING_HOOK(sb_remount)

/* The pins made read-only: that is so in every mount of theirs. */
SEC("lsm/sb_remount")
int BPF_PROG(decide_sb_remount, struct super_block *sb, void *options, int ret)
{
	KEEP_REFUSAL(ret);
	return changes_protected(HOOK_SB_REMOUNT, BPF_CORE_READ(sb, s_root), PROTECT_TREE) ? -EPERM : 0;
}

/* ---- who and what is the agent's, as the kernel sees it ---------------------------------------------------------------- */

static __always_inline void register_processes(struct protection *own, struct task_struct *task)
{
	own->agent = process_of(task);
	for (int i = 0; i < PROTECTED_ANCESTORS_MAX; i++) {
		task = BPF_CORE_READ(task, real_parent);
		own->ancestors[i] = process_of(task);
	}
}

static __always_inline void register_device(struct protection *own, __u32 device)
{
	for (int i = 0; i < PROTECTED_DEVICES_MAX; i++) {
		if (!own->devices[i])
			own->devices[i] = device;
		if (own->devices[i] == device)
			return;
	}
	own->devices_overflow = 1;
}

/* Global: verified once, not at each level. */
__noinline int register_object(__u64 address, __u32 flags)
{
	struct protection *own = the_protection();
	struct dentry *dentry = (void *)address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	__u32 device = BPF_CORE_READ(dentry, d_sb, s_dev);
	struct protected_key key = key_of(inode, device, BPF_CORE_READ(dentry, d_sb, s_magic));
	struct protected_object object = { .flags = flags };

	if (!own)
		return -1;
	object.epoch = own->epoch;
	struct protected_object *known = bpf_map_lookup_elem(&protected_objects, &key);

	/* One directory may be protected itself and lie above another. */
	if (known && known->epoch == own->epoch)
		object.flags |= known->flags;
	if (bpf_map_update_elem(&protected_objects, &key, &object, BPF_ANY))
		own->failed++;
	own->filter[key.inode / 64 % PROTECTED_FILTER_WORDS] |= 1ULL << key.inode % 64;
	register_device(own, device);
	return 0;
}

/* Names in a path and mounts on it: deeper ones keep the names nearest to the object only. */
#define REGISTERED_LEVELS 32

/* The way from an object up to the namespace's root. */
struct registration {
	__u64 dentry;
	__u64 mount;
	__u64 magic; /* of the object's file system */
	__u32 flags; /* of the next */
	__u32 above; /* of what lies above in the same file system */
	__u32 ended;
	__u32 _pad;
};

static long register_level(__u32 index, struct registration *way)
{
	struct dentry *dentry = (void *)way->dentry;
	struct mount *mount = (void *)way->mount;

	register_object(way->dentry, way->flags);
	if (dentry != BPF_CORE_READ(mount, mnt.mnt_root)) {
		dentry = BPF_CORE_READ(dentry, d_parent);
	} else {
		struct mount *parent = BPF_CORE_READ(mount, mnt_parent);

		way->ended = parent == mount;
		if (way->ended)
			return 1;
		dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		way->mount = (__u64)parent;
	}
	way->dentry = (__u64)dentry;
	/* Of a cgroup, those above it hold the agent too. */
	way->flags = BPF_CORE_READ(dentry, d_sb, s_magic) == way->magic ? way->above : PROTECT_NAME;
	return 0;
}

/* Registers an object, and all directories above it up to the namespace's root, through mounts. Global: verified once. */
__noinline int register_file(__u64 address, __u32 flags)
{
	struct protection *own = the_protection();
	struct object object = object_of_file((struct file *)address);
	struct dentry *dentry = (void *)object.dentry;
	struct registration way = {
		.dentry = object.dentry,
		.mount = mount_of(object.vfsmount),
		.magic = BPF_CORE_READ(dentry, d_sb, s_magic),
		.flags = flags,
		.above = flags & PROTECT_FILES ? PROTECT_FILES | PROTECT_NAME : PROTECT_NAME,
	};

	repeat(REGISTERED_LEVELS, register_level, &way);
	if (own && !way.ended)
		own->failed++;
	return 0;
}

/* One of the agent's descriptors. */
static long register_descriptor(__u32 index, struct protection **context)
{
	struct protection *own = *context;

	if (index >= PROTECTED_FDS_MAX)
		return 1;
	__u32 flags = own->fds[index].flags;
	struct file *file = flags ? file_of(current_task(), own->fds[index].fd) : NULL;

	if (!file)
		return 0;
	if (flags & PROTECT_SECRET)
		own->secrets++;
	register_file((__u64)file, flags);
	own->registered++;
	return 0;
}

/* Run by the agent itself, over nothing: the first task that the kernel shows is as good as any. */
SEC("iter/task")
int protect_register(struct bpf_iter__task *ctx)
{
	struct protection *own = the_protection();

	if (!own || ctx->meta->seq_num || !ctx->task)
		return 0;
	register_processes(own, current_task());
	own->secrets = 0;
	own->registered = 0;
	repeat(PROTECTED_FDS_MAX, register_descriptor, &own);
	return 0;
}
