// SPDX-License-Identifier: Apache-2.0
// nbd DEVICE: a disk of zeros over a TCP connection of its own, until it is killed. The kernel sends what is asked of the disk in
// the name of who asks.
#include "tool.h"
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define BLOCKS 1024

/* Both ends of a connection. */
static void connect_ends(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = must("socket", socket(AF_INET, SOCK_STREAM, 0));

	must("bind", bind(listener, (struct sockaddr *)&address, size));
	must("listen", listen(listener, 1));
	must("getsockname", getsockname(listener, (struct sockaddr *)&address, &size));
	ends[0] = must("socket", socket(AF_INET, SOCK_STREAM, 0));
	must("connect", connect(ends[0], (struct sockaddr *)&address, size));
	ends[1] = must("accept", accept(listener, NULL, NULL));
	close(listener);
}

static void receive(int fd, void *bytes, size_t size)
{
	for (ssize_t some; size > 0; size -= some, bytes = (char *)bytes + some) {
		some = must("receive", recv(fd, bytes, size, 0));
		if (!some)
			exit(0);
	}
}

static void serve(int fd)
{
	static char block[BLOCK_BYTES];

	for (;;) {
		struct nbd_request request;

		receive(fd, &request, sizeof(request));
		struct nbd_reply reply = { .magic = htobe32(NBD_REPLY_MAGIC) };

		memcpy(reply.handle, request.handle, sizeof(reply.handle));
		must("reply", send(fd, &reply, sizeof(reply), 0));
		for (uint32_t left = be32toh(request.len); left > 0; left -= BLOCK_BYTES)
			must("reply", send(fd, block, BLOCK_BYTES, 0));
	}
}

int main(int argc, char **argv)
{
	int ends[2], device = must("device", open(argv[argc - 1], O_RDWR));

	connect_ends(ends);
	must("NBD_SET_BLKSIZE", ioctl(device, NBD_SET_BLKSIZE, BLOCK_BYTES));
	must("NBD_SET_SIZE_BLOCKS", ioctl(device, NBD_SET_SIZE_BLOCKS, BLOCKS));
	must("NBD_SET_FLAGS", ioctl(device, NBD_SET_FLAGS, NBD_FLAG_READ_ONLY));
	must("NBD_SET_SOCK", ioctl(device, NBD_SET_SOCK, ends[0]));
	if (must("fork", fork()) == 0)
		serve(ends[1]);
	/* Comes back when the connection ends. */
	must("NBD_DO_IT", ioctl(device, NBD_DO_IT));
	return 0;
}
