// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Presets about programs and code: filelessExec, exec, anonymousMapExec. Loaded when a policy names one.
 *
 * Fileless is a program whose bytes are on no disk: on tmpfs wherever it is mounted (/dev/shm, /run/shm, an emptyDir in memory), in a
 * memfd, or in a file that has no name any more. A dynamic loader that was executed by name runs such a file by mapping it.
 * The programs here run before the others at the same hooks, which were attached before them.
 * A program came from outside when a task that entered the container becomes its own by executing it, after another had begun it.
 *
 * Anonymous memory is what no file shows: memory without a file, of a memfd, of a device, of a file without a name; and private copies of a
 * file's pages that were, or may be, written. Known holes: an executable stack that a program's header asks for; code written over a
 * program's own by /proc/self/mem; what is executable before the policy comes; what an interpreter reads.
 */
#include "identity.bpf.h"
#include "mapping.bpf.h"
#include "presets.bpf.h"

static __always_inline int is_in_memory(struct inode *inode)
{
	unsigned long magic = inode->i_sb->s_magic;

	return magic == TMPFS_MAGIC || magic == RAMFS_MAGIC || magic == HUGETLBFS_MAGIC;
}

static __always_inline int is_fileless(struct file *file)
{
	struct inode *inode = file->f_inode;

	return !inode->i_nlink || is_in_memory(inode);
}

/* Whether a container's program has run before, and this task is not its pid namespace's first. */
static __always_inline int enters_running(struct task_identity *identity, struct task_struct *task)
{
	__u32 container = identity->container;
	struct container_use *use = bpf_map_lookup_elem(&container_use, &container);
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);

	return use && use->begun && read_upid(pid, BPF_CORE_READ(pid, level)).nr != 1;
}

/* `kubectl exec -t` and its like. */
static __always_inline int comes_from_outside(struct task_identity *identity)
{
	struct task_struct *task = current_task();

	if (identity->state == TASK_ARMED || !BPF_CORE_READ(task, signal, tty))
		return 0;
	return enters_running(identity, task);
}

STUB("lsm/bprm_check_security", preset_bprm_check_security, 1)

SEC("lsm/bprm_check_security")
int BPF_PROG(decide_preset_bprm_check_security, struct linux_binprm *bprm, int ret)
{
	KEEP_REFUSAL(ret);
	struct task_identity *identity = current_identity();

	bprm = untrusted(struct linux_binprm, bprm);
	/* Allows: a host task; no preset is in force. */
	if (!identity || !any_preset(identity->container))
		return 0;
	/* Allows: the runtime's own set-up. What hands over to the container is judged. */
	if (identity->state != TASK_ARMED && !exec_arms(identity, bprm))
		return 0;
	struct file *file = bprm->file;
	__u32 cases = is_fileless(file) ? CASE(FILELESS_EXEC) : 0;

	if (comes_from_outside(identity))
		cases |= CASE(EXEC);
	/* Allows: a program like others. */
	if (!cases)
		return 0;
	identity->old_name = object_of_path(&file->f_path);
	return judge_preset(ref_of(identity), HOOK_BPRM_CHECK, cases, 0) ? -EACCES : 0;
}

/* A file that is mapped, or was, and is none: see above. */
static __always_inline int is_no_file(struct inode *inode)
{
	return (inode->i_mode & S_IFMT) != S_IFREG || !inode->i_nlink ||
	       inode->i_sb->s_flags & (SB_KERNMOUNT | SB_NOUSER);
}

static __always_inline __u32 mapped_facts(unsigned long reqprot, unsigned long prot, unsigned long flags)
{
	__u32 mask = (1u << MAPPED_PROTECTION_BITS) - 1;

	return (reqprot & mask) | (prot & mask) << MAPPED_PROTECTION_BITS | flags << MAPPED_FLAGS_AT;
}

STUB("lsm/mmap_file", preset_mmap_file, 1)

SEC("lsm/mmap_file")
int BPF_PROG(decide_preset_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: memory that does not execute. */
	if (!(prot & PROT_EXEC))
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	__u32 facts = mapped_facts(reqprot, prot, flags);

	/* By its address, too: some verifiers trust the pointer to be one, and leave a test of it out; others want that test. */
	if (!file || !address_of(file))
		return judge_preset_alone(identity, HOOK_MMAP_FILE, CASE(ANONYMOUS_MAP_EXEC), facts);
	/* Allows: bprm_check_security judged this very file as a program. */
	if (is_exec_mapping_itself(file))
		return 0;
	__u32 cases = identity->loader && is_fileless(file) ? CASE(FILELESS_EXEC) : 0;

	if (is_no_file(file->f_inode) || (prot & PROT_WRITE && !(flags & MAP_SHARED)))
		cases |= CASE(ANONYMOUS_MAP_EXEC);
	/* Allows: a file's code. */
	if (!cases)
		return 0;
	identity->old_name = object_of_path(&file->f_path);
	return judge_preset(ref_of(identity), HOOK_MMAP_FILE, cases, facts) ? -EACCES : 0;
}

STUB("lsm/file_mprotect", preset_file_mprotect, 1)

SEC("lsm/file_mprotect")
int BPF_PROG(decide_preset_file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: memory that does not execute. */
	if (!(prot & PROT_EXEC))
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	vma = untrusted(struct vm_area_struct, vma);
	struct file *file = vma->vm_file;
	unsigned long flags = vma->vm_flags, shown = flags & VM_SHARED ? MAP_SHARED : MAP_PRIVATE;
	__u32 is_copy = !(flags & VM_SHARED) && (address_of(vma->anon_vma) || prot & PROT_WRITE), cases = 0;

	/* Allows: what executes already, which was judged. */
	if (flags & VM_EXEC)
		return 0;
	if (!file)
		return judge_preset_alone(identity, HOOK_FILE_MPROTECT, CASE(ANONYMOUS_MAP_EXEC),
					  mapped_facts(reqprot, prot, shown | MAP_ANONYMOUS));
	if (is_copy || is_no_file(file->f_inode))
		cases |= CASE(ANONYMOUS_MAP_EXEC);
	if (identity->loader && is_fileless(file))
		cases |= CASE(FILELESS_EXEC);
	/* Allows: a file's code. */
	if (!cases)
		return 0;
	identity->old_name = mapped_object(file);
	return judge_preset(ref_of(identity), HOOK_FILE_MPROTECT, cases, mapped_facts(reqprot, prot, shown)) ?
		       -EACCES :
		       0;
}
