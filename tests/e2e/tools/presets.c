// SPDX-License-Identifier: Apache-2.0
// What presets refuse, and what they must not. Exit status 1, and the error's text, when it is refused; else it prints "done".
//
//   presets anonymous              maps memory that may be written and executed
//   presets later                  maps memory, and makes it executable afterwards
//   presets memfd                  maps a memfd as code
//   presets written FILE           maps a private copy of a file, writes to it, and makes it executable
//   presets code FILE              maps a file as code
//   presets thread-environ         reads its own environment by a second thread, and by that thread's directory
//   presets namespace              makes a user namespace
//   presets clone                  a process in a user namespace of its own
//   presets ring                   makes a ring of io_uring
//   presets terminal PROGRAM...    runs a program with a terminal as its input, output and error, and prints what it says
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tool.h"

/* Some ways take no arguments. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define PAGE 4096

static char *map(int protection, int flags, int fd)
{
	char *bytes = mmap(NULL, PAGE, protection, flags, fd, 0);

	must("mmap", bytes == MAP_FAILED ? -1 : 0);
	return bytes;
}

static void map_anonymous(char **argv)
{
	map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void map_later(char **argv)
{
	char *bytes = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	bytes[0] = 1;
	must("mprotect", mprotect(bytes, PAGE, PROT_READ | PROT_EXEC));
}

static void map_memfd(char **argv)
{
	int fd = must("memfd_create", memfd_create("code", 0));

	must("ftruncate", ftruncate(fd, PAGE));
	map(PROT_READ | PROT_EXEC, MAP_SHARED, fd);
}

static void map_written(char **argv)
{
	char *bytes = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, must(argv[0], open(argv[0], O_RDONLY)));

	bytes[0] = 1;
	must("mprotect", mprotect(bytes, PAGE, PROT_READ | PROT_EXEC));
}

static void map_code(char **argv)
{
	map(PROT_READ | PROT_EXEC, MAP_PRIVATE, must(argv[0], open(argv[0], O_RDONLY)));
}

static void *read_environ(void *unused)
{
	char path[64];

	must("environ", open("/proc/self/environ", O_RDONLY));
	snprintf(path, sizeof(path), "/proc/self/task/%ld/environ", syscall(SYS_gettid));
	must(path, open(path, O_RDONLY));
	return NULL;
}

static void read_environ_in_thread(char **argv)
{
	pthread_t thread;

	pthread_create(&thread, NULL, read_environ, NULL);
	pthread_join(thread, NULL);
}

static void make_namespace(char **argv)
{
	must("unshare", unshare(CLONE_NEWUSER));
}

static void clone_namespace(char **argv)
{
	pid_t child = must("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));

	if (!child)
		_exit(0);
	must("wait", waitpid(child, NULL, 0));
}

static void make_ring(char **argv)
{
	struct io_uring_params parameters = {};

	must("io_uring_setup", syscall(SYS_io_uring_setup, 4, &parameters));
}

static void run_on_terminal(char **argv)
{
	int terminal = must("terminal", posix_openpt(O_RDWR | O_NOCTTY)), status;
	char bytes[4096];
	ssize_t count;

	must("terminal", unlockpt(terminal));
	pid_t child = must("fork", fork());

	if (!child) {
		must("setsid", setsid());
		int end = must("open", open(ptsname(terminal), O_RDWR));

		for (int fd = 0; fd < 3; fd++)
			dup2(end, fd);
		execvp(argv[0], argv);
		must(argv[0], -1);
	}
	/* Ends with EIO when the last who has the other end is gone. */
	while ((count = read(terminal, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, count, stdout);
	must("wait", waitpid(child, &status, 0));
	fflush(stdout);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static const struct {
	const char *name;
	void (*run)(char **);
} ways[] = {
	{ "anonymous", map_anonymous },
	{ "later", map_later },
	{ "memfd", map_memfd },
	{ "written", map_written },
	{ "code", map_code },
	{ "thread-environ", read_environ_in_thread },
	{ "namespace", make_namespace },
	{ "clone", clone_namespace },
	{ "ring", make_ring },
	{ "terminal", run_on_terminal },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 1 && i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		ways[i].run(argv + 2);
		printf("done\n");
		return 0;
	}
	fprintf(stderr, "presets: no such way\n");
	return 2;
}
