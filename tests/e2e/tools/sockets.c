// SPDX-License-Identifier: Apache-2.0
// Unix sockets with a path.
//
//   sockets listen PATH     binds it, returns at once, and stays in the background, accepting
//   sockets connect PATH    connects to it
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tool.h"

static _Noreturn void listen_there(int fd, struct sockaddr_un *address)
{
	must(address->sun_path, bind(fd, (struct sockaddr *)address, sizeof(*address)));
	must("listen", listen(fd, 64));
	must("daemon", daemon(0, 0));
	for (;;)
		close(accept(fd, NULL, NULL));
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));

	if (argc != 3)
		return 2;
	strncpy(address.sun_path, argv[2], sizeof(address.sun_path) - 1);
	if (!strcmp(argv[1], "listen"))
		listen_there(fd, &address);
	must(argv[2], connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return 0;
}
