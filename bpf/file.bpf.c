/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files: open, a descriptor handed in, truncate, create, delete, rename, link.
 *
 * What is trusted: the dentry and mount that the kernel hands to the hook, after it resolved symbolic links. What is
 * decided: by name, at the time of the act; for writing, at open, so that mmap and io_uring have nothing to add.
 * A name that can't be established is refused where the image blocks anything of that kind. Known holes: a descriptor
 * that was open before the policy stays usable for read and write (not to map the file, see mapping.bpf.c).
 */
#include "decide.bpf.h"
#include "protect.bpf.h"

#define FMODE_READ 1u
#define FMODE_WRITE 2u
#define RENAME_EXCHANGE 2u
#define O_CREAT 0100u

/*
 * Overlayfs opens the layer's file for each open of the user's, who was judged under the name that they used. All three
 * must hold: a mount or inode that only a stacking file system shows, no pseudo file system, and overridden credentials.
 * Without the third, a descriptor that fanotify hands out inside the private mount would open everything below it.
 */
static __always_inline int is_second_open(struct file *file, struct task_struct *task)
{
	struct super_block *sb = file->f_inode->i_sb;

	if (task_read(task, cred) == task_read(task, real_cred))
		return 0;
	if (sb != file->f_path.dentry->d_sb)
		return 1;
	return is_layer_file(file);
}

/* What the descriptor is good for. None for O_PATH, through which nothing can be read or written. */
static __always_inline __u32 access_ops(struct file *file)
{
	__u32 ops = file->f_mode << OP_READ & (OP(OP_READ) | OP(OP_WRITE));

	_Static_assert(OP(OP_READ) == FMODE_READ << OP_READ && OP(OP_WRITE) == FMODE_WRITE << OP_READ, "the same order of bits");
	/* One number for clang, too, which would keep each bit of it. */
	asm volatile("" : "+r"(ops));
	return ops;
}

static __always_inline void begin_access(struct task_identity *identity, __u8 hook, __u32 op, struct object object,
					 __u32 open_flags)
{
	begin_decision(identity, hook, op);
	identity->decision.open_flags = open_flags;
	identity->decision.object = object;
}

/*
 * Judges a descriptor for all of `ops`, by the strictest; `word` is the container's. Returns the hook's value. The decision is
 * filled only where it is told: most opens pass.
 */
static __always_inline int judge_access(struct task_identity *identity, __u8 hook, struct file *file, __u32 ops,
					__u64 word)
{
	/* Trusted loads, here and in all that an open runs: the quicker ones. */
	struct object object = { (__u64)file->f_path.dentry, (__u64)file->f_path.mnt };
	__u32 open_flags = file->f_flags;
	int told = hook == HOOK_FILE_OPEN && open_flags & O_CREAT && identity->refused_create == object.dentry;
	struct act act;
	__u64 row = 0;

	begin_judgement(&act, identity);
	identity->refused_create = 0;
	int opened = open_judged_image(&act, word);

	if (opened < 0) {
		begin_access(identity, hook, ops & OP(OP_WRITE) ? OP_WRITE : OP_READ, object, open_flags);
		tell_without_image(identity);
		return -EACCES;
	}
	/* Allows: the policy was just taken away. */
	if (opened)
		return 0;
	int is_quick = hook == HOOK_FILE_OPEN && locate_quickly(&act, object, current_task());
	__u32 reason = is_quick ? REASON_ROW : locate(&act, object, &row);
	__u32 read = VERDICT_NONE, write = VERDICT_NONE;

	if (ops & OP(OP_READ))
		read = reason == REASON_ROW ? verdict_at(&act, OP_READ, act.class) : verdict_in(row, OP_READ);
	if (ops & OP(OP_WRITE))
		write = reason == REASON_ROW ? verdict_at(&act, OP_WRITE, act.class) : verdict_in(row, OP_WRITE);
	__u32 verdict = write > read ? write : read;

	/* Denies: making it was refused, and told, before the kernel looked whether it is there. It is still one open. */
	if (told && refuses(verdict))
		return -EACCES;
	/* Allows, with nothing to tell. */
	if (!reports(verdict))
		return 0;
	/* Where the verdicts come from no row, that of an earlier act is still there. */
	__u32 told_row = reason == REASON_ROW ? identity->decision.row : 0;

	begin_access(identity, hook, write > read ? OP_WRITE : OP_READ, object, open_flags);
	note_image(&act);
	identity->decision.row = told_row;
	return conclude(&act, verdict, reason) ? -EACCES : 0;
}

DECIDING_HOOK(file_open)

SEC("lsm/file_open")
int BPF_PROG(decide_file_open, struct file *file, int ret)
{
	KEEP_REFUSAL(ret);
	struct task_struct *task = current_task();
	struct bpf_local_storage *storage = storage_of(task);

	/* Allows: a host task. */
	if (!storage)
		return 0;
	__u32 ops = access_ops(file);
	/* By loads alone, where they tell: most containers have no policy. */
	__u64 head = peek_identity(storage);
	int is_known = peeked_state(head) == TASK_ARMED;
	__u64 *place = is_known ? place_of_word(peeked_container(head)) : NULL;

	/* Allows: nothing in the policy says more than "pass" to these ops, and the file can't be the agent's. */
	if (is_known && !any_live_at(place, ops) && !may_be_protected(ops != OP(OP_READ)))
		return 0;
	IDENTITY_FROM(identity_of(task), identity);

	/* Denies: the agent's own files, whatever the policy. */
	if (may_be_protected(ops != OP(OP_READ)) && opens_protected(file, ops & OP(OP_WRITE)))
		return -EPERM;
	__u64 word = place ? *(volatile __u64 *)place : word_of(identity->container);

	/* Allows: nothing in the policy says more than "pass" to these ops. */
	if (!(ops_live_of(word) & ops))
		return 0;
	/* Allows: the user's own open of this file was judged already. */
	if (is_second_open(file, task)) {
		count(COUNT_SECOND_OPENS);
		return 0;
	}
	return judge_access(identity, HOOK_FILE_OPEN, file, ops, word);
}

DECIDING_HOOK(file_receive)

/* By SCM_RIGHTS or pidfd_getfd; the receiver runs here. As if it had opened the file itself. */
SEC("lsm/file_receive")
int BPF_PROG(decide_file_receive, struct file *file, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);
	__u32 ops = access_ops(file);
	__u64 word = word_of(identity->container);

	/* Allows: nothing in the policy says more than "pass" to these ops. */
	if (!(ops_live_of(word) & ops))
		return 0;
	return judge_access(identity, HOOK_FILE_RECEIVE, file, ops, word);
}

DECIDING_HOOK(path_truncate)

SEC("lsm/path_truncate")
int BPF_PROG(decide_path_truncate, const struct path *path, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about writing. */
	if (!any_live(identity->container, OP(OP_WRITE)))
		return 0;
	return judge(identity, HOOK_PATH_TRUNCATE, OP_WRITE, object_of_path(path), 0);
}

/* Since 6.2 open with O_TRUNC and ftruncate come here; before, to path_truncate. */
DECIDING_HOOK(file_truncate)

SEC("lsm/file_truncate")
int BPF_PROG(decide_file_truncate, struct file *file, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about writing. */
	if (!any_live(identity->container, OP(OP_WRITE)))
		return 0;
	return judge(identity, HOOK_FILE_TRUNCATE, OP_WRITE, object_of_path(&file->f_path), file->f_flags);
}

/* The whole of a hook about one name in a directory: it comes into being, or goes. */
static __always_inline int judge_entry(__u8 hook, __u32 op, const struct path *directory, struct dentry *dentry)
{
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about creating, or none about deleting. */
	if (!any_live(identity->container, OP(op)))
		return 0;
	return judge(identity, hook, op, object_in(directory, dentry), 0);
}

DECIDING_HOOK(path_unlink)

SEC("lsm/path_unlink")
int BPF_PROG(decide_path_unlink, const struct path *directory, struct dentry *dentry, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_entry(HOOK_PATH_UNLINK, OP_DELETE, directory, dentry);
}

DECIDING_HOOK(path_rmdir)

/* Only an empty directory goes, so nothing below it loses its name, and no ancestor has to be guarded. */
SEC("lsm/path_rmdir")
int BPF_PROG(decide_path_rmdir, const struct path *directory, struct dentry *dentry, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_entry(HOOK_PATH_RMDIR, OP_DELETE, directory, dentry);
}

DECIDING_HOOK(path_mkdir)

SEC("lsm/path_mkdir")
int BPF_PROG(decide_path_mkdir, const struct path *directory, struct dentry *dentry, umode_t mode, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_entry(HOOK_PATH_MKDIR, OP_CREATE, directory, dentry);
}

DECIDING_HOOK(path_mknod)

/*
 * Files, pipes, devices and the names of unix sockets. Before open makes a file it asks here, so that a refused one leaves
 * nothing behind; it also asks when it has not looked yet whether the file is there (may_o_create in fs/namei.c), and
 * file_open then decides, which needs to know that a refusal was told here.
 */
SEC("lsm/path_mknod")
int BPF_PROG(decide_path_mknod, const struct path *directory, struct dentry *dentry, umode_t mode,
	     unsigned int device, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about creating. */
	if (!any_live(identity->container, OP(OP_CREATE)))
		return 0;
	if (!judge(identity, HOOK_PATH_MKNOD, OP_CREATE, object_in(directory, dentry), 0))
		return 0;
	identity->refused_create = (__u64)dentry;
	return -EACCES;
}

DECIDING_HOOK(path_symlink)

/* The link's own name. What it points to is judged under its real name by whoever follows. */
SEC("lsm/path_symlink")
int BPF_PROG(decide_path_symlink, const struct path *directory, struct dentry *dentry, const char *target, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_entry(HOOK_PATH_SYMLINK, OP_CREATE, directory, dentry);
}

static __always_inline __u16 mode_of(__u64 dentry)
{
	return BPF_CORE_READ((struct dentry *)dentry, d_inode, i_mode);
}

static __always_inline int is_directory(__u64 dentry)
{
	return (mode_of(dentry) & S_IFMT) == S_IFDIR;
}

/* A program or a directory of programs: what carries its blocked name's meaning along to a new one. */
static __always_inline int can_be_executed(__u64 dentry)
{
	return is_directory(dentry) || mode_of(dentry) & S_IXUGO;
}

/* A directory above something blocked, or a file that is blocked for someone: both would leave their rule behind. */
static __always_inline int keeps_its_name(struct place place, __u64 dentry)
{
	return place.guard & (is_directory(dentry) ? NEXT_GUARD : NEXT_GUARD_END);
}

/* What the rules say of names below the place that was looked for last. */
static __always_inline struct below below_here(struct walk_result *walk)
{
	return (struct below){ walk->leads_to & ~NEXT_GUARD_END, walk->descent.child, walk->descent.desc };
}

/* Only patterns lead to one node by several names, and only directories have something below them. */
static __always_inline int may_be_below_alike(struct act *act, __u64 dentry)
{
	return act->image.header->lexers_entry && is_directory(dentry);
}

/*
 * Whether all names below the new name, which was looked for last, are judged as they were below the old one: what a Block
 * on all files of some name guards may move to where that holds too.
 */
static __always_inline int is_below_alike(struct task_identity *names)
{
	struct below old = names->old_below, new = below_here(&names->walk);

	return old.next == new.next && old.child == new.child && old.desc == new.desc;
}

/*
 * Of an object without a path, by the row for such: the stricter of what it says about the act and, for what can be executed,
 * about executing, as the object may be a blocked program.
 */
static __always_inline __u32 unplaced_verdict(__u64 row, __u32 op, struct object object)
{
	__u32 verdict = verdict_in(row, op), exec = verdict_in(row, OP_EXEC);

	return exec > verdict && can_be_executed(object.dentry) ? exec : verdict;
}

/* Of a directory as of nobody's own: what lies in it may be somebody else's, and goes where no rule asks whose it is. */
static __always_inline __u32 leaving_verdict(struct act *act, __u32 op, __u64 dentry)
{
	return verdict_under(act, op, act->class, is_directory(dentry) ? CIRCUMSTANCES & ~IS_OWNER : CIRCUMSTANCES);
}

/*
 * Judges the old name for `op` (and as ancestor of something blocked), the new one for OP_CREATE, and refuses to give a
 * blocked program a name that is not. 0 passes, 1 refuses.
 */
static __always_inline int judge_names(struct act *act, __u32 op)
{
	struct task_identity *names = act->identity;
	__u32 blocked_exec = 0;
	__u64 row = 0;

	names->old_below.next = 0;
	act->identity->decision.op = op;
	act->identity->decision.object = names->old_name;
	act->identity->decision.object2 = names->new_name;
	__u32 reason = locate(act, names->old_name, &row);

	if (reason == REASON_ROW) {
		if (conclude(act, leaving_verdict(act, op, names->old_name.dentry), REASON_ROW))
			return 1;
		if (keeps_its_name(act->place, names->old_name.dentry)) {
			if (may_be_below_alike(act, names->old_name.dentry))
				names->old_below = below_here(&names->walk);
			else if (conclude(act, VERDICT_BLOCK, REASON_ANCESTOR))
				return 1;
		}
		__u32 exec = leaving_verdict(act, OP_EXEC, names->old_name.dentry);

		blocked_exec = (exec & ~VERDICT_SOURCE) == VERDICT_BLOCK && can_be_executed(names->old_name.dentry);
	} else if (conclude(act, unplaced_verdict(row, op, names->old_name), reason)) {
		return 1;
	}
	__u32 old_row = act->identity->decision.row;

	reason = locate(act, names->new_name, &row);
	if (names->old_below.next && (reason != REASON_ROW || !is_below_alike(names)) &&
	    conclude(act, VERDICT_BLOCK, REASON_ANCESTOR))
		return 1;
	if (reason != REASON_ROW)
		return conclude(act, blocked_exec ? VERDICT_UNKNOWN_BLOCK : verdict_in(row, OP_CREATE), reason);
	if (blocked_exec && !refuses(verdict_at(act, OP_EXEC, act->class))) {
		act->identity->decision.row2 = act->identity->decision.row;
		act->identity->decision.row = old_row;
		return conclude(act, VERDICT_BLOCK, REASON_LAUNDER);
	}
	act->identity->decision.op = OP_CREATE;
	act->identity->decision.object = names->new_name;
	act->identity->decision.object2 = names->old_name;
	return conclude(act, verdict_at(act, OP_CREATE, act->class), REASON_ROW);
}

/* Judges identity->old_name and ->new_name. Global, for its own stack: 6.1 allows 512 bytes along a chain of calls. */
__noinline int judge_move(identity_ref ref, __u32 hook, __u32 op)
{
	struct task_identity *identity = identity_at(ref);
	struct act act;

	if (!identity)
		return -EACCES;
	begin_act(&act, identity, hook, op);
	identity->decision.object = identity->old_name;
	identity->decision.object2 = identity->new_name;
	NEED_IMAGE(&act);
	return judge_names(&act, op) ? -EACCES : 0;
}

#define MOVE_OPS (OP(OP_RENAME) | OP(OP_LINK) | OP(OP_CREATE) | OP(OP_EXEC))

DECIDING_HOOK(path_rename)

SEC("lsm/path_rename")
int BPF_PROG(decide_path_rename, const struct path *old_directory, struct dentry *old_dentry,
	     const struct path *new_directory, struct dentry *new_dentry, RENAME_FLAGS int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about names or programs. */
	if (!any_live(identity->container, MOVE_OPS))
		return 0;
	identity->old_name = object_in(old_directory, old_dentry);
	identity->new_name = object_in(new_directory, new_dentry);
	if (judge_move(ref_of(identity), HOOK_PATH_RENAME, OP_RENAME))
		return -EACCES;
	if (!is_exchange(flags))
		return 0;
	/* An exchange moves both; the hook fires once. */
	identity->old_name = object_in(new_directory, new_dentry);
	identity->new_name = object_in(old_directory, old_dentry);
	return judge_move(ref_of(identity), HOOK_PATH_RENAME, OP_RENAME) ? -EACCES : 0;
}

DECIDING_HOOK(path_link)

SEC("lsm/path_link")
int BPF_PROG(decide_path_link, struct dentry *old_dentry, const struct path *new_directory,
	     struct dentry *new_dentry, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about names or programs. */
	if (!any_live(identity->container, MOVE_OPS))
		return 0;
	/* linkat refuses to cross mounts, so the old name lies in the new one's mount (fs/namei.c do_linkat). */
	identity->old_name = object_in(new_directory, old_dentry);
	identity->new_name = object_in(new_directory, new_dentry);
	return judge_move(ref_of(identity), HOOK_PATH_LINK, OP_LINK) ? -EACCES : 0;
}
