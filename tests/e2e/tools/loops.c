// SPDX-License-Identifier: Apache-2.0
/*
 * Two processes that open without an end: one a file that is blocked, the other one that is not.
 *   loops COUNTS BLOCKED ALLOWED PAUSE   runs until SIGTERM, with PAUSE us after each open; counts in the file COUNTS
 *   loops COUNTS                         prints the counts: "denied D escapes E opened O refused R other N"
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct counts {
	unsigned long denied, escapes; /* of the blocked file */
	unsigned long opened, refused; /* of the other */
	unsigned long other;           /* errors that are neither */
};

static struct counts *map_counts(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	struct counts *counts = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, sizeof(*counts)))
		counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return counts;
}

/* Only this process changes its two counters; `other` has too few to matter. */
static void loop(const char *path, unsigned int pause_us, unsigned long *opened, unsigned long *refused,
		 unsigned long *other)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = open(path, O_RDONLY);

		if (fd >= 0) {
			++*opened;
			close(fd);
		} else if (errno == EACCES) {
			++*refused;
		} else {
			++*other;
		}
		usleep(pause_us);
	}
}

int main(int argc, char **argv)
{
	struct counts *counts = map_counts(argv[1]);

	if (argc == 5) {
		unsigned int pause_us = (unsigned int)atoi(argv[4]);

		if (!fork())
			loop(argv[2], pause_us, &counts->escapes, &counts->denied, &counts->other);
		if (!fork())
			loop(argv[3], pause_us, &counts->opened, &counts->refused, &counts->other);
		pause();
	}
	printf("denied %lu escapes %lu opened %lu refused %lu other %lu\n", counts->denied, counts->escapes,
	       counts->opened, counts->refused, counts->other);
	return 0;
}
