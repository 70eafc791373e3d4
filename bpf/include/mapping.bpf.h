/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Words of mmap(2) and mprotect(2), which the kernel's types do not have, and what execve maps by itself. */
#pragma once
#include "decide.bpf.h"

#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1 /* set in MAP_SHARED_VALIDATE too */
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define VM_WRITE 2UL
#define VM_EXEC 4UL
#define VM_SHARED 8UL

/* execve maps the image that it just judged. Both tests: prctl can set exe_file, but not in the middle of an execve. */
static __always_inline int is_exec_mapping_itself(struct file *file)
{
	struct task_struct *task = current_task();

	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve) && BPF_CORE_READ(task, mm, exe_file) == file;
}

/* The file behind a mapping, by the name that the user opened: since 6.8 overlayfs leaves the layer's own file there. */
static __always_inline struct object mapped_object(struct file *file)
{
	if (!bpf_core_field_exists(struct backing_file, user_path) || !is_layer_file(file))
		return object_of_path(&file->f_path);
	struct backing_file *backing = (struct backing_file *)file;

	return (struct object){ (__u64)BPF_CORE_READ(backing, user_path.dentry), (__u64)BPF_CORE_READ(backing, user_path.mnt) };
}
