/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Names as rules compare them: the component hash of a dentry's name, and what folds them to a path's hash. */
#pragma once
#include "maps.bpf.h"
#include "read.bpf.h"

#define NAME_LENGTH_MAX 255

/* Keeps the `left` lowest bytes of a word, 1 or more; what lies behind a name in memory is not part of it. */
static __always_inline __u64 keep_bytes(__u64 word, __u32 left)
{
	if (left >= 8)
		return word;
	return word & ((1ULL << ((8 * left) & 63)) - 1);
}

struct sums {
	__u64 a;
	__u64 b;
};

static __always_inline void add_word(struct sums *sums, __u64 word, __u32 key)
{
	__u64 low = (__u32)word, high = word >> 32;

	if (key > HASH_KEYS - 2)
		return;
	sums->a += settings.keys.a[key] * low + settings.keys.a[key + 1] * high;
	sums->b += settings.keys.b[key] * low + settings.keys.b[key + 1] * high;
}

static __always_inline struct sums sums_of_length(__u32 length)
{
	return (struct sums){
		.a = settings.keys.a[0] + settings.keys.a[1] * length,
		.b = settings.keys.b[0] + settings.keys.b[1] * length,
	};
}

static __always_inline __u64 component_of(struct sums sums)
{
	return (sums.a & 0xffffffff00000000ULL) | sums.b >> 32;
}

struct long_name {
	struct sums sums;
	__u64 at; /* address of what has not been hashed */
	__u32 left;
	__u32 key;
};

/* Eight bytes of a long name. Returns 1 at its end, where `left` is 0, or where a read fails. */
static long hash_step(__u32 index, struct long_name *name)
{
	__u32 bytes = name->left < 8 ? name->left : 8;
	__u64 word = 0;

	/* clang proves the bound and drops a plain check; the verifier can't, so it is hidden from clang. */
	asm volatile("%0 &= 15" : "+r"(bytes));
	if (bytes > 8 || bpf_probe_read_kernel(&word, bytes, (void *)name->at))
		return 1;
	add_word(&name->sums, word, name->key);
	name->at += 8;
	name->key += 2;
	name->left -= bytes;
	return !name->left;
}

/*
 * Component hash of a dentry's name that is not inline. A read that fails gives 0, which ends the walk. Global, so that the
 * verifier looks at it once.
 */
__noinline __u64 hash_long_name(__u64 dentry, __u32 length)
{
	if (!length || length > NAME_LENGTH_MAX)
		return 0;
	struct long_name name = {
		.sums = sums_of_length(length),
		.left = length,
		.key = 2,
	};

	if (bpf_core_read(&name.at, sizeof(name.at), &((struct dentry *)dentry)->d_name.name))
		return 0;

	repeat((NAME_LENGTH_MAX + 7) / 8, hash_step, &name);
	return name.left ? 0 : component_of(name.sums);
}

/* Hash of the inline name of a head that was read, or whose fields are read by loads; 0 when the name is elsewhere. */
static __always_inline __u64 hash_inline_name(const struct dentry_head *head, __u32 length)
{
	struct sums sums = sums_of_length(length);

#pragma unroll
	for (int i = 0; i < INLINE_BYTES / 8; i++) {
		if (length <= 8 * i)
			break;
		add_word(&sums, keep_bytes(head->word[i], length - 8 * i), 2 + 2 * i);
	}
	return component_of(sums);
}

static __always_inline __u64 hash_name(const struct dentry_head *head, __u64 dentry)
{
	__u64 inline_name = dentry + bpf_core_field_offset(struct dentry, d_parent) +
			    __builtin_offsetof(struct dentry_head, word);
	__u32 length = head->length;

	if (head->name == inline_name && length <= INLINE_BYTES)
		return hash_inline_name(head, length);
	return hash_long_name(dentry, length);
}

/* As hash_dentry(). `head`: room for what is read where there are no casts. */
static __always_inline __u64 hash_with_room(struct dentry_head *head, __u64 dentry)
{
	__u32 start = bpf_core_field_offset(struct dentry, d_parent);

	if (CAN_CAST)
		return hash_name((void *)cast(struct dentry, dentry) + start, dentry);
	if (!head || bpf_probe_read_kernel(head, sizeof(*head), (void *)(dentry + start)))
		return 0;
	return hash_name(head, dentry);
}

/* Component hash of a dentry's name; 0 when it can't be read. Global: verified once. The room is elsewhere: the stack is short. */
#ifdef KERNEL_5_10

SCRATCH(head, struct dentry_head)

__noinline __u64 hash_dentry(__u64 dentry)
{
	return hash_with_room(the_head(), dentry);
}

#else

__noinline __u64 hash_dentry(struct dentry_head *head, __u64 dentry)
{
	return hash_with_room(head, dentry);
}

#endif

static __always_inline __u64 fold_component(__u64 hash, __u64 component)
{
	return (hash ^ hash >> 32) * (settings.keys.a[66] | 1) + component;
}
