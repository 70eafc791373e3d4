// SPDX-License-Identifier: Apache-2.0
// attributes WAY PATH: changes attributes for which busybox has no program. Exit status 1, and the error's text, when refused.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Struct vfs_cap_data, revision 2: no capability at all. */
static const uint32_t no_capability[5] = { 0x02000000 };

struct acl_entry {
	uint16_t tag;
	uint16_t permissions;
	uint32_t id;
};

/* Owner, group and others may read: an access control list that says no more than mode 444. */
static const struct {
	uint32_t version;
	struct acl_entry entries[3];
} readable = { 2, { { 0x01, 4, -1 }, { 0x04, 4, -1 }, { 0x20, 4, -1 } } };

/* The same with an entry for user 1 and a mask, so that there is something to remove. */
static const struct {
	uint32_t version;
	struct acl_entry entries[5];
} shared = { 2, { { 0x01, 7, -1 }, { 0x02, 7, 1 }, { 0x04, 7, -1 }, { 0x10, 7, -1 }, { 0x20, 7, -1 } } };

#define ACL "system.posix_acl_access"

static int change(const char *way, const char *path)
{
	if (!strcmp(way, "set"))
		return setxattr(path, "security.capability", no_capability, sizeof(no_capability), 0);
	if (!strcmp(way, "remove"))
		return removexattr(path, "security.capability");
	if (!strcmp(way, "only-readable"))
		return setxattr(path, ACL, &readable, sizeof(readable), 0);
	if (!strcmp(way, "share"))
		return setxattr(path, ACL, &shared, sizeof(shared), 0);
	if (!strcmp(way, "unshare"))
		return removexattr(path, ACL);
	/* To nobody: it takes setuid bits all the same. */
	if (!strcmp(way, "disown"))
		return chown(path, -1, -1);
	fprintf(stderr, "attributes: no such way\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !change(argv[1], argv[2]))
		return 0;
	perror(argv[argc - 1]);
	return 1;
}
