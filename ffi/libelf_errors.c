// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for two things that Debian's static libraries, made for executables, have no place for in a shared one.
 *
 * libelf.a keeps its error number in thread-local storage of the kind that only an executable's own code can use: its
 * elf_error.o is taken out, and this is what libbpf calls of it.  libbpf.a reaches `stderr` relative to its own code:
 * the reference is renamed to the variable below.  scripts/build_shim.ts does both.
 */
#include <stdio.h>

static int last_error;

FILE *ankylo_stderr;

__attribute__((constructor)) static void find_stderr(void)
{
	ankylo_stderr = stderr;
}

void __libelf_seterrno(int value)
{
	last_error = value;
}

int elf_errno(void)
{
	int value = last_error;

	last_error = 0;
	return value;
}

const char *elf_errmsg(int error)
{
	(void)error;
	return "not a valid ELF file";
}
