/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where a file system is mounted: the list of a super block's mounts, and by which of them a task sees a dentry. */
#pragma once
#include "core_fixes.bpf.h"
#include "identity.bpf.h"
#include "path.bpf.h"

/* Mounts of one super block on the whole node that are looked at: a pod has some ten of the node's own file system. */
#define MOUNTS_MAX 16384

/* A dentry that climbs to one of its ancestors. */
struct ascent {
	__u64 dentry;
	__u64 ancestor;
	__u64 found;
};

static long ascend_step(__u32 index, struct ascent *ascent)
{
	/* Not within BPF_CORE_READ, which would look for this structure in the kernel. */
	struct dentry *dentry = (void *)ascent->dentry;

	if (ascent->dentry == ascent->ancestor) {
		ascent->found = 1;
		return 1;
	}
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	/* The root of its file system, or a read that failed. */
	if (!parent || parent == dentry)
		return 1;
	ascent->dentry = (__u64)parent;
	return 0;
}

LONG_LOOP(ascend_step, struct ascent, no_pointers)

static __always_inline int lies_below(__u64 dentry, __u64 ancestor)
{
	struct ascent ascent = { .dentry = dentry, .ancestor = ancestor };

	repeat_long(STEPS_MAX, ascend_step, &ascent);
	return ascent.found;
}

struct mount_search {
	struct task_identity *identity;
	__u64 namespace; /* struct mnt_namespace */
	__u64 dentry;
	__u64 sb;
	__u64 mount; /* 0: the end of the list */
	__u32 ended; /* came to the end of the list */
	__u32 settled; /* no mount changed meanwhile */
};

#ifdef KERNEL_5_10

/* For LONG_LOOP. */
static __always_inline int revive_search(struct mount_search *search)
{
	return revive_identity(&search->identity);
}

#endif

/*
 * Notes the mount when it is in the task's namespace and shows the dentry. More than fit are counted all the same. Of those that
 * only the kernel holds one is enough, whatever it shows: overlayfs works in its work directory too, which none shows.
 */
static long try_mount(__u32 index, struct mount_search *search)
{
	struct mount *mount = (void *)search->mount;

	if (!mount) {
		search->ended = 1;
		return 1;
	}
	search->mount = (__u64)next_mount((struct super_block *)search->sb, mount);
	struct mnt_namespace *namespace = BPF_CORE_READ(mount, mnt_ns);

	if ((__u64)namespace >= (__u64)-ERRNO_MAX) {
		search->identity->is_layered = 1;
		return 0;
	}
	if ((__u64)namespace != search->namespace && !is_home(search->identity, namespace))
		return 0;
	if (!lies_below(search->dentry, (__u64)BPF_CORE_READ(mount, mnt.mnt_root)))
		return 0;
	__u32 place = search->identity->shown++;

	asm volatile("%0 &= 7" : "+r"(place));
	search->identity->shown_by[place & (SHOWN_MAX - 1)] =
		(__u64)mount + bpf_core_field_offset(struct mount, mnt);
	return 0;
}

LONG_LOOP(try_mount, struct mount_search, revive_search)

static long try_list(__u32 index, struct mount_search *search)
{
	struct task_identity *identity = search->identity;
	struct super_block *sb = (void *)search->sb;
	struct sequences before = {};

	identity->shown = 0;
	identity->is_layered = 0;
	search->ended = 0;
	repeat_long(WAITS_MAX, wait_even, &before);
	search->mount = (__u64)first_mount(sb);
	repeat_long(MOUNTS_MAX, try_mount, search);
	/* Which a long loop makes a number of. */
	search->identity = identity;
	search->settled = settled(before, read_sequences());
	return search->settled;
}

/*
 * The mounts by which the task sees a dentry, for hooks that have no mount, in identity->shown_by. Returns how many, or
 * -1: the list never stood still or is too long, or they are too many. In ->is_layered whether overlayfs has a layer on its file system.
 */
static __always_inline int find_mounts(struct task_identity *identity, __u64 dentry)
{
	struct task_struct *task = current_task();
	__u64 sb = (__u64)BPF_CORE_READ((struct dentry *)dentry, d_sb);
	struct mount_search search = {
		.identity = identity,
		.namespace = (__u64)BPF_CORE_READ(task, nsproxy, mnt_ns),
		.dentry = dentry,
		.sb = sb,
	};

	repeat(TRIES_MAX, try_list, &search);
	if (!search.ended || identity->shown > SHOWN_MAX || !search.settled)
		return -1;
	return identity->shown;
}
