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

/* bpf_loop came with 5.17. The verifier follows every iteration: `count` times the steps of `step`. */
#define repeat(count, step, context)                                     \
	do {                                                             \
		for (__u32 repeated = 0; repeated < (count); repeated++) \
			if (step(repeated, context))                     \
				break;                                   \
	} while (0)

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

/* A function of pointers to memory can't be a global one. */
#define VERIFIED_ONCE static __always_inline

#else

#define repeat(count, step, context) bpf_loop(count, step, context, 0)

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

#endif
