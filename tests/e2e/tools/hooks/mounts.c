// SPDX-License-Identifier: Apache-2.0
// Operations on mounts and namespaces. They change the world for those that follow.
#include "operations.h"
#include <linux/mount.h>
#include <sched.h>
#include <sys/fanotify.h>

/* <sys/mount.h> and <linux/mount.h> do not go together in every C library. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

static long mount_tmpfs(void) { return mount("t", AT("m1"), "tmpfs", 0, NULL); }
static long mount_bind(void) { return mount(WORLD, AT("m2"), NULL, MS_BIND, NULL); }
static long remount(void) { return mount(NULL, AT("m0"), NULL, MS_REMOUNT | MS_RDONLY, NULL); }
static long remount_bind(void) { return mount(NULL, AT("m0"), NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL); }
static long make_private(void) { return mount(NULL, AT("m0"), NULL, MS_PRIVATE, NULL); }
static long move(void) { return mount(AT("m0"), AT("m3"), NULL, MS_MOVE, NULL); }
static long do_umount(void) { return umount2(AT("m3"), 0); }
static long overlay(void) { return mount("o", AT("m3"), "overlay", 0, "lowerdir=" AT("sub") ":" AT("m1")); }
static long clone_tree(void) { return syscall(SYS_open_tree, AT_FDCWD, WORLD, OPEN_TREE_CLONE); }

static long attach(int tree)
{
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, AT("m2"), MOVE_MOUNT_F_EMPTY_PATH);
}

static long attach_clone(void) { return attach(syscall(SYS_open_tree, AT_FDCWD, AT("sub"), OPEN_TREE_CLONE)); }

static long attach_new(void)
{
	int context = syscall(SYS_fsopen, "tmpfs", 0);

	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	return attach(syscall(SYS_fsmount, context, 0, 0));
}

static long set_attributes(void)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	return syscall(SYS_mount_setattr, AT_FDCWD, AT("m1"), 0, &attributes, sizeof(attributes));
}

static long mark_file_system(void)
{
	int group = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);

	return fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, WORLD);
}

static long pivot(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("t", AT("m1"), "tmpfs", 0, NULL) || mkdir(AT("m1/old"), 0755))
		return -1;
	return syscall(SYS_pivot_root, AT("m1"), AT("m1/old"));
}

static long own_mounts(void) { return unshare(CLONE_NEWNS); }
static long own_users(void) { return unshare(CLONE_NEWUSER); }
static long enter_mounts(void) { return setns(world.namespace, CLONE_NEWNS); }
static long do_chroot(void) { return chroot(WORLD); }

const struct operation mount_operations[] = {
	{ "mount of tmpfs", mount_tmpfs },
	{ "mount --bind", mount_bind },
	{ "mount -o remount", remount },
	{ "mount -o remount,bind", remount_bind },
	{ "mount --make-private", make_private },
	{ "mount --move", move },
	{ "umount", do_umount },
	{ "mount of overlay", overlay },
	{ "open_tree with OPEN_TREE_CLONE", clone_tree },
	{ "open_tree and move_mount", attach_clone },
	{ "fsopen, fsmount and move_mount", attach_new },
	{ "mount_setattr", set_attributes },
	{ "fanotify_mark of a file system", mark_file_system },
	{ "pivot_root in an own namespace", pivot },
	{ "unshare of mounts", own_mounts },
	{ "unshare of users", own_users },
	{ "setns to a mount namespace", enter_mounts },
	{ "chroot", do_chroot },
	{ NULL, NULL },
};
