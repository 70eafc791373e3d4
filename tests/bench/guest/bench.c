/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Measures a guest whose clock counts instructions. `serve` is a container's main program: it repeats what it is asked to,
 * and answers how long that took. The rest runs on the host, asks, and reads the kernel's statistics around each round:
 * nothing else runs between the two readings but what the round causes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 256
#define LINE_MAX_BYTES 4096
/* Long enough for a container to be asking. */
#define ASKING_MS 20

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		fail("read a clock");
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void sleep_ms(int64_t ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* ---- in the container: what is repeated -------------------------------------------------------------------------- */

static void open_and_close(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	close(fd);
}

static void be_denied(const char *path)
{
	if (open(path, O_RDONLY) >= 0 || errno != EACCES)
		fail("expected a refusal");
}

static void run_program(const char *path)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail(path);
}

static void change_file(const char *dir)
{
	char first[256], second[256];
	struct stat info;

	snprintf(first, sizeof(first), "%s/first", dir);
	snprintf(second, sizeof(second), "%s/second", dir);
	int fd = open(first, O_CREAT | O_WRONLY, 0644);

	if (fd < 0 || write(fd, "text", 4) != 4 || close(fd) || stat(first, &info) || rename(first, second) ||
	    unlink(second))
		fail(dir);
}

static int is_denied(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EACCES;
}

struct act {
	const char *name;
	void (*run)(const char *path);
};

static const struct act acts[] = {
	{ "open", open_and_close },
	{ "denied", be_denied },
	{ "exec", run_program },
	{ "change", change_file },
};

/* Repeats an act; returns how long that took. */
static int64_t repeat(const char *name, const char *path, int times)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
		if (strcmp(acts[i].name, name))
			continue;
		int64_t start = clock_ns(CLOCK_MONOTONIC);

		for (int n = 0; n < times; n++)
			acts[i].run(path);
		return clock_ns(CLOCK_MONOTONIC) - start;
	}
	errno = EINVAL;
	fail(name);
	return 0;
}

/* Looks again every `pause_ms` (0: at once) until an open is refused, or allowed; returns the time. */
static int64_t wait_for(const char *path, int denied, int pause_ms)
{
	while (is_denied(path) != denied)
		if (pause_ms)
			sleep_ms(pause_ms);
	return clock_ns(CLOCK_MONOTONIC);
}

/* Requests: "ACT PATH TIMES", "until-denied PATH PAUSE_MS", "until-allowed PATH PAUSE_MS". The answer is a number. */
static int64_t answer(char *request)
{
	char *name = strtok(request, " \n"), *path = strtok(NULL, " \n"), *number = strtok(NULL, " \n");

	if (!name || !path || !number) {
		errno = EINVAL;
		fail("read a request");
	}
	if (!strcmp(name, "until-denied"))
		return wait_for(path, 1, atoi(number));
	if (!strcmp(name, "until-allowed"))
		return wait_for(path, 0, atoi(number));
	return repeat(name, path, atoi(number));
}

static FILE *open_pipe(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* Opened for both directions, so that neither side waits for the other to open its end. */
	FILE *file = fopen(path, "r+");

	if (!file)
		fail(path);
	setvbuf(file, NULL, _IONBF, 0);
	return file;
}

static int serve(const char *dir)
{
	FILE *requests = open_pipe(dir, "requests"), *answers = open_pipe(dir, "answers");
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), requests))
		fprintf(answers, "%lld\n", (long long)answer(line));
	return 0;
}

/* ---- on the host ------------------------------------------------------------------------------------------------- */

struct container {
	FILE *requests;
	FILE *answers;
};

/* Of the directory with its pipes; "-" is this very process. */
static struct container open_container(const char *dir)
{
	if (!strcmp(dir, "-"))
		return (struct container){};
	return (struct container){ open_pipe(dir, "requests"), open_pipe(dir, "answers") };
}

static int64_t read_answer(struct container *container)
{
	char line[LINE_MAX_BYTES];

	if (!fgets(line, sizeof(line), container->answers))
		fail("read an answer");
	return atoll(line);
}

static int64_t ask(struct container *container, const char *request)
{
	char line[LINE_MAX_BYTES];

	if (!container->requests) {
		snprintf(line, sizeof(line), "%s", request);
		return answer(line);
	}
	fprintf(container->requests, "%s\n", request);
	return read_answer(container);
}

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static struct bpf_prog_info program_info(int fd)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = { .info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info } };

	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		fail("read a program's information");
	return info;
}

/* The newest program of that name; the kernel keeps 15 characters. Returns its descriptor. */
static int find_program(const char *name)
{
	union bpf_attr next = {};
	int found = -1;

	while (!bpf(BPF_PROG_GET_NEXT_ID, &next)) {
		union bpf_attr id = { .prog_id = next.next_id };
		int fd = bpf(BPF_PROG_GET_FD_BY_ID, &id);

		next.start_id = next.next_id;
		if (fd < 0)
			continue;
		if (strncmp(program_info(fd).name, name, BPF_OBJ_NAME_LEN - 1)) {
			close(fd);
			continue;
		}
		if (found >= 0)
			close(found);
		found = fd;
	}
	if (found < 0)
		fail(name);
	return found;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/*
 * Timer ticks, kernel threads and the agent only add, in bursts, and the first round pays for what is done once: they are
 * not in the lower quartile of many short rounds, and what each repetition costs is. The least would depend on luck.
 */
static void print_quartile(double *values, int count)
{
	qsort(values, count, sizeof(*values), by_size);
	printf("%.1f\n", values[count / 4]);
}

static int checked_rounds(const char *text)
{
	int rounds = atoi(text);

	if (rounds >= 1 && rounds <= ROUNDS_MAX)
		return rounds;
	errno = ERANGE;
	fail("read the number of rounds");
	return 0;
}

/* Time of one repetition of `request` (which ends with their number). */
static int time_act(const char *dir, int rounds, const char *request)
{
	struct container container = open_container(dir);
	double times = atof(strrchr(request, ' ')), values[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++)
		values[i] = ask(&container, request) / times;
	print_quartile(values, rounds);
	return 0;
}

/* Time of one run of a program, as the kernel counts it, while the container repeats the request. */
static int time_program(const char *dir, int rounds, const char *request, const char *name)
{
	struct container container = open_container(dir);
	union bpf_attr attr = { .enable_stats = { .type = BPF_STATS_RUN_TIME } };
	int stats = bpf(BPF_ENABLE_STATS, &attr), program = find_program(name);
	double values[ROUNDS_MAX];

	if (stats < 0)
		fail("enable statistics");
	for (int i = 0; i < rounds; i++) {
		struct bpf_prog_info before = program_info(program);

		ask(&container, request);
		struct bpf_prog_info after = program_info(program);
		uint64_t runs = after.run_cnt - before.run_cnt;

		if (runs < strtoull(strrchr(request, ' '), NULL, 10)) {
			errno = ENOENT;
			fail("the program did not run each time");
		}
		values[i] = (double)(after.run_time_ns - before.run_time_ns) / runs;
	}
	print_quartile(values, rounds);
	return 0;
}

static int64_t process_ns(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock)) {
		errno = ESRCH;
		fail("find the agent's clock");
	}
	return clock_ns(clock);
}

/*
 * What one repetition costs the whole machine and what it costs the agent, until the agent has come to rest; what the agent
 * does in as much time without any is taken off. Prints both.
 */
static int time_all(const char *dir, const char *request, pid_t agent, int rest_ms)
{
	struct container container = open_container(dir);
	double times = atof(strrchr(request, ' '));
	int64_t before = process_ns(agent), loop = ask(&container, request);
	int64_t at_end = process_ns(agent);

	sleep_ms(rest_ms);
	int64_t rested = process_ns(agent);

	sleep_ms(rest_ms);
	int64_t idle = process_ns(agent) - rested;

	printf("%.1f %.1f\n", (loop + rested - at_end - idle) / times, (rested - before - idle) / times);
	return 0;
}

/*
 * Puts a policy in place, by a rename, while the container repeats `request`, which ends when something is refused. Prints the time
 * between the two and the agent's part of it, in ns.
 */
static int time_change(const char *dir, const char *request, const char *from, const char *to, pid_t agent)
{
	struct container container = open_container(dir);

	fprintf(container.requests, "%s\n", request);
	sleep_ms(ASKING_MS);
	int64_t before = process_ns(agent), start = clock_ns(CLOCK_MONOTONIC);

	if (rename(from, to))
		fail(to);
	int64_t end = read_answer(&container);

	return printf("%lld %lld\n", (long long)(end - start), (long long)(process_ns(agent) - before)) < 0;
}

static int print_verified(void)
{
	union bpf_attr next = {};

	while (!bpf(BPF_PROG_GET_NEXT_ID, &next)) {
		union bpf_attr id = { .prog_id = next.next_id };
		int fd = bpf(BPF_PROG_GET_FD_BY_ID, &id);

		next.start_id = next.next_id;
		if (fd < 0)
			continue;
		struct bpf_prog_info info = program_info(fd);

		printf("%s %u\n", info.name, info.verified_insns);
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "serve") && argc == 3)
		return serve(argv[2]);
	if (!strcmp(command, "ask") && argc == 4) {
		struct container container = open_container(argv[2]);

		return printf("%lld\n", (long long)ask(&container, argv[3])) < 0;
	}
	if (!strcmp(command, "change") && argc == 7)
		return time_change(argv[2], argv[3], argv[4], argv[5], atoi(argv[6]));
	if (!strcmp(command, "act") && argc == 5)
		return time_act(argv[2], checked_rounds(argv[3]), argv[4]);
	if (!strcmp(command, "program") && argc == 6)
		return time_program(argv[2], checked_rounds(argv[3]), argv[4], argv[5]);
	if (!strcmp(command, "all") && argc == 6)
		return time_all(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	if (!strcmp(command, "cpu") && argc == 3)
		return printf("%lld\n", (long long)process_ns(atoi(argv[2]))) < 0;
	if (!strcmp(command, "clock") && argc == 2)
		return printf("%lld\n", (long long)clock_ns(CLOCK_MONOTONIC)) < 0;
	if (!strcmp(command, "verified") && argc == 2)
		return print_verified();
	fprintf(stderr, "bench: serve DIR | ask DIR REQUEST | change DIR REQUEST FROM TO PID | act DIR ROUNDS REQUEST | program DIR ROUNDS REQUEST NAME |\n"
			"all DIR REQUEST PID REST_MS | cpu PID | clock | verified\n");
	return 2;
}
