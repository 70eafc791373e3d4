/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where identities are kept: with the task, and gone when the task is. Only tasks of containers have one, and those of the host
 * while a host policy is in force.
 *
 * An identity_ref names an identity to a global function: a pointer, or, on 5.10, whose global functions take scalars only,
 * the key to look it up again.
 */
#pragma once
#include "maps.bpf.h"
#include "read.bpf.h"

/* Tasks of containers at a time, where they are kept by address. One more, and its fork fails. */
#define TASKS_MAX 262144

/*
 * key: address of the task_struct, which is the task's as long as it lives (a thread that execs changes its id). On 5.10, which
 * has no task storage, and on kernels where a look-up there finds nothing while another task was preempted in there on this
 * CPU (see is_kept_by_address): what can't be read can't be judged, and look-ups here never fail. Not preallocated: an entry
 * that is removed while another program reads it stays whole until the reader is done. Removed in lsm/task_free, which is the
 * end of every task, one whose fork failed too. Elsewhere the agent gives it a single entry, and nothing uses it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TASKS_MAX);
	__type(key, __u64);
	__type(value, struct task_identity);
} tasks_by_address SEC(".maps");

/* What an entry there begins as; too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_identity);
} new_task SEC(".maps");

/* Made when there is none. NULL: no memory, or no room. */
static __always_inline struct task_identity *make_identity_by_address(__u64 address)
{
	__u32 first = 0;
	struct task_identity *empty = bpf_map_lookup_elem(&new_task, &first);

	if (!empty)
		return NULL;
	/* Fails where there is one already, which is then found. */
	bpf_map_update_elem(&tasks_by_address, &address, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tasks_by_address, &address);
}

#ifdef KERNEL_5_10

/* The agent pins it with the others. Nothing is kept with a task here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tasks SEC(".maps");

typedef __u64 identity_ref;

static __always_inline struct task_identity *identity_at(identity_ref ref)
{
	return bpf_map_lookup_elem(&tasks_by_address, &ref);
}

static __always_inline identity_ref ref_of(struct task_identity *identity)
{
	return identity->walk.owner;
}

/* An identity by its address, where the verifier has forgotten what lies there: 1 when it is gone. */
static __always_inline int revive_identity(struct task_identity **identity)
{
	identity_ref ref = 0;

	bpf_probe_read_kernel(&ref, sizeof(ref), (void *)*identity + __builtin_offsetof(struct task_identity, walk.owner));
	*identity = identity_at(ref);
	return !*identity;
}

/* The same for the walk of one. */
static __always_inline int revive_walk(struct walk_result **walk)
{
	struct task_identity *identity = (void *)*walk - __builtin_offsetof(struct task_identity, walk);

	if (revive_identity(&identity))
		return 1;
	*walk = &identity->walk;
	return 0;
}

static __always_inline struct task_identity *identity_of(struct task_struct *task)
{
	return identity_at((__u64)task);
}

static __always_inline struct task_identity *make_identity_at(identity_ref ref)
{
	struct task_identity *identity = make_identity_by_address(ref);

	if (identity)
		identity->walk.owner = ref;
	return identity;
}

static __always_inline struct task_identity *make_identity(struct task_struct *task)
{
	return make_identity_at((__u64)task);
}

static __always_inline void drop_identity(struct task_struct *task)
{
	__u64 ref = (__u64)task;

	bpf_map_delete_elem(&tasks_by_address, &ref);
}

/* Scratch of the iterator, of which one runs at a time: no task_struct lies at this address. */
static __always_inline struct task_identity *found_identity(void)
{
	return make_identity_at(1);
}

/* Scratch for a record about a task that has no identity. */
static __always_inline struct task_identity *borrowed_identity(void)
{
	return make_identity_at(2);
}

static __always_inline int is_new(struct task_struct *task)
{
	drop_identity(task);
	return !identity_of(task);
}

static __always_inline struct task_identity *quick_identity_of(struct task_struct *task)
{
	return identity_of(task);
}

/* The identity of the running task, or NULL: not in a container. */
static __always_inline struct task_identity *current_identity(void)
{
	return identity_of(current_task());
}

#else

/* key: task. Written by identity.bpf.c; `walk` and `decision` are the scratch of whoever judges, always the task itself. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_identity);
} tasks SEC(".maps");

/* Came with 6.2, as did look-ups that never fail (__bpf_task_storage_get in kernel/bpf/bpf_task_storage.c). */
enum bpf_func_id___6_2 { BPF_FUNC_cgrp_storage_get___6_2 = 210 };

/* The loader settles it, so the verifier follows one of the two ways, and only that one runs. */
static __always_inline int is_kept_by_address(void)
{
	return !bpf_core_enum_value_exists(enum bpf_func_id___6_2, BPF_FUNC_cgrp_storage_get___6_2);
}

/* Scratch of the iterator, of which one runs at a time: a found task may be using its own. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_identity);
} found_task SEC(".maps");

typedef struct task_identity *identity_ref;

static __always_inline struct task_identity *identity_at(identity_ref ref)
{
	return ref;
}

static __always_inline identity_ref ref_of(struct task_identity *identity)
{
	return identity;
}

/* Without making one. NULL for a host task. */
static __always_inline struct task_identity *identity_of(struct task_struct *task)
{
	__u64 address = (__u64)task;

	if (is_kept_by_address())
		return bpf_map_lookup_elem(&tasks_by_address, &address);
	return bpf_task_storage_get(&tasks, task, NULL, 0);
}

/* The task's, made when it has none. NULL: no memory, or no room. */
static __always_inline struct task_identity *make_identity(struct task_struct *task)
{
	if (is_kept_by_address())
		return make_identity_by_address((__u64)task);
	return bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Where identities are kept by address; what is kept with a task goes with it. */
static __always_inline void drop_identity(struct task_struct *task)
{
	__u64 address = (__u64)task;

	if (is_kept_by_address())
		bpf_map_delete_elem(&tasks_by_address, &address);
}

/*
 * Whether a task that is being made has no identity, as it should be. It could be one of the task that had its address: a hash map
 * refuses to remove an entry while an interrupted program changes the same bucket.
 */
static __always_inline int is_new(struct task_struct *task)
{
	if (!is_kept_by_address() || !identity_of(task))
		return 1;
	drop_identity(task);
	return !identity_of(task);
}

static __always_inline struct task_identity *found_identity(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&found_task, &first);
}

/* Scratch for a record about a task that has no identity; one at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_identity);
} borrowed_task SEC(".maps");

static __always_inline struct task_identity *borrowed_identity(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&borrowed_task, &first);
}

/* As identity_of(). A host's task has nothing stored with it, which one load tells. */
static __always_inline struct task_identity *quick_identity_of(struct task_struct *task)
{
	if (!is_kept_by_address() && !untrusted(struct task_struct, task)->bpf_storage)
		return NULL;
	return identity_of(task);
}

/* The identity of the running task, or NULL: not in a container. */
static __always_inline struct task_identity *current_identity(void)
{
	return quick_identity_of(current_task());
}

#endif

/* Whether an index is the node's own. */
static __always_inline int is_host(__u32 container)
{
	return container >= HOST_CONTAINER;
}

/*
 * Keeps what only some kernels run in a place of its own, which the others' verifier leaves out together with the test: where both
 * ways lead to one instruction, the test stays.
 */
#define APART(value) asm volatile("" : "+r"(value))

/*
 * What is stored with the task, for what runs most often; NULL: nothing, so it has no identity. A trusted load: some 20
 * instructions less each time than quick_identity_of(), and several million more when it is loaded. Where identities are kept
 * elsewhere, an address that is none.
 */
static __always_inline struct bpf_local_storage *storage_of(struct task_struct *task)
{
	struct bpf_local_storage *none = (void *)1;

#ifdef KERNEL_5_10
	return none;
#else
	if (is_kept_by_address()) {
		APART(none);
		return none;
	}
	return task_read(task, bpf_storage);
#endif
}

/*
 * The first eight bytes of a task's identity by loads alone, where these find them: the helper costs thrice as much. 0: not
 * known. Of what is stored with a task the kernel keeps at hand what was looked up, at a place for each map, in bpf_local_storage.cache,
 * with which that begins; read under RCU, as the helper does. The first place is ours, unless other programs stored something with
 * tasks before. The structures are the kernel's own affair: where a later one has something else there, it does not begin with
 * our map's address.
 */
static __always_inline __u64 peek_identity(struct bpf_local_storage *storage)
{
	__u64 unknown = 0;

#ifdef KERNEL_5_10
	return unknown;
#else
	if (__builtin_expect(!CAN_CAST, 0)) {
		APART(unknown);
		return unknown;
	}
	/*
	 * struct bpf_local_storage_data: the map that it is of, and behind it the value. Read as a structure of two numbers, as not all
	 * kernels let a program read an array of bytes as one, and what is read as a pointer stays one since 6.17.
	 */
	struct timespec64 *data = cast(struct timespec64, *(__u64 *)storage);

	return (__u64)data->tv_sec == (__u64)&tasks ? (__u64)data->tv_nsec : 0;
#endif
}

static __always_inline __u32 peeked_container(__u64 head)
{
	return head;
}

static __always_inline __u32 peeked_state(__u64 head)
{
	head >>= 32;
	/* Two constants of 64 bits, if clang could choose. */
	asm volatile("" : "+r"(head));
	return head & 0xff;
}
