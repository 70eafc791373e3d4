// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Capabilities, by the executable of the task that uses one. Loaded when a policy has such rules.
 *
 * The kernel asks only after it has found that the credentials hold the capability. Whichever user namespace it is held in
 * counts: root in a namespace of its own gets no more than root in the container's. A probe, by which the kernel wants to know
 * and not to use (CAP_OPT_NOAUDIT), gets the same answer and no record. CAP_OPT_INSETID is no probe: it marks what
 * setuid and its like ask before they act.
 *
 * Not judged: what overlayfs does in its layers with the credentials of who mounted it; the user's own act was judged. A task
 * that has ever used io_uring is judged there, too: what it asked for earlier may be done now, with the credentials that it had
 * then (io_prep_async_work in io_uring/io_uring.c), and nothing tells the two apart. Known hole: what a container got by a
 * capability before the policy came, it keeps.
 */
#include "credentials.bpf.h"
#include "numbered.bpf.h"

#define CAP_OPT_NOAUDIT 2

/* Judges a capability for the running task. Returns the hook's value. Global, so that it is verified once. */
__noinline int judge_capability(identity_ref ref, __u32 capability, __u32 probes)
{
	struct task_identity *identity = identity_at(ref);
	struct act act;

	if (!identity)
		return -EPERM;
	__u64 refused_create = identity->refused_create;

	begin_act(&act, identity, HOOK_CAPABLE, OP_CAPABILITY);
	/* In the middle of an open capabilities are asked for as well. */
	identity->refused_create = refused_create;
	identity->decision.open_flags = capability;
	NEED_IMAGE(&act);
	__u32 number = REFERENCE_CAPABILITIES + (capability & (CAPABILITIES_MAX - 1));
	__u32 verdict = verdict_of_number(&act, number, OP_CAPABILITY);

	if (!probes)
		return conclude_unwalked(&act, verdict) ? -EPERM : 0;
	if (!refuses(verdict) || identity->decision.image_flags & IMAGE_AUDITS)
		return 0;
	count(COUNT_PROBES);
	return -EPERM;
}

static __always_inline int has_used_io_uring(struct task_struct *task)
{
	return bpf_core_field_exists(task->io_uring) && BPF_CORE_READ(task, io_uring) != NULL;
}

DECIDING_HOOK(capable)

SEC("lsm/capable")
int BPF_PROG(decide_capable, const struct cred *credentials, struct user_namespace *namespace, int capability,
	     unsigned int options, int ret)
{
	KEEP_REFUSAL(ret);
	JUDGED_IDENTITY(identity);

	/* Allows: no rule about capabilities. */
	if (!any_live(identity->container, OP(OP_CAPABILITY)))
		return 0;
	/* Allows: overlayfs at work in its layers. */
	if (acts_for_user(current_task()) && !has_used_io_uring(current_task()))
		return 0;
	return judge_capability(ref_of(identity), capability, options & CAP_OPT_NOAUDIT) ? -EPERM : 0;
}
