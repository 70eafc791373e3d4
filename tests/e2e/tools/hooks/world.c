// SPDX-License-Identifier: Apache-2.0
// The world of the operations: files, descriptors, sockets.
#include "operations.h"
#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <sys/xattr.h>

struct world world;

static void write_file(const char *path, const char *text, int mode)
{
	int fd = must(path, open(path, O_CREAT | O_WRONLY | O_TRUNC, mode));

	must(path, write(fd, text, strlen(text)));
	close(fd);
}

static int copy_program(int target)
{
	int source = must("program", open("/proc/self/exe", O_RDONLY));

	while (must("copy", sendfile(target, source, NULL, 1 << 20)) > 0)
		;
	close(source);
	return target;
}

static void lay_out_files(void)
{
	static const char *const directories[] = { WORLD, AT("m0"), AT("m1"), AT("m2"), AT("m3"), AT("empty"), AT("sub") };
	static const char *const files[] = { "unlink1", "unlink2", "rename1", "rename3", "rename4", "exchange1", "exchange2" };
	char path[64];

	for (unsigned i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		must(directories[i], mkdir(directories[i], 0755));
	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), AT("%s"), files[i]);
		write_file(path, "x", 0644);
	}
	must("mount", mount("m0", AT("m0"), "tmpfs", 0, NULL));
	must("mount", mount(NULL, AT("m0"), NULL, MS_PRIVATE, NULL));
	write_file(AT("file"), "hello world hello", 0644);
	write_file(AT("script"), "#!" AT("program") "\n", 0755);
	must("symlink", symlink(AT("file"), AT("symlink")));
	must("setxattr", setxattr(AT("file"), "trusted.old", "1", 1, 0));
	close(copy_program(must("copy", open(AT("program"), O_CREAT | O_WRONLY, 0755))));
	close(copy_program(must("copy", open(AT("gone"), O_CREAT | O_WRONLY, 0755))));
}

static void open_files(void)
{
	world.file = must("file", open(AT("file"), O_RDWR));
	world.target = must("target", open(AT("target"), O_CREAT | O_RDWR, 0644));
	world.directory = must("directory", open(WORLD, O_RDONLY | O_DIRECTORY));
	world.program = must("program", open(AT("program"), O_RDONLY));
	world.memory = copy_program(must("memfd", memfd_create("program", 0)));
	world.unlinked = must("gone", open(AT("gone"), O_RDONLY));
	must("unlink", unlink(AT("gone")));
	world.nameless = must("O_TMPFILE", open(WORLD, O_TMPFILE | O_RDWR, 0600));
	world.namespace = must("namespace", open("/proc/self/ns/mnt", O_RDONLY));
}

static int unix_socket(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = must("socket", socket(AF_UNIX, type, 0));

	strcpy(address.sun_path, path);
	must("bind", bind(fd, (void *)&address, sizeof(address)));
	return fd;
}

static void send_descriptor(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { NULL, 0, &vector, 1, control, sizeof(control), 0 };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	*head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	must("send a descriptor", sendmsg(to, &message, 0));
}

static void open_sockets(void)
{
	struct sockaddr_in address = { AF_INET, htons(LISTEN_PORT), { htonl(INADDR_LOOPBACK) }, {} };
	int pair[2], client = must("socket", socket(AF_INET, SOCK_STREAM, 0));

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	world.letters = pair[1];
	send_descriptor(pair[0], world.file);
	world.stream = must("socket", socket(AF_INET, SOCK_STREAM, 0));
	world.listener = must("socket", socket(AF_INET, SOCK_STREAM, 0));
	must("bind", bind(world.listener, (void *)&address, sizeof(address)));
	must("listen", listen(world.listener, 8));
	must("connect", connect(client, (void *)&address, sizeof(address)));
	world.datagrams = must("socket", socket(AF_INET, SOCK_DGRAM, 0));
	world.connected = must("socket", socket(AF_INET, SOCK_DGRAM, 0));
	must("connect", connect(world.connected, (void *)&address, sizeof(address)));
	must("listen", listen(unix_socket(AT("listening"), SOCK_STREAM), 8));
	unix_socket(AT("receiving"), SOCK_DGRAM);
}

void lay_out_world(void)
{
	lay_out_files();
	open_files();
	open_sockets();
}
