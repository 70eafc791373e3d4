// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Whether paths are read rightly on this kernel: the agent opens files whose paths it knows, and compares. Run after the
 * programs are loaded and before they are attached, so that a change of the kernel's structures which nothing else noticed
 * shows here, and not as rules about other files than they name.
 */
#include "identity.bpf.h"

SEC("syscall")
int self_test(struct known_path *known)
{
	struct task_struct *task = current_task();
	struct file *file = file_of(task, known->fd);
	struct task_identity *scratch = found_identity();

	if (!file || !scratch)
		return 0;
	known->end = walk_hashed(scratch, object_of_file(file), task);
	known->components = scratch->walk.components;
	known->path_hash = scratch->walk.path_hash;
	known->walked = 1;
	return 0;
}
