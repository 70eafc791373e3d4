// SPDX-License-Identifier: Apache-2.0
// mounts WAY ARGUMENT...: gives a file another name, then prints it. Run it in a mount namespace of its own (unshare -m).
// Exit status 1, and the error's text, at the first step that is refused.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tool.h"

/* <sys/mount.h> and <linux/mount.h> do not go together in every C library. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#define LAZILY 2

static void print_file(int fd)
{
	char bytes[256];
	ssize_t count = must("read", read(fd, bytes, sizeof(bytes)));

	fwrite(bytes, 1, count, stdout);
}

static void print_in(int directory, const char *name)
{
	print_file(must("openat", openat(directory, name, O_RDONLY)));
}

static void print_path(const char *path)
{
	print_file(must(path, open(path, O_RDONLY)));
}

static void bind(char **arg) /* SOURCE TARGET FILE */
{
	must("bind", mount(arg[0], arg[1], NULL, MS_BIND | MS_REC, NULL));
	print_path(arg[2]);
}

/* Changing how a mount propagates passes; the same flags on a bind mount must not hide it. */
static void bind_shared(char **arg) /* SOURCE TARGET FILE */
{
	must("bind", mount(arg[0], arg[1], NULL, MS_BIND | MS_REC | MS_PRIVATE, NULL));
	print_path(arg[2]);
}

static void move(char **arg) /* SOURCE TARGET FILE */
{
	must("move", mount(arg[0], arg[1], NULL, MS_MOVE, NULL));
	print_path(arg[2]);
}

static void fresh(char **arg) /* TYPE TARGET FILE: FILE is read only if it is there */
{
	must("mount", mount("fresh", arg[1], arg[0], 0, NULL));
	if (arg[2])
		print_path(arg[2]);
}

static void device(char **arg) /* DEVICE TYPE TARGET FILE */
{
	must("mount", mount(arg[0], arg[2], arg[1], 0, NULL));
	print_path(arg[3]);
}

static void overlay(char **arg) /* OPTIONS TARGET FILE */
{
	must("mount", mount("overlay", arg[1], "overlay", 0, arg[0]));
	print_path(arg[2]);
}

static int make_overlay(const char *lower)
{
	int context = must("fsopen", syscall(SYS_fsopen, "overlay", 0));

	must("lowerdir", syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "lowerdir", lower, 0));
	must("create", syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	return must("fsmount", syscall(SYS_fsmount, context, 0, 0));
}

static void overlay_descriptor(char **arg) /* LOWER NAME */
{
	print_in(make_overlay(arg[0]), arg[1]);
}

static void attach(int tree, const char *target)
{
	must("move_mount", syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
}

static void overlay_attached(char **arg) /* LOWER TARGET FILE */
{
	attach(make_overlay(arg[0]), arg[1]);
	print_path(arg[2]);
}

static void fresh_attached(char **arg) /* TYPE TARGET */
{
	int context = must("fsopen", syscall(SYS_fsopen, arg[0], 0));

	must("create", syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	attach(must("fsmount", syscall(SYS_fsmount, context, 0, 0)), arg[1]);
}

static int clone_tree(const char *path)
{
	return must("open_tree", syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | AT_RECURSIVE));
}

static void tree_descriptor(char **arg) /* SOURCE NAME */
{
	print_in(clone_tree(arg[0]), arg[1]);
}

/* A user namespace in which everybody is who they are here, of a child that waits for the end of this program. */
static int own_ids(void)
{
	int ready[2], mapped[2];
	char path[64], byte;

	must("pipe", pipe(ready));
	must("pipe", pipe(mapped));
	pid_t child = must("fork", fork());

	if (!child) {
		must("unshare", unshare(CLONE_NEWUSER));
		close(mapped[1]);
		must("write", write(ready[1], "", 1));
		read(mapped[0], &byte, 1);
		exit(0);
	}
	must("read", read(ready[0], &byte, 1));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
	must("write", write(must(path, open(path, O_WRONLY)), "0 0 65536", 9));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
	must("write", write(must(path, open(path, O_WRONLY)), "0 0 65536", 9));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
	return must(path, open(path, O_RDONLY));
}

/* Where the file system takes a mapping (tmpfs since 6.3), the clone is another mount than any of the container's. */
static void tree_mapped(char **arg) /* SOURCE TARGET FILE */
{
	int tree = clone_tree(arg[0]);
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = own_ids() };

	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) && errno != EINVAL)
		fail("mount_setattr");
	attach(tree, arg[1]);
	print_path(arg[2]);
}

static void tree_attached(char **arg) /* SOURCE TARGET FILE */
{
	attach(clone_tree(arg[0]), arg[1]);
	print_path(arg[2]);
}

/* The mount itself, not a clone. */
static void tree_moved(char **arg) /* SOURCE TARGET FILE */
{
	must("move_mount", syscall(SYS_move_mount, AT_FDCWD, arg[0], AT_FDCWD, arg[1], 0));
	print_path(arg[2]);
}

/* The mount itself is gone before its clone gets a name. */
static void tree_alone(char **arg) /* MOUNT TARGET FILE */
{
	int tree = clone_tree(arg[0]);

	must("umount -l", umount2(arg[0], LAZILY));
	attach(tree, arg[1]);
	print_path(arg[2]);
}

static void tree_as_root(char **arg) /* SOURCE FILE */
{
	must("fchdir", fchdir(clone_tree(arg[0])));
	must("chroot", chroot("."));
	print_path(arg[1]);
}

static void lazy(char **arg) /* MOUNT NAME */
{
	int directory = must("open", open(arg[0], O_PATH | O_DIRECTORY));

	must("umount -l", umount2(arg[0], LAZILY));
	print_in(directory, arg[1]);
}

static void pivot(char **arg) /* TARGET FILE */
{
	must("mount", mount("fresh", arg[0], "tmpfs", 0, NULL));
	must("chdir", chdir(arg[0]));
	must("mkdir", mkdir("old", 0755));
	must("pivot_root", syscall(SYS_pivot_root, ".", "old"));
	print_path(arg[1]);
}

static void change_root(char **arg) /* ROOT FILE */
{
	must("chroot", chroot(arg[0]));
	print_path(arg[1]);
}

/* A second chroot with the old directory still open leaves the first. */
static void leave_root(char **arg) /* ROOT FILE */
{
	int outside = must("open", open("/", O_PATH | O_DIRECTORY));

	must("chroot", chroot(arg[0]));
	must("fchdir", fchdir(outside));
	print_in(AT_FDCWD, arg[1] + 1);
}

static void exchange(char **arg) /* ONE OTHER FILE */
{
	must("exchange", renameat2(AT_FDCWD, arg[0], AT_FDCWD, arg[1], RENAME_EXCHANGE));
	print_path(arg[2]);
}

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static void save_handle(char **arg) /* FILE SAVED */
{
	struct handle handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int id, file;

	must("name_to_handle_at", name_to_handle_at(AT_FDCWD, arg[0], &handle.head, &id, 0));
	file = must("save", open(arg[1], O_CREAT | O_WRONLY | O_TRUNC, 0644));
	must("write", write(file, &handle, sizeof(handle)));
}

static int open_handle(char **arg, int flags)
{
	struct handle handle;
	int mounted = must("open", open(arg[0], O_RDONLY | O_DIRECTORY));

	must("read", read(must("open", open(arg[1], O_RDONLY)), &handle, sizeof(handle)));
	return must("open_by_handle_at", open_by_handle_at(mounted, &handle.head, flags));
}

static void by_handle(char **arg) /* NEIGHBOUR SAVED */
{
	print_file(open_handle(arg, O_RDONLY));
}

static void write_by_handle(char **arg) /* NEIGHBOUR SAVED */
{
	print_file(open_handle(arg, O_RDWR));
}

static void change_by_handle(char **arg) /* NEIGHBOUR SAVED */
{
	must("fchmod", fchmod(open_handle(arg, O_RDONLY), 0600));
}

static void link_by_handle(char **arg) /* NEIGHBOUR SAVED NAME */
{
	must("linkat", linkat(open_handle(arg, O_RDONLY), "", AT_FDCWD, arg[2], AT_EMPTY_PATH));
}

/* What the program calls /proc/self/fd/9 is the file, which nobody asked to open for reading or writing. */
static void run_on_handle(char **arg) /* NEIGHBOUR SAVED PROGRAM ARGUMENT... */
{
	must("dup2", dup2(open_handle(arg, O_PATH), 9));
	must(arg[2], execv(arg[2], arg + 2));
}

/*
 * The event of a directory that overlayfs reads has a descriptor inside its private mount. A directory's event that has
 * not NAME in it is another's.
 */
static void marked(char **arg) /* NEIGHBOUR DIRECTORY NAME */
{
	struct fanotify_event_metadata events[64], *event = events;
	int group = must("fanotify_init", fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY));
	int fd = -1, refused = 0;

	must("fanotify_mark", fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
					    FAN_OPEN | FAN_CLOSE | FAN_ACCESS | FAN_ONDIR, AT_FDCWD, arg[0]));
	fd = must("open", open(arg[1], O_RDONLY | O_DIRECTORY));
	must("getdents", syscall(SYS_getdents64, fd, (char[4096]){ 0 }, 4096));
	close(fd);
	ssize_t bytes = must("read events", read(group, events, sizeof(events)));

	for (; FAN_EVENT_OK(event, bytes); event = FAN_EVENT_NEXT(event, bytes)) {
		fd = openat(event->fd, arg[2], O_RDONLY);
		if (fd >= 0) {
			print_file(fd);
			return;
		}
		if (errno != ENOTDIR && errno != ENOENT)
			refused = errno;
	}
	errno = refused ? refused : ENOENT;
	must("openat below an event", -1);
}

static const struct {
	const char *name;
	void (*run)(char **);
} ways[] = {
	{ "bind", bind },
	{ "bind-shared", bind_shared },
	{ "move", move },
	{ "fresh", fresh },
	{ "fresh-attached", fresh_attached },
	{ "device", device },
	{ "overlay", overlay },
	{ "overlay-descriptor", overlay_descriptor },
	{ "overlay-attached", overlay_attached },
	{ "tree-descriptor", tree_descriptor },
	{ "tree-attached", tree_attached },
	{ "tree-mapped", tree_mapped },
	{ "tree-moved", tree_moved },
	{ "tree-alone", tree_alone },
	{ "tree-as-root", tree_as_root },
	{ "lazy", lazy },
	{ "pivot", pivot },
	{ "chroot", change_root },
	{ "leave-chroot", leave_root },
	{ "exchange", exchange },
	{ "save-handle", save_handle },
	{ "handle", by_handle },
	{ "handle-write", write_by_handle },
	{ "handle-change", change_by_handle },
	{ "handle-link", link_by_handle },
	{ "handle-run", run_on_handle },
	{ "fanotify", marked },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 2 && i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		ways[i].run(argv + 2);
		return 0;
	}
	fprintf(stderr, "mounts: no such way\n");
	return 2;
}
