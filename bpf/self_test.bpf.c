// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Whether paths are read rightly on this kernel: the agent opens files whose paths it knows, and compares. Run after the
 * programs are loaded and before they are attached, so that a change of the kernel's structures which nothing else noticed
 * shows here, and not as rules about other files than they name.
 */
#include "identity.bpf.h"

static __always_inline void read_known(struct known_path *known)
{
	struct task_struct *task = current_task();
	struct file *file = file_of(task, known->fd);
	struct task_identity *scratch = found_identity();

	if (!file || !scratch)
		return;
	known->end = walk_hashed(scratch, object_of_file(file), task);
	known->components = scratch->walk.components;
	known->path_hash = scratch->walk.path_hash;
	known->walked = 1;
}

#ifdef KERNEL_5_10

/* Programs that are run with a context came with 5.14. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct known_path);
} known_paths SEC(".maps");

/* Run by the agent itself, over nothing: the first task that the kernel shows is as good as any. */
SEC("iter/task")
int self_test(struct bpf_iter__task *ctx)
{
	__u32 first = 0;
	struct known_path *known = bpf_map_lookup_elem(&known_paths, &first);

	if (known && !ctx->meta->seq_num && ctx->task)
		read_known(known);
	return 0;
}

#else

SEC("syscall")
int self_test(struct known_path *known)
{
	read_known(known);
	return 0;
}

#endif
