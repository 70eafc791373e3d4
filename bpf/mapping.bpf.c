/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files in memory: mapping one as code, and writing one through a shared mapping.
 *
 * Writing was judged when the file was opened; it is judged again here for descriptors that are older than the policy.
 * Anonymous memory is a preset's business (presets_exec.bpf.c). Known hole: what is mapped before a policy comes stays mapped.
 */
#include "exec.bpf.h"
#include "mapping.bpf.h"

/*
 * Judges identity->old_name for OP_WRITE, or for mapping a program. Returns the hook's value. Global, so that the verifier
 * does not follow the second judgement of a hook for every end of the first.
 */
__noinline int judge_mapping(identity_ref ref, __u32 hook, __u32 op)
{
	struct task_identity *identity = identity_at(ref);

	if (!identity)
		return -EACCES;
	/* Allows: no rule about writing, or none about mapping programs. */
	if (!any_live(identity->container, OP(op)))
		return 0;
	if (op == OP_WRITE)
		return judge(identity, hook, OP_WRITE, identity->old_name, 0);
	return judge_program(identity, hook, op, identity->old_name);
}

static __always_inline __u32 code_op(struct task_identity *identity)
{
	return identity->loader ? OP_LOAD : OP_MMAP_EXEC;
}

DECIDING_HOOK(mmap_file)

SEC("lsm/mmap_file")
int BPF_PROG(decide_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags,
	     int ret)
{
	KEEP_REFUSAL(ret);
	__u32 writes = prot & PROT_WRITE && flags & MAP_SHARED;

	/* Allows: memory that neither executes nor changes the file; anonymous memory, asked for by its address too, as some verifiers
	 * trust the pointer to be one, and leave a test of it out; others want that test. */
	if (!(prot & PROT_EXEC || writes) || !file || !address_of(file))
		return 0;
	JUDGED_IDENTITY(identity);

	identity->old_name = object_of_path(&file->f_path);
	if (writes && judge_mapping(ref_of(identity), HOOK_MMAP_FILE, OP_WRITE))
		return -EACCES;
	/* Allows: bprm_check_security judged this very file as a program. */
	if (!(prot & PROT_EXEC) || is_exec_mapping_itself(file))
		return 0;
	return judge_mapping(ref_of(identity), HOOK_MMAP_FILE, code_op(identity)) ? -EACCES : 0;
}

DECIDING_HOOK(file_mprotect)

SEC("lsm/file_mprotect")
int BPF_PROG(decide_file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: memory that neither executes nor changes a file. */
	if (!(prot & (PROT_EXEC | PROT_WRITE)))
		return 0;
	JUDGED_IDENTITY(identity);
	struct file *file = untrusted(struct vm_area_struct, vma)->vm_file;
	unsigned long flags = vma->vm_flags;
	__u32 executes = prot & PROT_EXEC && !(flags & VM_EXEC);
	__u32 writes = prot & PROT_WRITE && flags & VM_SHARED && !(flags & VM_WRITE);

	/* Allows: anonymous memory, or nothing that it could not do before. */
	if (!file || !(executes || writes))
		return 0;
	identity->old_name = mapped_object(file);
	if (writes && judge_mapping(ref_of(identity), HOOK_FILE_MPROTECT, OP_WRITE))
		return -EACCES;
	if (executes && judge_mapping(ref_of(identity), HOOK_FILE_MPROTECT, code_op(identity)))
		return -EACCES;
	return 0;
}
