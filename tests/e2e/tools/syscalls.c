// SPDX-License-Identifier: Apache-2.0
// Makes system calls by their numbers, whatever comes of them: `syscalls WAY NUMBER [ARGUMENT...]`, in one of the ways that x86-64 has,
// with numbers or texts for arguments; `syscalls every NUMBER...` each in a process of its own, with arguments that no call takes.
#define _GNU_SOURCE
#include "tool.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 6
#define X32_BIT 0x40000000

static long by_int80(long number, long *argument)
{
	long result;

	/* The sixth is in rbp, which the compiler needs; no call here has one. */
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(number), "b"(argument[0]), "c"(argument[1]), "d"(argument[2]), "S"(argument[3]),
		       "D"(argument[4])
		     : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static long call(const char *way, long number, long *argument)
{
	if (!strcmp(way, "i386"))
		return by_int80(number, argument);
	if (!strcmp(way, "x32"))
		number |= X32_BIT;
	return syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

/* A number, or the address of a text where 32 bits reach. */
static long argument_of(const char *word)
{
	static char *page, *next;
	char *end;
	long number = strtol(word, &end, 0);

	if (*word && !*end)
		return number;
	if (!page)
		page = next = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (page == MAP_FAILED)
		fail("mmap");
	char *text = strcpy(next, word);

	next += strlen(word) + 1;
	return (long)text;
}

/* Some wait for ever, end the process or harm it: a second is enough for a call to begin. */
static void call_alone(long number)
{
	long nonsense[ARGUMENTS] = { -1, -1, -1, -1, -1, -1 };
	pid_t child = fork();

	if (!child) {
		alarm(1);
		/* Its child returns on the parent's stack, which only the library's own copes with. */
		if (number == SYS_vfork)
			_exit(vfork() < 0);
		call("native", number, nonsense);
		_exit(0);
	}
	waitpid(must("fork", child), NULL, __WALL);
}

int main(int argc, char **argv)
{
	long argument[ARGUMENTS] = {};

	if (argc > 2 && !strcmp(argv[1], "every")) {
		for (int i = 2; i < argc; i++)
			call_alone(atol(argv[i]));
		return puts("done") < 0;
	}
	if (argc < 3 || argc > 3 + ARGUMENTS)
		return 2;
	for (int i = 3; i < argc; i++)
		argument[i - 3] = argument_of(argv[i]);
	call(argv[1], atol(argv[2]), argument);
	return puts("done") < 0;
}
