/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Attributes: mode, owner, extended attributes, access control lists.
 *
 * chmod and (but on 5.10) chown bring the path. The hooks of extended attributes bring a dentry without a mount, so the object has every
 * name by which a mount of the task's own namespace shows it, and each is judged. A dentry that none shows is the layer's
 * own, which overlayfs changes under overridden credentials, on a file system of which only the kernel holds a mount, after the
 * user's change was judged; or it is unreachable.
 *
 * A program that a rule blocks keeps a bit to execute it: without one it could be renamed as a plain file, and get the
 * bit back afterwards. One that a rule leaves to its owner keeps its owner.
 * Known holes: times (utimensat) and inode flags (chattr) are not judged; they are no part of any rule.
 */
#include "credentials.bpf.h"
#include "decide.bpf.h"
#include "mounts.bpf.h"

#define ATTRIBUTE_OPS (OP(OP_ATTR) | OP(OP_EXEC))

static __always_inline int is_program(__u64 dentry)
{
	__u16 mode = BPF_CORE_READ((struct dentry *)dentry, d_inode, i_mode);

	return (mode & S_IFMT) == S_IFREG && mode & S_IXUGO;
}

/* What a change of attributes could do to a program: let it pass for a plain file, or for somebody else's. */
#define HIDES_PROGRAM 1u
#define CHANGES_OWNER 2u

/* Whether the act's place leaves a program to its owner, who the running task is not. */
static __always_inline int is_refused_as_others(struct act *act)
{
	__u64 row = 0;
	__u32 index = row_index(act->place.row, act->class), verdict = verdict_of_row(act, index, OP_EXEC, &row);

	return row >> ROW_CIRCUMSTANCES & IS_OWNER && refuses(verdict) && !owns_object(ref_of(act->identity));
}

/*
 * Judges identity->old_name for OP_ATTR; `guarded`, of HIDES_PROGRAM and CHANGES_OWNER: refuses too when that would get round
 * a rule about a program. Returns the hook's value. Global, for its own stack, and verified once.
 */
__noinline int judge_attributes(identity_ref ref, __u32 hook, __u32 guarded)
{
	struct task_identity *identity = identity_at(ref);
	struct act act;

	if (!identity)
		return -EACCES;
	begin_act(&act, identity, hook, OP_ATTR);
	act.identity->decision.object = identity->old_name;
	NEED_IMAGE(&act);
	__u64 row = 0;
	__u32 reason = locate(&act, identity->old_name, &row);

	if (reason != REASON_ROW) {
		__u32 verdict = verdict_in(row, OP_ATTR), exec = verdict_in(row, OP_EXEC);

		/* What has no path may be a blocked program, but not where nothing on disk has a name. */
		if (guarded && exec > verdict && !is_anonymous(identity->old_name))
			verdict = exec;
		return conclude(&act, verdict, reason) ? -EACCES : 0;
	}
	if (conclude(&act, verdict_at(&act, OP_ATTR, act.class), reason))
		return -EACCES;
	if (guarded & HIDES_PROGRAM && (verdict_at(&act, OP_EXEC, act.class) & ~VERDICT_SOURCE) == VERDICT_BLOCK &&
	    conclude(&act, VERDICT_BLOCK, REASON_LAUNDER))
		return -EACCES;
	if (guarded & CHANGES_OWNER && is_refused_as_others(&act) && conclude(&act, VERDICT_BLOCK, REASON_LAUNDER))
		return -EACCES;
	return 0;
}

DECIDING_HOOK(path_chmod)

SEC("lsm/path_chmod")
int BPF_PROG(decide_path_chmod, const struct path *path, umode_t mode, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about attributes or programs. */
	if (!any_live(identity->container, ATTRIBUTE_OPS))
		return 0;
	identity->old_name = object_of_path(path);
	__u32 guarded = !(mode & S_IXUGO) && is_program(identity->old_name.dentry) ? HIDES_PROGRAM : 0;

	return judge_attributes(ref_of(identity), HOOK_PATH_CHMOD, guarded) ? -EACCES : 0;
}

static __always_inline __u32 owner_guard(__u64 dentry)
{
	return is_program(dentry) ? CHANGES_OWNER : 0;
}

DECIDING_HOOK(path_chown)

/* On 5.10 inode_setattr decides about owners (protect.bpf.c). */
SEC("lsm/path_chown")
int BPF_PROG(decide_path_chown, const struct path *path, __u64 uid, __u64 gid, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about attributes or programs. */
	if (!any_live(identity->container, ATTRIBUTE_OPS))
		return 0;
	identity->old_name = object_of_path(path);
	return judge_attributes(ref_of(identity), HOOK_PATH_CHOWN, owner_guard(identity->old_name.dentry)) ? -EACCES : 0;
}

/* Judges a dentry by every name that it has for the task. Returns the hook's value. */
static __always_inline int judge_dentry(__u32 hook, struct dentry *dentry, __u32 guarded)
{
	JUDGED_IDENTITY(identity);
	struct task_struct *task = current_task();

	/* Allows: no rule about attributes or programs. */
	if (!any_live(identity->container, ATTRIBUTE_OPS))
		return 0;
	if (!is_program((__u64)dentry))
		guarded = 0;
	int mounts = find_mounts(identity, (__u64)dentry);

	identity->old_name = (struct object){ (__u64)dentry, 0 };
	if (mounts <= 0) {
		/* Allows: overlayfs at work in its layers. */
		if (!mounts && identity->is_layered && (__u64)BPF_CORE_READ(task, cred) != users_credentials(task)) {
			count(COUNT_SECOND_OPENS);
			return 0;
		}
		return judge_attributes(ref_of(identity), hook, guarded) ? -EACCES : 0;
	}
	for (int i = 0; i < SHOWN_MAX && i < mounts; i++) {
		identity->old_name.vfsmount = identity->shown_by[i];
		if (judge_attributes(ref_of(identity), hook, guarded))
			return -EACCES;
	}
	return 0;
}

DECIDING_HOOK(inode_setxattr)

/* "system.posix_acl_access" among them before 6.2, which can take the bits away as chmod does. */
SEC("lsm/inode_setxattr")
int BPF_PROG(decide_inode_setxattr, IDMAP struct dentry *dentry, const char *name, const void *value, __u64 size,
	     int flags, int ret)
{
	char start[2] = {};

	KEEP_REFUSAL(ret);
	bpf_probe_read_kernel(start, sizeof(start), name);
	return judge_dentry(HOOK_INODE_SETXATTR, dentry, start[0] == 's' && start[1] == 'y' ? HIDES_PROGRAM : 0);
}

DECIDING_HOOK(inode_removexattr)

SEC("lsm/inode_removexattr")
int BPF_PROG(decide_inode_removexattr, IDMAP struct dentry *dentry, const char *name, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_dentry(HOOK_INODE_REMOVEXATTR, dentry, 0);
}

DECIDING_HOOK(inode_set_acl)

SEC("lsm/inode_set_acl")
int BPF_PROG(decide_inode_set_acl, IDMAP struct dentry *dentry, const char *name, struct posix_acl *acl, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_dentry(HOOK_INODE_SET_ACL, dentry, HIDES_PROGRAM);
}

DECIDING_HOOK(inode_remove_acl)

SEC("lsm/inode_remove_acl")
int BPF_PROG(decide_inode_remove_acl, IDMAP struct dentry *dentry, const char *name, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_dentry(HOOK_INODE_REMOVE_ACL, dentry, 0);
}
