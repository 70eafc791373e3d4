/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where identities are kept: with the task, and gone when the task is. Only tasks of containers have one.
 *
 * An identity_ref names an identity to a global function: a pointer, or, on 5.10, whose global functions take scalars only,
 * the key to look it up again.
 */
#pragma once
#include "maps.bpf.h"
#include "read.bpf.h"

#ifdef KERNEL_5_10

/* Tasks of containers at a time. One more, and its fork fails. */
#define TASKS_MAX 65536

/*
 * key: address of the task_struct, which is the task's as long as it lives (a thread that execs changes its id). Task storage
 * came with 5.11. Not preallocated: an entry that is removed while another program reads it stays whole until the reader
 * is done. Removed in lsm/task_free, which is the end of every task, one whose fork failed too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TASKS_MAX);
	__type(key, __u64);
	__type(value, struct task_identity);
} tasks SEC(".maps");

/* What an entry begins as; too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_identity);
} new_task SEC(".maps");

typedef __u64 identity_ref;

static __always_inline struct task_identity *identity_at(identity_ref ref)
{
	return bpf_map_lookup_elem(&tasks, &ref);
}

static __always_inline identity_ref ref_of(struct task_identity *identity)
{
	return identity->walk.owner;
}

static __always_inline struct task_identity *identity_of(struct task_struct *task)
{
	return identity_at((__u64)task);
}

static __always_inline struct task_identity *make_identity_at(identity_ref ref)
{
	__u32 first = 0;
	struct task_identity *empty = bpf_map_lookup_elem(&new_task, &first);

	if (!empty)
		return NULL;
	/* Fails where there is one already, which is then found. */
	bpf_map_update_elem(&tasks, &ref, empty, BPF_NOEXIST);
	struct task_identity *identity = bpf_map_lookup_elem(&tasks, &ref);

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

	bpf_map_delete_elem(&tasks, &ref);
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

/* An identity can always be read. */
static __always_inline int reads_may_fail(void)
{
	return 0;
}

static __always_inline int has_storage(struct task_struct *task)
{
	return 0;
}

/* The identity of the running task, or NULL: not in a container. */
static __always_inline struct task_identity *current_identity(void)
{
	return identity_of(current_task());
}

static __always_inline struct task_identity *current_identity_quickly(void)
{
	return current_identity();
}

#else

/* key: task. Written by identity.bpf.c; `walk` and `decision` are the scratch of whoever judges, always the task itself. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_identity);
} tasks SEC(".maps");

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

/* Without making one. NULL for a host task; on 6.1 also now and then while another task uses storage on this CPU. */
static __always_inline struct task_identity *identity_of(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, NULL, 0);
}

/* The task's, made when it has none. NULL: no memory. */
static __always_inline struct task_identity *make_identity(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void drop_identity(struct task_struct *task)
{
	bpf_task_storage_delete(&tasks, task);
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

/* Came with 6.2, as did look-ups that never fail (__bpf_task_storage_get in kernel/bpf/bpf_task_storage.c). */
enum bpf_func_id___6_2 { BPF_FUNC_cgrp_storage_get___6_2 = 210 };

/* Whether "none" may also mean that another task uses storage on this CPU. */
static __always_inline int reads_may_fail(void)
{
	return !bpf_core_enum_value_exists(enum bpf_func_id___6_2, BPF_FUNC_cgrp_storage_get___6_2);
}

/* Whether some program has stored something with the running task. One load, so it is asked before the storage itself. */
static __always_inline int has_storage(struct task_struct *task)
{
	return untrusted(struct task_struct, task)->bpf_storage != NULL;
}

/* The identity of the running task, or NULL: not in a container. */
static __always_inline struct task_identity *current_identity(void)
{
	struct task_struct *task = current_task();

	return has_storage(task) ? identity_of(task) : NULL;
}

/* The same for what runs most often: some 20 instructions less each time, and several million more when it is loaded. */
static __always_inline struct task_identity *current_identity_quickly(void)
{
	struct task_struct *task = current_task();

	return task_read(task, bpf_storage) ? identity_of(task) : NULL;
}

#endif
