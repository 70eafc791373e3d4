// SPDX-License-Identifier: Apache-2.0
// Operations on the kernel as a whole. What is not to happen is asked wrongly, so that it fails behind the hook.
#include "operations.h"
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/msg.h>
#include <sys/shm.h>

static char bytes[64];

static long bpf(int command, union bpf_attr *attributes) { return syscall(SYS_bpf, command, attributes, sizeof(*attributes)); }

static long make_map(void)
{
	union bpf_attr attributes = { .map_type = BPF_MAP_TYPE_ARRAY };

	attributes.key_size = attributes.value_size = 4;
	attributes.max_entries = 1;
	return bpf(BPF_MAP_CREATE, &attributes);
}

static long pinned_map(void)
{
	return bpf(BPF_OBJ_GET, &(union bpf_attr){ .pathname = (uintptr_t)"/sys/fs/bpf/counts" });
}

/* The newest: an operation that made one has ended. */
static long by_number(int next, int get)
{
	union bpf_attr attributes = {};

	if (bpf(next, &attributes))
		return -1;
	return bpf(get, &(union bpf_attr){ .map_id = attributes.next_id });
}

static long map_by_number(void) { return by_number(BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID); }
static long link_by_number(void) { return by_number(BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID); }
static long program_by_number(void) { return by_number(BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID); }
static long unpin(void) { return unlink("/sys/fs/bpf/counts"); }

static long count_events(void)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes) };

	return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static long load_module_file(void) { return syscall(SYS_finit_module, world.file, "", 0); }
static long load_module(void) { return syscall(SYS_init_module, bytes, sizeof(bytes), ""); }
static long delete_module(void) { return syscall(SYS_delete_module, "nosuch", 0); }
static long load_kernel(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static long kernel_log(void) { return klogctl(3, bytes, 8); }
static long add_key(void) { return syscall(SYS_add_key, "user", "key", "v", 1, -3); }
static long shared_memory(void) { return shmat(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), NULL, 0) == (void *)-1 ? -1 : 0; }

static long send_message(void)
{
	struct {
		long type;
		char text[4];
	} message = { 1, "" };

	return msgsnd(msgget(IPC_PRIVATE, IPC_CREAT | 0600), &message, sizeof(message.text), 0);
}

static long handle_faults(void) { return syscall(SYS_userfaultfd, 0); }
static long swap_on(void) { return syscall(SYS_swapon, AT("file"), 0); }
static long account(void) { return syscall(SYS_acct, AT("file")); }

const struct operation kernel_operations[] = {
	{ "bpf: make a map", make_map },
	{ "bpf: open a pinned map", pinned_map },
	{ "bpf: open a map by number", map_by_number },
	{ "bpf: open a link by number", link_by_number },
	{ "bpf: open a program by number", program_by_number },
	{ "unlink of a pinned map", unpin },
	{ "perf_event_open", count_events },
	{ "finit_module", load_module_file },
	{ "init_module", load_module },
	{ "delete_module", delete_module },
	{ "kexec_load", load_kernel },
	{ "syslog", kernel_log },
	{ "add_key", add_key },
	{ "shmget and shmat", shared_memory },
	{ "msgget and msgsnd", send_message },
	{ "userfaultfd", handle_faults },
	{ "swapon", swap_on },
	{ "acct", account },
	{ NULL, NULL },
};
