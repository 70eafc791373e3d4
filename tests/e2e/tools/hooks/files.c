// SPDX-License-Identifier: Apache-2.0
// Operations on files and directories.
#include "operations.h"
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

static char bytes[512];

static long open_read(void) { return open(AT("file"), O_RDONLY); }
static long open_write(void) { return open(AT("file"), O_WRONLY); }
static long open_new(void) { return open(AT("new"), O_WRONLY | O_CREAT | O_EXCL, 0644); }
static long open_truncating(void) { return open(AT("file"), O_WRONLY | O_TRUNC); }
static long open_path(void) { return open(AT("file"), O_PATH); }
static long open_nameless(void) { return open(WORLD, O_TMPFILE | O_RDWR, 0600); }
static long open_directory(void) { return open(AT("sub"), O_RDONLY | O_DIRECTORY); }

static long reopen_path(void)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", open(AT("file"), O_PATH));
	return open(link, O_RDONLY);
}

static long link_nameless(void)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", world.nameless);
	return linkat(AT_FDCWD, link, AT_FDCWD, AT("named"), AT_SYMLINK_FOLLOW);
}

static long open_by_handle(void)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mounted;

	if (name_to_handle_at(AT_FDCWD, AT("file"), &handle.head, &mounted, 0))
		return -1;
	return open_by_handle_at(world.directory, &handle.head, O_RDONLY);
}

static long do_read(void) { return pread(world.file, bytes, 8, 0); }
static long do_write(void) { return pwrite(world.file, "x", 1, 0); }
static long map_shared(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, world.file, 0) == MAP_FAILED ? -1 : 0;
}
static long protect_shared(void)
{
	return mprotect(mmap(NULL, 4096, PROT_READ, MAP_SHARED, world.file, 0), 4096, PROT_READ | PROT_WRITE);
}
static long do_unlink(void) { return unlink(AT("unlink1")); }
static long do_rename(void) { return rename(AT("rename1"), AT("rename2")); }
static long rename_over(void) { return rename(AT("rename3"), AT("rename4")); }
static long exchange(void)
{
	return renameat2(AT_FDCWD, AT("exchange1"), AT_FDCWD, AT("exchange2"), RENAME_EXCHANGE);
}
static long whiteout(void)
{
	return renameat2(AT_FDCWD, AT("exchange1"), AT_FDCWD, AT("exchange9"), RENAME_WHITEOUT);
}
static long do_link(void) { return link(AT("file"), AT("hardlink")); }
static long do_symlink(void) { return symlink(AT("file"), AT("symlink2")); }
static long do_chmod(void) { return chmod(AT("file"), 0640); }
static long do_fchmod(void) { return fchmod(world.file, 0644); }
static long do_chown(void) { return chown(AT("file"), 1, 1); }
static long do_fchown(void) { return fchown(world.file, 0, 0); }
static long do_truncate(void) { return truncate(AT("file"), 10); }
static long do_ftruncate(void) { return ftruncate(world.file, 100); }
static long do_mkdir(void) { return mkdir(AT("made"), 0755); }
static long do_rmdir(void) { return rmdir(AT("empty")); }
static long make_pipe(void) { return mknod(AT("pipe"), S_IFIFO | 0600, 0); }
static long make_device(void) { return mknod(AT("null"), S_IFCHR | 0600, makedev(1, 3)); }

static long bind_unix(void)
{
	struct sockaddr_un address = { AF_UNIX, AT("bound") };

	return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof(address));
}

static long set_attribute(void) { return setxattr(AT("file"), "trusted.new", "1", 1, 0); }
static long get_attribute(void) { return getxattr(AT("file"), "trusted.old", bytes, 8); }
static long list_attributes(void) { return listxattr(AT("file"), bytes, sizeof(bytes)); }
static long remove_attribute(void) { return removexattr(AT("file"), "trusted.old"); }

static long set_acl(void)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, permissions;
			uint32_t id;
		} entries[5];
	} acl = { 2, { { 1, 6, -1 }, { 2, 6, 1 }, { 4, 4, -1 }, { 16, 6, -1 }, { 32, 4, -1 } } };

	return setxattr(AT("file"), "system.posix_acl_access", &acl, sizeof(acl), 0);
}

static long remove_acl(void) { return removexattr(AT("file"), "system.posix_acl_access"); }
static long do_ioctl(void) { return ioctl(world.file, FIONREAD, bytes); }
static long set_times(void) { return utime(AT("file"), NULL); }
static long do_stat(void) { return stat(AT("file"), (struct stat *)bytes); }
static long do_readlink(void) { return readlink(AT("symlink"), bytes, 64); }
static long do_access(void) { return access(AT("file"), R_OK); }
static long do_chdir(void) { return chdir(WORLD); }
static long list_directory(void) { return syscall(SYS_getdents64, world.directory, bytes, sizeof(bytes)); }
static long lock(void) { return flock(world.file, LOCK_SH); }
static long do_sendfile(void) { return sendfile(world.target, world.file, &(off_t){ 0 }, 4); }
static long copy_range(void)
{
	return copy_file_range(world.file, &(off_t){ 0 }, world.target, &(off_t){ 0 }, 4, 0);
}
static long do_splice(void)
{
	int ends[2];

	return pipe(ends) ? -1 : splice(world.file, &(off_t){ 0 }, ends[1], NULL, 4, 0);
}
static long allocate(void) { return fallocate(world.file, 0, 0, 4096); }
static long watch(void) { return inotify_add_watch(inotify_init1(0), AT("file"), IN_OPEN); }
static long file_system(void) { return statfs(WORLD, (struct statfs *)bytes); }
static long make_memory(void) { return memfd_create("memory", 0); }
static long write_own_memory(void)
{
	return pwrite(open("/proc/self/mem", O_RDWR), "x", 1, (off_t)(uintptr_t)bytes);
}

static long receive_descriptor(void)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec vector = { bytes, 1 };
	struct msghdr message = { NULL, 0, &vector, 1, control, sizeof(control), 0 };

	return recvmsg(world.letters, &message, 0);
}

const struct operation file_operations[] = {
	{ "open for reading", open_read },
	{ "open for writing", open_write },
	{ "open a new file", open_new },
	{ "open with O_TRUNC", open_truncating },
	{ "open with O_PATH", open_path },
	{ "open an O_PATH descriptor again", reopen_path },
	{ "open with O_TMPFILE", open_nameless },
	{ "open a directory", open_directory },
	{ "linkat of an O_TMPFILE", link_nameless },
	{ "open_by_handle_at", open_by_handle },
	{ "read", do_read },
	{ "write", do_write },
	{ "mmap shared for writing", map_shared },
	{ "mprotect shared for writing", protect_shared },
	{ "unlink", do_unlink },
	{ "rename", do_rename },
	{ "rename over another", rename_over },
	{ "rename with RENAME_EXCHANGE", exchange },
	{ "rename with RENAME_WHITEOUT", whiteout },
	{ "link", do_link },
	{ "symlink", do_symlink },
	{ "chmod", do_chmod },
	{ "fchmod", do_fchmod },
	{ "chown", do_chown },
	{ "fchown", do_fchown },
	{ "truncate", do_truncate },
	{ "ftruncate", do_ftruncate },
	{ "mkdir", do_mkdir },
	{ "rmdir", do_rmdir },
	{ "mknod of a pipe", make_pipe },
	{ "mknod of a device", make_device },
	{ "bind of a unix socket to a path", bind_unix },
	{ "setxattr", set_attribute },
	{ "getxattr", get_attribute },
	{ "listxattr", list_attributes },
	{ "removexattr", remove_attribute },
	{ "setxattr of an ACL", set_acl },
	{ "removexattr of an ACL", remove_acl },
	{ "ioctl", do_ioctl },
	{ "utime", set_times },
	{ "stat", do_stat },
	{ "readlink", do_readlink },
	{ "access", do_access },
	{ "chdir", do_chdir },
	{ "getdents", list_directory },
	{ "flock", lock },
	{ "sendfile", do_sendfile },
	{ "copy_file_range", copy_range },
	{ "splice", do_splice },
	{ "fallocate", allocate },
	{ "inotify_add_watch", watch },
	{ "statfs", file_system },
	{ "memfd_create", make_memory },
	{ "write to /proc/self/mem", write_own_memory },
	{ "recvmsg of a descriptor", receive_descriptor },
	{ NULL, NULL },
};
