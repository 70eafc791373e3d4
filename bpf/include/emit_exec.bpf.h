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

/* The new image's argument block as it lies in memory, words ended by NUL; the image has not run yet. */
static __always_inline __u32 write_argument_block(struct text *text, struct task_struct *task)
{
	__u64 start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
	__u32 at = text->walk->text_at;
	__u64 bytes = end - start;

	/* Only the running task's memory can be read; the agent reads another's from /proc. */
	if (task != (struct task_struct *)bpf_get_current_task())
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
	if (bpf_probe_read_user(text->bytes + at, bytes & (ARGS_BYTES_MAX - 1), (void *)start))
		return 0;
	return bytes;
}

static __always_inline void fill_exec(struct exec_event *event, char *bytes, __u32 limit,
				      struct task_struct *task, struct task_identity *identity)
{
	struct text text = { .identity = identity, .walk = &identity->walk, .bytes = bytes, .limit = limit };

	fill_header(&event->header, EVENT_EXEC, task, identity);
	event->_pad0 = 0;
	identity->walk.text_at = 0;
	event->path_bytes = write_names(&text, identity->decision.object);
	event->cwd_bytes = write_names(&text, working_directory(task));
	event->args_bytes = write_argument_block(&text, task);
	if (task != (struct task_struct *)bpf_get_current_task())
		event->header.flags |= EVENT_FOUND;
	if (text.truncated)
		event->header.flags |= EVENT_TRUNCATED;
}

static __noinline int emit_short_exec(struct task_struct *task, struct task_identity *identity)
{
	struct short_exec_record *record = bpf_ringbuf_reserve(&ring_events, sizeof(*record), 0);

	if (!record)
		return -1;
	fill_exec(&record->event, record->text, TEXT_SHORT, task, identity);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __noinline int emit_long_exec(struct task_struct *task, struct task_identity *identity)
{
	struct exec_record *record = bpf_ringbuf_reserve(&ring_events, sizeof(*record), 0);

	if (!record)
		return -1;
	fill_exec(&record->event, record->text, TEXT_LONG, task, identity);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* The bytes are those of the program's path and of its argument block: they choose the record's size. */
static __always_inline void emit_exec(struct task_struct *task, struct task_identity *identity, struct object program,
				      __u32 path_bytes, __u64 argument_bytes)
{
	int lost;

	identity->decision.object = program;
	if (path_bytes <= SHORT_PATHS && argument_bytes < TEXT_SHORT - ARGS_BYTES_MAX)
		lost = emit_short_exec(task, identity);
	else
		lost = emit_long_exec(task, identity);
	if (lost)
		count(COUNT_EVENTS_LOST);
}
