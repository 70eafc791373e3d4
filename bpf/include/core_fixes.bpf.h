/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Structures that changed from one kernel to the next, by what the running kernel's BTF has; versions are never compared. */
#pragma once
#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>

/* 6.18: a list without a head; before, a list_head (commit 1c3efcc0f8ab, "struct mount: relocate MNT_WRITE_HOLD bit"). */
struct super_block___mounts_chained {
	struct mount *s_mounts;
} __attribute__((preserve_access_index));

struct mount___chained {
	struct mount *mnt_next_for_sb;
} __attribute__((preserve_access_index));

/* The mount whose entry of the list this is; NULL for the list's head, which is in the super block. */
static __always_inline struct mount *mount_of_entry(struct super_block *sb, __u64 entry)
{
	if (entry == (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts))
		return NULL;
	return (void *)(entry - bpf_core_field_offset(struct mount, mnt_instance));
}

static __always_inline struct mount *first_mount(struct super_block *sb)
{
	struct super_block___mounts_chained *chained = (void *)sb;

	if (bpf_core_field_exists(struct mount___chained, mnt_next_for_sb))
		return BPF_CORE_READ(chained, s_mounts);
	return mount_of_entry(sb, (__u64)BPF_CORE_READ(sb, s_mounts.next));
}

static __always_inline struct mount *next_mount(struct super_block *sb, struct mount *mount)
{
	struct mount___chained *chained = (void *)mount;

	if (bpf_core_field_exists(struct mount___chained, mnt_next_for_sb))
		return BPF_CORE_READ(chained, mnt_next_for_sb);
	return mount_of_entry(sb, (__u64)BPF_CORE_READ(mount, mnt_instance.next));
}

/*
 * Whether a mount of the super block exists besides the one that is being made. Since 6.17 mount(2) makes it before it asks
 * (do_new_mount_fc in fs/namespace.c), fsmount(2) afterwards, as both did before: it is in no namespace and on no other mount yet.
 */
static __always_inline int has_mounts(struct super_block *sb)
{
	struct mount *mount = first_mount(sb);

	if (!mount)
		return 0;
	if (next_mount(sb, mount) || BPF_CORE_READ(mount, mnt_ns))
		return 1;
	return BPF_CORE_READ(mount, mnt_parent) != mount;
}
