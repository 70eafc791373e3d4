/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every deciding hook shares: whether a task is judged at all, and the judgement of an object.
 */
#pragma once
#include "emit.bpf.h"
#include "identity.bpf.h"
#include "image.bpf.h"
#include "maps.bpf.h"
#include "path.bpf.h"
#include "slot.bpf.h"

/* An earlier BPF program's refusal stands. The bounds are what the verifier accepts from an LSM program. */
#define KEEP_REFUSAL(ret)                                  \
	do {                                               \
		if (ret)                                   \
			return (ret) < 0 && (ret) >= -ERRNO_MAX ? (ret) : -EACCES; \
	} while (0)

#define SB_KERNMOUNT (1UL << 22)
#define SB_NOUSER (1UL << 31)
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_IXUGO 0111

/* One act under judgement. */
struct act {
	struct task_identity *identity;
	struct image image;
	struct place place;
	__u32 class; /* of the caller's executable */
};

/* Declares the identity of the task under judgement. Ends the hook, and allows: a host task; a runtime that sets its container up. */
#define JUDGED_IDENTITY(identity) IDENTITY_FROM(current_identity(), identity)

/* The same, of the identity that `current` reads. */
#define IDENTITY_FROM(current, identity)                       \
	struct task_identity *identity = current;              \
	do {                                                   \
		if (!identity || identity->state != TASK_ARMED) \
			return 0;                              \
	} while (0)

static __always_inline __u64 *place_of_word(__u32 container)
{
	return bpf_map_lookup_elem(&containers, &container);
}

static __always_inline int any_live_at(__u64 *place, __u32 ops)
{
	/* As word_of(), with one constant less. */
	return place && ops_live_of(*(volatile __u64 *)place) & ops;
}

/* Whether any rule or posture of the container's image could say more than "pass" to one of these op classes. */
static __always_inline int any_live(__u32 container, __u32 ops)
{
	return any_live_at(place_of_word(container), ops);
}

#define OP(class) (1u << (class))

static __always_inline void begin_decision(struct task_identity *identity, __u8 hook, __u8 op)
{
	struct decision *decision = &identity->decision;

	__builtin_memset(decision, 0, sizeof(*decision));
	decision->hook = hook;
	decision->op = op;
}

static __always_inline void begin_judgement(struct act *act, struct task_identity *identity)
{
	act->identity = identity;
	act->place.row = 0;
	act->place.guard = 0;
	act->class = 0;
}

static __always_inline void begin_act(struct act *act, struct task_identity *identity, __u8 hook, __u8 op)
{
	begin_judgement(act, identity);
	begin_decision(identity, hook, op);
	/* What was told of a name that was not made counts for the open that asked for it, which comes next. */
	identity->refused_create = 0;
}

/* Reports what the verdict asks for; 0 passes, 1 refuses. */
static __always_inline int conclude(struct act *act, __u32 verdict, __u8 reason)
{
	/* NONE and ALLOW: the policy lets this pass, and has nothing to tell. */
	if (!reports(verdict))
		return 0;
	act->identity->decision.verdict = verdict;
	act->identity->decision.reason = reason;
	return emit_decision(act->identity);
}

/* What the record, and who may refuse, has to know of the image. */
static __always_inline void note_image(struct act *act)
{
	act->identity->decision.generation = generation_of(act->image.word);
	act->identity->decision.image_flags = act->image.header->flags;
}

/* Opens the image that `word`, the container's a moment ago, names, or its next. Returns as open_image(). */
static __always_inline int open_judged_image(struct act *act, __u64 word)
{
	int opened = open_image(word, act->identity->container, &act->image);

	if (!opened)
		act->class = source_class(&act->image, act->identity->exe);
	return opened;
}

/* Reports a refusal: the container has a policy, and no complete image says what it is. */
static __always_inline void tell_without_image(struct task_identity *identity)
{
	count(COUNT_IMAGE_MISSING);
	identity->decision.verdict = VERDICT_UNKNOWN_BLOCK;
	identity->decision.reason = REASON_IMAGE;
	emit_unwalked(identity);
}

/*
 * Opens the container's image. Returns 0, 1 when its policy was just taken away, or -1 when the act is refused, and that
 * reported.
 */
static __always_inline int open_act_image(struct act *act)
{
	int opened = open_judged_image(act, word_of(act->identity->container));

	if (opened < 0)
		tell_without_image(act->identity);
	else if (!opened)
		note_image(act);
	return opened;
}

/* Ends a hook whose image could not be opened: allows when there is no policy any more, denies otherwise. */
#define NEED_IMAGE(act)                                       \
	do {                                                  \
		int opened = open_act_image(act);             \
		if (opened)                                   \
			return opened < 0 ? -EACCES : 0;      \
	} while (0)

/* An object of the kernel's own file systems, in a mount that nobody can see: memfd, pipe, socket, message queue. */
static __always_inline int is_anonymous(struct object object)
{
	struct dentry *dentry = (void *)object.dentry;
	struct mount *mount = (void *)mount_of(object.vfsmount);
	__u64 namespace = (__u64)BPF_CORE_READ(mount, mnt_ns);

	if (namespace && namespace < (__u64)-ERRNO_MAX)
		return 0;
	return !!(BPF_CORE_READ(dentry, d_sb, s_flags) & (SB_KERNMOUNT | SB_NOUSER));
}

/* A file in a mount that only the kernel holds (MNT_NS_INTERNAL) and of no pseudo file system: one of overlayfs' layers. */
static __always_inline int is_layer_file(struct file *file)
{
	struct mount *mount = (void *)mount_of((__u64)file->f_path.mnt);

	if (file->f_inode->i_sb->s_flags & (SB_KERNMOUNT | SB_NOUSER))
		return 0;
	return (__u64)BPF_CORE_READ(mount, mnt_ns) >= (__u64)-ERRNO_MAX;
}

/* Keeps what find_place() has found. Returns 0 where that is nothing. */
static __always_inline int keep_place(struct act *act, __u64 found)
{
	act->place.row = found;
	act->place.guard = found >> 32 & (NEXT_GUARD | NEXT_GUARD_END);
	return !!found;
}

struct locating {
	struct act *act;
	struct object object;
	__u32 end;
	__u32 _pad;
};

/* Walks, and finds the place; returns 1 when the result counts. */
STEP try_locate(__u32 index, struct locating *locating)
{
	struct act *act = locating->act;

	__u32 end = walk_named(act->identity, locating->object), ended = 1;

	if (end == WALK_REACHED && !keep_place(act, find_place(ref_of(act->identity), act->image.word))) {
		count(COUNT_WALK_RETRIES);
		end = WALK_GAVE_UP;
		ended = 0;
	}
	locating->end = forget(&act->identity->walk, end);
	return ended;
}

/*
 * Finds the object's place in the image. Returns REASON_ROW when act->place is its; otherwise the reason why it has no
 * path, with the row for such objects in *row.
 */
static __always_inline __u32 locate(struct act *act, struct object object, __u64 *row)
{
	struct locating locating = { .act = act, .object = object, .end = WALK_GAVE_UP };

	/* Nearly always the only try, which costs less outside of a loop. */
	if (!try_locate(0, &locating))
		repeat(TRIES_MAX - 1, try_locate, &locating);
	__u32 end = locating.end;

	if (end == WALK_REACHED)
		return REASON_ROW;
	if (end == WALK_UNREACHABLE && is_anonymous(object)) {
		*row = act->image.header->anonymous;
		return REASON_UNREACHABLE;
	}
	count(end == WALK_GAVE_UP ? COUNT_GAVE_UP : COUNT_UNREACHABLE);
	*row = act->image.header->unreachable;
	return end == WALK_GAVE_UP ? REASON_GAVE_UP : REASON_UNREACHABLE;
}

/*
 * The first try of locate() in line, by trusted loads, for what runs most often; lexers would make it too long for the
 * verifier. Returns 1 when act->place is the object's: nearly always; otherwise locate() tells, from the beginning.
 */
static __always_inline int locate_quickly(struct act *act, struct object object, struct task_struct *task)
{
	struct task_identity *identity = act->identity;

	if (!CAN_CAST)
		return 0;
	struct mnt_namespace *mounts = task->nsproxy->mnt_ns;

	if (!reaches_root(&identity->walk, object, address_of(mounts->root)) || is_astray(identity, mounts))
		return 0;
	return keep_place(act, act->image.header->lexers_entry ? find_place(ref_of(identity), act->image.word) :
							 settled_place_in(&act->image, &identity->walk, 0));
}

/*
 * Whether the object that was walked last is the running task's own: by the uid that it acts with, and by the owner that the
 * file system itself knows, whatever an idmapped mount shows. What has a name only is its directory's owner's. What can't
 * be read is nobody's. Global: verified once.
 */
__noinline int owns_object(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);
	__u32 owner = 0;

	if (!identity)
		return 0;
	struct dentry *dentry = (void *)identity->walk.object.dentry;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (!inode)
		inode = BPF_CORE_READ(dentry, d_parent, d_inode);
	if (!inode || bpf_core_read(&owner, sizeof(owner), &inode->i_uid.val))
		return 0;
	return owner == BPF_CORE_READ(current_task(), cred, fsuid.val);
}

/* Which of the circumstances `asked` are given. Global: verified once. */
__noinline int circumstances(identity_ref ref, __u32 asked)
{
	__u32 given = 0;

	if (asked & IS_OWNER && owns_object(ref))
		given |= IS_OWNER;
	if (asked & NO_TERMINAL && !BPF_CORE_READ(current_task(), signal, tty))
		given |= NO_TERMINAL;
	return given & CIRCUMSTANCES;
}

/* The verdict of a row for one op class; remembers the row. What can't be read refuses. */
static __always_inline __u32 verdict_of_row(struct act *act, __u32 index, __u32 op, __u64 *row)
{
	act->identity->decision.row = index;
	if (read_row(&act->image, index, row)) {
		count(COUNT_IMAGE_MISSING);
		return VERDICT_UNKNOWN_BLOCK;
	}
	return verdict_in(*row, op);
}

/*
 * The verdict of the act's place for one op class and source class; remembers the row. `counting`, of CIRCUMSTANCES: all others
 * are taken for not given, which is the strictest.
 */
static __always_inline __u32 verdict_under(struct act *act, __u32 op, __u32 class, __u32 counting)
{
	__u32 index = row_index(act->place.row, class);
	__u64 row = 0;
	__u32 verdict = verdict_of_row(act, index, op, &row);
	__u32 given = row >> ROW_CIRCUMSTANCES & counting;

	if (given)
		given = circumstances(ref_of(act->identity), given);
	if (!given)
		return verdict;
	return verdict_of_row(act, index + given * (act->image.header->sources + 1), op, &row);
}

static __always_inline __u32 verdict_at(struct act *act, __u32 op, __u32 class)
{
	return verdict_under(act, op, class, CIRCUMSTANCES);
}

/* Judges one object for one op class by the caller's executable. 0 passes, 1 refuses. Tail of most file hooks. */
static __always_inline int judge_object(struct act *act, struct object object, __u32 op)
{
	__u64 row = 0;

	act->identity->decision.object = object;
	act->identity->decision.op = op;
	__u32 reason = locate(act, object, &row);
	__u32 verdict = reason == REASON_ROW ? verdict_at(act, op, act->class) : verdict_in(row, op);

	return conclude(act, verdict, reason);
}

/* The whole of a hook that judges one object: image, place, verdict. Returns the hook's value. */
static __always_inline int judge(struct task_identity *identity, __u8 hook, __u32 op, struct object object,
				 __u32 open_flags)
{
	struct act act;

	begin_act(&act, identity, hook, op);
	act.identity->decision.open_flags = open_flags;
	act.identity->decision.object = object;
	NEED_IMAGE(&act);
	return judge_object(&act, object, op) ? -EACCES : 0;
}

static __always_inline struct object object_of_path(const struct path *path)
{
	const struct path *read = untrusted(struct path, path);

	return (struct object){ (__u64)read->dentry, (__u64)read->mnt };
}

static __always_inline struct object object_in(const struct path *directory, struct dentry *dentry)
{
	return (struct object){ (__u64)dentry, (__u64)untrusted(struct path, directory)->mnt };
}
