// SPDX-License-Identifier: Apache-2.0
// Finds out which LSM hooks of the running kernel each operation reaches: a counting program of ten instructions at every hook
// that BPF can attach to. Prints a line for each operation, "NAME: HOOK HOOK ...", with the error where it failed.
#include "operations.h"
#include "refuse.h"
#include <linux/bpf.h>
#include <linux/btf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define HOOKS_MAX 400
#define PREFIX "bpf_lsm_"

struct hook {
	const char *name;
	int type; /* its function in the kernel's BTF */
};

static struct hook hooks[HOOKS_MAX];
static int hook_count;

/* A map's memory: whom to count, then a count for each hook. */
static volatile uint64_t *counts;
static int counts_map;

static int bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* Bytes that follow a type in BTF, by its kind. @see Documentation/bpf/btf.rst */
static size_t tail_bytes(const struct btf_type *type)
{
	static const size_t of_member[] = { [BTF_KIND_STRUCT] = 12, [BTF_KIND_UNION] = 12, [BTF_KIND_ENUM] = 8,
					    [BTF_KIND_FUNC_PROTO] = 8, [BTF_KIND_DATASEC] = 12, [19] = 12 };
	unsigned kind = BTF_INFO_KIND(type->info);

	switch (kind) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case 17: /* BTF_KIND_DECL_TAG */
		return 4;
	case BTF_KIND_ARRAY:
		return 12;
	default:
		return kind < sizeof(of_member) / sizeof(*of_member) ? of_member[kind] * BTF_INFO_VLEN(type->info) : 0;
	}
}

static char *read_file(const char *path)
{
	size_t room = 1 << 20, size = 0;
	char *bytes = NULL;
	int fd = must(path, open(path, O_RDONLY));

	for (ssize_t more = 1; more > 0; size += more) {
		if (!bytes || size + 4096 > room)
			bytes = realloc(bytes, room *= 2);
		more = must(path, read(fd, bytes + size, room - size));
	}
	return bytes;
}

/* Hooks that only make and free the kernel's own records, or that every task's end reaches at some later time. */
static int tells_nothing(const char *name)
{
	static const char *const parts[] = { "alloc", "free", "_init_security", "d_instantiate", "cred_prepare", "cred_transfer",
					     "task_to_inode", "vm_enough_memory", "getsecid", "_release",
					     /* As packets arrive, which is whenever. */
					     "rcv_skb", "inet_conn", "inet_csk", "req_classify_flow", "sk_clone" };

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(name, parts[i]))
			return 1;
	return 0;
}

static void find_hooks(void)
{
	char *btf = read_file("/sys/kernel/btf/vmlinux");
	struct btf_header *head = (void *)btf;
	char *types = btf + head->hdr_len + head->type_off, *names = btf + head->hdr_len + head->str_off;
	int number = 1;

	for (char *at = types; at < types + head->type_len; number++) {
		struct btf_type *type = (void *)at;
		const char *name = names + type->name_off;

		at += sizeof(*type) + tail_bytes(type);
		if (BTF_INFO_KIND(type->info) != BTF_KIND_FUNC || strncmp(name, PREFIX, strlen(PREFIX)))
			continue;
		if (hook_count < HOOKS_MAX && !tells_nothing(name + strlen(PREFIX)))
			hooks[hook_count++] = (struct hook){ name + strlen(PREFIX), number };
	}
}

static void make_counts(void)
{
	union bpf_attr attributes = { .map_type = BPF_MAP_TYPE_ARRAY };

	attributes.key_size = 4;
	attributes.value_size = sizeof(uint64_t) * (1 + HOOKS_MAX);
	attributes.max_entries = 1;
	attributes.map_flags = BPF_F_MMAPABLE;
	counts_map = must("make the map", bpf(BPF_MAP_CREATE, &attributes));
	counts = mmap(NULL, attributes.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, counts_map, 0);
	must("map the map", counts == MAP_FAILED ? -1 : 0);
	mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL);
	attributes = (union bpf_attr){ .pathname = (uintptr_t)"/sys/fs/bpf/counts", .bpf_fd = counts_map };
	must("pin the map", bpf(BPF_OBJ_PIN, &attributes));
}

/* if (bpf_get_current_pid_tgid() >> 32 == counts[0]) counts[1 + index]++; return 0; */
static int load_counter(int index)
{
	const struct bpf_insn program[] = {
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_pid_tgid },
		{ BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 32 },
		{ BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_VALUE, 0, counts_map },
		{ 0, 0, 0, 0, 0 },
		{ BPF_LDX | BPF_MEM | BPF_DW, 2, 1, 0, 0 },
		{ BPF_JMP | BPF_JNE | BPF_X, 0, 2, 2, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 1 },
		{ BPF_STX | BPF_XADD | BPF_DW, 1, 3, sizeof(uint64_t) * (1 + index), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_LSM };

	attributes.insns = (uintptr_t)program;
	attributes.insn_cnt = sizeof(program) / sizeof(*program);
	attributes.license = (uintptr_t)"GPL";
	attributes.expected_attach_type = BPF_LSM_MAC;
	attributes.attach_btf_id = hooks[index].type;
	return bpf(BPF_PROG_LOAD, &attributes);
}

/* A hook that takes no program is not told of: see the operations that reach none. */
static int attach_counters(void)
{
	int attached = 0;

	for (int i = 0; i < hook_count; i++) {
		union bpf_attr attributes = { .raw_tracepoint.prog_fd = load_counter(i) };

		if ((int)attributes.raw_tracepoint.prog_fd >= 0)
			attached += bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes) >= 0;
	}
	return attached;
}

static int start_victim(void)
{
	pid_t child = must("fork", fork());

	if (!child)
		for (;;)
			pause();
	return child;
}

struct shared {
	int begun;
	int error;
};

static long nothing(void) { return 0; }

/* Runs an operation in a child, whose calls alone are counted. */
static void count_operation(const struct operation *operation, struct shared *shared)
{
	*shared = (struct shared){};
	world.victim = start_victim();
	pid_t child = must("fork", fork());

	if (!child) {
		while (!*(volatile int *)&shared->begun)
			sched_yield();
		shared->error = operation->run() < 0 ? errno : 0;
		_exit(0);
	}
	for (int i = 0; i < hook_count; i++)
		counts[1 + i] = 0;
	counts[0] = child;
	*(volatile int *)&shared->begun = 1;
	must("wait", waitpid(child, NULL, 0));
	counts[0] = 0;
	kill(world.victim, SIGKILL);
	waitpid(world.victim, NULL, 0);
}

static uint64_t usual[HOOKS_MAX];

static int by_name(const void *one, const void *other)
{
	return strcmp(((const struct hook *)one)->name, ((const struct hook *)other)->name);
}

static void run_operations(const struct operation *operations, struct shared *shared)
{
	for (const struct operation *operation = operations; operation->name; operation++) {
		count_operation(operation, shared);
		printf("%s:", operation->name);
		if (shared->error)
			printf(" %s", strerrorname_np(shared->error));
		for (int i = 0; i < hook_count; i++)
			if (counts[1 + i] > usual[i])
				printf(" %s", hooks[i].name);
		printf("\n");
	}
}

static int type_of(const char *name)
{
	for (int i = 0; i < hook_count; i++)
		if (!strcmp(hooks[i].name, name))
			return hooks[i].type;
	errno = ENOENT;
	fail(name);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct operation end[] = { { "nothing", nothing }, { NULL, NULL } };
	const struct operation *const all[] = { program_operations, file_operations, socket_operations, task_operations,
						kernel_operations, ring_operations, mount_operations };
	struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "refuse")) {
		find_hooks();
		return refuse_program(type_of("bpf"), argv[2]);
	}
	/* As a program that an operation runs. */
	if (argc > 1)
		return 0;
	must("setrlimit", setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }));
	find_hooks();
	qsort(hooks, hook_count, sizeof(*hooks), by_name);
	make_counts();
	lay_out_world();
	fprintf(stderr, "%d of %d hooks have a counter\n", attach_counters(), hook_count);
	count_operation(end, shared);
	for (int i = 0; i < hook_count; i++)
		usual[i] = counts[1 + i];
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		run_operations(all[i], shared);
	return 0;
}
