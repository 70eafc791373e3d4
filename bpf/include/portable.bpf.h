/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What 5.10 lacks, behind one name for all kernels. The sources are compiled twice; with KERNEL_5_10 the object uses only
 * what 5.10 has. LSM and tracing programs run there with preemption disabled, so that per-CPU scratch is sound; on later
 * kernels it is not, and nothing here uses any.
 *
 * Rules for all of bpf/ follow from it: loops by repeat(); the running task by current_task(), its fields by task_read() or
 * BPF_CORE_READ(); identities by tasks.bpf.h; global functions take scalars and identity_ref only.
 */
#pragma once
#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#ifdef KERNEL_5_10

/*
 * bpf_loop came with 5.17. The verifier follows every iteration: `count` times the steps of `step`. The context stays in
 * memory between them: of numbers there it knows less, so that the ways through one iteration end alike.
 */
#define repeat(count, step, context)                                     \
	do {                                                             \
		for (__u32 repeated = 0; repeated < (count); repeated++) { \
			asm volatile("" : : "r"(context) : "memory");    \
			if (step(repeated, context))                     \
				break;                                   \
		}                                                        \
	} while (0)

/* A step of repeat() that is called from more than one place: a call of its own would take stack. */
#define STEP static __always_inline long

/* What one program keeps on one CPU: nothing is preempted, so one at a time uses it. */
#define SCRATCH(name, held_type)                                  \
	struct {                                                  \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);          \
		__uint(max_entries, 1);                           \
		__type(key, __u32);                               \
		__type(value, held_type);                         \
	} name SEC(".maps");                                      \
                                                                  \
	static __always_inline held_type *the_##name(void)        \
	{                                                         \
		__u32 first = 0;                                  \
                                                                  \
		return bpf_map_lookup_elem(&name, &first);        \
	}

/* Steps that one function of a long loop takes, and how often the functions above it call the one below. */
#define STEPS_AT_ONCE 16
#define CALLS_AT_ONCE 256

/*
 * After `step`: what repeat_long(count, step, context) needs. A function that takes 16 steps is verified once, another calls
 * that one 256 times, and a third the second. Global functions take numbers, so the context lies in scratch meanwhile, where a
 * pointer to map memory becomes a number too: `revive` makes it a pointer again, or returns 1, which ends the loop.
 */
#define LONG_LOOP(step, held_type, revive)                                      \
	SCRATCH(of_##step, held_type)                                           \
	__noinline int some_##step(__u32 from)                                  \
	{                                                                       \
		held_type *held = the_of_##step();                              \
		int ended = 0;                                                  \
                                                                                \
		if (!held)                                                      \
			return 1;                                               \
		held_type context = *held;                                      \
                                                                                \
		if (revive(&context))                                           \
			return 1;                                               \
		for (__u32 i = 0; i < STEPS_AT_ONCE && !ended; i++) {           \
			asm volatile("" : : "r"(&context) : "memory");          \
			ended = !!step(from + i, &context);                     \
		}                                                               \
		*held = context;                                                \
		return ended;                                                   \
	}                                                                       \
	__noinline int more_##step(__u32 from)                                  \
	{                                                                       \
		for (__u32 i = 0; i < CALLS_AT_ONCE; i++)                       \
			if (some_##step(from + i * STEPS_AT_ONCE))              \
				return 1;                                       \
		return 0;                                                       \
	}                                                                       \
	__noinline int most_##step(void)                                        \
	{                                                                       \
		for (__u32 i = 0; i < CALLS_AT_ONCE; i++)                       \
			if (more_##step(i * STEPS_AT_ONCE * CALLS_AT_ONCE))     \
				return 1;                                       \
		return 0;                                                       \
	}

/* At least `count` times. Afterwards the context's pointers to map memory are numbers. */
#define repeat_long(count, step, context)                                       \
	do {                                                                    \
		typeof(the_of_##step()) held = the_of_##step();                 \
                                                                                \
		if (!held)                                                      \
			break;                                                  \
		*held = *(context);                                             \
		if ((count) <= STEPS_AT_ONCE * CALLS_AT_ONCE)                   \
			more_##step(0);                                         \
		else                                                            \
			most_##step();                                          \
		*(context) = *held;                                             \
	} while (0)

/* For LONG_LOOP: the context has no pointers to map memory. */
#define no_pointers(context) 0

/* More than the fixed part of any record, and than any text. */
#define RECORD_FIXED_MAX 512
#define RECORD_TEXT_MAX 8192

struct record_scratch {
	__u8 fixed[RECORD_FIXED_MAX]; /* a record begins where its text lies behind it */
	char text[RECORD_TEXT_MAX + 256];
};

SCRATCH(record, struct record_scratch)

/* A record is filled in scratch: memory of the ring would be lost between global functions. NULL never comes. */
#define reserve_record(ring, type)                                                                \
	({                                                                                        \
		struct record_scratch *scratch = the_record();                                    \
		_Static_assert(__builtin_offsetof(type, text) <= RECORD_FIXED_MAX, "fixed part"); \
		scratch ? (type *)(scratch->text - __builtin_offsetof(type, text)) : NULL;        \
	})

/* 0, or negative: the ring has no room. */
#define submit_record(ring, record) bpf_ringbuf_output(&ring, record, sizeof(*(record)), 0)

/* A position in a record's text, which the caller has compared with a lower bound: the verifier has forgotten that. */
#define bound_position(at) asm volatile("%0 &= 8191" : "+r"(at))

/* bpf_get_current_task_btf came with 5.11: fields are read, not dereferenced. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

#define task_read(task, member) BPF_CORE_READ(task, member)

/*
 * Atomic operations with a result came with 5.12. Who claims the same thing at the same moment on another CPU gets it
 * too; at each use it says what comes of that.
 */
#define claim(place, from, to)                               \
	({                                                   \
		int claimed = *(volatile typeof(*(place)) *)(place) == (from); \
		if (claimed)                                 \
			*(volatile typeof(*(place)) *)(place) = (to); \
		claimed;                                     \
	})

/* bpf_task_pt_regs came with 5.15. They lie at the end of the task's kernel stack (task_pt_regs in asm/processor.h). */
#define KERNEL_STACK_BYTES 16384

static __always_inline struct pt_regs *user_registers(struct task_struct *task)
{
	return (void *)BPF_CORE_READ(task, stack) + KERNEL_STACK_BYTES - bpf_core_type_size(struct pt_regs);
}

/* The next of a series of numbers. */
#define take_next(place) ((*(volatile typeof(*(place)) *)(place))++)

/* A function of pointers to memory can't be a global one; and where calls are deepest another would take too much stack. */
#define VERIFIED_ONCE static __always_inline

/* Parameters of hooks that came later. Before 5.19 path_rename was asked twice for an exchange. */
#define RENAME_FLAGS
#define is_exchange(flags) 0
#define IDMAP

/* What path_chown gets is structures passed by value, with which no program can be called before 6.0. */
#define OWNERS_AT_INODE 1

/* Since 5.10.162, which the agent needs, io_uring's workers are tasks as in 5.12, with a field of their own. */
struct task_struct___5_10 {
	struct io_worker *pf_io_worker;
} __attribute__((preserve_access_index));

static __always_inline struct io_worker *io_worker_of(struct task_struct *task)
{
	struct task_struct___5_10 *worker = (void *)task;

	return BPF_CORE_READ(worker, pf_io_worker);
}

#else

#define repeat(count, step, context) bpf_loop(count, step, context, 0)

#define STEP static long

#define LONG_LOOP(step, type, revive)

#define repeat_long(count, step, context) repeat(count, step, context)

#define reserve_record(ring, type) bpf_ringbuf_reserve(&ring, sizeof(type), 0)

#define submit_record(ring, record)            \
	({                                     \
		bpf_ringbuf_submit(record, 0); \
		0;                             \
	})

#define bound_position(at)

static __always_inline struct task_struct *current_task(void)
{
	return bpf_get_current_task_btf();
}

/* A load, where reading through a helper would cost a call. */
#define task_read(task, member) ((task)->member)

#define claim(place, from, to) (__sync_val_compare_and_swap(place, from, to) == (from))

static __always_inline struct pt_regs *user_registers(struct task_struct *task)
{
	return (void *)bpf_task_pt_regs(task);
}

#define take_next(place) __sync_fetch_and_add(place, 1)

/* A global function, which the verifier looks at once in a program, and not at each call. */
#define VERIFIED_ONCE __noinline

#define RENAME_FLAGS unsigned int flags,
#define is_exchange(flags) ((flags) & RENAME_EXCHANGE)
#define IDMAP void *idmap,

#define OWNERS_AT_INODE 0

static __always_inline struct io_worker *io_worker_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, worker_private);
}

#endif
