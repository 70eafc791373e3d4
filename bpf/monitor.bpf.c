/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * When containers' processes end, for telemetry and for the process tree. Decides nothing; a full ring only counts. Left out
 * (see identity_wakeup_new), identity_free makes up for it. What they execute is told by identity_committed_creds.
 */
#include "ending.bpf.h"
#include "identity.bpf.h"
#include "slot.bpf.h"

/* Two threads that end at one time may both be the last: one of them tells. */
static __always_inline int tells_exit(struct task_struct *task, struct task_identity *identity)
{
	struct task_identity *leader = identity_of(task_read(task, group_leader));

	return claim(leader ? &leader->exit_told : &identity->exit_told, 0, 1);
}

FOLLOWING_HOOK("tp_btf/sched_process_exit", monitor_exit)

SEC("tp_btf/sched_process_exit")
int BPF_PROG(monitor_exit, struct task_struct *task)
{
	struct task_identity *identity = current_identity();

	if (!is_last_thread(task))
		return 0;
	end_agent(task);
	if (identity && identity->state != TASK_RESERVED && tells_exit(task, identity))
		tell_exit(task, identity);
	return 0;
}
