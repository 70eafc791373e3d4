/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From an object to its name: climb dentries and mounts to the root of the mount namespace. Names are hashed afterwards, from
 * the root on and only as far as a rule could care; what was read counts while nothing has been renamed or mounted since.
 *
 * Never stops at fs->root, so chroot changes nothing. rename_lock and mount_lock are sequence counters that every writer of
 * the tree holds (d_move in fs/dcache.c, lock_mount_hash in fs/namespace.c): equal and even before and after means that
 * the path existed at one instant. Nothing here takes a lock or sleeps, so it works in every hook.
 */
#pragma once
#include "maps.bpf.h"
#include "names.bpf.h"
#include "read.bpf.h"
#include "tasks.bpf.h"

/* Steps of one walk: PATH_MAX allows 2,048 names, and a mount for each. */
#define STEPS_MAX 4096
/* Names of one mount that one call of a loop's function climbs by loads. */
#define CLIMBED_AT_ONCE 4
/*
 * Tries before a walk gives up, which refuses. With loops of renames or mounts on more CPUs than the machine has, seven tries
 * of ten failed: all of 32 did so once in 50,000 walks. 5.10 follows each of them when it verifies, so there a few are tried
 * several times.
 */
#ifdef KERNEL_5_10
#define TRIES_MAX 32
#define TRIES_TIMES 8
#else
#define TRIES_MAX 256
#define TRIES_TIMES 1
#endif
/* Room for a record's text: most are short, a long path takes the second size. */
#define TEXT_SHORT 1536
#define TEXT_LONG (PATH_BYTES_MAX + ARGS_BYTES_MAX + 256)

enum walk_end {
	WALK_REACHED = 0, /* ended at the root of the task's own mount namespace */
	WALK_UNREACHABLE = 1,
	WALK_GAVE_UP = 2,
};

struct climb {
	__u64 dentry;
	__u64 mount;
	__u64 mount_root;
	__u64 namespace_root;
	__u64 left; /* the dentry that the last step climbed from */
	struct walk_result *walk;
	char *text; /* for writing names: where */
	__u32 end;
	__u32 components;
};

static __always_inline __u64 mount_of(__u64 vfsmount)
{
	return vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/*
 * The value, of which the verifier knows nothing afterwards: it then follows one way behind a loop, and not one for each
 * value that the loop may leave.
 */
static __always_inline __u32 forget(struct walk_result *walk, __u32 value)
{
	volatile __u32 *memory = &walk->forgotten;

	*memory = value;
	return *memory;
}

static __always_inline __u64 *dentry_at(struct walk_result *walk, __u32 index)
{
	asm volatile("%0 &= 63" : "+r"(index));
	return &walk->dentry[index & (COMPONENTS_MAX - 1)];
}

/*
 * Appends name and NUL to a record's text; stops with `truncated` where it may not fit. `limit` is a constant at every
 * use, and the position lies in map memory: both keep the verifier's states few.
 */
static __always_inline long append_name(struct climb *climb, __u32 limit)
{
	struct walk_result *walk = climb->walk;
	__u64 start = climb->left + bpf_core_field_offset(struct dentry, d_parent);
	__u32 at = walk->text_at;

	walk->truncated = 1;
	if (bpf_probe_read_kernel(&walk->head, __builtin_offsetof(struct dentry_head, inode), (void *)start))
		return 1;
	__u32 length = walk->head.length;

	if (length > NAME_LENGTH_MAX)
		return 1;
	if (at > limit - NAME_LENGTH_MAX - 1)
		return 1;
	asm volatile("%0 &= 255" : "+r"(length));
	bound_position(at);
	if (bpf_probe_read_kernel(climb->text + at, length, (void *)walk->head.name))
		return 1;
	climb->text[at + length] = 0;
	walk->text_at = at + length + 1;
	walk->truncated = 0;
	return 0;
}

/* A member of what the climb has come to: for casts its address still has the type that start_climb() or a step gave it. */
#define climb_read(casts, type, address, member)               \
	((casts) ? (typeof(((type *)0)->member))((type *)(address))->member : \
		   (typeof(((type *)0)->member))BPF_CORE_READ((type *)(address), member))

/* At a mount's root: go on at the place where it is mounted. Returns 1 at the end of the climb. */
static __always_inline int leave_mount(struct climb *climb, int casts)
{
	__u64 mount = climb->mount;
	__u64 parent = (__u64)climb_read(casts, struct mount, mount, mnt_parent);

	if (parent == mount) {
		climb->end = forget(climb->walk, mount == climb->namespace_root ? WALK_REACHED : WALK_UNREACHABLE);
		return 1;
	}
	climb->dentry = (__u64)climb_read(casts, struct mount, mount, mnt_mountpoint);
	climb->mount = parent;
	climb->mount_root = (__u64)climb_read(casts, struct mount, parent, mnt.mnt_root);
	return 0;
}

enum step {
	STEP_END = 1,
	STEP_MOUNT = 0, /* climbed out of a mount: no name */
	STEP_NAME = 2,  /* climb->left has the name */
};

/* Whether the climb ends at that dentry. */
static __always_inline int ends_at(struct climb *climb, __u64 dentry, __u64 parent)
{
	if (!parent)
		return 1;
	if (parent != dentry)
		return 0;
	/* A root that is not its mount's: opened by handle, or moved out of a bind mount. */
	climb->end = WALK_UNREACHABLE;
	return 1;
}

/* One step: a name, or a mount. `end` stays WALK_GAVE_UP until a root is reached. */
static __always_inline int climb_up(struct climb *climb)
{
	__u64 dentry = climb->dentry;

	if (dentry == climb->mount_root)
		return leave_mount(climb, 0);
	__u64 parent = (__u64)read_of(0, struct dentry, dentry, d_parent);

	if (ends_at(climb, dentry, parent))
		return STEP_END;
	climb->left = dentry;
	climb->dentry = parent;
	return STEP_NAME;
}

#ifdef KERNEL_5_10

/* For LONG_LOOP. */
static __always_inline int revive_climb(struct climb *climb)
{
	struct record_scratch *scratch = the_record();

	if (!scratch)
		return 1;
	climb->text = scratch->text;
	return revive_walk(&climb->walk);
}

#endif

/* Up to the root of the mount and out of it, or CLIMBED_AT_ONCE names: a loop's call costs as much as a step. */
static long cast_steps(__u32 index, struct climb *climb)
{
	__u64 dentry = climb->dentry, root = climb->mount_root;
	__u32 components = climb->components;
	int ended = 0;

#pragma unroll
	for (int i = 0; i < CLIMBED_AT_ONCE && dentry != root; i++) {
		__u64 parent = (__u64)climb_read(1, struct dentry, dentry, d_parent);

		ended = ends_at(climb, dentry, parent);
		if (ended)
			break;
		*dentry_at(climb->walk, components) = dentry;
		components++;
		dentry = parent;
	}
	climb->dentry = dentry;
	climb->components = components;
	return dentry == root ? leave_mount(climb, 1) : ended;
}

static long probe_step(__u32 index, struct climb *climb)
{
	int step = climb_up(climb);

	if (step != STEP_NAME)
		return step;
	*dentry_at(climb->walk, climb->components) = climb->left;
	climb->components++;
	return 0;
}

LONG_LOOP(probe_step, struct climb, revive_climb)

static long short_text_step(__u32 index, struct climb *climb)
{
	int step = climb_up(climb);

	return step == STEP_NAME ? append_name(climb, TEXT_SHORT) : step;
}

LONG_LOOP(short_text_step, struct climb, revive_climb)

static long long_text_step(__u32 index, struct climb *climb)
{
	int step = climb_up(climb);

	return step == STEP_NAME ? append_name(climb, TEXT_LONG) : step;
}

LONG_LOOP(long_text_step, struct climb, revive_climb)

static __always_inline void start_climb(struct climb *climb, __u64 dentry, __u64 vfsmount, int casts)
{
	__u64 mount = mount_of(vfsmount);

	/* Of the types that the loop will leave there, so that the verifier need not follow it anew. */
	if (casts) {
		dentry = (__u64)cast(struct dentry, dentry);
		mount = (__u64)cast(struct mount, mount);
	}
	climb->dentry = dentry;
	climb->mount = mount;
	climb->left = dentry;
	climb->mount_root = (__u64)climb_read(casts, struct mount, mount, mnt.mnt_root);
	climb->end = WALK_GAVE_UP;
	climb->components = 0;
}

/* Addresses from the agent, not __ksym: libbpf would have the kernel write out all its symbols for them. */
static __always_inline struct sequences read_sequences(void)
{
	__u64 rename_lock = settings.rename_lock_at, mount_lock = settings.mount_lock_at;
	struct sequences now = { .rename = 1, .mount = 1 };

	/* A load of an address that is not there reads 0, which looks settled. */
	if (CAN_CAST && rename_lock && mount_lock) {
		now.rename = *(volatile __u32 *)&cast(struct seqcount, rename_lock)->sequence;
		now.mount = *(volatile __u32 *)&cast(struct seqcount, mount_lock)->sequence;
		return now;
	}
	/* A failed read counts as odd: never settled. (The helper writes 0 then.) */
	if (bpf_probe_read_kernel(&now.rename, 4, (void *)rename_lock))
		now.rename = 1;
	if (bpf_probe_read_kernel(&now.mount, 4, (void *)mount_lock))
		now.mount = 1;
	return now;
}

/* About eight milliseconds for each try: a hypervisor that took the writer's CPU away has given it back by then, as a rule. */
#define WAITS_MAX (1 << 17)

static long wait_even(__u32 index, struct sequences *now)
{
	*now = read_sequences();
	return !((now->rename | now->mount) & 1);
}

LONG_LOOP(wait_even, struct sequences, no_pointers)

static __always_inline int settled(struct sequences before, struct sequences after)
{
	return before.rename == after.rename && before.mount == after.mount &&
	       !((before.rename | before.mount) & 1);
}

/* Whether the tree is still as it was when the path was walked: what was read since then belongs to that path. */
static __always_inline int walk_holds(struct walk_result *walk)
{
	return settled(walk->sequences, read_sequences());
}

#ifdef KERNEL_5_10

/* Names are read as part of the walk: around what comes after it, a loop of tries would be too long for the verifier. */
#define NAMES_READ_EARLY 1

static long read_name(__u32 index, struct walk_result **context)
{
	struct walk_result *walk = *context;

	if (index >= walk->components)
		return 1;
	__u64 component = hash_dentry(*dentry_at(walk, index));

	walk->component[index & (COMPONENTS_MAX - 1)] = component;
	if (!component)
		walk->descent.unread = 1;
	return 0;
}

/* Whether all names could be read. Global: verified once. */
__noinline int read_names(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return 0;
	struct walk_result *walk = &identity->walk;

	walk->descent.unread = 0;
	repeat(COMPONENTS_MAX, read_name, &walk);
	return !walk->descent.unread;
}

static __always_inline int walk_counts(struct walk_result *walk, __u32 end)
{
	return (end != WALK_REACHED || read_names(walk->owner)) && walk_holds(walk);
}

static __always_inline __u64 component_at(struct walk_result *walk, __u32 index, __u64 dentry)
{
	asm volatile("%0 &= 63" : "+r"(index));
	return walk->component[index & (COMPONENTS_MAX - 1)];
}

#else

/* Names are read when they are needed, and walk_holds() then says whether they are those of the path that was reached. */
#define NAMES_READ_EARLY 0

static __always_inline int walk_counts(struct walk_result *walk, __u32 end)
{
	return end == WALK_REACHED || walk_holds(walk);
}

/* Component hash of a walk's name, which is that dentry's. */
static __always_inline __u64 component_at(struct walk_result *walk, __u32 index, __u64 dentry)
{
	return hash_dentry(&walk->head, dentry);
}

#endif

struct walk_try {
	struct walk_result *walk;
	__u64 namespace_root;
	__u32 end;
	__u32 _pad;
};

/* Settled ones as a rule, where the tree does not change all the time. */
static __always_inline struct sequences await_sequences(void)
{
	struct sequences now = read_sequences();

	if ((now.rename | now.mount) & 1)
		repeat_long(WAITS_MAX, wait_even, &now);
	return now;
}

/* Notes what a climb that began under those sequences has come to. */
static __always_inline void note_climb(struct walk_result *walk, struct climb *climb, struct sequences before)
{
	walk->components = climb->components;
	walk->sequences = before;
}

/*
 * Walks once; returns 1 when the result counts. That of a path which was reached is for walk_holds() to say, when its names
 * have been read.
 */
STEP try_walk(__u32 index, struct walk_try *try)
{
	struct sequences before = await_sequences();
	struct climb climb;

	climb.walk = try->walk;
	climb.namespace_root = try->namespace_root;
	if (CAN_CAST) {
		start_climb(&climb, try->walk->object.dentry, try->walk->object.vfsmount, 1);
		repeat(STEPS_MAX, cast_steps, &climb);
	} else {
		start_climb(&climb, try->walk->object.dentry, try->walk->object.vfsmount, 0);
		repeat_long(STEPS_MAX, probe_step, &climb);
	}
	note_climb(try->walk, &climb, before);
	if (walk_counts(try->walk, climb.end)) {
		try->end = climb.end;
		return 1;
	}
	count(COUNT_WALK_RETRIES);
	return 0;
}

/* The same in line, once, for what runs most often where CAN_CAST: whether a path was reached, of which walk_holds() has the last word. */
static __always_inline int reaches_root(struct walk_result *walk, struct object object, __u64 namespace_root)
{
	struct sequences before = read_sequences();
	struct climb climb = { .walk = walk, .namespace_root = namespace_root };

	/* Who tells of the object, or asks whose it is, looks whether it was walked. */
	walk->object = object;
	start_climb(&climb, object.dentry, object.vfsmount, 1);
	if (!cast_steps(0, &climb))
		repeat(STEPS_MAX, cast_steps, &climb);
	note_climb(walk, &climb, before);
	return climb.end == WALK_REACHED;
}

/* climb_to_root() with TRIES_MAX tries. Global: verified once. */
__noinline int try_climbing(identity_ref ref, __u64 namespace_root)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return WALK_GAVE_UP;
	struct walk_try try = { .walk = &identity->walk, .namespace_root = namespace_root, .end = WALK_GAVE_UP };

	/* The first try nearly always counts, and costs less outside of a loop. */
	if (!try_walk(0, &try))
		repeat(TRIES_MAX - 1, try_walk, &try);
	return try.end;
}

/*
 * Finds the names of identity->walk.object, as seen from the mount namespace with that root. Returns WALK_REACHED, or why
 * it has none. A path that was reached existed at one instant, and its names are its own, if walk_holds() after they were
 * read.
 */
static __always_inline int climb_to_root(identity_ref ref, __u64 namespace_root)
{
	int end = try_climbing(ref, namespace_root);

	for (int i = 1; i < TRIES_TIMES && end == WALK_GAVE_UP; i++)
		end = try_climbing(ref, namespace_root);
	return end;
}

static __always_inline struct mnt_namespace *mounts_of(struct task_struct *task)
{
	struct nsproxy *namespaces = task_read(untrusted(struct task_struct, task), nsproxy);

	return task_read(namespaces, mnt_ns);
}

static __always_inline __u64 root_mount_of(struct task_struct *task)
{
	return address_of(task_read(mounts_of(task), root));
}

static long fold_step(__u32 index, struct walk_result **context)
{
	struct walk_result *walk = *context;

	if (index >= walk->components)
		return 1;
	__u64 dentry = *dentry_at(walk, index);

	walk->path_hash = fold_component(walk->path_hash, component_at(walk, index, dentry));
	walk->bytes += read_any(struct dentry, dentry, d_name.len) + 1;
	return 0;
}

/* Fills path_hash and bytes of the path that was walked. Of more than COMPONENTS_MAX names those next to the root count. */
static __always_inline void hash_path(struct walk_result *walk)
{
	walk->path_hash = settings.keys.a[67];
	walk->bytes = 0;
	repeat(COMPONENTS_MAX, fold_step, &walk);
	if (walk->components <= COMPONENTS_MAX)
		return;
	/* Such a path equals none that a rule can name. */
	walk->path_hash = fold_component(walk->path_hash, walk->components);
	walk->bytes = PATH_BYTES_MAX;
}

/* The same, where that counts: the tree has not changed since the walk. */
static __always_inline int hash_settled_path(struct walk_result *walk)
{
	hash_path(walk);
	if (NAMES_READ_EARLY || walk_holds(walk))
		return 1;
	count(COUNT_WALK_RETRIES);
	return 0;
}

struct hashed_walk {
	struct task_identity *identity;
	__u64 namespace_root;
	__u32 end;
	__u32 _pad;
};

STEP try_hashed_walk(__u32 index, struct hashed_walk *try)
{
	try->end = climb_to_root(ref_of(try->identity), try->namespace_root);
	if (try->end != WALK_REACHED || hash_settled_path(&try->identity->walk))
		return 1;
	try->end = WALK_GAVE_UP;
	return 0;
}

/* Walks the object's path as the task sees it, with the path's hash; both of one instant. Returns as climb_to_root(). */
static __always_inline int walk_hashed(struct task_identity *identity, struct object object, struct task_struct *task)
{
	struct hashed_walk try = {
		.identity = identity,
		.namespace_root = root_mount_of(task),
		.end = WALK_GAVE_UP,
	};

	identity->walk.object = object;
	repeat(TRIES_MAX, try_hashed_walk, &try);
	return try.end;
}

/* How long the names of what was walked and hashed last may be. */
static __always_inline __u32 walked_bytes(struct walk_result *walk, int end)
{
	/* Without a path nothing was counted. */
	return end == WALK_REACHED ? walk->bytes : PATH_BYTES_MAX;
}

static __always_inline struct object object_of_file(struct file *file)
{
	return (struct object){ (__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt) };
}

/* What a task has open under that number, or NULL. */
static __always_inline struct file *file_of(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}
