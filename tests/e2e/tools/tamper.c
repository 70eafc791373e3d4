// SPDX-License-Identifier: Apache-2.0
// tamper WAY PID [PATH]: does something to a process, or gets what is in the kernel. PID 0 is a child of its own.
// Exit status 1, and the error's text, when that is refused.
#define _GNU_SOURCE
#include "tool.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its address is the same in a child of its own, which is all that is ever written to. */
static char byte;

static void by_pidfd(pid_t pid)
{
	must("pidfd_send_signal", syscall(SYS_pidfd_send_signal, must("pidfd_open", syscall(SYS_pidfd_open, pid, 0)), SIGSTOP,
					  NULL, 0));
}

/* The kernel sends the signal when the pipe can be read. It tells nobody when that is refused, so the victim is asked. */
static void by_pipe(pid_t pid)
{
	int ends[2], status;

	must("pipe", pipe(ends));
	must("F_SETOWN", fcntl(ends[0], F_SETOWN, pid));
	must("F_SETSIG", fcntl(ends[0], F_SETSIG, SIGKILL));
	must("O_ASYNC", fcntl(ends[0], F_SETFL, O_ASYNC));
	must("write", write(ends[1], "x", 1));
	if (waitpid(pid, &status, 0) == pid)
		return;
	if (!kill(pid, 0))
		errno = EPERM;
	must("signal by a pipe", kill(pid, 0) ? 0 : -1);
}

static void trace(pid_t pid)
{
	must("PTRACE_ATTACH", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	waitpid(pid, NULL, __WALL);
	must("PTRACE_DETACH", ptrace(PTRACE_DETACH, pid, NULL, NULL));
}

static void write_memory(pid_t pid)
{
	struct iovec here = { &byte, 1 }, there = { &byte, 1 };

	must("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
}

static void open_memory(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	must("open", open(path, O_RDONLY));
}

/* Since 6.15 whoever has CAP_PERFMON or CAP_SYS_ADMIN may look at any process, and no program is asked (may_access_mm in kernel/fork.c). */
static void give_up_monitoring(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	must("capget", syscall(SYS_capget, &header, sets));
	sets[CAP_TO_INDEX(CAP_PERFMON)].effective &= ~CAP_TO_MASK(CAP_PERFMON);
	sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
	must("capset", syscall(SYS_capset, &header, sets));
}

static void open_environment(pid_t pid)
{
	char path[32];

	give_up_monitoring();
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	must("open", open(path, O_RDONLY));
}

static void take_descriptor(pid_t pid)
{
	must("pidfd_getfd", syscall(SYS_pidfd_getfd, must("pidfd_open", syscall(SYS_pidfd_open, pid, 0)), 1, 0));
}

static void limit(pid_t pid)
{
	struct rlimit all;

	must("prlimit", prlimit(pid, RLIMIT_NOFILE, NULL, &all));
	must("prlimit", prlimit(pid, RLIMIT_NOFILE, &all, NULL));
}

static void schedule(pid_t pid)
{
	cpu_set_t cpus;

	must("sched_getaffinity", sched_getaffinity(pid, sizeof(cpus), &cpus));
	must("sched_setaffinity", sched_setaffinity(pid, sizeof(cpus), &cpus));
}

static void renice(pid_t pid)
{
	must("setpriority", setpriority(PRIO_PROCESS, pid, 1));
}

static void set_io_priority(pid_t pid)
{
	must("ioprio_set", syscall(SYS_ioprio_set, 1, pid, 2 << 13 | 5));
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* Every map, program or link that the kernel has, by its id. */
static void take_all(int next, int get)
{
	union bpf_attr attr = {};

	for (;;) {
		union bpf_attr one = {};

		attr.start_id = attr.next_id;
		if (bpf(next, &attr))
			return;
		one.map_id = attr.next_id;
		long fd = bpf(get, &one);

		/* Another is gone before it could be got. */
		if (fd < 0 && errno != ENOENT)
			must("get by id", fd);
		close(fd);
	}
}

static void take_pin(const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path };

	must("open pin", bpf(BPF_OBJ_GET, &attr));
}

/* A link that someone got hold of: the kernel detaches none of this kind. */
static void detach_pin(const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path }, detach = {};

	detach.link_detach.link_fd = must("open pin", bpf(BPF_OBJ_GET, &attr));
	must("detach", bpf(BPF_LINK_DETACH, &detach));
}

static void own_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
	struct bpf_map_info info = {};
	union bpf_attr get_info = {}, by_id = {};

	get_info.info.bpf_fd = must("create map", bpf(BPF_MAP_CREATE, &attr));
	get_info.info.info_len = sizeof(info);
	get_info.info.info = (uintptr_t)&info;
	must("read about map", bpf(BPF_OBJ_GET_INFO_BY_FD, &get_info));
	by_id.map_id = info.id;
	must("get own map by id", bpf(BPF_MAP_GET_FD_BY_ID, &by_id));
}

static pid_t child(void)
{
	pid_t pid = must("fork", fork());

	if (!pid)
		for (;;)
			pause();
	return pid;
}

struct way {
	const char *name;
	void (*act)(pid_t pid);
};

static const struct way ways[] = {
	{ "pidfd", by_pidfd },	   { "pipe", by_pipe },	      { "trace", trace },	   { "write-memory", write_memory },
	{ "mem", open_memory },	   { "getfd", take_descriptor }, { "limit", limit },	   { "schedule", schedule },
	{ "nice", renice },	   { "io-priority", set_io_priority }, { "environ", open_environment },
};

int main(int argc, char **argv)
{
	const char *way = argc > 2 ? argv[1] : "";
	pid_t pid = argc > 2 ? atoi(argv[2]) : 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(way, ways[i].name))
			continue;
		pid_t target = pid ? pid : child();

		ways[i].act(target);
		if (!pid)
			kill(target, SIGKILL);
		puts("done");
		return 0;
	}
	if (!strcmp(way, "maps"))
		take_all(BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID);
	else if (!strcmp(way, "programs"))
		take_all(BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID);
	else if (!strcmp(way, "links"))
		take_all(BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID);
	else if (!strcmp(way, "own-map"))
		own_map();
	else if (!strcmp(way, "pin"))
		take_pin(argv[2]);
	else if (!strcmp(way, "detach"))
		detach_pin(argv[2]);
	else
		return fprintf(stderr, "tamper: no way \"%s\"\n", way), 2;
	puts("done");
	return 0;
}
