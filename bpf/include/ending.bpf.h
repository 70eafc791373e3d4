/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What follows from the end of a process, for whichever program sees it first. */
#pragma once
#include "emit.bpf.h"
#include "protect.bpf.h"

/* The agent alone runs the iterator, which sets it. */
__u32 agent_tgid = 0;

/* Ends the agent's beat, and `protect: host`, so that an operator can always repair the node. */
static __always_inline void end_agent(struct task_struct *task)
{
	__u32 first = 0;
	struct protection *own = the_protection();
	struct agent_pulse *pulse = bpf_map_lookup_elem(&agent_pulse, &first);

	if (pulse && BPF_CORE_READ(task, tgid) == agent_tgid)
		pulse->beat_ns = 0;
	if (own && own->host && is_process(task, &own->agent))
		own->host = 0;
}

static __always_inline void tell_exit(struct task_struct *task, struct task_identity *identity)
{
	struct exit_event *event = bpf_ringbuf_reserve(&ring_events, sizeof(*event), 0);

	if (!event) {
		count(COUNT_EVENTS_LOST);
		return;
	}
	fill_header(&event->header, EVENT_EXIT, task, identity);
	event->code = BPF_CORE_READ(task, exit_code);
	event->_pad = 0;
	bpf_ringbuf_submit(event, 0);
}
