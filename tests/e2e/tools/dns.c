// SPDX-License-Identifier: Apache-2.0
// DNS queries in every way in which a program may send one, and a resolver that answers any.
//
//   dns serve              answers at port 53 of 127.0.0.1 and ::1, in the background
//   dns ask WAY NAME [S]   asks for NAME; "answered", or an error: EAGAIN when there is no answer for S seconds (20)
#define _GNU_SOURCE
#include "tool.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT 53
#define ROOM 1500
#define HARMLESS "harmless.test"

// ---- messages -------------------------------------------------------------------------------------------------------

struct message {
	uint8_t bytes[ROOM];
	size_t length;
};

static void append(struct message *to, const void *bytes, size_t length)
{
	memcpy(to->bytes + to->length, bytes, length);
	to->length += length;
}

static void append_question(struct message *to, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");
		uint8_t byte = length;

		append(to, &byte, 1);
		append(to, name, length);
		name += length + (name[length] == '.');
	}
	append(to, "\0\0\1\0\1", 5);
}

/* A query with `questions`, none of which is there yet. */
static struct message header(int questions, int others)
{
	struct message message = {};

	append(&message, (uint8_t[]){ 0x12, 0x34, 1, 0, 0, questions, 0, 0, 0, 0, 0, others }, 12);
	return message;
}

static struct message query(const char *name)
{
	struct message message = header(1, 0);

	append_question(&message, name);
	return message;
}

/* With an OPT record, as most resolvers' libraries send it. */
static struct message query_edns(const char *name)
{
	struct message message = header(1, 1);

	append_question(&message, name);
	append(&message, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	return message;
}

static struct message query_two(const char *name)
{
	struct message message = header(2, 0);

	append_question(&message, HARMLESS);
	append_question(&message, name);
	return message;
}

/* The name is a pointer to one that stands behind the question. */
static struct message query_pointer(const char *name)
{
	struct message message = header(1, 0);

	append(&message, "\xc0\x12\0\1\0\1", 6);
	append_question(&message, name);
	return message;
}

static struct message query_cut(const char *name)
{
	struct message message = query(name);

	message.length -= 4;
	return message;
}

// ---- the resolver ---------------------------------------------------------------------------------------------------

static int listener(int family, int type)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = must("socket", socket(family, type, 0)), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	must("bind", family == AF_INET ? bind(fd, (void *)&four, sizeof(four)) : bind(fd, (void *)&six, sizeof(six)));
	if (type == SOCK_STREAM)
		must("listen", listen(fd, 16));
	return fd;
}

static void answer_datagram(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	uint8_t bytes[ROOM];
	ssize_t length = recvfrom(fd, bytes, sizeof(bytes), 0, (void *)&peer, &size);

	if (length < 12)
		return;
	bytes[2] |= 0x80;
	sendto(fd, bytes, length, 0, (void *)&peer, size);
}

/* Sends back what comes until the peer has said all. In a child: another connection waits for none. */
static void answer_connection(int fd)
{
	uint8_t bytes[ROOM];
	ssize_t length;

	if (must("fork", fork())) {
		close(fd);
		return;
	}

	while ((length = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, length) != length)
			break;
	_exit(0);
}

static void serve(void)
{
	struct pollfd doors[4] = {
		{ listener(AF_INET, SOCK_DGRAM), POLLIN, 0 },
		{ listener(AF_INET6, SOCK_DGRAM), POLLIN, 0 },
		{ listener(AF_INET, SOCK_STREAM), POLLIN, 0 },
		{ listener(AF_INET6, SOCK_STREAM), POLLIN, 0 },
	};

	signal(SIGCHLD, SIG_IGN);
	if (must("daemon", daemon(1, 0)) == 0)
		for (;;) {
			must("poll", poll(doors, 4, -1));
			for (int i = 0; i < 4; i++) {
				if (!(doors[i].revents & POLLIN))
					continue;
				if (i < 2)
					answer_datagram(doors[i].fd);
				else
					answer_connection(accept(doors[i].fd, NULL, NULL));
			}
		}
}

// ---- asking ---------------------------------------------------------------------------------------------------------

static struct sockaddr_in resolver = { .sin_family = AF_INET };
static struct sockaddr_in6 resolver6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
/* For the last answer. What comes before it is not refused, and waited for long. */
static struct timeval patience = { 20, 0 };

static int made(int family, int type)
{
	int fd = must("socket", socket(family, type, 0));

	must("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 20, 0 }, sizeof(struct timeval)));
	/* What was not sent by then is not tried again afterwards. */
	must("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	return fd;
}

static int connected(int family, int type)
{
	int fd = made(family, type);
	void *to = family == AF_INET ? (void *)&resolver : (void *)&resolver6;

	must("connect", connect(fd, to, family == AF_INET ? sizeof(resolver) : sizeof(resolver6)));
	return fd;
}

/* All of a message in one segment, its length before it. */
static struct message framed(struct message message)
{
	struct message all = {};
	uint16_t length = htons(message.length);

	append(&all, &length, 2);
	append(&all, message.bytes, message.length);
	return all;
}

static int ask_udp(struct message q)
{
	int fd = connected(AF_INET, SOCK_DGRAM);

	must("send", send(fd, q.bytes, q.length, 0));
	return fd;
}

static int ask_write(struct message q)
{
	int fd = connected(AF_INET, SOCK_DGRAM);

	must("write", write(fd, q.bytes, q.length));
	return fd;
}

static int ask_sendto(struct message q)
{
	int fd = made(AF_INET, SOCK_DGRAM);

	must("sendto", sendto(fd, q.bytes, q.length, 0, (void *)&resolver, sizeof(resolver)));
	return fd;
}

/* Two messages, of which the second asks. */
static int ask_many(struct message q)
{
	struct message first = query(HARMLESS);
	struct iovec parts[] = { { first.bytes, first.length }, { q.bytes, q.length } };
	struct mmsghdr messages[2] = {};
	int fd = made(AF_INET, SOCK_DGRAM), sent;

	for (int i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){ &resolver, sizeof(resolver), parts + i, 1, NULL, 0, 0 };
	sent = must("sendmmsg", sendmmsg(fd, messages, 2, 0));
	if (sent == 1)
		must("sendmmsg", sendmmsg(fd, messages + 1, 1, 0));
	must("recv", recv(fd, first.bytes, ROOM, 0));
	return fd;
}

static int ask_udp6(struct message q)
{
	int fd = made(AF_INET6, SOCK_DGRAM);

	must("sendto", sendto(fd, q.bytes, q.length, 0, (void *)&resolver6, sizeof(resolver6)));
	return fd;
}

/* Behind options for the destination, of padding only. */
static int ask_options(struct message q)
{
	static const uint8_t padding[8] = { 0, 0, 1, 4, 0, 0, 0, 0 };
	int fd = made(AF_INET6, SOCK_DGRAM);

	must("IPV6_DSTOPTS", setsockopt(fd, IPPROTO_IPV6, 59, padding, sizeof(padding)));
	must("sendto", sendto(fd, q.bytes, q.length, 0, (void *)&resolver6, sizeof(resolver6)));
	return fd;
}

/* To an address of IPv4 as IPv6 writes it. */
static int ask_mapped(struct message q)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = resolver.sin_port };
	int fd = made(AF_INET6, SOCK_DGRAM);

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	must("sendto", sendto(fd, q.bytes, q.length, 0, (void *)&mapped, sizeof(mapped)));
	return fd;
}

/* Two messages for different names, and both are one packet that the network device cuts. */
static int ask_cut(struct message q)
{
	struct message all = {};
	int fd = connected(AF_INET, SOCK_DGRAM), size = q.length;

	append(&all, q.bytes, q.length);
	memset(all.bytes + 13, 'h', all.bytes[12]);
	append(&all, q.bytes, q.length);
	must("UDP_SEGMENT", setsockopt(fd, SOL_UDP, 103, &size, sizeof(size)));
	must("send", send(fd, all.bytes, all.length, 0));
	return fd;
}

static int ask_tcp(struct message q)
{
	struct message all = framed(q);
	int fd = connected(AF_INET, SOCK_STREAM);

	must("send", send(fd, all.bytes, all.length, 0));
	return fd;
}

static int ask_tcp6(struct message q)
{
	struct message all = framed(q);
	int fd = connected(AF_INET6, SOCK_STREAM);

	must("send", send(fd, all.bytes, all.length, 0));
	return fd;
}

static int ask_open(struct message q)
{
	struct message all = framed(q);
	int fd = made(AF_INET, SOCK_STREAM);

	must("sendto", sendto(fd, all.bytes, all.length, MSG_FASTOPEN, (void *)&resolver, sizeof(resolver)));
	return fd;
}

/* A harmless message first, answered, and then what asks. */
static int ask_second(struct message q)
{
	struct message first = framed(query(HARMLESS)), all = framed(q);
	int fd = connected(AF_INET, SOCK_STREAM);

	must("send", send(fd, first.bytes, first.length, 0));
	must("recv", recv(fd, first.bytes, ROOM, 0));
	must("send", send(fd, all.bytes, all.length, 0));
	return fd;
}

/* Both in one segment. */
static int ask_pipeline(struct message q)
{
	struct message first = framed(query(HARMLESS)), all = framed(q);
	int fd = connected(AF_INET, SOCK_STREAM);

	append(&first, all.bytes, all.length);
	must("send", send(fd, first.bytes, first.length, 0));
	return fd;
}

/* The name is cut between two segments. */
static int ask_split(struct message q)
{
	struct message all = framed(q);
	int fd = connected(AF_INET, SOCK_STREAM), on = 1;

	must("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	must("send", send(fd, all.bytes, 18, 0));
	must("send", send(fd, all.bytes + 18, all.length - 18, 0));
	return fd;
}

/* All headers by one's own hand. */
static int ask_raw(struct message q)
{
	struct message all = {};
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	struct udphdr udp = { .source = htons(5300), .dest = resolver.sin_port, .len = htons(8 + q.length) };
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(5300), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = made(AF_INET, SOCK_DGRAM), raw = must("socket", socket(AF_INET, SOCK_RAW, IPPROTO_RAW));

	must("bind", bind(fd, (void *)&here, sizeof(here)));
	ip.saddr = ip.daddr = htonl(INADDR_LOOPBACK);
	append(&all, &ip, sizeof(ip));
	append(&all, &udp, sizeof(udp));
	append(&all, q.bytes, q.length);
	here.sin_port = 0;
	must("sendto", sendto(raw, all.bytes, all.length, 0, (void *)&here, sizeof(here)));
	return fd;
}

static int ask_ring(struct message q)
{
	static uint8_t bytes[ROOM];
	struct io_uring_params made_ring = {};
	int ring = must("io_uring_setup", syscall(SYS_io_uring_setup, 1, &made_ring));
	size_t size = made_ring.cq_off.cqes + 2 * sizeof(struct io_uring_cqe);
	char *submissions =
		mmap(NULL, made_ring.sq_off.array + 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	char *completions = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	int fd = connected(AF_INET, SOCK_DGRAM);

	memcpy(bytes, q.bytes, q.length);
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_SEND, .fd = fd, .addr = (uintptr_t)bytes,
					.len = q.length, .flags = IOSQE_ASYNC };
	*(unsigned *)(submissions + made_ring.sq_off.tail) += 1;
	must("io_uring_enter", syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	int result = ((struct io_uring_cqe *)(completions + made_ring.cq_off.cqes))->res;

	errno = result < 0 ? -result : 0;
	must("io_uring send", result);
	return fd;
}

static const struct way {
	const char *name;
	struct message (*query)(const char *name);
	int (*send)(struct message query);
} ways[] = {
	{ "udp", query, ask_udp },	    { "write", query, ask_write },
	{ "sendto", query, ask_sendto },    { "sendmmsg", query, ask_many },
	{ "udp6", query, ask_udp6 },	    { "options", query, ask_options },
	{ "mapped", query, ask_mapped },    { "edns", query_edns, ask_udp },
	{ "two", query_two, ask_udp },	    { "pointer", query_pointer, ask_udp },
	{ "short", query_cut, ask_udp },    { "segments", query, ask_cut },
	{ "tcp", query, ask_tcp },	    { "tcp6", query, ask_tcp6 },
	{ "fastopen", query, ask_open },    { "second", query, ask_second },
	{ "pipeline", query, ask_pipeline }, { "split", query, ask_split },
	{ "raw", query, ask_raw },	    { "ring", query, ask_ring },
};

static void ask(const char *name, const char *domain)
{
	uint8_t bytes[ROOM];

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, name))
			continue;
		int fd = ways[i].send(ways[i].query(domain));

		must("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
		must("recv", recv(fd, bytes, sizeof(bytes), 0));
		puts("answered");
		return;
	}
	errno = EINVAL;
	fail(name);
}

int main(int argc, char **argv)
{
	resolver.sin_port = resolver6.sin6_port = htons(PORT);
	resolver.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (argc > 4)
		patience.tv_sec = atoi(argv[4]);
	if (argc > 3 && !strcmp(argv[1], "ask"))
		ask(argv[2], argv[3]);
	else if (argc > 1 && !strcmp(argv[1], "serve"))
		serve();
	else
		return 2;
	return 0;
}
