/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The judgement of a program, executed or mapped as code. */
#pragma once
#include "decide.bpf.h"

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

static __always_inline int judge_program(struct task_identity *identity, __u8 hook, __u32 op, struct object object)
{
	struct act act;
	__u64 row = 0;

	begin_act(&act, identity, hook, op);
	act.identity->decision.object = object;
	NEED_IMAGE(&act);
	__u32 reason = locate(&act, object, &row);
	__u32 verdict = reason == REASON_ROW ? verdict_of_both(&act, op) : verdict_in(row, op);

	return conclude(&act, verdict, reason) ? -EACCES : 0;
}
