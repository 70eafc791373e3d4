/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The record of a program that a process runs: at its exec, or when the agent finds the process. */
#pragma once
#include "emit.bpf.h"

struct exec_record {
	struct exec_event event;
	char text[TEXT_LONG];
};

struct short_exec_record {
	struct exec_event event;
	char text[TEXT_SHORT];
};

/* Where the new image's arguments lie in its memory, one behind the other, words ended by NUL. */
struct argument_block {
	__u64 start; /* 0: they can't be read */
	__u64 bytes;
};

static __always_inline __u32 write_argument_block(struct text *text, struct argument_block arguments)
{
	__u32 at = text->walk->text_at;
	__u64 bytes = arguments.bytes;

	if (!arguments.start)
		return 0;
	if (bytes > ARGS_BYTES_MAX - 1) {
		bytes = ARGS_BYTES_MAX - 1;
		text->truncated = 1;
	}
	if (at > text->limit - ARGS_BYTES_MAX) {
		text->truncated = 1;
		return 0;
	}
	asm volatile("%0 &= 1023" : "+r"(bytes));
	bound_position(at);
	if (bpf_probe_read_user(text->bytes + at, bytes & (ARGS_BYTES_MAX - 1), (void *)arguments.start))
		return 0;
	return bytes;
}

static __always_inline void fill_exec(struct exec_event *event, char *bytes, __u32 limit,
				      struct task_struct *task, struct task_identity *identity,
				      struct argument_block arguments)
{
	struct text text = { .identity = identity, .walk = &identity->walk, .bytes = bytes, .limit = limit };

	fill_header(&event->header, EVENT_EXEC, task, identity);
	event->_pad0 = 0;
	identity->walk.text_at = 0;
	event->path_bytes = write_names(&text, identity->decision.object);
	event->cwd_bytes = write_names(&text, working_directory(task));
	event->args_bytes = write_argument_block(&text, arguments);
	if (!arguments.start)
		event->header.flags |= EVENT_FOUND;
	if (text.truncated)
		event->header.flags |= EVENT_TRUNCATED;
}

static __noinline int emit_short_exec(struct task_struct *task, struct task_identity *identity, __u64 start,
				      __u64 bytes)
{
	struct short_exec_record *record = reserve_record(ring_events, struct short_exec_record);

	if (!record)
		return -1;
	fill_exec(&record->event, record->text, TEXT_SHORT, task, identity, (struct argument_block){ start, bytes });
	return submit_record(ring_events, record);
}

static __noinline int emit_long_exec(struct task_struct *task, struct task_identity *identity, __u64 start,
				     __u64 bytes)
{
	struct exec_record *record = reserve_record(ring_events, struct exec_record);

	if (!record)
		return -1;
	fill_exec(&record->event, record->text, TEXT_LONG, task, identity, (struct argument_block){ start, bytes });
	return submit_record(ring_events, record);
}

/* The bytes are those of the program's path and of its argument block: they choose the record's size. */
static __always_inline void emit_exec(struct task_struct *task, struct task_identity *identity, struct object program,
				      __u32 path_bytes, struct argument_block arguments)
{
	int lost;

	identity->decision.object = program;
	if (path_bytes <= SHORT_PATHS && arguments.bytes < TEXT_SHORT - ARGS_BYTES_MAX)
		lost = emit_short_exec(task, identity, arguments.start, arguments.bytes);
	else
		lost = emit_long_exec(task, identity, arguments.start, arguments.bytes);
	if (lost)
		count(COUNT_EVENTS_LOST);
}

struct argument_count {
	struct walk_result *walk;
	__u64 start;
	__u64 left;
};

#ifdef KERNEL_5_10

/* For LONG_LOOP. */
static __always_inline int revive_count(struct argument_count *count)
{
	return revive_walk(&count->walk);
}

#endif

/*
 * One argument further. A long one takes several steps: its end is where less was read than there was room for. The bytes so far
 * are in text_at: 6.1's verifier follows one step only, takes what that leaves on the stack for all that can be there, and leaves
 * out the comparisons with more.
 */
static long measure_argument(__u32 index, struct argument_count *count)
{
	__u32 bytes = count->walk->text_at;

	if (!count->left || bytes >= ARGS_BYTES_MAX)
		return 1;
	/* Where the last walk's names were: the record's text is walked anew. */
	long length = bpf_probe_read_user_str(count->walk->dentry, sizeof(count->walk->dentry),
					      (void *)(count->start + bytes));

	if (length <= 0)
		return 1;
	if (length == sizeof(count->walk->dentry)) {
		count->walk->text_at = bytes + length - 1;
		return 0;
	}
	count->walk->text_at = bytes + length;
	count->left--;
	return 0;
}

LONG_LOOP(measure_argument, struct argument_count, revive_count)

/*
 * Tells of the program that the running task has begun. Its arguments lie where its stack will begin; what tells their end in
 * the new memory is set later, at a tracepoint that the kernel may leave out (see identity_wakeup_new).
 */
static __always_inline void emit_new_exec(struct task_identity *identity, struct linux_binprm *bprm)
{
	struct argument_count count = {
		.walk = &identity->walk,
		.start = BPF_CORE_READ(bprm, p),
		.left = BPF_CORE_READ(bprm, argc),
	};

	identity->walk.text_at = 0;
	/* An argument has one byte at least. */
	repeat_long(ARGS_BYTES_MAX, measure_argument, &count);
	emit_exec(current_task(), identity, object_of_file(BPF_CORE_READ(bprm, file)), identity->next_bytes,
		  (struct argument_block){ count.start, identity->walk.text_at });
}
