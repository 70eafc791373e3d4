/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What becomes of a decision that is to be told: a record is sent, or the decision is limited or lost, and each is counted,
 * for all containers and for its own. Nothing here changes a verdict.
 *
 * A kind that repeats is limited by a token bucket: its next record says how many went without one. The ring is shared by
 * dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998): a
 * container may fill as much of it as is free, so one that floods takes half, two take a third each, and there is always room
 * for another. Of its part the first refusals of their kind may take all, repetitions and audits a quarter.
 */
#pragma once
#include <bpf/bpf_core_read.h>

#include "maps.bpf.h"
#include "portable.bpf.h"
#include "tasks.bpf.h"
#include "verdict.bpf.h"

/* Tries to take a token while other CPUs take theirs. */
#define TAKE_TRIES_MAX 4
/* Of its part of the ring a container's repetitions and audits may use 1 / 2^SHARE_SHIFT. */
#define SHARE_SHIFT 2

static __always_inline struct container_account *account_of(__u32 container)
{
	return bpf_map_lookup_elem(&accounts, &container);
}

static __always_inline struct alert_limits *the_alert_limits(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&alert_limits, &first);
}

/* What tells the decision's object from others: its path where that was just walked, else its inode. */
static __always_inline __u64 object_key(struct task_identity *identity)
{
	struct object object = identity->decision.object;
	struct dentry *dentry = (void *)object.dentry;

	if (identity->walk.object.dentry == object.dentry && identity->walk.object.vfsmount == object.vfsmount)
		return identity->walk.path_hash;
	return BPF_CORE_READ(dentry, d_inode, i_ino) + ((__u64)BPF_CORE_READ(dentry, d_sb, s_dev) << 40);
}

/* A socket, a capability or a system call, which has no object with a path: what it is, or 0. */
static __always_inline __u64 number_key(struct decision *decision)
{
	if (decision->op == OP_SYSCALL)
		return decision->open_flags | (__u64)decision->row2 << 32;
	return decision->op == OP_NETWORK || decision->op == OP_CAPABILITY ? decision->open_flags : 0;
}

static __always_inline void fill_kind(struct alert_kind *kind, struct task_identity *identity)
{
	struct decision *decision = &identity->decision;

	kind->exe = identity->exe;
	kind->object = decision->object.dentry ? object_key(identity) : number_key(decision);
	kind->container = identity->container;
	kind->generation = decision->generation;
	kind->row = decision->row;
	kind->op = decision->op;
	kind->verdict = decision->verdict;
	kind->hook = decision->hook;
	kind->reason = decision->reason;
}

/* Takes one token; 0 when the bucket is empty. `full_ns` is all its state, so that one exchange takes a token. */
static __always_inline int take_token(struct alert_bucket *bucket, struct alert_limits *limits, __u64 now)
{
	for (int i = 0; i < TAKE_TRIES_MAX; i++) {
		__u64 full = *(volatile __u64 *)&bucket->full_ns;
		__u64 next = (full > now ? full : now) + limits->interval_ns;

		if (next > now + limits->burst_ns)
			return 0;
		if (claim(&bucket->full_ns, full, next))
			return 1;
	}
	/* Others took theirs each time: one record more than the rate allows does no harm. */
	return 1;
}

/* What the kind's record tells. Where another CPU counts meanwhile, the next record does (on 5.10 one may be missed). */
static __always_inline __u64 take_untold(struct alert_bucket *bucket)
{
	__u64 untold = *(volatile __u64 *)&bucket->untold;

	return untold && claim(&bucket->untold, untold, 0) ? untold : 0;
}

/*
 * Whether another record of the container may enter the ring. What it has there is at most what it sent in this window and
 * the one before; a window ends when the agent has read all of the former. Another CPU's update may be missed: the
 * threshold is a fair share, the ring itself is the bound.
 */
static __always_inline int has_room(struct container_account *account, __u32 shift)
{
	__u64 consumed = bpf_ringbuf_query(&ring_alerts, BPF_RB_CONS_POS);
	__u64 produced = bpf_ringbuf_query(&ring_alerts, BPF_RB_PROD_POS);
	__u64 free = RING_ALERTS_BYTES - (produced - consumed);

	if (consumed >= account->window_end) {
		account->window_end = produced;
		account->former_bytes = account->window_bytes;
		account->window_bytes = 0;
	}
	return account->window_bytes + account->former_bytes <= free >> shift;
}

static __always_inline void count_lost(struct container_account *account)
{
	count(COUNT_ALERTS_LOST);
	__sync_fetch_and_add(&account->lost, 1);
}

/* The bucket of the kind, or NULL for the first of its kind, which gets a new bucket. */
static __always_inline struct alert_bucket *bucket_of(struct alert_kind *kind, struct alert_limits *limits, __u64 now)
{
	struct alert_bucket *bucket = bpf_map_lookup_elem(&alert_kinds, kind);

	if (bucket)
		return bucket;
	struct alert_bucket first = { .full_ns = now + limits->interval_ns };

	/* Where another CPU made it meanwhile, both pass as the first. */
	bpf_map_update_elem(&alert_kinds, kind, &first, BPF_NOEXIST);
	return NULL;
}

/*
 * Counts a decision of this kind. Returns 1 when a record of it is to be sent, which tells of `suppressed` ones without a
 * record, and then settle() must be called; 0 when it is limited or lost, and that counted.
 */
static __always_inline int admit(struct alert_kind *kind, __u64 *suppressed)
{
	struct alert_limits *limits = the_alert_limits();
	struct container_account *account = account_of(kind->container);
	__u32 refused = refuses(kind->verdict);
	__u64 now = bpf_ktime_get_boot_ns();

	count(refused ? COUNT_DENIED : COUNT_AUDITED);
	if (!account || !limits)
		return 0;
	__sync_fetch_and_add(refused ? &account->denied : &account->audited, 1);
	struct alert_bucket *bucket = bucket_of(kind, limits, now);

	if (bucket && limits->interval_ns && !take_token(bucket, limits, now)) {
		__sync_fetch_and_add(&bucket->untold, 1);
		__sync_fetch_and_add(&account->limited, 1);
		count(COUNT_LIMITED);
		return 0;
	}
	if (!has_room(account, bucket || !refused ? SHARE_SHIFT : 0)) {
		count_lost(account);
		bucket = bpf_map_lookup_elem(&alert_kinds, kind);
		if (bucket)
			__sync_fetch_and_add(&bucket->untold, 1);
		return 0;
	}
	*suppressed = bucket ? take_untold(bucket) : 0;
	return 1;
}

/* Says what became of an admitted decision: `bytes` of its record in the ring, or 0: there was no room. */
static __always_inline void settle(struct alert_kind *kind, __u64 suppressed, __u32 bytes)
{
	struct container_account *account = account_of(kind->container);

	if (!account)
		return;
	if (bytes) {
		count(COUNT_SENT);
		__sync_fetch_and_add(&account->sent, 1);
		__sync_fetch_and_add(&account->window_bytes, bytes);
		return;
	}
	count_lost(account);
	struct alert_bucket *bucket = bpf_map_lookup_elem(&alert_kinds, kind);

	/* The next record of the kind tells of this one, too. */
	if (bucket)
		__sync_fetch_and_add(&bucket->untold, suppressed + 1);
}

/* admit() for identity->decision. Global, so that the verifier looks at it once. */
__noinline int admit_decision(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);
	struct alert_kind kind;
	__u64 suppressed = 0;

	if (!identity)
		return 0;
	fill_kind(&kind, identity);
	if (!admit(&kind, &suppressed))
		return 0;
	identity->decision.suppressed = suppressed;
	return 1;
}

/* settle() for identity->decision. Global: verified once. */
__noinline int settle_decision(identity_ref ref, __u32 bytes)
{
	struct task_identity *identity = identity_at(ref);
	struct alert_kind kind;

	if (!identity)
		return 0;
	fill_kind(&kind, identity);
	settle(&kind, identity->decision.suppressed, bytes);
	return 0;
}
