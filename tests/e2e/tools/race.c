// SPDX-License-Identifier: Apache-2.0
// Races: some processes change names, others open files whose verdict is the same under every name they ever have.
//
//   race opens SECONDS NAME RULED FREE     opens RULED/NAME, which must be refused, and FREE/NAME, which must not, through
//                                          descriptors of the directories, one process each; prints what came of it
//   race preempt SECONDS RULED FREE        the same for two paths, by two groups of processes that interrupt each other
//                                          on one CPU
//   race flip SECONDS RULED FREE           opens a path that another thread changes from one to the other and back; both
//                                          have the same length
//   race unseen SECONDS RULED PID          opens the path and traces the process, which must both be refused, waking into
//                                          a task that uses the kernel's storage of tasks on the same CPU
//   race sources SECONDS PROGRAM FILE      runs PROGRAM, a copy of this one, which must not open FILE, beside such a task
//   race stored RULED FREE                 opens both and executes itself, with another program's storage on the task
//   race births SECONDS RULED              starts threads and programs that open RULED, by processes that interrupt each other
//                                          on one CPU while the kernel tells of a task's birth, program or end
//   race renames FROM TO [FROM TO]...      renames to and fro, prints how often when it is told to end (SIGTERM)
//   race moves FROM TO [FROM TO]...        the same with mounts
//   race mounts DIRECTORY                  the same with mounting and unmounting a tmpfs, in a namespace of its own
//
// Exit status 1 when a refused file was opened or a free one refused.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tool.h"

/* Processes of each group that sleep a little and interrupt, and that never sleep. */
#define INTERRUPTING 3
#define BUSY 2
/* Threads for each program that is started, which takes twenty times as long. */
#define PROGRAM_EACH 16
/* What the interrupting ones sleep, at most: a few times what one open takes. */
#define NAP_NS_MAX 400000

struct tally {
	uint64_t opens;
	uint64_t wrong;
	uint64_t programs;
	/* The last errno that was neither success nor EACCES, and how often there was one. */
	uint64_t odd;
	int odd_errno;
};

struct target {
	int directory;
	const char *path;
	int is_refused;
};

static volatile sig_atomic_t is_ending;

static void end(int signal)
{
	(void)signal;
	is_ending = 1;
}

static void end_on(int signal)
{
	sigaction(signal, &(struct sigaction){ .sa_handler = end }, NULL);
}

static void open_once(struct tally *tally, const struct target *target)
{
	int fd = openat(target->directory, target->path, O_RDONLY);

	tally->opens++;
	if (fd < 0 && errno != EACCES) {
		tally->odd++;
		tally->odd_errno = errno;
	} else if ((fd < 0) != target->is_refused) {
		tally->wrong++;
	}
	if (fd >= 0)
		close(fd);
}

static void nap(unsigned *seed)
{
	nanosleep(&(struct timespec){ .tv_nsec = rand_r(seed) % NAP_NS_MAX }, NULL);
}

/* One process that opens until SIGTERM. Those that nap have real-time priority: they wake into the others' opens. */
static pid_t start_opener(struct tally *tally, const struct target *target, int naps, unsigned seed)
{
	pid_t pid = must("fork", fork());

	if (pid > 0)
		return pid;
	end_on(SIGTERM);
	if (naps)
		must("real-time priority", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }));
	while (!is_ending) {
		open_once(tally, target);
		if (naps)
			nap(&seed);
	}
	exit(0);
}

static struct tally *shared_tallies(int count)
{
	void *memory = mmap(NULL, count * sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

static uint64_t report(const char *what, const char *wrong, const struct tally *tallies, int count)
{
	struct tally sum = { 0 };

	for (int i = 0; i < count; i++) {
		sum.opens += tallies[i].opens;
		sum.wrong += tallies[i].wrong;
		sum.odd += tallies[i].odd;
		if (tallies[i].odd)
			sum.odd_errno = tallies[i].odd_errno;
	}
	printf("%s: %lu opens, %lu %s", what, sum.opens, sum.wrong, wrong);
	if (sum.odd)
		printf(", %lu other errors, the last: %s", sum.odd, strerror(sum.odd_errno));
	printf("\n");
	return sum.wrong + sum.odd + !sum.opens;
}

/* Runs the openers, `count` on each target, the first `naps` of them napping. */
static int race(int seconds, const struct target targets[2], int count, int naps)
{
	struct tally *tallies = shared_tallies(2 * count);
	pid_t pids[2 * count];

	for (int i = 0; i < 2 * count; i++)
		pids[i] = start_opener(&tallies[i], &targets[i / count], i % count < naps, i + 1);
	sleep(seconds);
	for (int i = 0; i < 2 * count; i++)
		kill(pids[i], SIGTERM);
	for (int i = 0; i < 2 * count; i++)
		must("wait", waitpid(pids[i], NULL, 0));
	return !!(report("ruled", "escapes", tallies, count) + report("free", "false denials", tallies + count, count));
}

/* A directory that is renamed all the time is not there under this name half of the time. */
static int open_directory(const char *path)
{
	int fd;

	do {
		fd = open(path, O_PATH | O_DIRECTORY);
	} while (fd < 0 && errno == ENOENT);
	return must(path, fd);
}

static int opens(char **args)
{
	struct target targets[] = {
		{ .directory = open_directory(args[2]), .path = args[1], .is_refused = 1 },
		{ .directory = open_directory(args[3]), .path = args[1] },
	};

	return race(atoi(args[0]), targets, 1, 0);
}

static void stay_on_first_cpu(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must("one CPU", sched_setaffinity(0, sizeof(first), &first));
}

static int preempt(char **args)
{
	struct target targets[] = {
		{ .directory = AT_FDCWD, .path = args[1], .is_refused = 1 },
		{ .directory = AT_FDCWD, .path = args[2] },
	};

	stay_on_first_cpu();
	/* It must be able to end the others, who start with an ordinary priority. */
	must("real-time priority", sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &(struct sched_param){ .sched_priority = 2 }));
	return race(atoi(args[0]), targets, INTERRUPTING + BUSY, INTERRUPTING);
}

struct flipped {
	char path[4096];
	const char *ends[2];
};

static void *flip_path(void *argument)
{
	struct flipped *flipped = argument;
	size_t length = strlen(flipped->ends[0]);

	for (unsigned turn = 0; !is_ending; turn++)
		memcpy(flipped->path, flipped->ends[turn % 2], length);
	return NULL;
}

static ino_t inode_of(int fd)
{
	struct stat stat;

	must("fstat", fstat(fd, &stat));
	return stat.st_ino;
}

/* What is opened must be what was judged, whatever the path says before, in between and after. */
static int flip(char **args)
{
	struct flipped flipped = { .ends = { args[1], args[2] } };
	ino_t ruled = inode_of(must(args[1], open(args[1], O_PATH)));
	uint64_t opened = 0, refused = 0, escapes = 0;
	pthread_t thread;

	memcpy(flipped.path, args[2], strlen(args[2]));
	pthread_create(&thread, NULL, flip_path, &flipped);
	end_on(SIGALRM);
	alarm(atoi(args[0]));
	while (!is_ending) {
		int fd = open(flipped.path, O_RDONLY);

		/* Half of one path and half of the other is no file's. */
		refused += fd < 0 && errno == EACCES;
		if (fd < 0)
			continue;
		opened++;
		escapes += inode_of(fd) == ruled;
		close(fd);
	}
	pthread_join(thread, NULL);
	printf("flipped: %lu opened, %lu refused, %lu escapes\n", opened, refused, escapes);
	return escapes || !opened || !refused;
}

static int tell(const char *what, uint64_t count)
{
	printf("%lu %s\n", count, what);
	return !count;
}

/* What the kernel wants to know of a map's keys and values: that they are int. */
static const struct {
	struct btf_header header;
	struct btf_type type;
	uint32_t encoding;
	char names[5];
} int_type = {
	.header = { .magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(struct btf_header), .type_len = 16, .str_off = 16, .str_len = 5 },
	.type = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
	.encoding = BTF_INT_SIGNED << 24 | 32,
	.names = "\0int",
};

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_storage(void)
{
	union bpf_attr btf = { .btf = (uintptr_t)&int_type, .btf_size = sizeof(int_type.header) + 16 + 5 };
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_TASK_STORAGE, .key_size = 4, .value_size = 4 };

	map.map_flags = BPF_F_NO_PREALLOC;
	map.btf_fd = must("load types", bpf(BPF_BTF_LOAD, &btf));
	map.btf_key_type_id = 1;
	map.btf_value_type_id = 1;
	return must("make a map", bpf(BPF_MAP_CREATE, &map));
}

/* Interrupted in the middle, it leaves the CPU with its storage closed until 6.1: others' look-ups there find nothing. */
static int use_storage(int policy)
{
	int task = must("pidfd_open", syscall(SYS_pidfd_open, getpid(), 0)), value = 1;
	union bpf_attr update = { .key = (uintptr_t)&task, .value = (uintptr_t)&value };
	uint64_t count = 0;

	update.map_fd = make_storage();
	stay_on_first_cpu();
	must("scheduling policy", sched_setscheduler(0, policy, &(struct sched_param){ 0 }));
	for (; !is_ending; count++)
		must("update", bpf(BPF_MAP_UPDATE_ELEM, &update));
	return tell("updates", count);
}

static pid_t start_storage(int policy)
{
	pid_t pid = must("fork", fork());

	if (!pid)
		exit(use_storage(policy));
	return pid;
}

static void stop_storage(pid_t pid)
{
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0)
		;
}

static int unseen(char **args)
{
	struct tally opens = { 0 }, traces = { 0 };
	struct target target = { .directory = AT_FDCWD, .path = args[1], .is_refused = 1 };
	unsigned seed = 1;
	pid_t disturber = start_storage(SCHED_IDLE);

	stay_on_first_cpu();
	end_on(SIGALRM);
	alarm(atoi(args[0]));
	while (!is_ending) {
		nap(&seed);
		open_once(&opens, &target);
		traces.opens++;
		if (!ptrace(PTRACE_SEIZE, atoi(args[2]), NULL, NULL) || errno != EPERM)
			traces.wrong++;
	}
	stop_storage(disturber);
	return !!(report("ruled", "escapes", &opens, 1) + report("traced", "escapes", &traces, 1));
}

/* Exit statuses of the program that `sources` runs. */
enum { KEPT_OUT = 0, GOT_IN = 1, NOT_RUN = 2 };

static int probe(char **args)
{
	return open(args[0], O_RDONLY) < 0 && errno == EACCES ? KEPT_OUT : GOT_IN;
}

static int sources(char **args)
{
	struct tally runs = { 0 };
	uint64_t refused = 0;
	int status;
	pid_t disturber = start_storage(SCHED_OTHER);

	stay_on_first_cpu();
	end_on(SIGALRM);
	alarm(atoi(args[0]));
	while (!is_ending) {
		pid_t pid = fork();

		/* Refused, too, where the identity can't be read. */
		if (pid < 0) {
			refused++;
			continue;
		}
		if (!pid) {
			execl(args[1], args[1], "probe", args[2], NULL);
			_exit(NOT_RUN);
		}
		while (waitpid(pid, &status, 0) < 0)
			;
		runs.opens += status != W_EXITCODE(NOT_RUN, 0);
		runs.wrong += status == W_EXITCODE(GOT_IN, 0);
		refused += status == W_EXITCODE(NOT_RUN, 0);
	}
	stop_storage(disturber);
	printf("%lu programs refused\n", refused);
	return !!report("sources", "escapes", &runs, 1);
}

static void *open_ruled(void *argument)
{
	const struct target *target = argument;
	int fd = openat(target->directory, target->path, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return (void *)(intptr_t)(fd >= 0 || errno != EACCES);
}

/* A thread, which opens the file, and now and then a program, which does so too. */
static void bear(struct tally *tally, struct target *target, unsigned turn)
{
	pthread_t thread;
	void *escaped;
	int status;

	if (!pthread_create(&thread, NULL, open_ruled, target)) {
		pthread_join(thread, &escaped);
		tally->opens++;
		tally->wrong += !!escaped;
	}
	if (turn % PROGRAM_EACH)
		return;
	pid_t pid = fork();

	if (!pid) {
		execl("/proc/self/exe", "race", "probe", target->path, NULL);
		_exit(NOT_RUN);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		;
	tally->opens += pid > 0;
	tally->programs += pid > 0;
	tally->wrong += pid > 0 && status != W_EXITCODE(KEPT_OUT, 0);
	tally->odd += pid < 0;
}

/* As start_opener(). */
static pid_t start_parent(struct tally *tally, struct target *target, int naps, unsigned seed)
{
	pid_t pid = must("fork", fork());

	if (pid > 0)
		return pid;
	end_on(SIGTERM);
	if (naps)
		must("real-time priority", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }));
	for (unsigned turn = seed; !is_ending; turn++) {
		bear(tally, target, turn);
		if (naps)
			nap(&seed);
	}
	exit(0);
}

static int stored(char **args)
{
	int task = must("pidfd_open", syscall(SYS_pidfd_open, getpid(), 0)), value = 1, status;
	union bpf_attr update = { .key = (uintptr_t)&task, .value = (uintptr_t)&value };

	update.map_fd = make_storage();
	must("update", bpf(BPF_MAP_UPDATE_ELEM, &update));
	int ruled = open(args[0], O_RDONLY), why = errno;

	printf("ruled: %s\n", ruled < 0 ? strerror(why) : "opened");
	must(args[1], open(args[1], O_RDONLY));
	pid_t pid = must("fork", fork());

	if (!pid) {
		execl("/proc/self/exe", "race", "probe", args[1], NULL);
		_exit(NOT_RUN);
	}
	must("wait", waitpid(pid, &status, 0));
	printf("free: %s\n", status == W_EXITCODE(GOT_IN, 0) ? "opened" : "refused");
	return status != W_EXITCODE(GOT_IN, 0);
}

static int births(char **args)
{
	int count = INTERRUPTING + BUSY;
	struct tally *tallies = shared_tallies(count);
	struct target target = { .directory = AT_FDCWD, .path = args[1] };
	pid_t pids[count];

	stay_on_first_cpu();
	must("real-time priority", sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &(struct sched_param){ .sched_priority = 2 }));
	for (int i = 0; i < count; i++)
		pids[i] = start_parent(&tallies[i], &target, i < INTERRUPTING, i + 1);
	sleep(atoi(args[0]));
	for (int i = 0; i < count; i++)
		kill(pids[i], SIGTERM);
	for (int i = 0; i < count; i++)
		must("wait", waitpid(pids[i], NULL, 0));
	uint64_t programs = 0;

	for (int i = 0; i < count; i++)
		programs += tallies[i].programs;
	return report("ruled", "escapes", tallies, count) || tell("programs", programs);
}

static int renames(char **args)
{
	uint64_t count = 0;

	while (!is_ending) {
		for (int i = 0; args[i]; i += 2)
			must(args[i], count % 2 ? rename(args[i + 1], args[i]) : rename(args[i], args[i + 1]));
		count++;
	}
	return tell("rounds of renames", count);
}

static int moves(char **args)
{
	uint64_t count = 0;

	while (!is_ending) {
		for (int i = 0; args[i]; i += 2)
			must("move", mount(args[i + count % 2], args[i + 1 - count % 2], NULL, MS_MOVE, NULL));
		count++;
	}
	return tell("rounds of moves", count);
}

static int mounts(char **args)
{
	uint64_t count = 0;

	must("unshare", unshare(CLONE_NEWNS));
	must("private", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	while (!is_ending) {
		must("mount", mount("race", args[0], "tmpfs", 0, NULL));
		must("umount", umount(args[0]));
		count++;
	}
	return tell("mounts", count);
}

static const struct {
	const char *name;
	int (*run)(char **args);
	int args_min;
} races[] = {
	{ "opens", opens, 4 },
	{ "preempt", preempt, 3 },
	{ "flip", flip, 3 },
	{ "unseen", unseen, 3 },
	{ "sources", sources, 3 },
	{ "births", births, 2 },
	{ "stored", stored, 2 },
	{ "probe", probe, 1 },
	{ "renames", renames, 2 },
	{ "moves", moves, 2 },
	{ "mounts", mounts, 1 },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(races) / sizeof(*races); i++) {
		if (strcmp(argv[1], races[i].name) || argc - 2 < races[i].args_min)
			continue;
		end_on(SIGTERM);
		return races[i].run(argv + 2);
	}
	fprintf(stderr, "usage: see race.c\n");
	return 2;
}
