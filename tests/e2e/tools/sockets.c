// SPDX-License-Identifier: Apache-2.0
// Unix sockets with a path.
//
//   sockets listen stream|datagram PATH    binds it, returns at once, and stays in the background, accepting
//   sockets connect PATH                   connects to it
//   sockets send PATH                      sends it a datagram, without connecting
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tool.h"

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address;
}

static int listen_at(int type, const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = must("socket", socket(AF_UNIX, type, 0));

	must(path, bind(fd, (struct sockaddr *)&address, sizeof(address)));
	if (type == SOCK_STREAM)
		must("listen", listen(fd, 64));
	if (must("daemon", daemon(0, 0)))
		return 1;
	for (char byte;;)
		if (type == SOCK_STREAM)
			close(accept(fd, NULL, NULL));
		else if (recv(fd, &byte, 1, 0) < 0)
			return 1;
}

static int reach(int sends, const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = must("socket", socket(AF_UNIX, sends ? SOCK_DGRAM : SOCK_STREAM, 0));

	if (sends)
		must(path, sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)));
	else
		must(path, connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "listen"))
		return listen_at(strcmp(argv[2], "stream") ? SOCK_DGRAM : SOCK_STREAM, argv[3]);
	if (argc == 3)
		return reach(!strcmp(argv[1], "send"), argv[2]);
	fprintf(stderr, "usage: see sockets.c\n");
	return 2;
}
