// SPDX-License-Identifier: Apache-2.0
// Does what lists say, one act after another, and tells what came of it:
// tests/e2e/differential writes the lists and says what to expect.
//
//   differ build ROOT FILE   empties ROOT/t, and makes what the lines say: "d PATH OWNER" directory, "f PATH OWNER" file,
//                            "p PATH OWNER" program, "s PATH OWNER INTERPRETER" script, "l PATH TARGET" symbolic link
//   differ run FILE          lines "VIA UID ACT WORD...": done by this program, or by /s/VIA, which it then executes
//   differ do ACT WORD...    one of them
//   differ exit              nothing: the programs of the tree are copies
//
// `run` prints a letter for each act (. done, x EACCES, p EPERM, ? another error), and of the latter the act's number and the
// error.
#define _GNU_SOURCE
#include "tool.h"
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WORDS_MAX 10
#define LINES_MAX 20000

// ---- acts: 0, or -1 and errno ------------------------------------------------------------------------------------------

static long number(const char *word) { return strtol(word, NULL, 0); }

/* As an act ends: the error stays. */
static int done(int fd, int result)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return result;
}

static int act_open(char **word)
{
	int fd = open(word[0], (int)number(word[1]), 0666);

	return done(fd, fd);
}

static int act_exec(char **word)
{
	char *arguments[] = { word[0], "exit", NULL };

	return execv(word[0], arguments);
}

/* PATH, flags of open, protection, flags of mmap, protection afterwards or 0 */
static int act_map(char **word)
{
	int fd = open(word[0], (int)number(word[1]));
	void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, (int)number(word[2]), (int)number(word[3]), fd, 0);

	if (memory == MAP_FAILED)
		return done(fd, -1);
	int result = number(word[4]) ? mprotect(memory, 4096, (int)number(word[4])) : 0, error = errno;

	munmap(memory, 4096);
	errno = error;
	return done(fd, result);
}

static int act_rename(char **word)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, word[0], AT_FDCWD, word[1], number(word[2]));
}

static int act_link(char **word) { return link(word[0], word[1]); }
static int act_unlink(char **word) { return unlink(word[0]); }
static int act_rmdir(char **word) { return rmdir(word[0]); }
static int act_mkdir(char **word) { return mkdir(word[0], 0777); }
static int act_symlink(char **word) { return symlink(word[1], word[0]); }
static int act_mknod(char **word) { return mknod(word[0], (mode_t)number(word[1]), 0); }
static int act_chmod(char **word) { return chmod(word[0], (mode_t)number(word[1])); }
static int act_chown(char **word) { return lchown(word[0], (uid_t)number(word[1]), (gid_t)-1); }
static int act_setxattr(char **word) { return lsetxattr(word[0], "trusted.differ", "1", 1, 0); }
static int act_truncate(char **word) { return truncate(word[0], 8192); }

static int act_ftruncate(char **word)
{
	int fd = open(word[0], O_WRONLY);

	return done(fd, fd < 0 ? -1 : ftruncate(fd, 8192));
}

/* A socket with a name. */
static int act_name(char **word)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(name.sun_path, word[0], sizeof(name.sun_path) - 1);
	return done(fd, fd < 0 ? -1 : bind(fd, (struct sockaddr *)&name, sizeof(name)));
}

static int use_socket(int fd, char use, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr *at = (struct sockaddr *)&address;

	if (use == 'c' || use == 's')
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	switch (use) {
	case 'b':
		return bind(fd, at, sizeof(address));
	case 'l':
		return bind(fd, at, sizeof(address)) ? -1 : listen(fd, 1);
	case 'c':
		return connect(fd, at, sizeof(address));
	case 's':
		return sendto(fd, "x", 1, 0, at, sizeof(address)) < 0 ? -1 : 0;
	default:
		return 0;
	}
}

/* FAMILY TYPE PROTOCOL USE PORT: makes a socket, then uses it. */
static int act_socket(char **word)
{
	int fd = socket((int)number(word[0]), (int)number(word[1]), (int)number(word[2]));

	return done(fd, fd < 0 ? -1 : use_socket(fd, word[3][0], (uint16_t)number(word[4])));
}

static int raise_limit(void)
{
	struct rlimit limit = { 100, 100 };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_max = 101;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

/* Each asks for one capability once, and changes no more than the process that ends with it. */
static int act_capability(char **word)
{
	if (!strcmp(word[0], "sys_chroot"))
		return chroot("/");
	if (!strcmp(word[0], "setuid"))
		return (int)syscall(SYS_setresuid, 5, 5, 5);
	if (!strcmp(word[0], "setgid"))
		return (int)syscall(SYS_setresgid, 5, 5, 5);
	if (!strcmp(word[0], "sys_admin"))
		return sethostname("differ", 6);
	if (!strcmp(word[0], "sys_resource"))
		return raise_limit();
	if (!strcmp(word[0], "setpcap"))
		return prctl(PR_CAPBSET_DROP, 20);
	if (!strcmp(word[0], "sys_tty_config"))
		return (int)syscall(SYS_vhangup);
	if (!strcmp(word[0], "sys_nice"))
		return setpriority(PRIO_PROCESS, 0, -1);
	errno = ENOSYS;
	return -1;
}

static const struct {
	const char *name;
	int (*act)(char **word);
} ACTS[] = {
	{ "open", act_open },	      { "exec", act_exec },	    { "map", act_map },
	{ "rename", act_rename },     { "link", act_link },	    { "unlink", act_unlink },
	{ "rmdir", act_rmdir },	      { "mkdir", act_mkdir },	    { "symlink", act_symlink },
	{ "mknod", act_mknod },	      { "chmod", act_chmod },	    { "chown", act_chown },
	{ "setxattr", act_setxattr }, { "truncate", act_truncate }, { "ftruncate", act_ftruncate },
	{ "name", act_name },	      { "socket", act_socket },	    { "capability", act_capability },
};

/* Looks paths up first: for an open that would make a file the kernel asks otherwise where it has not looked yet. */
static int do_act(char **word)
{
	struct stat info;

	for (int i = 1; word[i]; i++)
		if (word[i][0] == '/')
			lstat(word[i], &info);
	for (size_t i = 0; i < sizeof(ACTS) / sizeof(ACTS[0]); i++)
		if (!strcmp(ACTS[i].name, word[0]))
			return ACTS[i].act(word + 1) < 0 ? errno : 0;
	return ENOSYS;
}

// ---- lists -------------------------------------------------------------------------------------------------------------

static char *split(char *line, char **word)
{
	char *rest = NULL;

	memset(word, 0, (WORDS_MAX + 1) * sizeof(*word));
	for (int i = 0; i < WORDS_MAX && (word[i] = strtok_r(i ? NULL : line, " \n", &rest)); i++)
		;
	return word[0];
}

static size_t read_list(const char *path, char **lines)
{
	FILE *list = fopen(path, "r");
	char line[4096];
	size_t count = 0;

	if (!list)
		fail(path);
	while (count < LINES_MAX && fgets(line, sizeof(line), list))
		lines[count++] = strdup(line);
	fclose(list);
	return count;
}

/* By a program of its own, or one that the act makes of the process. Returns the error, or 0. */
static int perform_apart(char **word)
{
	char program[32], *arguments[WORDS_MAX + 2] = { program, "do" };
	uid_t uid = (uid_t)number(word[1]);

	if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		return ENOSYS;
	if (!strcmp(word[0], "-"))
		return do_act(word + 2);
	snprintf(program, sizeof(program), "/s/%s", word[0]);
	for (int i = 2; word[i]; i++)
		arguments[i] = word[i];
	execv(program, arguments);
	return ENOEXEC;
}

/* Returns the error, or 0. */
static int perform(char **word)
{
	int status;

	if (!strcmp(word[0], "-") && strcmp(word[2], "exec") && strcmp(word[2], "capability")) {
		must("seteuid", seteuid((uid_t)number(word[1])));
		int error = do_act(word + 2);

		must("seteuid", seteuid(0));
		return error;
	}
	pid_t child = must("fork", fork());

	if (!child)
		_exit(perform_apart(word));
	must("wait", waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static char letter_of(int error)
{
	return !error ? '.' : error == EACCES ? 'x' : error == EPERM ? 'p' : '?';
}

static char *lines[LINES_MAX], letters[LINES_MAX + 1];
static int errors[LINES_MAX];

static int run(const char *file)
{
	size_t count = read_list(file, lines);

	umask(0);
	for (size_t i = 0; i < count; i++) {
		char *word[WORDS_MAX + 1];

		split(lines[i], word);
		errors[i] = perform(word);
		letters[i] = letter_of(errors[i]);
	}
	printf("did %s\n", letters);
	for (size_t i = 0; i < count; i++)
		if (letters[i] == '?')
			printf("%zu %s\n", i, strerror(errors[i]));
	return 0;
}

// ---- trees -------------------------------------------------------------------------------------------------------------

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *level)
{
	(void)info;
	(void)kind;
	/* The top stays, and the mount: to remove where it lies, as seen from another namespace, would take it away. */
	int stays = !level->level || (level->level == 1 && !strcmp(path + level->base, "m"));

	if (!stays && remove(path))
		fail(path);
	return 0;
}

static void copy_program(const char *path)
{
	int from = must("program", open("/proc/self/exe", O_RDONLY));
	int to = must(path, open(path, O_CREAT | O_EXCL | O_WRONLY, 0777));

	while (must("copy", (int)sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	close(from);
	close(to);
}

static void write_file(const char *path, mode_t mode, const char *text)
{
	int fd = must(path, open(path, O_CREAT | O_EXCL | O_WRONLY, mode));

	must("write", (int)write(fd, text, strlen(text)));
	close(fd);
}

static void build_line(const char *root, char **word)
{
	char path[PATH_MAX], text[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, word[1]);
	switch (word[0][0]) {
	case 'd':
		must(path, mkdir(path, 0777));
		break;
	case 'f':
		write_file(path, 0666, "content\n");
		break;
	case 'p':
		copy_program(path);
		break;
	case 's':
		snprintf(text, sizeof(text), "#!%s exit\n", word[3]);
		write_file(path, 0777, text);
		break;
	case 'l':
		must(path, symlink(word[2], path));
		return;
	}
	must("chown", lchown(path, (uid_t)number(word[2]), 0));
}

static int build(const char *root, const char *file)
{
	char top[PATH_MAX], *word[WORDS_MAX + 1];
	size_t count = read_list(file, lines);

	snprintf(top, sizeof(top), "%s/t", root);
	umask(0);
	must(top, nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS));
	for (size_t i = 0; i < count; i++)
		if (split(lines[i], word))
			build_line(root, word);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "exit"))
		return 0;
	if (argc == 4 && !strcmp(argv[1], "build"))
		return build(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "run"))
		return run(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "do"))
		return do_act(argv + 2);
	fprintf(stderr, "usage: see differ.c\n");
	return 2;
}
