// SPDX-License-Identifier: Apache-2.0
// open WAY PATH: opens a file in an unusual way and prints it. Exit status 1, and the error's text, when that is refused.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tool.h"

static void print_file(int fd)
{
	char bytes[256];
	ssize_t count = read(fd, bytes, sizeof(bytes));

	if (count < 0)
		fail("read");
	fwrite(bytes, 1, count, stdout);
}

static int reopen(int fd)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return must("reopen", open(link, O_RDONLY));
}

static int by_path_descriptor(const char *path)
{
	return reopen(must("O_PATH", open(path, O_PATH)));
}

static int open_directory(const char *path)
{
	char copy[8192];

	strcpy(copy, path);
	return must("directory", open(dirname(copy), O_PATH | O_DIRECTORY));
}

static const char *last_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int by_directory(const char *path)
{
	return must("openat", openat(open_directory(path), last_name(path), O_RDONLY));
}

static int in_root(const char *path)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT };

	return must("openat2", syscall(SYS_openat2, open_directory(path), last_name(path), &how, sizeof(how)));
}

struct threaded_open {
	const char *path;
	int fd;
	int error;
};

static void *open_in_thread(void *argument)
{
	struct threaded_open *task = argument;

	task->fd = open(task->path, O_RDONLY);
	task->error = errno;
	return NULL;
}

static int by_thread(const char *path)
{
	struct threaded_open task = { .path = path };
	pthread_t thread;

	pthread_create(&thread, NULL, open_in_thread, &task);
	pthread_join(thread, NULL);
	errno = task.error;
	return must("open in a thread", task.fd);
}

struct ring {
	int fd;
	struct io_uring_params params;
	char *submissions;
	char *completions;
	struct io_uring_sqe *entries;
};

static void *map_ring(int fd, size_t bytes, off_t offset)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (memory == MAP_FAILED)
		fail("map the ring");
	return memory;
}

static struct ring make_ring(void)
{
	struct ring ring = {};

	ring.fd = must("io_uring_setup", syscall(SYS_io_uring_setup, 1, &ring.params));
	ring.submissions = map_ring(ring.fd, ring.params.sq_off.array + sizeof(unsigned), IORING_OFF_SQ_RING);
	ring.completions = map_ring(ring.fd, ring.params.cq_off.cqes + 2 * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring.entries = map_ring(ring.fd, sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	return ring;
}

/* Returns what the operation returned: negative, an error's number. */
static int run_by_ring(struct ring *ring, struct io_uring_sqe operation)
{
	struct io_uring_cqe *completions = (void *)(ring->completions + ring->params.cq_off.cqes);
	unsigned *head = (void *)(ring->completions + ring->params.cq_off.head);

	*ring->entries = operation;
	*(unsigned *)(ring->submissions + ring->params.sq_off.tail) += 1;
	must("io_uring_enter", syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	return completions[(*head)++ % 2].res;
}

static int must_by_ring(const char *what, int result)
{
	errno = result < 0 ? -result : 0;
	return must(what, result);
}

static int open_by_ring(struct ring *ring, const char *path, unsigned flags, unsigned personality)
{
	return must_by_ring("io_uring open", run_by_ring(ring, (struct io_uring_sqe){
							.opcode = IORING_OP_OPENAT,
							.fd = AT_FDCWD,
							.addr = (unsigned long)path,
							.open_flags = O_RDONLY,
							.flags = flags,
							.personality = personality,
						}));
}

static int by_uring(const char *path)
{
	struct ring ring = make_ring();

	return open_by_ring(&ring, path, 0, 0);
}

static int by_uring_worker(const char *path)
{
	struct ring ring = make_ring();

	return open_by_ring(&ring, path, IOSQE_ASYNC, 0);
}

static int by_uring_personality(const char *path)
{
	struct ring ring = make_ring();
	int personality = must("personality", syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	gid_t group = 7;

	/* Only a personality that differs from the task's credentials overrides them; who may not change theirs is asked too. */
	if (setgroups(1, &group) && errno != EPERM)
		fail("setgroups");
	return open_by_ring(&ring, path, 0, personality);
}

static int set_attribute_by_ring(struct ring *ring, const char *path)
{
	return run_by_ring(ring, (struct io_uring_sqe){
					 .opcode = IORING_OP_SETXATTR,
					 .addr = (unsigned long)"trusted.tried",
					 .addr2 = (unsigned long)"x",
					 .len = 1,
					 .addr3 = (unsigned long)path,
				 });
}

/*
 * A worker thread does it, with its request's credentials. It began with others, as the groups have changed since, so that it
 * overrides its own.
 */
static int by_uring_attribute(const char *path)
{
	struct ring ring = make_ring();
	gid_t group = 7;

	set_attribute_by_ring(&ring, "/dev/null");
	must("setgroups", setgroups(1, &group));
	must_by_ring("io_uring setxattr", set_attribute_by_ring(&ring, path));
	return open("/dev/null", O_RDONLY);
}

static int to_write_by_mapping(const char *path)
{
	int fd = must("open for writing", open(path, O_RDWR));
	char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		fail("map for writing");
	bytes[0] = 'X';
	return fd;
}

static int message_queue(const char *path)
{
	return must("mq_open", mq_open(path, O_CREAT | O_RDWR, 0600, NULL)), must("mq_unlink", mq_unlink(path)),
	       open("/dev/null", O_RDONLY);
}

static int memory_file(const char *name)
{
	int fd = must("memfd_create", memfd_create(name, 0));

	must("write", write(fd, "memory\n", 7));
	return reopen(fd);
}

static int huge_memory_file(const char *name)
{
	return reopen(must("memfd_create", memfd_create(name, MFD_HUGETLB)));
}

static int namespace_file(const char *path)
{
	must("open a namespace", open(path, O_RDONLY));
	return open("/dev/null", O_RDONLY);
}

static const struct {
	const char *name;
	int (*open)(const char *);
} ways[] = {
	{ "path-descriptor", by_path_descriptor },
	{ "directory", by_directory },
	{ "in-root", in_root },
	{ "thread", by_thread },
	{ "uring", by_uring },
	{ "uring-worker", by_uring_worker },
	{ "uring-personality", by_uring_personality },
	{ "uring-attribute", by_uring_attribute },
	{ "shared-mapping", to_write_by_mapping },
	{ "message-queue", message_queue },
	{ "memfd", memory_file },
	{ "huge-memfd", huge_memory_file },
	{ "namespace", namespace_file },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 3 && i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		print_file(ways[i].open(argv[2]));
		return 0;
	}
	fprintf(stderr, "open: no such way\n");
	return 2;
}
