// SPDX-License-Identifier: Apache-2.0
// Operations on other tasks, and on what the task itself may do.
#include "operations.h"
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>

static long attach(void) { return ptrace(PTRACE_ATTACH, world.victim, NULL, NULL); }
static long be_traced(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL); }

static long read_memory(void)
{
	char bytes[4];
	struct iovec local = { bytes, 4 }, remote = { &world, 4 };

	return process_vm_readv(world.victim, &local, 1, &remote, 1, 0);
}

static int victim_descriptor(void) { return syscall(SYS_pidfd_open, world.victim, 0); }

static long open_memory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", world.victim);
	return open(path, O_RDWR);
}

static long do_kill(void) { return kill(world.victim, SIGCONT); }
static long signal_descriptor(void) { return syscall(SYS_pidfd_send_signal, victim_descriptor(), SIGCONT, NULL, 0); }
static long take_descriptor(void) { return syscall(SYS_pidfd_getfd, victim_descriptor(), world.file, 0); }
static long limit_other(void) { return prlimit(world.victim, RLIMIT_NOFILE, &(struct rlimit){ 99, 99 }, NULL); }
static long schedule_other(void) { return sched_setscheduler(world.victim, SCHED_BATCH, &(struct sched_param){ 0 }); }
static long nice_other(void) { return setpriority(PRIO_PROCESS, world.victim, 5); }
static long input_priority_other(void) { return syscall(SYS_ioprio_set, 1, world.victim, 2 << 13); }

static long pin_other(void)
{
	cpu_set_t processors;

	CPU_ZERO(&processors);
	CPU_SET(0, &processors);
	return sched_setaffinity(world.victim, sizeof(processors), &processors);
}

static long become_user(void) { return setuid(1000); }
static long become_group(void) { return setgid(1000); }
static long join_groups(void) { return setgroups(1, &(gid_t){ 5 }); }

static long drop_capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {};

	return syscall(SYS_capset, &head, data);
}

static long give_up_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static long rename_self(void) { return prctl(PR_SET_NAME, "other"); }
static long limit_self(void) { return setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 99, 99 }); }
static long set_host_name(void) { return sethostname("x", 1); }

static long set_time(void)
{
	struct timeval now;

	return gettimeofday(&now, NULL) ? -1 : settimeofday(&now, NULL);
}

const struct operation task_operations[] = {
	{ "ptrace attach", attach },
	{ "ptrace traceme", be_traced },
	{ "process_vm_readv", read_memory },
	{ "open of another's /proc/PID/mem", open_memory },
	{ "kill", do_kill },
	{ "pidfd_send_signal", signal_descriptor },
	{ "pidfd_getfd", take_descriptor },
	{ "prlimit of another", limit_other },
	{ "sched_setscheduler of another", schedule_other },
	{ "sched_setaffinity of another", pin_other },
	{ "setpriority of another", nice_other },
	{ "ioprio_set of another", input_priority_other },
	{ "setuid", become_user },
	{ "setgid", become_group },
	{ "setgroups", join_groups },
	{ "capset", drop_capabilities },
	{ "prctl of PR_SET_NO_NEW_PRIVS", give_up_privileges },
	{ "prctl of PR_SET_NAME", rename_self },
	{ "setrlimit", limit_self },
	{ "sethostname", set_host_name },
	{ "settimeofday", set_time },
	{ NULL, NULL },
};
