/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Structures that changed from one kernel to the next, by what the running kernel's BTF has; versions are never compared. */
#pragma once
#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>

/* 6.18: a list without a head; before, a list_head (commit 1c3efcc0f8ab, "struct mount: relocate MNT_WRITE_HOLD bit"). */
struct super_block___mounts_chained {
	struct mount *s_mounts;
} __attribute__((preserve_access_index));

/* Whether some mount of the super block exists. */
static __always_inline int has_mounts(struct super_block *sb)
{
	struct super_block___mounts_chained *chained = (void *)sb;

	if (bpf_core_field_exists(chained->s_mounts))
		return BPF_CORE_READ(chained, s_mounts) != NULL;
	return (__u64)BPF_CORE_READ(sb, s_mounts.next) !=
	       (__u64)sb + bpf_core_field_offset(struct super_block, s_mounts);
}
