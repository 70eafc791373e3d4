/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Programs: execve, each interpreter of a script too. Mapping one as code is in mapping.bpf.c.
 *
 * The subject of a fromSource is the image that calls execve, or the one that forked it; both are path hashes taken when
 * that image was executed, so prctl(PR_SET_MM_EXE_FILE), a new comm or a rename afterwards change nothing. A memfd or
 * an unreachable file has no name and is refused where the image blocks execution. Known holes: a copy of a program under another
 * name is another program, unless an allow-list refuses it; an allowed program may be made to run others' code (LD_PRELOAD).
 */
#include "exec.bpf.h"
#include "hold.bpf.h"

static __always_inline int refuse_pending(struct task_identity *identity, struct file *file)
{
	struct act act;

	begin_act(&act, identity, HOOK_BPRM_CHECK, OP_EXEC);
	identity->decision.object = object_of_path(&file->f_path);
	walk_hashed(identity, identity->decision.object, current_task());
	count(COUNT_PENDING_REFUSED);
	conclude(&act, VERDICT_UNKNOWN_BLOCK, REASON_PENDING);
	return -EACCES;
}

/* The arming exec of a container that has no image yet. 0: goes on. */
static __always_inline int judge_undescribed(struct task_identity *identity, struct file *file, __u64 word)
{
	switch (pending_mode_of(word)) {
	case PENDING_HOLD:
		return hold(identity);
	case PENDING_BLOCK:
		identity->held_ns = 0;
		return refuse_pending(identity, file);
	default:
		/* Allows, as the settings say. */
		identity->held_ns = 0;
		count(COUNT_PENDING);
		return 0;
	}
}

static __always_inline int is_undescribed(__u64 word)
{
	return word == WORD_PENDING || word == WORD_PASSED || word == WORD_REFUSED;
}

static __always_inline int judge_exec(struct task_identity *identity, struct linux_binprm *bprm)
{
	__u64 word = word_of(identity->container);

	if (identity->state != TASK_ARMED) {
		identity->arms = exec_arms(identity, bprm);
		/* Allows: the runtime's own set-up. The exec that hands over to the container is judged. */
		if (!identity->arms)
			return 0;
		if (is_undescribed(word))
			return judge_undescribed(identity, bprm->file, word);
		identity->held_ns = 0;
	}
	/* Allows: no rule about programs. */
	if (!(ops_live_of(word) & OP(OP_EXEC)))
		return 0;
	return judge_program(identity, HOOK_BPRM_CHECK, OP_EXEC, object_of_path(&bprm->file->f_path));
}

/* A host task's. What init starts is judged from its program on; who is exempt, by the forced policies only. */
static __always_inline int judge_host_exec(struct task_identity *identity, struct file *file)
{
	identity->arms = 0;
	if (identity->exempt == EXEMPT_INIT && !stays_inits(identity, file))
		move_on_host(identity, EXEMPT_NOT);
	/* Allows: the agent, and what it starts. */
	if (identity->state != TASK_ARMED)
		return 0;
	/* Allows: no rule about programs. */
	if (!any_live(identity->container, OP(OP_EXEC)))
		return 0;
	return judge_program(identity, HOOK_BPRM_CHECK, OP_EXEC, object_of_path(&file->f_path));
}

DECIDING_HOOK(bprm_check_security)

SEC("lsm/bprm_check_security")
int BPF_PROG(decide_bprm_check_security, struct linux_binprm *bprm, int ret)
{
	KEEP_REFUSAL(ret);
	int failed;
	struct task_identity *identity = identity_at_exec(&failed);

	bprm = untrusted(struct linux_binprm, bprm);
	/* Denies: a container's task, and nothing can be known of it. */
	if (failed)
		return -EACCES;
	/* Allows: a host task. */
	if (!identity)
		return 0;
	forget_judged_path(identity);
	int of_host = is_host(identity->container);
	int refused = of_host ? judge_host_exec(identity, bprm->file) : judge_exec(identity, bprm);

	if (refused)
		return refused;
	remember_exec(identity, bprm->file);
	if (of_host)
		identity->arms = next_exemption(identity);
	return 0;
}
