// SPDX-License-Identifier: Apache-2.0
// first PATH: opens a file as the first thing it asks of the kernel, and says so. Exit status 1, and the error's text, when
// that is refused.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
	if (count < 2 || open(words[1], O_RDONLY) < 0) {
		fprintf(stderr, "open: %s\n", strerror(errno));
		return 1;
	}
	puts("escaped");
	return 0;
}
