/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Stub and slot: how everything that is attached can be replaced by another build's without detaching anything.
 *
 * The stub is attached once and for ever; it jumps to the program in its slot. Replacing that is one map update, without
 * an instant in which neither or both run. A stub has no code of its own that could need a change.
 */
#pragma once
#include "maps.bpf.h"
#include "tasks.bpf.h"

#define SLOT(name)                                     \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
		__uint(max_entries, 1);                \
		__type(key, __u32);                    \
		__type(value, __u32);                  \
	} slot_##name SEC(".maps")

#define STUB(section, name, refuses_if_empty)              \
	SLOT(name);                                        \
	SEC(section) int hook_##name(unsigned long long *ctx) \
	{                                                  \
		bpf_tail_call(ctx, &slot_##name, 0);       \
		count(COUNT_EMPTY_SLOT);                   \
		return refuses_if_empty && is_containers_task() ? -EACCES : 0; \
	}

static __always_inline int is_containers_task(void)
{
	struct task_identity *identity = identity_of(current_task());

	return identity && !is_host(identity->container);
}

/*
 * Decides: an empty slot refuses a container's tasks, because a half-removed installation must not be an open one. The
 * host's pass: when pins are unmounted, slots empty at once, and dozens of stubs detach one after the other.
 */
#define DECIDING_HOOK(name) STUB("lsm/" #name, name, 1)

/*
 * Follows what happens and decides nothing about it; `name` is the program's. An empty slot passes: a stub for forks that
 * refused would stop the host, and what decides still refuses.
 */
#define FOLLOWING_HOOK(section, name) STUB(section, name, 0)
