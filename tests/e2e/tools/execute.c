// SPDX-License-Identifier: Apache-2.0
// execute WAY PROGRAM ARGUMENT...: executes a program in an unusual way; or, `as-...`, opens PROGRAM under a false name.
// Exit status 1, and the error's text, when that is refused.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>
#include <unistd.h>
#include "tool.h"

extern char **environ;

static void execute_descriptor(int fd, char **argv)
{
	must("execveat", syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH));
}

static void copy_to(int target, const char *path)
{
	int source = must(path, open(path, O_RDONLY));

	while (must("copy", sendfile(target, source, NULL, 1 << 20)) > 0)
		;
}

static void from_memory(char **argv)
{
	int fd = must("memfd_create", memfd_create("program", 0));

	copy_to(fd, argv[0]);
	execute_descriptor(fd, argv);
}

/* A copy that has no name any more. A descriptor for writing would make execve refuse it as busy. */
static void from_unlinked_copy(char **argv)
{
	const char *copy = "/tmp/unlinked";
	int fd = must("create", open(copy, O_CREAT | O_WRONLY | O_TRUNC, 0755));

	copy_to(fd, argv[0]);
	close(fd);
	fd = must("open", open(copy, O_PATH));
	must("unlink", unlink(copy));
	execute_descriptor(fd, argv);
}

/* The program itself, its name gone. */
static void after_unlink(char **argv)
{
	int fd = must("open", open(argv[0], O_PATH));

	must("unlink", unlink(argv[0]));
	execute_descriptor(fd, argv);
}

static void by_descriptor(char **argv)
{
	execute_descriptor(must("open", open(argv[0], O_PATH)), argv);
}

static void *execute_in_thread(void *argv)
{
	execve(((char **)argv)[0], argv, environ);
	must("execve in a thread", -1);
	return NULL;
}

static void by_thread(char **argv)
{
	pthread_t thread;

	pthread_create(&thread, NULL, execute_in_thread, argv);
	pthread_join(thread, NULL);
}

/* Waits for a line on standard input, meanwhile it is moved to a cgroup; then a second thread, born before, executes. */
static void *execute_later(void *argv)
{
	char byte;

	must("wait", read(0, &byte, 1));
	return execute_in_thread(argv);
}

static void by_waiting_thread(char **argv)
{
	pthread_t thread;

	pthread_create(&thread, NULL, execute_later, argv);
	pthread_join(thread, NULL);
}

static void wait_for(pid_t child)
{
	int status;

	must("wait", waitpid(child, &status, 0));
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* A child that is born in another cgroup, whose directory comes first. */
static void born_in_cgroup(char **argv)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = must("cgroup", open(argv[0], O_PATH | O_DIRECTORY)),
	};
	pid_t child = must("clone3", syscall(SYS_clone3, &args, sizeof(args)));

	if (child)
		wait_for(child);
	execve(argv[1], argv + 1, environ);
	must("execve", -1);
}

static void by_vfork(char **argv)
{
	pid_t child = must("vfork", vfork());

	if (!child) {
		execve(argv[0], argv, environ);
		_exit(errno == EACCES ? 13 : 1);
	}
	int status;

	must("wait", waitpid(child, &status, 0));
	errno = EACCES;
	must("execve after vfork", WEXITSTATUS(status) == 13 ? -1 : 0);
}

static void map_as_code(char **argv)
{
	int fd = must("open", open(argv[0], O_RDONLY));
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	must("map as code", code == MAP_FAILED ? -1 : 0);
}

static void map_and_make_code(char **argv)
{
	int fd = must("open", open(argv[0], O_RDONLY));
	void *bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	must("map", bytes == MAP_FAILED ? -1 : 0);
	must("make it code", mprotect(bytes, 4096, PROT_READ | PROT_EXEC));
}

static void print_file(const char *path)
{
	char bytes[256];
	ssize_t count = must("read", read(must(path, open(path, O_RDONLY)), bytes, sizeof(bytes)));

	fwrite(bytes, 1, count, stdout);
}

static void as_itself(char **argv)
{
	print_file(argv[0]);
}

static void as_other_comm(char **argv)
{
	must("PR_SET_NAME", prctl(PR_SET_NAME, "innocent"));
	print_file(argv[0]);
}

/* Puts anonymous memory with the same content in the place of one mapping of this program, under its own feet. */
static void replace_mapping(char *start, size_t bytes, int protection)
{
	char *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must("copy", copy == MAP_FAILED ? -1 : 0);
	memcpy(copy, start, bytes);
	must("protect", mprotect(copy, bytes, protection));
	must("replace", mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, start) == MAP_FAILED ? -1 : 0);
}

/* The kernel exchanges exe only when nothing of the old one is mapped. */
static void replace_own_mappings(void)
{
	char exe[4096] = "", line[4500];
	FILE *maps = fopen("/proc/self/maps", "r");

	must("readlink", readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char access[5];

		if (!strstr(line, exe) || sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3)
			continue;
		replace_mapping((char *)start, end - start,
				(access[0] == 'r' ? PROT_READ : 0) | (access[1] == 'w' ? PROT_WRITE : 0) |
					(access[2] == 'x' ? PROT_EXEC : 0));
	}
	fclose(maps);
}

/* PATH OTHER: /proc/self/exe becomes OTHER, then PATH is opened. */
static void as_other_exe(char **argv)
{
	int other = must(argv[1], open(argv[1], O_RDONLY));
	char exe[4096] = "";

	replace_own_mappings();
	must("PR_SET_MM_EXE_FILE", prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, other, 0, 0));
	must("readlink", readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	printf("now %s: ", exe);
	fflush(stdout);
	print_file(argv[0]);
}

static const struct {
	const char *name;
	void (*run)(char **);
} ways[] = {
	{ "memory", from_memory },
	{ "unlinked-copy", from_unlinked_copy },
	{ "after-unlink", after_unlink },
	{ "descriptor", by_descriptor },
	{ "thread", by_thread },
	{ "waiting-thread", by_waiting_thread },
	{ "cgroup", born_in_cgroup },
	{ "vfork", by_vfork },
	{ "map", map_as_code },
	{ "map-later", map_and_make_code },
	{ "as-itself", as_itself },
	{ "as-other-comm", as_other_comm },
	{ "as-other-exe", as_other_exe },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 2 && i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		ways[i].run(argv + 2);
		return 0;
	}
	fprintf(stderr, "execute: no such way\n");
	return 2;
}
