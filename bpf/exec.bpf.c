/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Programs: execve (each interpreter of a script too), and mapping a file as code.
 *
 * The subject of a fromSource is the image that calls execve, or the one that forked it; both are path hashes taken when
 * that image was executed, so prctl(PR_SET_MM_EXE_FILE), a new comm or a rename afterwards change nothing. A memfd or
 * an unreachable file has no name and is refused where the image blocks execution. Known holes: a copy of a program under another
 * name is another program, unless an allow-list refuses it; an allowed program may be made to run others' code (LD_PRELOAD).
 */
#include "decide.bpf.h"
#include "hold.bpf.h"

#define PROT_EXEC 4

/* The stricter of what caller and parent bring; a fromSource outranks rules without one, by its number. */
static __always_inline __u32 verdict_of_both(struct act *act, __u32 op)
{
	__u32 caller = verdict_at(act, op, act->class), caller_row = act->identity->decision.row;
	__u32 parent_class = source_class(&act->image, act->identity->parent_exe);

	if (parent_class == act->class)
		return caller;
	__u32 parent = verdict_at(act, op, parent_class);

	if (parent > caller)
		return parent;
	act->identity->decision.row = caller_row;
	return caller;
}

static __always_inline int judge_program(struct task_identity *identity, __u8 hook, __u32 op, struct file *file)
{
	struct object object = object_of_path(&file->f_path);
	struct act act;
	__u64 row = 0;

	begin_act(&act, identity, hook, op);
	act.identity->decision.object = object;
	NEED_IMAGE(&act);
	__u32 reason = locate(&act, object, &row);
	__u32 verdict = reason == REASON_ROW ? verdict_of_both(&act, op) : verdict_in(row, op);

	return conclude(&act, verdict, reason) ? -EACCES : 0;
}

static __always_inline int refuse_pending(struct task_identity *identity, struct file *file)
{
	struct act act;

	begin_act(&act, identity, HOOK_BPRM_CHECK, OP_EXEC);
	identity->decision.object = object_of_path(&file->f_path);
	walk_path(identity, identity->decision.object, current_task());
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

DECIDING_HOOK(bprm_check_security)

SEC("lsm/bprm_check_security")
int BPF_PROG(decide_bprm_check_security, struct linux_binprm *bprm, int ret)
{
	KEEP_REFUSAL(ret);
	int failed;
	struct task_identity *identity = identity_at_exec(&failed);

	/* Denies: a container's task, and nothing can be known of it. */
	if (failed)
		return -EACCES;
	if (!identity)
		return without_identity();
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
	return judge_program(identity, HOOK_BPRM_CHECK, OP_EXEC, bprm->file);
}

/* execve maps the image that it just judged. Both tests: prctl can set exe_file, but not in the middle of an execve. */
static __always_inline int is_exec_mapping_itself(struct file *file)
{
	struct task_struct *task = current_task();

	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve) && BPF_CORE_READ(task, mm, exe_file) == file;
}

DECIDING_HOOK(mmap_file)

SEC("lsm/mmap_file")
int BPF_PROG(decide_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags,
	     int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: anonymous memory, or nothing to execute. Whether a file may be read or written was decided at open. */
	if (!file || !(prot & PROT_EXEC))
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: bprm_check_security judged this very file as a program. */
	if (is_exec_mapping_itself(file))
		return 0;
	__u32 op = identity->loader ? OP_LOAD : OP_MMAP_EXEC;

	/* Allows: no rule about mapping programs. */
	if (!any_live(identity->container, OP(op)))
		return 0;
	return judge_program(identity, HOOK_MMAP_FILE, op, file);
}
