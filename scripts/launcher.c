// SPDX-License-Identifier: Apache-2.0
/*
 * The executable `ankylo` where `deno compile` has no runtime base to build on.
 *
 * Behind this program's own ELF lie the Deno runtime (zstd), the FFI shim, the agent's bundled JavaScript, and a trailer that
 * says where each begins.  They are unpacked once into a cache directory that only this user can enter, under names with
 * the SHA-256 of what they hold, and Deno is executed with the permissions that the agent needs and no more.
 *
 * An unpacked file is trusted when it is ours, closed to others' writes and of the right size: what it holds was
 * checked by zstd and synced before it got its name.  Hashing 95 MB at each start would cost more than the start.
 * Where no directory can be written, or executed from, the parts live in memory.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC "ANKYLO01"
/* Exit status when Deno could not even be started, as shells use it. */
#define STATUS_NOT_EXECUTED 126
/* An unpacking older than this was killed. */
#define PARTIAL_AGE_MAX_S 3600

enum { RUNTIME, SHIM, BUNDLE, PARTS };

/* As scripts/build_binary.ts writes it; little-endian. */
struct part {
	uint64_t offset; /* in the file */
	uint64_t packed; /* bytes there; fewer than `size` when it is compressed */
	uint64_t size;
	char id[16]; /* the first 16 hex digits of its SHA-256 */
};

struct trailer {
	struct part parts[PARTS];
	char magic[8];
};

static const char *const prefixes[PARTS] = { "ankylo-deno-", "ankylo-shim-", "ankylo-main-" };
static const char *const suffixes[PARTS] = { "", ".so", ".js" };

static const uint8_t *image; /* this file, mapped */
static struct trailer trailer;

/* Where Deno finds the parts. */
static char paths[PARTS][PATH_MAX];

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	fprintf(stderr, "ankylo: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(STATUS_NOT_EXECUTED);
}

/* ---- the parts ---- */

static void map_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info))
		die("Open /proc/self/exe");
	image = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		die("Map /proc/self/exe");
	memcpy(&trailer, image + info.st_size - (off_t)sizeof(trailer), sizeof(trailer));
	errno = EINVAL;
	if (memcmp(trailer.magic, MAGIC, sizeof(trailer.magic)))
		die("Read this executable: its end is missing; copy it again");
	close(fd);
}

static int write_all(int fd, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t count = write(fd, bytes, length);

		if (count < 0 && errno != EINTR)
			return -1;
		if (count > 0) {
			bytes += count;
			length -= (size_t)count;
		}
	}
	return 0;
}

static int decompress(int fd, const struct part *part)
{
	static uint8_t bytes[1 << 17];
	ZSTD_inBuffer in = { image + part->offset, part->packed, 0 };
	ZSTD_DCtx *context = ZSTD_createDCtx();
	size_t left = 1;

	/* Levels above 19 look back further than the default allows. */
	ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27);
	while (in.pos < in.size) {
		ZSTD_outBuffer out = { bytes, sizeof(bytes), 0 };

		left = ZSTD_decompressStream(context, &out, &in);
		if (ZSTD_isError(left)) {
			errno = EBADMSG;
			return -1;
		}
		if (write_all(fd, bytes, out.pos))
			return -1;
	}
	ZSTD_freeDCtx(context);
	errno = EBADMSG;
	return left == 0 ? 0 : -1;
}

static int write_part(int fd, const struct part *part)
{
	if (part->packed < part->size)
		return decompress(fd, part);
	return write_all(fd, image + part->offset, part->size);
}

/* ---- the cache ---- */

/* Removes what other versions of the agent left of this part: the cache holds one version. */
static void remove_others(int dir, int index, const char *name)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		struct stat info;

		if (strncmp(entry->d_name, prefixes[index], strlen(prefixes[index])) || !strcmp(entry->d_name, name))
			continue;
		/* Another process may be unpacking right now. */
		if (strstr(entry->d_name, ".partial") &&
		    (fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ||
		     time(NULL) - info.st_mtime < PARTIAL_AGE_MAX_S))
			continue;
		unlinkat(dir, entry->d_name, 0);
	}
	if (entries)
		closedir(entries);
}

static int is_intact(int dir, const char *name, const struct part *part)
{
	struct stat info;

	return !fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) && S_ISREG(info.st_mode) &&
	       info.st_uid == geteuid() && !(info.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (uint64_t)info.st_size == part->size;
}

/* Has the part in the directory under its name.  Returns 0, or -1 with errno. */
static int unpack(int dir, int index, const char *name)
{
	const struct part *part = &trailer.parts[index];
	char partial[128];
	int fd, error;

	if (is_intact(dir, name, part))
		return 0;
	snprintf(partial, sizeof(partial), "%s.partial%d", name, getpid());
	fd = openat(dir, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
	if (fd < 0)
		return -1;
	/* Without the sync, a power cut could leave the name and the size but not the content. */
	error = write_part(fd, part) || fsync(fd) ? errno : 0;
	close(fd);
	if (!error && renameat(dir, partial, dir, name))
		error = errno;
	if (error) {
		unlinkat(dir, partial, 0);
		errno = error;
		return -1;
	}
	remove_others(dir, index, name);
	return 0;
}

/* Makes every missing directory of the path; what cannot be made shows when it is opened. */
static void make_dirs(const char *path)
{
	char prefix[PATH_MAX];

	for (const char *end = path + 1; *end; end++) {
		if (*end != '/')
			continue;
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(end - path), path);
		mkdir(prefix, 0755);
	}
	mkdir(path, 0700);
}

/* A directory that is ours alone and from which programs can be executed; -1 otherwise. */
static int open_private_dir(const char *path)
{
	struct statvfs filesystem;
	struct stat info;
	int dir;

	make_dirs(path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -1;
	if (!fstat(dir, &info) && info.st_uid == geteuid() && !(info.st_mode & (S_IRWXG | S_IRWXO)) &&
	    !fstatvfs(dir, &filesystem) && !(filesystem.f_flag & ST_NOEXEC))
		return dir;
	close(dir);
	return -1;
}

/* Unpacks all parts below `base`.  Returns whether it could. */
static int unpack_below(const char *base)
{
	char path[PATH_MAX - NAME_MAX];
	int dir, failed = 0;

	if (!base || base[0] != '/' || snprintf(path, sizeof(path), "%s/runtime", base) >= (int)sizeof(path))
		return 0;
	dir = open_private_dir(path);
	if (dir < 0)
		return 0;
	for (int i = 0; i < PARTS && !failed; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%.16s%s", prefixes[i], trailer.parts[i].id, suffixes[i]);
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", path, name);
		failed = unpack(dir, i, name);
	}
	close(dir);
	if (failed)
		return 0;
	/* Deno keeps the translated bundle there, which halves the time of a start. */
	strcat(path, "/deno");
	setenv("DENO_DIR", path, 1);
	return 1;
}

static int unpack_to_cache(void)
{
	const char *chosen = getenv("ANKYLO_CACHE");
	const char *home = getenv("HOME");
	char below_home[PATH_MAX];

	/* Who moves the cache does not want another one. */
	if (chosen)
		return unpack_below(chosen);
	if (geteuid() == 0 && unpack_below("/var/cache/ankylo"))
		return 1;
	snprintf(below_home, sizeof(below_home), "%s/.cache/ankylo", home ? home : "");
	return unpack_below(below_home);
}

/* The descriptors stay open for Deno, which finds the parts under their numbers. */
static void unpack_to_memory(void)
{
	for (int i = 0; i < PARTS; i++) {
		int fd = memfd_create(prefixes[i], 0);

		if (fd < 0 || write_part(fd, &trailer.parts[i]))
			die("Unpack into memory, as no cache directory can be used");
		snprintf(paths[i], sizeof(paths[i]), "/proc/self/fd/%d", fd);
	}
}

/* ---- Deno ---- */

int main(int argc, char **argv)
{
	/*
	 * No --allow-run.  Reading and writing are not limited to directories, because the settings name them (policies,
	 * sockets, logs); /proc and /sys stay closed to Deno's own functions, and are read by the shim.
	 */
	static const char *const flags[] = {
		"run",	       "--no-config",  "--no-lock",    "--no-remote",	"--no-npm",	"--no-prompt", "--ext=js",
		"--allow-net", "--allow-read", "--allow-write", "--allow-env",	"--allow-sys",
	};
	const int flags_count = sizeof(flags) / sizeof(flags[0]);
	char allow_ffi[PATH_MAX + 16], executable[PATH_MAX];
	const char **args;
	int count = 0;

	map_self();
	if (!unpack_to_cache())
		unpack_to_memory();
	snprintf(allow_ffi, sizeof(allow_ffi), "--allow-ffi=%s", paths[SHIM]);
	args = calloc((size_t)(argc + flags_count + 4), sizeof(*args));
	if (!args)
		die("Start Deno");
	args[count++] = argc > 0 ? argv[0] : "ankylo";
	for (int i = 0; i < flags_count; i++)
		args[count++] = flags[i];
	args[count++] = allow_ffi;
	args[count++] = paths[BUNDLE];
	for (int i = 1; i < argc; i++)
		args[count++] = argv[i];
	setenv("DENO_NO_UPDATE_CHECK", "1", 1);
	/* Taken out of the environment again by the bundle's first module. */
	setenv("_ANKYLO_SHIM", paths[SHIM], 1);
	if (realpath("/proc/self/exe", executable))
		setenv("_ANKYLO_EXECUTABLE", executable, 1);
	execv(paths[RUNTIME], (char *const *)args);
	die("Execute \"%s\"", paths[RUNTIME]);
}
