// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What the tests of ffi/ load: programs of the one type that needs no hook (BPF_PROG_TYPE_SYSCALL, run on request),
 * and one map of each kind that the agent uses.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct settings {
	__u64 number;
	__u32 other;
	__u32 _pad;
};

const volatile struct settings settings = {};

struct image_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[128]);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct image_inner);
} images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} slot SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct emit_args {
	__u32 records;
	__u32 first;   /* the first record's number */
	__u32 size;    /* 8, 100 or 4000 */
	__u32 emitted; /* result */
};

struct emit_state {
	struct emit_args *args;
	__u32 number;
	__u32 emitted;
	__u32 size;
};

/* A record is its number, and the same byte to its end. */
#define EMIT(bytes)                                                            \
	({                                                                     \
		__u8 *record = bpf_ringbuf_reserve(&ring, bytes, 0);           \
		if (record) {                                                  \
			__builtin_memset(record, state->number & 0xff, 8);     \
			*(__u32 *)record = state->number;                      \
			record[bytes - 1] = state->number & 0xff;              \
			bpf_ringbuf_submit(record, 0);                         \
			state->emitted++;                                      \
		}                                                              \
	})

static long emit_one(__u32 index, struct emit_state *state)
{
	if (state->size == 8)
		EMIT(8);
	else if (state->size == 100)
		EMIT(100);
	else
		EMIT(4000);
	state->number++;
	return 0;
}

SEC("syscall")
int emit(struct emit_args *args)
{
	struct emit_state state = { .number = args->first, .size = args->size };

	bpf_loop(args->records, emit_one, &state, 0);
	args->emitted = state.emitted;
	return 0;
}

/* Tells what .rodata says, and what a slot's program returns: 7 when the slot is empty. */
SEC("syscall")
int read_settings(__u64 *args)
{
	*args = settings.number + settings.other;
	return 7;
}

/* Refused by the verifier: reads what was never checked for null. */
SEC("?syscall")
int refused(void *args)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);

	return *value;
}

/* Counts tasks, and prints a byte for each. */
SEC("?iter/task")
int iterate(struct bpf_iter__task *context)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (context->task && count) {
		(*count)++;
		bpf_seq_write(context->meta->seq, "x", 1);
	}
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int observe(void *context)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		(*count)++;
	return 0;
}
