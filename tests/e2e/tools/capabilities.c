// SPDX-License-Identifier: Apache-2.0
// Uses capabilities: `capabilities NAME...` does for each what needs it, and says which were refused. As root, in a folder of
// root's that nobody else uses.
#define _GNU_SOURCE
#include "tool.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/io.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OTHER 4242

/* A new file of another user's, of this mode. */
static const char *foreign_file(int mode)
{
	static const char *name = "foreign";

	unlink(name);
	close(must("make a file", open(name, O_CREAT | O_WRONLY, 0600)));
	must("chmod", chmod(name, mode));
	must("chown", chown(name, OTHER, OTHER));
	return name;
}

static int opened(const char *name, int flags)
{
	int fd = open(name, flags);

	return fd < 0 ? -1 : close(fd);
}

/* Its own file, so that this is the first use. */
static int use_chown(void)
{
	unlink("own");
	close(must("make a file", open("own", O_CREAT | O_WRONLY, 0600)));
	return chown("own", OTHER, OTHER);
}

static int use_dac_override(void) { return opened(foreign_file(0), O_WRONLY); }
static int use_fowner(void) { return chmod(foreign_file(0600), 0644); }
static int use_setgid(void) { return setresgid(-1, OTHER, -1); }
static int use_setuid(void) { return setresuid(-1, OTHER, -1); }
static int use_net_admin(void) { return setsockopt(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_SNDBUFFORCE, &(int){ 1 << 16 }, sizeof(int)); }
static int use_net_raw(void) { return socket(AF_INET, SOCK_RAW, 255); }
static int use_sys_module(void) { return syscall(SYS_init_module, NULL, 0, ""); }
static int use_sys_rawio(void) { return ioperm(0x80, 1, 1); }
static int use_sys_chroot(void) { return chroot("/"); }
static int use_sys_pacct(void) { return acct(NULL); }
static int use_sys_admin(void) { return sethostname("box", 3); }
static int use_sys_boot(void) { return syscall(SYS_reboot, 0, 0, 0, NULL); }
static int use_sys_nice(void) { return setpriority(PRIO_PROCESS, 0, -1); }
static int use_sys_time(void) { return settimeofday(NULL, &(struct timezone){ 0, 0 }); }
static int use_sys_tty_config(void) { return vhangup(); }
static int use_setfcap(void) { return setxattr(foreign_file(0600), "security.capability", "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0); }

static int use_net_bind_service(void)
{
	struct sockaddr_in port = { .sin_family = AF_INET, .sin_port = htons(81), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&port, sizeof(port));
}

static int use_sys_resource(void)
{
	must("setrlimit", setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
	return setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 1 });
}

static int use_mknod(void)
{
	unlink("device");
	return mknod("device", S_IFCHR | 0600, 0x103);
}

static int use_ipc_lock(void)
{
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 });
	return mlock(&errno, 1);
}

static int use_kill(void)
{
	int child = fork(), result;

	if (!child) {
		if (setresuid(OTHER, OTHER, OTHER) == 0)
			pause();
		_exit(0);
	}
	/* Until it is another user's: nothing else tells. */
	struct stat status;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d", child);
	while (stat(name, &status) == 0 && status.st_uid != OTHER && waitpid(child, NULL, WNOHANG) == 0)
		usleep(1000);
	result = kill(child, SIGURG);
	int error = errno;

	must("setresuid", setresuid(-1, OTHER, -1));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	errno = error;
	return result;
}

/*
 * An open that io_uring does later: it waits for the reading of a pipe before it, and by then the task's credentials are others,
 * if alike, so that the kernel takes on those of before: the task itself on 5.10, a worker since 6.2 or so.
 */
static int use_dac_override_later(void)
{
	struct io_uring_params made = {};
	const char *name = foreign_file(0);
	int ring = must("io_uring_setup", syscall(SYS_io_uring_setup, 2, &made)), ends[2];
	char *submissions = mmap(NULL, made.sq_off.array + 2 * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
				 IORING_OFF_SQ_RING);
	char *completions = mmap(NULL, made.cq_off.cqes + 4 * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED,
				 ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entries = mmap(NULL, 2 * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);

	must("pipe", pipe(ends));
	entries[0] = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = ends[0], .addr = (uintptr_t)made.resv, .len = 1, .off = -1 };
	entries[1] = (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)name,
					    .open_flags = O_WRONLY, .flags = IOSQE_IO_DRAIN };
	((unsigned *)(submissions + made.sq_off.array))[1] = 1;
	*(unsigned *)(submissions + made.sq_off.tail) = 2;
	must("submit", syscall(SYS_io_uring_enter, ring, 2, 0, 0, NULL, 0));
	must("prctl", prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
	must("write", write(ends[1], "x", 1));
	must("wait", syscall(SYS_io_uring_enter, ring, 0, 2, IORING_ENTER_GETEVENTS, NULL, 0));
	int result = ((struct io_uring_cqe *)(completions + made.cq_off.cqes))[1].res;

	errno = result < 0 ? -result : 0;
	return result;
}

static const struct {
	const char *name;
	int (*use)(void);
} uses[] = {
	{ "dac_override_later", use_dac_override_later },
	{ "chown", use_chown },		  { "dac_override", use_dac_override },	  { "fowner", use_fowner },
	{ "kill", use_kill },		  { "setgid", use_setgid },		  { "setuid", use_setuid },
	{ "net_admin", use_net_admin },	  { "net_raw", use_net_raw },		  { "sys_module", use_sys_module },
	{ "sys_rawio", use_sys_rawio },	  { "sys_chroot", use_sys_chroot },	  { "sys_pacct", use_sys_pacct },
	{ "sys_admin", use_sys_admin },	  { "sys_boot", use_sys_boot },		  { "sys_nice", use_sys_nice },
	{ "sys_time", use_sys_time },	  { "sys_tty_config", use_sys_tty_config }, { "setfcap", use_setfcap },
	{ "net_bind_service", use_net_bind_service },
	{ "sys_resource", use_sys_resource }, { "mknod", use_mknod },		  { "ipc_lock", use_ipc_lock },
};

/* In a child: what it changes of itself ends with it. Whatever else the kernel says than EPERM or EACCES is no refusal. */
static void try(const char *name)
{
	int status = 0;
	pid_t child = must("fork", fork());

	if (!child) {
		for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
			if (!strcmp(uses[i].name, name))
				_exit(uses[i].use() < 0 && (errno == EPERM || errno == EACCES));
		_exit(2);
	}
	waitpid(child, &status, 0);
	printf("%s %s\n", name, status == 0 ? "passed" : WEXITSTATUS(status) == 1 ? "refused" : "failed");
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		try(argv[i]);
	return 0;
}
