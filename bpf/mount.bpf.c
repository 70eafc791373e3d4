/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * New names for old objects. Rules are about names, so a container whose image blocks something may not make the kernel
 * show it under another: by bind mount, second mount of the same file system, moved mount, pivot_root, an overlay of its
 * own, or a descriptor inside overlayfs' private mount (fanotify on a super block).
 *
 * Fresh file systems (tmpfs) may still be mounted, except over or above something blocked, and except where a program's
 * name is trusted. Unshared mount namespaces need nothing here: the walker goes by the task's own mount tree, and refuses
 * the host's (decide.bpf.h). These guards are what makes it sound to skip overlayfs' second opens (file.bpf.c): all or none.
 */
#include "core_fixes.bpf.h"
#include "decide.bpf.h"
#include "protect.bpf.h"

#define MS_REMOUNT 32UL
#define MS_BIND 4096UL
#define MS_MOVE 8192UL
#define MS_PROPAGATION ((1UL << 17) | (1UL << 18) | (1UL << 19) | (1UL << 20))

/* Opens the task's image. Returns 0 when it has one of these flags, 1 to pass, -1 to refuse. */
static __always_inline int open_image_with(struct act *act, struct task_identity *identity, __u8 hook, __u8 op,
					   __u32 flags)
{
	/* Allows: nothing of the policy is live, so nothing can be evaded. */
	if (!any_live(identity->container, ~0u))
		return 1;
	begin_act(act, identity, hook, op);
	int opened = open_act_image(act);

	if (opened)
		return opened;
	/* Allows: the image only audits. */
	return act->image.header->flags & flags ? 0 : 1;
}

static __always_inline int open_blocking_image(struct act *act, struct task_identity *identity, __u8 hook, __u8 op)
{
	return open_image_with(act, identity, hook, op, IMAGE_BLOCKS);
}

/* Before any path was walked. Returns the hook's value. */
static __always_inline int refuse(struct act *act, __u8 reason)
{
	act->identity->decision.verdict = VERDICT_BLOCK;
	act->identity->decision.reason = reason;
	return emit_unwalked(act->identity) ? -EACCES : 0;
}

/* A fresh file system over `target`: by the row of the target, and not above something blocked. */
static __always_inline int judge_mount_on(struct act *act, struct object target)
{
	/* Denies: whatever is mounted could give any program a name that is trusted. */
	if (act->image.header->flags & IMAGE_TRUSTS_NAMES)
		return refuse(act, REASON_ALIAS);
	if (judge_object(act, target, OP_MOUNT))
		return -EACCES;
	if (act->place.guard && conclude(act, VERDICT_BLOCK, REASON_ANCESTOR))
		return -EACCES;
	return 0;
}

DECIDING_HOOK(sb_mount)

SEC("lsm/sb_mount")
int BPF_PROG(decide_sb_mount, const char *device, const struct path *path, const char *type, unsigned long flags,
	     void *data, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	path = untrusted(struct path, path);
	/* Denies: over the agent's files or the pins, or the pins made read-only. */
	if (covers_protected(HOOK_SB_MOUNT, flags, (__u64)path->dentry, (__u64)path->mnt))
		return -EPERM;
	/* Allows: changes how a mount behaves, not what has which name. The order of flags is path_mount's (fs/namespace.c). */
	if (flags & MS_REMOUNT || (flags & MS_PROPAGATION && !(flags & MS_BIND)))
		return 0;
	/* Denies: the source is not resolved yet, and could be the host's mount of the pins. */
	if (!(flags & MS_BIND) && flags & MS_MOVE && moves_hosts_mounts(HOOK_SB_MOUNT, flags, path))
		return -EPERM;
	JUDGED_IDENTITY(identity);
	int opened = open_blocking_image(&act, identity, HOOK_SB_MOUNT, OP_MOUNT);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	act.identity->decision.object = object_of_path(path);
	act.identity->decision.open_flags = flags;
	/* Denies: the source of a bind mount is not resolved yet, and any may lie over something blocked. */
	if (flags & (MS_BIND | MS_MOVE))
		return refuse(&act, REASON_ALIAS);
	return judge_mount_on(&act, act.identity->decision.object);
}

/* What this task's own fsopen made, at its root, and nothing has attached yet. */
static __always_inline int is_fresh_mount(__u64 vfsmount, struct task_identity *identity)
{
	struct mount *mount = (void *)mount_of(vfsmount);
	struct super_block *sb = BPF_CORE_READ(mount, mnt.mnt_sb);

	return (__u64)sb == identity->fresh_sb && BPF_CORE_READ(mount, mnt.mnt_root) == BPF_CORE_READ(sb, s_root);
}

static __always_inline int is_attached(__u64 vfsmount)
{
	struct mount *mount = (void *)mount_of(vfsmount);

	return (__u64)BPF_CORE_READ(mount, mnt_parent) != (__u64)mount;
}

DECIDING_HOOK(move_mount)

SEC("lsm/move_mount")
int BPF_PROG(decide_move_mount, const struct path *from, const struct path *to, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	from = untrusted(struct path, from);
	to = untrusted(struct path, to);
	/* Denies: over the agent's files or the pins, or these from where the host sees them. */
	if (covers_protected(HOOK_MOVE_MOUNT, 0, (__u64)to->dentry, (__u64)to->mnt) ||
	    takes_protected(HOOK_MOVE_MOUNT, (__u64)from->dentry, (__u64)from->mnt))
		return -EPERM;
	JUDGED_IDENTITY(identity);
	int opened = open_blocking_image(&act, identity, HOOK_MOVE_MOUNT, OP_MOUNT);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	act.identity->decision.object = object_of_path(to);
	act.identity->decision.object2 = object_of_path(from);
	/* Denies: a mount that has a name already, a clone of one, or the last clone of one that had. */
	if (is_attached((__u64)from->mnt) || !is_fresh_mount((__u64)from->mnt, identity))
		return refuse(&act, REASON_ALIAS);
	identity->fresh_sb = 0;
	return judge_mount_on(&act, act.identity->decision.object);
}

DECIDING_HOOK(sb_pivotroot)

SEC("lsm/sb_pivotroot")
int BPF_PROG(decide_sb_pivotroot, const struct path *old_path, const struct path *new_path, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	/* Denies: the host's root, with all that is mounted below it. */
	if (moves_hosts_mounts(HOOK_SB_PIVOTROOT, 0, new_path))
		return -EPERM;
	JUDGED_IDENTITY(identity);
	int opened = open_blocking_image(&act, identity, HOOK_SB_PIVOTROOT, OP_MOUNT);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	act.identity->decision.object = object_of_path(new_path);
	act.identity->decision.object2 = object_of_path(old_path);
	/* Denies: every name changes. */
	return refuse(&act, REASON_ALIAS);
}

#define TYPE_NAME_BYTES 16

static __always_inline int same_name(const char *name, const char *other, int bytes)
{
	for (int i = 0; i < bytes; i++)
		if (name[i] != other[i])
			return 0;
	return 1;
}

/* File systems that show another's files under new names. */
static __always_inline int is_stacking(struct super_block *sb)
{
	char name[TYPE_NAME_BYTES] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(sb, s_type, name));
	return same_name(name, "overlay", 8) || same_name(name, "ecryptfs", 9) || same_name(name, "aufs", 5) ||
	       same_name(name, "unionfs", 8) || same_name(name, "shiftfs", 8);
}

DECIDING_HOOK(sb_kern_mount)

/*
 * Mounting what is mounted already shows the same files at a second place, as a bind mount does. Every mount of proc is a
 * super block of its own since 5.8, and so is one of sysfs in each network namespace, with the same objects behind them.
 */
static __always_inline int shows_known_files(struct super_block *sb)
{
	char name[TYPE_NAME_BYTES] = {};

	if (has_mounts(sb))
		return 1;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(sb, s_type, name));
	return same_name(name, "proc", 5) || same_name(name, "sysfs", 6);
}

/* Called for mount(2) and fsopen alike, before the mount can be used; since 6.17 mount(2) has made it (see has_mounts). */
SEC("lsm/sb_kern_mount")
int BPF_PROG(decide_sb_kern_mount, const struct super_block *sb, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);
	__u8 reason = is_stacking((struct super_block *)sb) ? REASON_STACKING : REASON_ALIAS;

	/* Allows: new files of its own. Where it is attached is judged by the next hook. */
	if (reason == REASON_ALIAS && !shows_known_files((struct super_block *)sb)) {
		identity->fresh_sb = (__u64)sb;
		return 0;
	}
	int opened = open_blocking_image(&act, identity, HOOK_SB_KERN_MOUNT, OP_MOUNT);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	/* Denies: files that have a name already would be opened under another, which no rule has. */
	return refuse(&act, reason);
}

DECIDING_HOOK(path_notify)

SEC("lsm/path_notify")
int BPF_PROG(decide_path_notify, const struct path *path, __u64 mask, unsigned int type, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	/* Allows: marks of single objects and mounts hand out nothing that the task could not open. */
	if (type != bpf_core_enum_value(enum fsnotify_obj_type, FSNOTIFY_OBJ_TYPE_SB))
		return 0;
	JUDGED_IDENTITY(identity);
	int opened = open_blocking_image(&act, identity, HOOK_PATH_NOTIFY, OP_NOTIFY);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	act.identity->decision.object = object_of_path(path);
	/* Denies: its events carry descriptors inside overlayfs' private mount. */
	return refuse(&act, REASON_NOTIFY);
}

DECIDING_HOOK(uring_override_creds)

SEC("lsm/uring_override_creds")
int BPF_PROG(decide_uring_override_creds, const struct cred *new, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);
	int opened = open_image_with(&act, identity, HOOK_URING_OVERRIDE_CREDS, OP_CREDS,
				     IMAGE_BLOCKS | IMAGE_HOLDS_CREDS);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	/*
	 * Denies: one way to open files, and to use capabilities, with overridden credentials, which is how overlayfs' own acts
	 * look. io_uring has others, so nobody inside may get a descriptor in a private mount either: sb_kern_mount and
	 * path_notify.
	 */
	return refuse(&act, REASON_CREDS);
}

DECIDING_HOOK(sb_umount)

/*
 * What lies in the mount loses its names, and what it covers gets them: as a mount over that place, the other way round.
 * Remounting passes, as it changes no name: what becomes writable is judged when it is opened. So does chroot: paths are
 * read up to the namespace's root, whatever the task's own root is.
 */
SEC("lsm/sb_umount")
int BPF_PROG(decide_sb_umount, struct vfsmount *vfsmount, int flags, int ret)
{
	struct act act;

	KEEP_REFUSAL(ret);
	/* Denies: what is mounted at the agent's files or pins, whatever the policy. */
	if (uncovers_protected(HOOK_SB_UMOUNT, flags, (__u64)vfsmount))
		return -EPERM;
	JUDGED_IDENTITY(identity);
	int opened = open_blocking_image(&act, identity, HOOK_SB_UMOUNT, OP_MOUNT);

	if (opened)
		return opened < 0 ? -EACCES : 0;
	act.identity->decision.object = (struct object){
		(__u64)untrusted(struct vfsmount, vfsmount)->mnt_root,
		(__u64)vfsmount,
	};
	return judge_mount_on(&act, act.identity->decision.object);
}
