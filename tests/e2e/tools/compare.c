// SPDX-License-Identifier: Apache-2.0
// Makes a random tree and asks the kernel about it; tests/e2e/random_trees.ts writes both files and says what to expect.
//
//   compare build FILE             lines "d PATH" directory, "f PATH" file, "t PATH" tmpfs on it, "b PATH PATH" bind mount of
//                                  the first at the second, "o PATH PATH" overlay of the first at the second, "c PATH" gives it
//                                  to another user
//   compare free FILE              opens what the questions name: all must work, whoever asks
//   compare ask SOURCE FILE        lines "SOURCE MODE EXPECTED PATH": MODE r, w or b for both; EXPECTED . for opened, x for
//                                  refused with EACCES. Asks those of this source
//
// Paths are absolute, each byte two hexadecimal digits. They may be longer than PATH_MAX. Exit status 1 when anything
// was not as expected.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tool.h"

#define PATH_BYTES 20000
/* What one system call may be given of a path. */
#define PIECE_BYTES 4000
#define DIFFERENCES_SHOWN 10

static void decode(const char *hex, char *path)
{
	size_t length = strlen(hex) / 2;

	if (length >= PATH_BYTES) {
		errno = ENAMETOOLONG;
		fail("path");
	}
	for (size_t i = 0; i < length; i++) {
		unsigned byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		path[i] = (char)byte;
	}
	path[length] = 0;
}

/* Opens the directory that the first bytes of a path name, and moves the path on behind them. */
static int enter(int directory, char **path, size_t bytes)
{
	char piece[PIECE_BYTES + 1];
	int entered;

	memcpy(piece, *path, bytes);
	piece[bytes] = 0;
	entered = must("enter", openat(directory, piece, O_PATH | O_DIRECTORY));
	if (directory != AT_FDCWD)
		close(directory);
	*path += bytes + 1;
	return entered;
}

/* Goes as far into a path as it takes for the rest to fit one system call. */
static int shorten(char **path)
{
	int directory = AT_FDCWD;

	while (strlen(*path) > PIECE_BYTES) {
		size_t bytes = PIECE_BYTES;

		while ((*path)[bytes] != '/')
			bytes--;
		directory = enter(directory, path, bytes);
	}
	return directory;
}

static int open_path(char *path, int flags)
{
	int directory = shorten(&path);
	int fd = openat(directory, path, flags);
	int error = errno;

	if (directory != AT_FDCWD)
		close(directory);
	errno = error;
	return fd;
}

static void make_directory(char *path)
{
	int directory = shorten(&path);

	must("mkdir", mkdirat(directory, path, 0777));
	if (directory != AT_FDCWD)
		close(directory);
}

static void make_file(char *path)
{
	int directory = shorten(&path);

	close(must("create", openat(directory, path, O_CREAT | O_EXCL | O_WRONLY, 0666)));
	if (directory != AT_FDCWD)
		close(directory);
}

static void give_away(char *path)
{
	int directory = shorten(&path);

	must("chown", fchownat(directory, path, 1000, 1000, 0));
	if (directory != AT_FDCWD)
		close(directory);
}

/* A short name for a path of any length, as long as the program runs. */
static const char *short_name(char *path, char name[32])
{
	sprintf(name, "/proc/self/fd/%d", must("directory", open_path(path, O_PATH | O_DIRECTORY)));
	return name;
}

static void mount_overlay(const char *lower, const char *target)
{
	static int count;
	char base[64], options[256];

	/* Overlayfs takes no overlay for its upper layer. */
	sprintf(base, "/upper-%d", count++);
	must("mkdir", mkdir(base, 0777));
	must("tmpfs", mount("upper", base, "tmpfs", 0, NULL));
	sprintf(options, "%s/u", base);
	must("mkdir", mkdir(options, 0777));
	sprintf(options, "%s/w", base);
	must("mkdir", mkdir(options, 0777));
	sprintf(options, "lowerdir=%s,upperdir=%s/u,workdir=%s/w", lower, base, base);
	must("overlay", mount("overlay", target, "overlay", 0, options));
}

static void build_line(char kind, char *path, char *second)
{
	char name[32], second_name[32];

	switch (kind) {
	case 'd':
		make_directory(path);
		break;
	case 'f':
		make_file(path);
		break;
	case 'c':
		give_away(path);
		break;
	case 't':
		must("tmpfs", mount("tree", short_name(path, name), "tmpfs", 0, NULL));
		break;
	case 'b':
		must("bind", mount(short_name(path, name), short_name(second, second_name), NULL, MS_BIND, NULL));
		break;
	case 'o':
		mount_overlay(short_name(path, name), short_name(second, second_name));
		break;
	}
}

static FILE *open_list(const char *path)
{
	FILE *list = fopen(path, "r");

	if (!list)
		fail(path);
	return list;
}

static char hex[2 * PATH_BYTES + 2], second_hex[2 * PATH_BYTES + 2];
static char path[PATH_BYTES], second_path[PATH_BYTES];

static int build(const char *file)
{
	FILE *list = open_list(file);
	char line[4 * PATH_BYTES], kind;

	while (fgets(line, sizeof(line), list)) {
		second_hex[0] = 0;
		sscanf(line, "%c %s %s", &kind, hex, second_hex);
		decode(hex, path);
		decode(second_hex, second_path);
		build_line(kind, path, second_path);
	}
	return 0;
}

static int flags_of(char mode)
{
	return mode == 'r' ? O_RDONLY : mode == 'w' ? O_WRONLY : O_RDWR;
}

/* '.' or 'x', or '?' when the kernel gave another error, which errno keeps. */
static char answer(char *path, char mode)
{
	int fd = open_path(path, flags_of(mode));

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? '.' : errno == EACCES ? 'x' : '?';
}

static int ask(const char *source, const char *file)
{
	FILE *list = open_list(file);
	char name[32], mode, expected;
	unsigned opens = 0, refused = 0, differences = 0;

	while (fscanf(list, "%31s %c %c %40001s", name, &mode, &expected, hex) == 4) {
		if (source && strcmp(source, name))
			continue;
		if (!source)
			expected = '.';
		decode(hex, path);
		char found = answer(path, mode);
		opens++;
		refused += found == 'x';
		if (found != expected && differences++ < DIFFERENCES_SHOWN)
			printf("differs: %s %c %s: expected %c, found %c (%s)\n", name, mode, path, expected, found, strerror(errno));
	}
	printf("%s: %u opens, %u refused, %u differences\n", source ? source : "all", opens, refused, differences);
	return differences != 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "build"))
		return build(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "free"))
		return ask(NULL, argv[2]);
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3]);
	fprintf(stderr, "usage: see compare.c\n");
	return 2;
}
