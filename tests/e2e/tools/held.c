// SPDX-License-Identifier: Apache-2.0
// held keep PATH DIR [READ]: opens PATH for reading and writing (with READ for reading), maps it, and keeps both in the
// background, so that they are older than a policy. held ask DIR WAY: makes the keeper use them, or takes the descriptor from
// it (send, take) and prints the file. Exit status 1, and the error's text, when that is refused.
#define _GNU_SOURCE
#include "tool.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int fd;
static char *shared_mapping, *private_mapping;

static int maps(int protection, int flags)
{
	return mmap(NULL, 4096, protection, flags, fd, 0) == MAP_FAILED ? -1 : 0;
}

static int use(const char *way)
{
	if (!strcmp(way, "map-to-write"))
		return maps(PROT_READ | PROT_WRITE, MAP_SHARED);
	if (!strcmp(way, "map-copy"))
		return maps(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (!strcmp(way, "protect-to-write"))
		return mprotect(shared_mapping, 4096, PROT_READ | PROT_WRITE);
	if (!strcmp(way, "protect-copy"))
		return mprotect(private_mapping, 4096, PROT_READ | PROT_WRITE);
	if (!strcmp(way, "protect-as-code"))
		return mprotect(private_mapping, 4096, PROT_READ | PROT_EXEC);
	errno = ENOSYS;
	return -1;
}

/* What stands behind a message: a way to use the descriptor, or the descriptor itself for "send". */
static void answer(int client)
{
	char way[32] = "", control[CMSG_SPACE(sizeof(int))] = "";
	int result = 0, wants_descriptor;

	must("read", read(client, way, sizeof(way) - 1));
	wants_descriptor = !strcmp(way, "send");
	if (!wants_descriptor && strcmp(way, "pid"))
		result = use(way) ? errno : 0;
	int reply[3] = { result, getpid(), fd };
	struct iovec vector = { reply, sizeof(reply) };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (wants_descriptor) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);

		*head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(head), &fd, sizeof(int));
	}
	must("reply", sendmsg(client, &message, 0));
}

static struct sockaddr_un address_in(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/keeper", directory);
	return address;
}

static int keep(char **arg) /* PATH DIR [READ] */
{
	struct sockaddr_un address = address_in(arg[1]);
	int listener = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));

	fd = must(arg[0], open(arg[0], arg[2] ? O_RDONLY : O_RDWR));
	shared_mapping = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	private_mapping = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	must("bind", bind(listener, (void *)&address, sizeof(address)));
	must("listen", listen(listener, 8));
	if (must("fork", fork()))
		return 0;
	setsid();
	/* Where only ancestors may trace, anybody may trace this. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	for (int i = 0; i < 3; i++)
		dup2(open("/dev/null", O_RDWR), i);
	for (;;) {
		int client = must("accept", accept(listener, NULL, NULL));

		answer(client);
		close(client);
	}
}

static int print_descriptor(int descriptor)
{
	char bytes[256];
	ssize_t count = must("read", pread(descriptor, bytes, sizeof(bytes), 0));

	fwrite(bytes, 1, count, stdout);
	return 0;
}

/* The kernel tells a receiver only that something was left out; the reason is known here. */
static int received(struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);

	if (head)
		return *(int *)CMSG_DATA(head);
	errno = message->msg_flags & MSG_CTRUNC ? EACCES : EBADMSG;
	return -1;
}

static int ask(char **arg) /* DIR WAY */
{
	struct sockaddr_un address = address_in(arg[0]);
	char control[CMSG_SPACE(sizeof(int))];
	int server = must("socket", socket(AF_UNIX, SOCK_STREAM, 0)), reply[3];
	struct iovec vector = { reply, sizeof(reply) };
	struct msghdr message = { NULL, 0, &vector, 1, control, sizeof(control), 0 };
	int takes = !strcmp(arg[1], "take");

	must("connect", connect(server, (void *)&address, sizeof(address)));
	must("ask", write(server, takes ? "pid" : arg[1], takes ? 3 : strlen(arg[1])));
	must("answer", recvmsg(server, &message, 0));
	if (!strcmp(arg[1], "send"))
		return print_descriptor(must("receive", received(&message)));
	if (takes) {
		int process = must("pidfd_open", syscall(SYS_pidfd_open, reply[1], 0));

		return print_descriptor(must("pidfd_getfd", syscall(SYS_pidfd_getfd, process, reply[2], 0)));
	}
	errno = reply[0];
	must(arg[1], errno ? -1 : 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "keep"))
		return keep(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv + 2);
	fprintf(stderr, "held: keep PATH DIR [READ], or ask DIR WAY\n");
	return 2;
}
