/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records for the agent. A decision never depends on its record: when the ring is full the loss is counted and the
 * verdict stands.
 */
#pragma once
#include "account.bpf.h"
#include "image.bpf.h"
#include "maps.bpf.h"
#include "path.bpf.h"

/* Bytes of path up to which a record with TEXT_SHORT is tried. */
#define SHORT_PATHS 512
/* Arguments of a refused execve that its record has, argv[0] among them. */
#define ARGS_MAX 21

#define NR_EXECVE 59
#define NR_EXECVEAT 322

static __always_inline struct upid read_upid(struct pid *pid, __u32 level)
{
	struct upid upid = {};
	void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);

	bpf_probe_read_kernel(&upid, sizeof(upid), numbers + level * bpf_core_type_size(struct upid));
	return upid;
}

/* A task's and its parent's process ids as the task sees them; a parent outside its pid namespace is 0 there. */
static __always_inline void fill_namespace_pids(struct event_header *header, struct task_struct *task)
{
	struct pid *own = BPF_CORE_READ(task, group_leader, thread_pid);
	struct pid *parent = BPF_CORE_READ(task, real_parent, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(own, level);
	struct upid upid = read_upid(own, level);

	header->ns_pid = upid.nr;
	header->ns_ppid = 0;
	if (BPF_CORE_READ(parent, level) < level)
		return;
	struct upid above = read_upid(parent, level);

	if (above.ns == upid.ns)
		header->ns_ppid = above.nr;
}

static __always_inline void fill_header(struct event_header *header, __u16 type, struct task_struct *task,
					struct task_identity *identity)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);

	header->type = type;
	header->flags = identity->state == TASK_STAGING ? EVENT_STAGING : 0;
	header->container = identity->container;
	header->time_ns = bpf_ktime_get_boot_ns();
	header->exec = identity->exec;
	header->parent = identity->parent;
	header->pid = BPF_CORE_READ(task, tgid);
	header->tid = BPF_CORE_READ(task, pid);
	header->ppid = BPF_CORE_READ(task, real_parent, tgid);
	fill_namespace_pids(header, task);
	header->uid = BPF_CORE_READ(task, cred, uid.val);
	__builtin_memset(header->tty, 0, sizeof(header->tty));
	if (tty)
		bpf_probe_read_kernel_str(header->tty, sizeof(header->tty), tty->name);
}

/* Where a record's text is filled: `limit` is a constant at every use, as the verifier wants. */
struct text {
	struct task_identity *identity;
	struct walk_result *walk;
	char *bytes;
	__u32 limit;
	__u32 truncated;
};

struct short_text {
	char bytes[TEXT_SHORT];
};

struct long_text {
	char bytes[TEXT_LONG];
};

/* Both append an object's names, leaf first, and return the bytes written; a name that does not fit ends the list. */
VERIFIED_ONCE int write_short_names(struct short_text *text, identity_ref ref, __u64 dentry, __u64 vfsmount)
{
	struct task_identity *identity = identity_at(ref);

	if (!text || !identity)
		return 0;
	struct climb climb = { .walk = &identity->walk, .text = text->bytes };
	__u32 start = identity->walk.text_at;

	identity->walk.truncated = 0;
	start_climb(&climb, dentry, vfsmount, 0);
	repeat_long(STEPS_MAX, short_text_step, &climb);
	return identity->walk.text_at - start;
}

VERIFIED_ONCE int write_long_names(struct long_text *text, identity_ref ref, __u64 dentry, __u64 vfsmount)
{
	struct task_identity *identity = identity_at(ref);

	if (!text || !identity)
		return 0;
	struct climb climb = { .walk = &identity->walk, .text = text->bytes };
	__u32 start = identity->walk.text_at;

	identity->walk.truncated = 0;
	start_climb(&climb, dentry, vfsmount, 0);
	repeat_long(STEPS_MAX, long_text_step, &climb);
	return identity->walk.text_at - start;
}

static __always_inline __u32 write_names(struct text *text, struct object object)
{
	identity_ref ref = ref_of(text->identity);
	__u32 bytes;

	if (text->limit == TEXT_SHORT)
		bytes = write_short_names((struct short_text *)text->bytes, ref, object.dentry, object.vfsmount);
	else
		bytes = write_long_names((struct long_text *)text->bytes, ref, object.dentry, object.vfsmount);
	text->truncated |= text->walk->truncated;
	return bytes;
}

#define ARGUMENT_BYTES_MAX 256

struct argument_reader {
	struct walk_result *walk;
	char *bytes;
	__u64 argv;
	__u64 cut;
};

/* Appends argument `index`. Returns 1 at the end of argv, or where it is cut: then `truncated` is set. */
static __always_inline long read_argument(__u32 index, struct argument_reader *reader, __u32 limit)
{
	__u64 argument = 0;
	__u32 at = reader->walk->text_at;

	if (bpf_probe_read_user(&argument, sizeof(argument), (void *)(reader->argv + 8 * index)) || !argument)
		return 1;
	reader->walk->truncated = 1;
	if (index == ARGS_MAX || at > limit - ARGUMENT_BYTES_MAX)
		return 1;
	bound_position(at);
	long length = bpf_probe_read_user_str(reader->bytes + at, ARGUMENT_BYTES_MAX, (void *)argument);

	if (length <= 0)
		return 1;
	reader->walk->text_at = at + length;
	/* A read that fills the room has left out the rest of the word. */
	if (length < ARGUMENT_BYTES_MAX)
		reader->walk->truncated = 0;
	else
		reader->cut = 1;
	return 0;
}

static long read_short_argument(__u32 index, struct argument_reader *reader)
{
	return read_argument(index, reader, TEXT_SHORT);
}

static long read_long_argument(__u32 index, struct argument_reader *reader)
{
	return read_argument(index, reader, TEXT_LONG);
}

/*
 * Appends the arguments of the execve that is being judged, from the caller's memory. They are for the reader of the
 * alert: another thread may change them meanwhile, so no decision looks at them.
 */
static __always_inline __u32 write_exec_arguments(struct text *text)
{
	struct pt_regs *regs = user_registers(current_task());
	__u64 call = BPF_CORE_READ(regs, orig_ax);
	struct argument_reader reader = { .walk = text->walk, .bytes = text->bytes };
	__u32 start = text->walk->text_at;

	if (call == NR_EXECVE)
		reader.argv = BPF_CORE_READ(regs, si);
	else if (call == NR_EXECVEAT)
		reader.argv = BPF_CORE_READ(regs, dx);
	else
		return 0;
	text->walk->truncated = 0;
	if (text->limit == TEXT_SHORT)
		repeat(ARGS_MAX + 1, read_short_argument, &reader);
	else
		repeat(ARGS_MAX + 1, read_long_argument, &reader);
	text->truncated |= text->walk->truncated | reader.cut;
	return text->walk->text_at - start;
}

static __always_inline struct object working_directory(struct task_struct *task)
{
	return (struct object){ (__u64)BPF_CORE_READ(task, fs, pwd.dentry), (__u64)BPF_CORE_READ(task, fs, pwd.mnt) };
}

/* What a record says besides its text. */
VERIFIED_ONCE int fill_facts(struct decision_event *event, identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!event || !identity)
		return 0;
	struct decision *decision = &identity->decision;

	fill_header(&event->header, EVENT_DECISION, current_task(), identity);
	fill_kind(&event->kind, identity);
	event->suppressed = decision->suppressed;
	event->row2 = decision->row2;
	event->open_flags = decision->open_flags;
	if (refuses(decision->verdict))
		event->header.flags |= EVENT_DENIED;
	return 0;
}

static __always_inline void fill_decision(struct decision_event *event, char *bytes, __u32 limit,
					  struct task_identity *identity)
{
	struct decision *decision = &identity->decision;
	struct text text = { .identity = identity, .walk = &identity->walk, .bytes = bytes, .limit = limit };

	fill_facts(event, ref_of(identity));
	identity->walk.text_at = 0;
	event->path_bytes = decision->object.dentry ? write_names(&text, decision->object) : 0;
	event->path2_bytes = decision->object2.dentry ? write_names(&text, decision->object2) : 0;
	event->cwd_bytes = write_names(&text, working_directory(current_task()));
	event->args_bytes = decision->hook == HOOK_BPRM_CHECK ? write_exec_arguments(&text) : 0;
	if (text.truncated)
		event->header.flags |= EVENT_TRUNCATED;
}

struct short_decision {
	struct decision_event event;
	char text[TEXT_SHORT];
};

struct long_decision {
	struct decision_event event;
	char text[TEXT_LONG];
};

/* Both return the record's bytes; 0 when the ring has no room. */
VERIFIED_ONCE int emit_short_decision(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return 0;
	struct short_decision *record = reserve_record(ring_alerts, struct short_decision);

	if (!record)
		return 0;
	fill_decision(&record->event, record->text, TEXT_SHORT, identity);
	return submit_record(ring_alerts, record) ? 0 : sizeof(*record);
}

VERIFIED_ONCE int emit_long_decision(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return 0;
	struct long_decision *record = reserve_record(ring_alerts, struct long_decision);

	if (!record)
		return 0;
	fill_decision(&record->event, record->text, TEXT_LONG, identity);
	return submit_record(ring_alerts, record) ? 0 : sizeof(*record);
}

/* Whether identity->decision refuses. Under an image that only audits no refusal is one. */
static __always_inline int settle_verdict(struct decision *decision)
{
	if (refuses(decision->verdict) && decision->image_flags & IMAGE_AUDITS)
		decision->verdict |= VERDICT_AUDITED;
	return refuses(decision->verdict);
}

/* As emit_decision, where no path was walked: half of what the verifier follows. Global: verified once. */
__noinline int emit_unwalked_of(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);

	/* Denies: what was decided can't be read. */
	if (!identity)
		return 1;
	int refused = settle_verdict(&identity->decision);

	identity->walk.components = 0;
	identity->walk.path_hash = settings.keys.a[67];
	identity->walk.bytes = 0;
	if (admit_decision(ref))
		settle_decision(ref, emit_short_decision(ref));
	return refused;
}

static __always_inline int emit_unwalked(struct task_identity *identity)
{
	return emit_unwalked_of(ref_of(identity));
}

/* As emit_decision. Global: verified once. */
__noinline int emit_decision_of(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);
	int bytes;

	/* Denies: what was decided can't be read. */
	if (!identity)
		return 1;
	int refused = settle_verdict(&identity->decision);

	hash_path(&identity->walk);
	if (!admit_decision(ref))
		return refused;
	/* `bytes` is the last walked path's: a rename's other name that does not fit is marked as truncated. */
	if (identity->walk.bytes <= SHORT_PATHS)
		bytes = emit_short_decision(ref);
	else
		bytes = emit_long_decision(ref);
	settle_decision(ref, bytes);
	return refused;
}

/* Counts and reports identity->decision, which was taken. 0: it passes, 1: it is refused. */
static __always_inline int emit_decision(struct task_identity *identity)
{
	return emit_decision_of(ref_of(identity));
}
