/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What containers' processes do, for telemetry and for the process tree. Decides nothing; a full ring only counts. */
#include "emit_exec.bpf.h"
#include "identity.bpf.h"
#include "protect.bpf.h"
#include "slot.bpf.h"

FOLLOWING_HOOK("tp_btf/sched_process_exec", monitor_exec)

/* Runs after identity_committed_creds, so the identity speaks of the new image already. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(monitor_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_identity *identity = current_identity();

	if (!identity)
		return 0;
	struct object program = object_of_file(BPF_CORE_READ(bprm, file));
	__u64 arguments = BPF_CORE_READ(task, mm, arg_end) - BPF_CORE_READ(task, mm, arg_start);

	emit_exec(task, identity, program, identity->next_bytes, arguments);
	return 0;
}

/* Two threads that end at one time may both be the last: one of them tells. */
static __always_inline int tells_exit(struct task_struct *task, struct task_identity *identity)
{
	struct task_identity *leader = identity_of(task_read(task, group_leader));

	if (!is_last_thread(task))
		return 0;
	return claim(leader ? &leader->exit_told : &identity->exit_told, 0, 1);
}

/* `protect: host` ends with the agent, so that an operator can always repair the node. */
static __always_inline void protect_no_longer(struct task_struct *task)
{
	struct protection *own = the_protection();

	if (own && own->host && is_last_thread(task) && is_process(task, &own->agent))
		own->host = 0;
}

FOLLOWING_HOOK("tp_btf/sched_process_exit", monitor_exit)

SEC("tp_btf/sched_process_exit")
int BPF_PROG(monitor_exit, struct task_struct *task)
{
	struct task_identity *identity = current_identity();

	protect_no_longer(task);
	if (!identity || identity->state == TASK_RESERVED)
		return 0;
	if (!tells_exit(task, identity))
		return 0;
	struct exit_event *event = bpf_ringbuf_reserve(&ring_events, sizeof(*event), 0);

	if (!event) {
		count(COUNT_EVENTS_LOST);
		return 0;
	}
	fill_header(&event->header, EVENT_EXIT, task, identity);
	event->code = BPF_CORE_READ(task, exit_code);
	event->_pad = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
