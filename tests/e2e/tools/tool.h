// SPDX-License-Identifier: Apache-2.0
// What every tool of this folder needs.
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the error's text, by which a scenario tells what refused. */
static inline void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int must(const char *what, int result)
{
	if (result < 0)
		fail(what);
	return result;
}
