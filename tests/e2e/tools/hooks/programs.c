// SPDX-License-Identifier: Apache-2.0
// Operations that run programs, or make memory executable. The program is main.c's, which ends at once when it is so called.
#include "operations.h"
#include <sys/mman.h>
#include <sys/wait.h>

static char *const arguments[] = { "program", "--end", NULL };
static char *const environment[] = { NULL };

static long execute(void) { return execve(AT("program"), arguments, environment); }
static long execute_script(void) { return execve(AT("script"), arguments, environment); }
static long execute_descriptor(int fd) { return syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH); }
static long execute_memory(void) { return execute_descriptor(world.memory); }
static long execute_unlinked(void) { return execute_descriptor(world.unlinked); }

/* The busybox of the image's own loader is what this machine has of dynamic linking. */
static long execute_by_loader(void)
{
	return execve("/lib64/ld-linux-x86-64.so.2", (char *[]){ "ld", "/bin/true", NULL }, environment);
}

static long map(int protection, int flags, int fd)
{
	return mmap(NULL, 4096, protection, flags, fd, 0) == MAP_FAILED ? -1 : 0;
}

static long map_code(void) { return map(PROT_READ | PROT_EXEC, MAP_PRIVATE, world.program); }
static long map_memory_code(void) { return map(PROT_READ | PROT_EXEC, MAP_PRIVATE, world.memory); }
static long map_anonymous_code(void) { return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1); }

static long make_code(void)
{
	return mprotect(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, world.program, 0), 4096, PROT_READ | PROT_EXEC);
}

static long make_anonymous_code(void)
{
	return mprotect(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096,
			PROT_READ | PROT_EXEC);
}

static long do_fork(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	return child < 0 ? -1 : waitpid(child, NULL, 0);
}

const struct operation program_operations[] = {
	{ "execve", execute },
	{ "execve of a script", execute_script },
	{ "execve of the dynamic loader", execute_by_loader },
	{ "execveat of a memfd", execute_memory },
	{ "execveat of an unlinked file", execute_unlinked },
	{ "mmap of a file as code", map_code },
	{ "mprotect of a file as code", make_code },
	{ "mmap of anonymous code", map_anonymous_code },
	{ "mprotect of anonymous code", make_anonymous_code },
	{ "mmap of a memfd as code", map_memory_code },
	{ "fork", do_fork },
	{ NULL, NULL },
};
