/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Judging by presets: a hook finds out of which presets its act is a case, and the image says in its header which of those are
 * in force and which refuse. Nothing is walked: what a preset is about is known by what it is, and a record's path is for
 * its reader only.
 */
#pragma once
#include "decide.bpf.h"

/* A set of presets. */
#define CASE(name) (1u << PRESET_##name)

#define PROC_SUPER_MAGIC 0x9fa0
#define TMPFS_MAGIC 0x01021994
#define RAMFS_MAGIC 0x858458f6
#define HUGETLBFS_MAGIC 0x958458f6

/* Whether any preset is in force in a container. */
static __always_inline int any_preset(__u32 container)
{
	return any_live(container, OP(LIVE_PRESETS));
}

/* Number of the lowest bit of a set that is not empty. */
static __always_inline __u32 first_case(__u32 cases)
{
	cases &= -cases;
	return !!(cases & 0xff00) << 3 | !!(cases & 0xf0f0) << 2 | !!(cases & 0xcccc) << 1 | !!(cases & 0xaaaa);
}

/* Appends the dentry's own name, of an object that is in no tree: "memfd:name". */
static __always_inline __u32 write_own_name(struct text *text, struct object object)
{
	struct climb climb = { .walk = text->walk, .text = text->bytes, .left = object.dentry };
	__u32 start = text->walk->text_at;

	text->walk->truncated = 0;
	append_name(&climb, TEXT_SHORT);
	text->truncated |= text->walk->truncated;
	return text->walk->text_at - start;
}

static __always_inline __u32 write_object(struct text *text, struct object object)
{
	if (!object.dentry)
		return 0;
	__u32 bytes = write_names(text, object);

	return bytes ? bytes : write_own_name(text, object);
}

/* Returns the record's bytes; 0 when the ring has no room. Global: verified once. */
__noinline int emit_preset(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return 0;
	struct short_decision *record = reserve_record(ring_alerts, struct short_decision);

	if (!record)
		return 0;
	struct text text = { .identity = identity, .walk = &identity->walk, .bytes = record->text, .limit = TEXT_SHORT };

	fill_facts(&record->event, ref);
	identity->walk.text_at = 0;
	record->event.path_bytes = write_object(&text, identity->decision.object);
	record->event.path2_bytes = 0;
	record->event.cwd_bytes = write_names(&text, working_directory(current_task()));
	record->event.args_bytes = identity->decision.hook == HOOK_BPRM_CHECK ? write_exec_arguments(&text) : 0;
	if (text.truncated)
		record->event.header.flags |= EVENT_TRUNCATED;
	return submit_record(ring_alerts, record) ? 0 : sizeof(*record);
}

/* Counts and reports identity->decision, which was taken. Returns whether it refuses. */
static __always_inline int tell_preset(struct task_identity *identity)
{
	identity_ref ref = ref_of(identity);
	int is_refused = settle_verdict(&identity->decision);

	/* Nothing was walked for it: its object is told from others by its inode. */
	identity->walk.object.dentry = 0;
	identity->walk.components = 0;
	identity->walk.bytes = 0;
	if (admit_decision(ref))
		settle_decision(ref, emit_preset(ref));
	return is_refused;
}

/*
 * Judges an act that is a case of some presets; what refuses comes before what only tells. identity->old_name is the object, if any.
 * `facts`: decision_event.open_flags. Returns the hook's value. Global: verified once.
 */
__noinline int judge_preset(identity_ref ref, __u32 hook, __u32 cases, __u32 facts)
{
	struct task_identity *identity = identity_at(ref);
	struct act act;

	if (!identity)
		return -EACCES;
	begin_judgement(&act, identity);
	begin_decision(identity, hook, OP_PRESET);
	identity->decision.object = identity->old_name;
	identity->decision.open_flags = facts;
	NEED_IMAGE(&act);
	__u32 presets = act.image.header->presets;
	__u32 told = presets & cases, refused = presets >> PRESETS_REFUSING & cases;

	/* Allows: others are in force. */
	if (!told)
		return 0;
	identity->decision.row = first_case(refused ? refused : told);
	identity->decision.verdict = refused ? VERDICT_BLOCK : VERDICT_AUDIT;
	identity->decision.reason = REASON_ROW;
	return tell_preset(identity) ? -EACCES : 0;
}

/* As judge_preset(), of what is no object. */
static __always_inline int judge_preset_alone(struct task_identity *identity, __u32 hook, __u32 cases, __u32 facts)
{
	identity->old_name = (struct object){};
	return judge_preset(ref_of(identity), hook, cases, facts) ? -EACCES : 0;
}
