// SPDX-License-Identifier: Apache-2.0
/*
 * Watches of directories: inotify(7).
 *
 * Deno's own watcher counts watches by path, and takes a closed one back only later: a directory that is removed, made anew and
 * watched again meanwhile keeps the kernel's watch of the old one, and nothing is ever told of the new one.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

int ankylo_watch_open(void)
{
	int fd = inotify_init1(IN_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ankylo_watch_add(int watch_fd, const uint8_t *path, uint32_t mask)
{
	int id = inotify_add_watch(watch_fd, (const char *)path, mask);

	return id < 0 ? -errno : id;
}

int ankylo_watch_remove(int watch_fd, int id)
{
	return inotify_rm_watch(watch_fd, id) ? -errno : 0;
}

int ankylo_watch_read(int watch_fd, uint8_t *events, uint32_t capacity)
{
	ssize_t length;

	do
		length = read(watch_fd, events, capacity);
	while (length < 0 && errno == EINTR);
	return length < 0 ? -errno : (int)length;
}
