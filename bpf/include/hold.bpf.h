/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A container that no one has described yet: its arming exec waits.
 *
 * The exec is asked about before the point of no return. It gets a stop signal, which from the kernel stops also the first
 * process of a pid namespace, and fails with the code that has the kernel repeat the system call once the signal has been
 * dealt with. So the process stops on its way out of execve, and when it is continued, by whomever, it executes anew and
 * is asked anew: it waits again, or is judged like any other exec, by the image that is there now. It has not run an
 * instruction meanwhile, and no program but this one knows that it waited.
 */
#pragma once
#include "emit.bpf.h"
#include "identity.bpf.h"

#define SIGSTOP 19
/* The kernel's own (include/linux/errno.h); user space never sees it while a signal is pending. */
#define ERESTARTNOINTR 513

static __always_inline void tell_held(struct task_struct *task, struct task_identity *identity)
{
	struct held_event *event = bpf_ringbuf_reserve(&ring_alerts, sizeof(*event), 0);

	/* The survey finds it again. */
	if (!event) {
		count(COUNT_NOTICES_LOST);
		return;
	}
	fill_header(&event->header, EVENT_HELD, task, identity);
	event->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	bpf_ringbuf_submit(event, 0);
}

/* What applies to a container of this word that no one has described; PENDING_HOLD while the agent is about to describe it. */
static __always_inline __u32 pending_mode_of(__u64 word)
{
	__u32 first = 0;
	struct agent_pulse *pulse = bpf_map_lookup_elem(&agent_pulse, &first);

	if (word == WORD_REFUSED)
		return PENDING_BLOCK;
	if (word != WORD_PENDING || !pulse)
		return PENDING_AUDIT;
	/* Read before the clock: a beat in between would lie in the future. */
	__u64 beat = *(volatile __u64 *)&pulse->beat_ns;

	return beat && bpf_ktime_get_boot_ns() - beat < BEAT_LIMIT_NS ? PENDING_HOLD : pulse->pending;
}

/* Returns the hook's value: stopped, to be repeated; or refused, where the stop can't be sent. */
static __always_inline int hold(struct task_identity *identity)
{
	/* Told and counted once, however often someone continues it. */
	if (!identity->held_ns) {
		identity->held_ns = bpf_ktime_get_boot_ns();
		count(COUNT_HELD);
		tell_held(current_task(), identity);
	}
	if (!bpf_send_signal(SIGSTOP))
		return -ERESTARTNOINTR;
	identity->held_ns = 0;
	count(COUNT_IDENTITY_FAILED);
	return -EACCES;
}
