// SPDX-License-Identifier: Apache-2.0
/* Files of /proc, /sys and bpffs, and processes. */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result_of(int status)
{
	return status < 0 ? -errno : status;
}

int ankylo_file_read(const uint8_t *path, uint8_t *bytes, uint32_t capacity)
{
	int fd = open((const char *)path, O_RDONLY | O_CLOEXEC);
	uint32_t filled = 0;
	ssize_t count = 1;
	int error = 0;

	if (fd < 0)
		return -errno;
	while (count > 0 && filled < capacity) {
		count = read(fd, bytes + filled, capacity - filled);
		if (count > 0)
			filled += (uint32_t)count;
		else if (count < 0 && errno == EINTR)
			count = 1;
		else if (count < 0)
			error = -errno;
	}
	close(fd);
	return error ? error : (int)filled;
}

int ankylo_path_open(const uint8_t *path)
{
	return result_of(open((const char *)path, O_PATH | O_CLOEXEC));
}

int ankylo_link_read(const uint8_t *path, uint8_t *target, uint32_t capacity)
{
	return result_of((int)readlink((const char *)path, (char *)target, capacity));
}

int ankylo_file_stat(const uint8_t *path, int follow, uint64_t *numbers)
{
	struct stat info;

	if (fstatat(AT_FDCWD, (const char *)path, &info, follow ? 0 : AT_SYMLINK_NOFOLLOW))
		return -errno;
	numbers[0] = info.st_ino;
	numbers[1] = info.st_dev;
	numbers[2] = info.st_mode;
	numbers[3] = (uint64_t)info.st_size;
	return 0;
}

int ankylo_dir_list(const uint8_t *path, uint8_t *names, uint32_t capacity)
{
	DIR *dir = opendir((const char *)path);
	const struct dirent *entry;
	uint32_t needed = 0;
	int error;

	if (!dir)
		return -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		size_t size = strlen(entry->d_name) + 1;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (needed + size <= capacity)
			memcpy(names + needed, entry->d_name, size);
		needed += (uint32_t)size;
	}
	error = errno;
	closedir(dir);
	return error ? -error : (int)needed;
}

int ankylo_dir_make(const uint8_t *path, uint32_t mode)
{
	return result_of(mkdir((const char *)path, mode));
}

int ankylo_dir_remove(const uint8_t *path)
{
	return result_of(rmdir((const char *)path));
}

int ankylo_file_remove(const uint8_t *path)
{
	return result_of(unlink((const char *)path));
}

int ankylo_file_rename(const uint8_t *from, const uint8_t *to)
{
	return result_of(rename((const char *)from, (const char *)to));
}

int ankylo_bpffs_mounted(const uint8_t *path)
{
	struct stat here, above;
	struct statfs filesystem;
	char parent[PATH_MAX];

	if (snprintf(parent, sizeof(parent), "%s/..", (const char *)path) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	if (stat((const char *)path, &here) || stat(parent, &above) || statfs((const char *)path, &filesystem))
		return -errno;
	/* A directory inside another bpffs is of that type too, but not its root. */
	return filesystem.f_type == BPF_FS_MAGIC && here.st_dev != above.st_dev;
}

int ankylo_bpffs_mount(const uint8_t *path)
{
	return result_of(mount("ankylo", (const char *)path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"));
}

int ankylo_unmount(const uint8_t *path)
{
	return result_of(umount2((const char *)path, UMOUNT_NOFOLLOW));
}

/* By number, as the oldest C library that this is built with has no functions for them. */
int ankylo_pidfd_open(int pid)
{
	return result_of((int)syscall(SYS_pidfd_open, pid, 0));
}

int ankylo_pidfd_continue(int pidfd)
{
	return result_of((int)syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0));
}
