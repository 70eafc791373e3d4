// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Decisions on request: what account.bpf.h makes of them, without a container and without the walk that fills a record. */
#include "account.bpf.h"
#include "../account.bpf.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Each a program's own identity: nobody else runs it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_identity);
} deciding SEC(".maps");

struct decide_args {
	__u32 count;
	__u32 container;
	__u32 verdict;
	__u32 kinds; /* the row goes round: so many kinds in turn */
	__u32 first_row;
};

/* As long as a record of emit.bpf.h. */
struct record {
	struct decision_event event;
	char text[1536];
};

static long decide_once(__u32 index, struct decide_args *args)
{
	__u32 first = 0;
	struct task_identity *identity = bpf_map_lookup_elem(&deciding, &first);

	if (!identity || !args->kinds)
		return 1;
	identity->container = args->container;
	identity->decision.verdict = args->verdict;
	identity->decision.hook = HOOK_FILE_OPEN;
	identity->decision.row = args->first_row + index % args->kinds;
	if (!admit_decision(ref_of(identity)))
		return 0;
	struct record *record = bpf_ringbuf_reserve(&ring_alerts, sizeof(*record), 0);

	if (record) {
		__builtin_memset(&record->event, 0, sizeof(record->event));
		record->event.header.type = EVENT_DECISION;
		record->event.header.container = identity->container;
		fill_kind(&record->event.kind, identity);
		record->event.suppressed = identity->decision.suppressed;
		bpf_ringbuf_submit(record, 0);
	}
	settle_decision(ref_of(identity), record ? sizeof(*record) : 0);
	return 0;
}

SEC("syscall")
int decide(struct decide_args *args)
{
	struct decide_args copy = *args;

	bpf_loop(copy.count, decide_once, &copy, 0);
	return 0;
}
