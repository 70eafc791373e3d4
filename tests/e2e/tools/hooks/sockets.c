// SPDX-License-Identifier: Apache-2.0
// Operations on sockets.
#include "operations.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <sys/un.h>

static char bytes[128];

static struct sockaddr_in address(int port)
{
	return (struct sockaddr_in){ AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, {} };
}

static long tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static long icmp(void) { return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
static long raw(void) { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long packet(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static long netlink(void) { return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }
static long unix_stream(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static long pair(void) { return socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 }); }

static long do_bind(void)
{
	struct sockaddr_in own = address(7777);

	return bind(world.stream, (void *)&own, sizeof(own));
}

static long do_listen(void) { return listen(world.stream, 5); }

static long do_connect(void)
{
	struct sockaddr_in peer = address(LISTEN_PORT);

	return connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&peer, sizeof(peer));
}

static long do_accept(void) { return accept(world.listener, NULL, NULL); }

static long send_to(int fd, int port, int flags)
{
	struct sockaddr_in peer = address(port);

	return sendto(fd, "x", 1, flags, (void *)&peer, sizeof(peer));
}

static long send_datagram(void) { return send_to(world.datagrams, LISTEN_PORT, 0); }
static long fast_open(void) { return send_to(socket(AF_INET, SOCK_STREAM, 0), LISTEN_PORT, MSG_FASTOPEN); }

static long connect_datagrams(void)
{
	struct sockaddr_in peer = address(53);

	return connect(world.datagrams, (void *)&peer, sizeof(peer));
}

static long write_connected(void) { return send(world.connected, "x", 1, 0); }

/* Nothing waits there: the hook comes first. */
static long receive(void)
{
	return recv(world.datagrams, bytes, 4, MSG_DONTWAIT) < 0 && errno != EAGAIN ? -1 : 0;
}

static long set_option(void) { return setsockopt(world.datagrams, SOL_SOCKET, SO_BROADCAST, &(int){ 1 }, sizeof(int)); }
static long own_name(void) { return getsockname(world.datagrams, (void *)bytes, &(socklen_t){ sizeof(bytes) }); }
static long shut(void) { return shutdown(world.connected, SHUT_RDWR); }

static long unix_connect(void)
{
	struct sockaddr_un peer = { AF_UNIX, AT("listening") };

	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&peer, sizeof(peer));
}

static long unix_send(void)
{
	struct sockaddr_un peer = { AF_UNIX, AT("receiving") };

	return sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (void *)&peer, sizeof(peer));
}

const struct operation socket_operations[] = {
	{ "socket of TCP", tcp },
	{ "socket of ICMP", icmp },
	{ "socket of raw IP", raw },
	{ "socket of packets", packet },
	{ "socket of netlink", netlink },
	{ "socket of unix", unix_stream },
	{ "socketpair", pair },
	{ "bind of TCP", do_bind },
	{ "listen of TCP", do_listen },
	{ "connect of TCP", do_connect },
	{ "accept of TCP", do_accept },
	{ "sendto of UDP", send_datagram },
	{ "connect of UDP", connect_datagrams },
	{ "send of connected UDP", write_connected },
	{ "sendto of TCP with MSG_FASTOPEN", fast_open },
	{ "recv of UDP", receive },
	{ "setsockopt", set_option },
	{ "getsockname", own_name },
	{ "shutdown", shut },
	{ "connect to a unix socket", unix_connect },
	{ "sendto to a unix socket", unix_send },
	{ NULL, NULL },
};
