// SPDX-License-Identifier: Apache-2.0
// Sockets of all kinds, made here or kept by a process that is older than the policy.
//
//   network make FAMILY/TYPE/PROTOCOL...   tries each, and says which were refused
//   network keep PATH      makes sockets, and serves `use` and `take` at a unix socket until it is killed
//   network use PATH ACT   has the keeper do it with its socket
//   network take PATH ACT  does it with the socket that the keeper sends
//   network ring PATH ACT  the same by io_uring
#define _GNU_SOURCE
#include "tool.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SHUT_OFF 30

static struct sockaddr_in server = { .sin_family = AF_INET };

// ---- acts -----------------------------------------------------------------------------------------------------------

static struct sockaddr *address(struct sockaddr_in *of) { return (struct sockaddr *)of; }

static int act_bind(int fd)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return bind(fd, address(&any), sizeof(any));
}

static int act_listen(int fd) { return listen(fd, 1); }
static int act_connect(int fd) { return connect(fd, address(&server), sizeof(server)); }
static int act_accept(int fd) { return accept(fd, NULL, NULL); }
static int act_send(int fd) { return send(fd, "x", 1, 0); }
static int act_write(int fd) { return write(fd, "x", 1); }
static int act_sendto(int fd) { return sendto(fd, "x", 1, 0, address(&server), sizeof(server)); }
static int act_open(int fd) { return sendto(fd, "x", 1, MSG_FASTOPEN, address(&server), sizeof(server)); }

static int act_many(int fd)
{
	struct iovec part = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = { &server, sizeof(server), &part, 1, NULL, 0, 0 } };

	return sendmmsg(fd, &message, 1, 0);
}

struct act {
	const char *name;
	int (*run)(int fd);
	int fd;
};

static struct act acts[] = {
	{ "bind", act_bind, -1 },	{ "listen", act_listen, -1 }, { "connect", act_connect, -1 },
	{ "accept", act_accept, -1 },	{ "send", act_send, -1 },     { "write", act_write, -1 },
	{ "fastopen", act_open, -1 },	{ "sendto", act_sendto, -1 }, { "sendmmsg", act_many, -1 },
	{ "unix", act_send, -1 },	{ "connect-ring", act_connect, -1 },
};

static struct act *act_named(const char *name)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (!strcmp(acts[i].name, name))
			return &acts[i];
	errno = EINVAL;
	fail(name);
	return NULL;
}

// ---- the keeper -----------------------------------------------------------------------------------------------------

static int new_socket(int type) { return must("socket", socket(AF_INET, type, 0)); }

/* The server listens, and has a connection that waits. */
static void prepare(void)
{
	socklen_t size = sizeof(server);
	int listener = new_socket(SOCK_STREAM), pair[2];

	must("bind", act_bind(listener));
	must("listen", listen(listener, SHUT_OFF));
	must("getsockname", getsockname(listener, address(&server), &size));
	act_named("accept")->fd = listener;
	must("connect", act_connect(new_socket(SOCK_STREAM)));
	must("connect", act_connect(act_named("send")->fd = new_socket(SOCK_STREAM)));
	act_named("write")->fd = act_named("send")->fd;
	must("bind", act_bind(act_named("listen")->fd = new_socket(SOCK_STREAM)));
	act_named("bind")->fd = new_socket(SOCK_STREAM);
	act_named("connect")->fd = new_socket(SOCK_STREAM);
	act_named("connect-ring")->fd = new_socket(SOCK_STREAM);
	act_named("fastopen")->fd = new_socket(SOCK_STREAM);
	act_named("sendto")->fd = act_named("sendmmsg")->fd = new_socket(SOCK_DGRAM);
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	act_named("unix")->fd = pair[0];
}

struct request {
	char verb, name[15];
};

struct answer {
	int error;
	struct sockaddr_in server;
};

static void answer(int client, struct answer answer, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { &answer, sizeof(answer) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		*header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	must("sendmsg", sendmsg(client, &message, 0));
}

static struct sockaddr_un place(const char *path)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };

	strncpy(place.sun_path, path, sizeof(place.sun_path) - 1);
	return place;
}

/* Says that it is ready, and goes on in a child. */
static void keep(const char *path)
{
	struct sockaddr_un here = place(path);
	struct request request;
	int door = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));

	prepare();
	must("bind", bind(door, (struct sockaddr *)&here, sizeof(here)));
	must("listen", listen(door, 8));
	if (must("daemon", daemon(1, 0)) == 0)
		for (;;) {
			int client = must("accept", accept(door, NULL, NULL));

			if (read(client, &request, sizeof(request)) == sizeof(request)) {
				struct act *act = act_named(request.name);
				int result = request.verb == 'u' ? act->run(act->fd) : 0;

				answer(client, (struct answer){ result < 0 ? errno : 0, server },
				       request.verb == 'u' ? -1 : act->fd);
			}
			close(client);
		}
}

/* Asks the keeper. Returns the socket that it sent, or -1. */
static int ask(const char *path, char verb, const char *name)
{
	struct sockaddr_un there = place(path);
	struct request request = { .verb = verb };
	struct answer answer;
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { &answer, sizeof(answer) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int door = must("socket", socket(AF_UNIX, SOCK_STREAM, 0)), fd = -1;

	strncpy(request.name, name, sizeof(request.name) - 1);
	must("connect to the keeper", connect(door, (struct sockaddr *)&there, sizeof(there)));
	must("write", write(door, &request, sizeof(request)));
	must("recvmsg", recvmsg(door, &message, 0));
	if ((errno = answer.error))
		fail(name);
	server = answer.server;
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

// ---- io_uring -------------------------------------------------------------------------------------------------------

static int by_ring(struct io_uring_sqe entry)
{
	struct io_uring_params made = {};
	int fd = must("io_uring_setup", syscall(SYS_io_uring_setup, 1, &made));
	size_t size = made.cq_off.cqes + 2 * sizeof(struct io_uring_cqe);
	char *submissions = mmap(NULL, made.sq_off.array + 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *completions = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entries =
		mmap(NULL, sizeof(entry), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);

	*entries = entry;
	*(unsigned *)(submissions + made.sq_off.tail) += 1;
	must("io_uring_enter", syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	int result = ((struct io_uring_cqe *)(completions + made.cq_off.cqes))->res;

	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : 0;
}

/* IORING_OP_SOCKET is 45, and came with 5.19. */
static int act_by_ring(const char *name, int fd)
{
	if (!strcmp(name, "connect-ring"))
		return by_ring((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = fd,
						      .addr = (uintptr_t)&server, .off = sizeof(server) });
	if (!strcmp(name, "send"))
		return by_ring((struct io_uring_sqe){ .opcode = IORING_OP_SEND, .fd = fd, .addr = (uintptr_t)"x", .len = 1,
						      .flags = IOSQE_ASYNC });
	return by_ring((struct io_uring_sqe){ .opcode = 45, .fd = AF_INET, .off = SOCK_STREAM });
}

// ---- one after another ----------------------------------------------------------------------------------------------

static void make(const char *text)
{
	int family, type, protocol;

	if (sscanf(text, "%d/%d/%d", &family, &type, &protocol) != 3)
		fail(text);
	int fd = socket(family, type, protocol);

	/* What else the kernel has to say is no refusal: it may not know the family. */
	printf("%s %s\n", text, fd < 0 && errno == EACCES ? "refused" : "passed");
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "", *name = argc > 3 ? argv[3] : "";

	if (!strcmp(verb, "make"))
		for (int i = 2; i < argc; i++)
			make(argv[i]);
	else if (!strcmp(verb, "keep"))
		keep(path);
	else if (!strcmp(verb, "use"))
		ask(path, 'u', name);
	else if (!strcmp(verb, "take"))
		must(name, act_named(name)->run(ask(path, 't', name)));
	else if (!strcmp(verb, "ring"))
		must(name, act_by_ring(name, strcmp(name, "socket") ? ask(path, 't', name) : -1));
	else
		return 2;
	return 0;
}
