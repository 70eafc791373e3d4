// SPDX-License-Identifier: Apache-2.0
// Operations by io_uring.
#include "operations.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

struct ring {
	int fd;
	struct io_uring_params params;
};

static int make(struct ring *ring, unsigned flags)
{
	ring->params = (struct io_uring_params){ .flags = flags };
	return ring->fd = syscall(SYS_io_uring_setup, 1, &ring->params);
}

static char *part(struct ring *ring, size_t size, off_t offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, offset);
}

/* Submits one entry and waits for it. */
static long submit(struct io_uring_sqe entry)
{
	struct ring ring;

	if (make(&ring, 0) < 0)
		return -1;
	char *submissions = part(&ring, ring.params.sq_off.array + sizeof(unsigned), IORING_OFF_SQ_RING);
	char *completions = part(&ring, ring.params.cq_off.cqes + 2 * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);

	*(struct io_uring_sqe *)part(&ring, sizeof(entry), IORING_OFF_SQES) = entry;
	*(unsigned *)(submissions + ring.params.sq_off.tail) += 1;
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	int result = ((struct io_uring_cqe *)(completions + ring.params.cq_off.cqes))->res;

	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : 0;
}

static struct io_uring_sqe with_path(int opcode, const char *path)
{
	return (struct io_uring_sqe){ .opcode = opcode, .fd = AT_FDCWD, .addr = (uintptr_t)path };
}

static long setup(void) { return make(&(struct ring){}, 0); }
static long setup_polled(void) { return make(&(struct ring){}, IORING_SETUP_SQPOLL); }
static long ring_open(void) { return submit(with_path(IORING_OP_OPENAT, AT("file"))); }

static long ring_open_worker(void)
{
	struct io_uring_sqe entry = with_path(IORING_OP_OPENAT, AT("file"));

	entry.flags = IOSQE_ASYNC;
	return submit(entry);
}

static long ring_write(void)
{
	return submit((struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = world.file, .addr = (uintptr_t)"x", .len = 1 });
}

static long ring_unlink(void) { return submit(with_path(IORING_OP_UNLINKAT, AT("unlink2"))); }

static long ring_connect(void)
{
	struct sockaddr_in peer = { AF_INET, htons(LISTEN_PORT), { htonl(INADDR_LOOPBACK) }, {} };

	return submit((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = socket(AF_INET, SOCK_STREAM, 0),
					     .addr = (uintptr_t)&peer, .off = sizeof(peer) });
}

/* IORING_OP_SOCKET came with 5.19. */
static long ring_socket(void)
{
	return submit((struct io_uring_sqe){ .opcode = 45, .fd = AF_INET, .off = SOCK_STREAM });
}

const struct operation ring_operations[] = {
	{ "io_uring_setup", setup },
	{ "io_uring: open", ring_open },
	{ "io_uring: open by a worker", ring_open_worker },
	{ "io_uring: write", ring_write },
	{ "io_uring: unlink", ring_unlink },
	{ "io_uring: connect", ring_connect },
	{ "io_uring: socket", ring_socket },
	{ "io_uring_setup with IORING_SETUP_SQPOLL", setup_polled },
	{ NULL, NULL },
};
