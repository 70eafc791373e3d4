// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The rest of what was limited: run by the agent over `alert_kinds`, it sends one record for each kind that fell quiet with
 * decisions untold. A kind that goes on tells of them in its own next record. It prints one byte for each kind that it has to
 * leave, for the agent to come back. Decides nothing.
 */
#include "account.bpf.h"

static __always_inline int leave_untold(struct seq_file *printed)
{
	bpf_seq_write(printed, ".", 1);
	return 0;
}

SEC("iter/bpf_map_elem")
int account_flush(struct bpf_iter__bpf_map_elem *ctx)
{
	struct alert_kind *kind = ctx->key;
	struct alert_bucket *bucket = ctx->value;
	struct alert_limits *limits = the_alert_limits();
	__u64 now = bpf_ktime_get_boot_ns();

	if (!kind || !bucket || !limits || !bucket->untold)
		return 0;
	if (limits->interval_ns && !take_token(bucket, limits, now))
		return leave_untold(ctx->meta->seq);
	struct suppressed_event *event = bpf_ringbuf_reserve(&ring_alerts, sizeof(*event), 0);

	if (!event)
		return leave_untold(ctx->meta->seq);
	__u64 untold = take_untold(bucket);

	/* Another record of the kind has told of them, or is counting. */
	if (!untold) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return leave_untold(ctx->meta->seq);
	}
	__builtin_memset(&event->header, 0, sizeof(event->header));
	event->header.type = EVENT_SUPPRESSED;
	event->header.flags = refuses(kind->verdict) ? EVENT_DENIED : 0;
	event->header.container = kind->container;
	event->header.time_ns = now;
	event->kind = *kind;
	event->suppressed = untold;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
