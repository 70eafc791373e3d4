// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Presets about files that are no files: protectEnv, protectProc, blockRawDevices, protectKernelTunables. Loaded when a policy names one.
 *
 * Known by what the kernel keeps of them, wherever they are mounted and by whatever way they are reached: an inode of procfs knows
 * its process, a device's its number, and kernel file systems their kind. Names are compared only where the kernel
 * itself gave them. A process is another one when it is not the thread group that opens; a process that is gone is, too.
 *
 * Known holes: what was open before the policy; what stat(2) tells; a process' memory by ptrace(2) and process_vm_readv(2), which asks who may
 * trace; devices with numbers that the kernel gives out as they come (character devices of NVMe and bsg).
 */
#include "presets.bpf.h"

#define S_IFCHR 0020000
#define S_IFBLK 0060000
#define FILE_IS_WRITTEN 2u /* FMODE_WRITE */

#define SYSFS_MAGIC 0x62656572
#define DEBUGFS_MAGIC 0x64626720
#define TRACEFS_MAGIC 0x74726163
#define SECURITYFS_MAGIC 0x73636673
#define CONFIGFS_MAGIC 0x62656570
#define BINFMT_MISC_MAGIC 0x42494e4d
#define EFIVARFS_MAGIC 0xde5e81e4
#define NFSD_MAGIC 0x6e667364
#define CGROUP_MAGIC 0x27e0eb

/* Levels of procfs below a process' directory that are looked through for it: PID/task/TID/net/stat/NAME. */
#define PROC_LEVELS_MAX 6

/* Documentation/admin-guide/devices.txt: numbers that are for ever. */
#define MAJOR_MEMORY 1
#define MINOR_MEM 1
#define MINOR_KMEM 2
#define MINOR_PORT 4
#define MAJOR_SCSI_TAPE 9
#define MAJOR_MISC 10
#define MINOR_DEVICE_MAPPER 236
#define MINOR_LOOP_CONTROL 237
#define MAJOR_SCSI_GENERIC 21
#define MAJOR_MTD 90
#define MAJOR_RAW 162
#define MAJOR_MSR 202

/* Room for a name that the kernel gave, with its NUL; the length in whole numbers of 64 bits. */
struct given_name {
	char text[24];
};

static __always_inline struct given_name name_of(struct dentry *dentry)
{
	struct given_name name = {};

	bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(dentry, d_name.name));
	return name;
}

#define IS_NAMED(name, wanted) (!__builtin_memcmp((name).text, wanted, sizeof(wanted)))

// ---- processes ----------------------------------------------------------------------------------------------------------

/* Of an inode of procfs the process that it is about; NULL: none. */
static __always_inline struct pid *process_of(struct inode *inode)
{
	struct proc_inode *entry = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);

	return BPF_CORE_READ(entry, pid);
}

/* Whether it is the running task's own process, or a thread of it. */
static __always_inline int is_own(struct pid *pid)
{
	struct hlist_node *node = BPF_CORE_READ(pid, tasks[0].first);
	struct task_struct *task = (void *)node - bpf_core_field_offset(struct task_struct, pid_links);

	return node && BPF_CORE_READ(task, signal) == task_read(current_task(), signal);
}

struct process_search {
	struct dentry *dentry;
	struct pid *found;
};

static long search_process(__u32 level, struct process_search *search)
{
	/* Not within BPF_CORE_READ, which would look for this structure in the kernel. */
	struct dentry *dentry = search->dentry;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	if (!inode || !parent)
		return 1;
	search->found = process_of(inode);
	if (search->found || parent == dentry)
		return 1;
	search->dentry = parent;
	return 0;
}

/* The process whose directory it lies in: files below PID/net know none themselves. NULL: it is not about a process. */
static __always_inline struct pid *process_above(struct dentry *dentry)
{
	struct process_search search = { .dentry = dentry };

	repeat(PROC_LEVELS_MAX, search_process, &search);
	return search.found;
}

/* Of a file of procfs. */
static __always_inline __u32 proc_cases(struct dentry *dentry, __u32 writes)
{
	struct pid *pid = process_above(dentry);
	struct given_name name = name_of(dentry);

	if (pid) {
		if (is_own(pid))
			return 0;
		return IS_NAMED(name, "environ") ? CASE(PROTECT_ENV) | CASE(PROTECT_PROC) : CASE(PROTECT_PROC);
	}
	if (IS_NAMED(name, "kcore"))
		return CASE(BLOCK_RAW_DEVICES);
	return writes ? CASE(PROTECT_KERNEL_TUNABLES) : 0;
}

// ---- devices ------------------------------------------------------------------------------------------------------------

static __always_inline __u32 is_raw_character(__u32 major, __u32 minor)
{
	if (major == MAJOR_MEMORY)
		return minor == MINOR_MEM || minor == MINOR_KMEM || minor == MINOR_PORT;
	if (major == MAJOR_MISC)
		return minor == MINOR_DEVICE_MAPPER || minor == MINOR_LOOP_CONTROL;
	return major == MAJOR_SCSI_TAPE || major == MAJOR_SCSI_GENERIC || major == MAJOR_MTD || major == MAJOR_RAW ||
	       major == MAJOR_MSR;
}

static __always_inline __u32 device_cases(__u32 mode, __u32 major, __u32 minor)
{
	__u32 kind = mode & S_IFMT;

	if (kind == S_IFBLK || (kind == S_IFCHR && is_raw_character(major, minor)))
		return CASE(BLOCK_RAW_DEVICES);
	return 0;
}

// ---- files --------------------------------------------------------------------------------------------------------------

static __always_inline __u32 is_tunables(unsigned long magic, struct dentry *dentry)
{
	switch (magic) {
	case SYSFS_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case CONFIGFS_MAGIC:
	case BINFMT_MISC_MAGIC:
	case EFIVARFS_MAGIC:
	case NFSD_MAGIC:
		return 1;
	case CGROUP_MAGIC: {
		/* Managers of cgroups write the others, and limits of their own are a container's business. */
		struct given_name name = name_of(dentry);

		return IS_NAMED(name, "release_agent");
	}
	default:
		return 0;
	}
}

/* Any of these, to be told by proc_cases(): by helpers, which most containers' opens in procfs need not pay for. */
#define IN_PROCFS (CASE(PROTECT_ENV) | CASE(PROTECT_PROC) | CASE(BLOCK_RAW_DEVICES) | CASE(PROTECT_KERNEL_TUNABLES))

static __always_inline __u32 file_cases(struct file *file)
{
	struct inode *inode = file->f_inode;
	__u32 mode = inode->i_mode, device = inode->i_rdev;
	unsigned long magic = inode->i_sb->s_magic;

	if ((mode & S_IFMT) == S_IFBLK || (mode & S_IFMT) == S_IFCHR)
		return device_cases(mode, device >> 20, device & 0xfffff);
	if (magic == PROC_SUPER_MAGIC)
		return IN_PROCFS;
	__u32 writes = file->f_mode & FILE_IS_WRITTEN;

	return writes && is_tunables(magic, file->f_path.dentry) ? CASE(PROTECT_KERNEL_TUNABLES) : 0;
}

static __always_inline int judge_opened(struct task_struct *task, __u32 hook, struct file *file)
{
	/* Allows: a host task. */
	if (!storage_of(task))
		return 0;
	__u32 cases = file_cases(file);

	/* Allows: a file like others, which is nearly all. */
	if (!cases)
		return 0;
	IDENTITY_FROM(identity_of(task), identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	if (cases == IN_PROCFS)
		cases = proc_cases(file->f_path.dentry, file->f_mode & FILE_IS_WRITTEN);
	/* Allows: its own, or the machine's and only read. */
	if (!cases)
		return 0;
	identity->old_name = object_of_path(&file->f_path);
	return judge_preset(ref_of(identity), hook, cases, file->f_flags) ? -EACCES : 0;
}

STUB("lsm/file_open", preset_file_open, 1)

SEC("lsm/file_open")
int BPF_PROG(decide_preset_file_open, struct file *file, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_opened(current_task(), HOOK_FILE_OPEN, file);
}

STUB("lsm/file_receive", preset_file_receive, 1)

/* By SCM_RIGHTS or pidfd_getfd: as if it had opened the file itself. */
SEC("lsm/file_receive")
int BPF_PROG(decide_preset_file_receive, struct file *file, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_opened(current_task(), HOOK_FILE_RECEIVE, file);
}

// ---- links of processes ---------------------------------------------------------------------------------------------------

/*
 * The links in a process' directory lead to its files without a name: cwd, root, exe, fd/N, ns/NAME. Who follows one opens
 * what it leads to, which is no file of procfs.
 */
static __always_inline int judge_link(__u32 hook, struct dentry *dentry)
{
	struct dentry *link = untrusted(struct dentry, dentry);

	/* Allows: a link of another file system. */
	if (link->d_sb->s_magic != PROC_SUPER_MAGIC)
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	struct pid *pid = process_of(BPF_CORE_READ(dentry, d_inode));

	/* Allows: /proc/self and its like, and the task's own. */
	if (!pid || is_own(pid))
		return 0;
	identity->old_name = (struct object){ (__u64)dentry, 0 };
	return judge_preset(ref_of(identity), hook, CASE(PROTECT_PROC), 0) ? -EACCES : 0;
}

DECIDING_HOOK(inode_follow_link)

SEC("lsm/inode_follow_link")
int BPF_PROG(decide_inode_follow_link, struct dentry *dentry, struct inode *inode, bool rcu, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_link(HOOK_INODE_FOLLOW_LINK, dentry);
}

DECIDING_HOOK(inode_readlink)

SEC("lsm/inode_readlink")
int BPF_PROG(decide_inode_readlink, struct dentry *dentry, int ret)
{
	KEEP_REFUSAL(ret);
	return judge_link(HOOK_INODE_READLINK, dentry);
}

// ---- making and mounting devices ------------------------------------------------------------------------------------------

STUB("lsm/path_mknod", preset_path_mknod, 1)

/* The number comes as user space writes it (new_encode_dev in include/linux/kdev_t.h). */
SEC("lsm/path_mknod")
int BPF_PROG(decide_preset_path_mknod, const struct path *directory, struct dentry *dentry, umode_t mode,
	     unsigned int device, int ret)
{
	KEEP_REFUSAL(ret);
	__u32 major = device >> 8 & 0xfff, minor = (device & 0xff) | (device >> 12 & 0xfff00);
	__u32 cases = device_cases(mode, major, minor);

	/* Allows: no such device. */
	if (!cases)
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	identity->old_name = object_in(directory, dentry);
	return judge_preset(ref_of(identity), HOOK_PATH_MKNOD, cases, major << 20 | minor) ? -EACCES : 0;
}

STUB("lsm/sb_kern_mount", preset_sb_kern_mount, 1)

/* A file system on a block device, which the kernel reads for who mounts it. */
SEC("lsm/sb_kern_mount")
int BPF_PROG(decide_preset_sb_kern_mount, struct super_block *sb, int ret)
{
	KEEP_REFUSAL(ret);
	/* Allows: it lies on none. */
	if (!untrusted(struct super_block, sb)->s_bdev)
		return 0;
	JUDGED_IDENTITY(identity);

	/* Allows: no preset is in force. */
	if (!any_preset(identity->container))
		return 0;
	return judge_preset_alone(identity, HOOK_SB_KERN_MOUNT, CASE(BLOCK_RAW_DEVICES), sb->s_dev);
}
