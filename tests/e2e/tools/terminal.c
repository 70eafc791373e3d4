// SPDX-License-Identifier: Apache-2.0
// terminal PROGRAM ARGUMENT...: runs a program with a controlling terminal of its own, which it does not write to.
// Its exit status, or 1, and the error's text, when it is not executed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tool.h"

int main(int count, char **argv)
{
	int terminal = must("terminal", posix_openpt(O_RDWR | O_NOCTTY));

	must("terminal", count < 2 ? -1 : unlockpt(terminal));
	pid_t child = must("fork", fork());

	if (!child) {
		must("setsid", setsid());
		/* The first that the leader of a session opens. */
		must("open", open(ptsname(terminal), O_RDWR));
		execv(argv[1], argv + 1);
		must(argv[1], -1);
	}
	int status;

	must("wait", waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
