/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The question of a DNS query, read from its packet, and its place among the names of a policy image (RFC 1035, 4.1). Names are
 * compared label by label from the last one on, in lower case, so nothing need be kept of a name but where its labels begin.
 */
#pragma once
#include <bpf/bpf_endian.h>

#include "image.bpf.h"
#include "names.bpf.h"

#define LABEL_BYTES_MAX 63
/* A name has 127 labels at most, of one byte each, and the root's. */
#define NAME_LABELS_MAX 128
/* On the wire, with the lengths of its labels. */
#define NAME_BYTES_MAX 255
/* Type and class, behind the name. */
#define QUESTION_TAIL 4

/*
 * How far a name has been read and followed. In memory of which the verifier knows no values: until 6.7 it takes a loop's first
 * round for all, and removes what never happens there.
 */
struct name_state {
	__u32 at;     /* of what has not been read, from the name's beginning */
	__u32 labels;
	__u32 is_whole; /* its end was found */
	__u32 matched;  /* labels that edges led along */
	__u32 next; /* of the last edge */
	__u32 end;
	__u32 desc;
};

/* A name in a packet. */
struct dns_name {
	struct __sk_buff *skb;
	void *map; /* of the image */
	struct name_state *state;
	__u32 buckets;
	__u32 start; /* where it begins in the packet */
	__u8 place[LABELS_MAX]; /* ring: where the last labels begin, from `start` */
};

/* Reads the length of the next label. Returns 1 at the end of the name, and where it is none. */
static long scan_label(__u32 index, struct dns_name *name)
{
	struct name_state *state = name->state;
	__u8 length = 0;

	if (bpf_skb_load_bytes(name->skb, name->start + state->at, &length, 1))
		return 1;
	if (!length) {
		state->at++;
		state->is_whole = 1;
		return 1;
	}
	/* More is a pointer into the message, or of no meaning: a question comes first, and has nothing to point to. */
	if (length > LABEL_BYTES_MAX || state->at + length + 2 > NAME_BYTES_MAX)
		return 1;
	name->place[state->labels & (LABELS_MAX - 1)] = state->at;
	state->labels++;
	state->at += 1 + length;
	return 0;
}

/* Capital letters of ASCII as small ones, four bytes at once; other bytes as they are. */
static __always_inline __u32 in_lower_case(__u32 word)
{
	__u32 low = word & 0x7f7f7f7f;
	__u32 from_a = low + 0x01010101 * (0x80 - 'A');
	__u32 above_z = low + 0x01010101 * (0x7f - 'Z');
	__u32 capitals = (from_a ^ above_z) & ~word & 0x80808080;

	return word | capitals >> 2;
}

#define HASHED_AT_ONCE 32

/*
 * Component hash of `length` bytes of the packet in lower case, read in at most `rounds` parts; 0 when they can't be read. In
 * rounds, because clang keeps all that it does at once on the stack.
 */
static __always_inline __u64 hash_text(struct __sk_buff *skb, __u32 at, __u32 length, __u32 rounds)
{
	struct sums sums = sums_of_length(length);

#pragma clang loop unroll(disable)
	for (__u32 round = 0; round < rounds; round++) {
		__u32 word[HASHED_AT_ONCE / 4] = {}, done = round * HASHED_AT_ONCE, bytes;

		if (length <= done)
			break;
		bytes = length - done < HASHED_AT_ONCE ? length - done : HASHED_AT_ONCE;
		/* clang proves the bound and drops a plain one. */
		asm volatile("%0 &= 63" : "+r"(bytes));
		if (!bytes || bytes > HASHED_AT_ONCE || bpf_skb_load_bytes(skb, at + done, word, bytes))
			return 0;
#pragma clang loop unroll(disable)
		for (__u32 i = 0; i < HASHED_AT_ONCE / 4; i += 2) {
			__u64 high = in_lower_case(word[i + 1]);

			add_word(&sums, high << 32 | in_lower_case(word[i]), 2 + done / 4 + i);
		}
	}
	return component_of(sums);
}

/* Of the label at `offset`; 0 when it can't be read. */
static __always_inline __u64 hash_label(struct __sk_buff *skb, __u32 offset)
{
	__u32 length = 0;

	if (bpf_skb_load_bytes(skb, offset, &length, 1))
		return 0;
	return hash_text(skb, offset + 1, length & LABEL_BYTES_MAX, (LABEL_BYTES_MAX + 1) / HASHED_AT_ONCE);
}

/* One label further from the root. Returns 1 when no edge goes on, or no label is left. */
static long match_label(__u32 index, struct dns_name *name)
{
	struct name_state *state = name->state;
	struct image_slot slot;
	__u32 matched = state->matched, node = state->next & NEXT_NODE;

	if (matched >= state->labels || !node)
		return 1;
	__u32 place = name->place[(state->labels - 1 - matched) & (LABELS_MAX - 1)];
	__u64 component = hash_label(name->skb, name->start + place);

	if (!component || !find_edge(name->map, name->buckets, node, component, &slot))
		return 1;
	state->matched = matched + 1;
	state->next = slot.next;
	state->end = slot.v_end;
	state->desc = slot.v_desc;
	return 0;
}

/* Row reference of a name that was scanned. */
static __always_inline __u32 reference_of(struct dns_name *name, struct image_trie *trie)
{
	struct name_state *state = name->state;

	state->next = trie->next;
	state->end = trie->end;
	state->desc = trie->desc;
	repeat(LABELS_MAX, match_label, name);
	return state->matched == state->labels ? state->end : state->desc;
}

/* Tells a name from others, whatever the case. */
static __always_inline __u64 hash_whole_name(struct __sk_buff *skb, __u32 start, __u32 length)
{
	return hash_text(skb, start, length, QUERY_NAME_BYTES / HASHED_AT_ONCE);
}
