// SPDX-License-Identifier: Apache-2.0
/* What the running kernel has: types and functions of its BTF, symbols and their addresses. */
#define _GNU_SOURCE
#include "shim.h"
#include "shim_attach.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int begins_with_any(const char *name, const char *prefixes, uint32_t length)
{
	for (const char *prefix = prefixes; prefix < prefixes + length; prefix += strlen(prefix) + 1)
		if (!strncmp(name, prefix, strlen(prefix)))
			return 1;
	return 0;
}

int ankylo_kernel_functions(const uint8_t *prefixes, uint32_t length, uint8_t *names, uint32_t capacity)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t needed = 0, count;
	int error;

	if (!btf)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	error = remember_attach_points(btf);
	if (error) {
		btf__free(btf);
		return error;
	}
	count = btf__type_cnt(btf);
	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf_is_func(type) ? btf__name_by_offset(btf, type->name_off) : NULL;
		size_t size;

		if (!name || !begins_with_any(name, (const char *)prefixes, length))
			continue;
		size = strlen(name) + 1;
		if (needed + size <= capacity)
			memcpy(names + needed, name, size);
		needed += (uint32_t)size;
	}
	/* 6 MB, which nothing else needs. */
	btf__free(btf);
	return (int)needed;
}

/* ---- symbols ---- */

/* Longest name that the program looks up, with its NUL. */
#define NAME_BYTES 32
/* The stack's bytes from NAME_AT up hold the name, those from RESULT_AT the address. */
#define NAME_AT (-40)
#define RESULT_AT (-8)

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

/*
 * A program that asks the kernel for a symbol's address and leaves it in its context:
 *   bpf_kallsyms_lookup_name(name, length, 0, &address)
 * /proc/kallsyms has the same, but makes some 10 MB of text for it. Returns the number of instructions.
 */
static int lookup_program(const char *name, size_t length, struct bpf_insn *program)
{
	uint64_t words[NAME_BYTES / 8] = {};
	int count = 0;

	memcpy(words, name, length);
	program[count++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0);
	for (int i = 0; i < NAME_BYTES / 8; i++) {
		program[count++] = INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, 0, 0, (int32_t)words[i]);
		program[count++] = INSN(0, 0, 0, 0, (int32_t)(words[i] >> 32));
		program[count++] = INSN(BPF_STX | BPF_DW | BPF_MEM, BPF_REG_10, BPF_REG_2, NAME_AT + 8 * i, 0);
	}
	program[count++] = INSN(BPF_ST | BPF_DW | BPF_MEM, BPF_REG_10, 0, RESULT_AT, 0);
	program[count++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_10, 0, 0);
	program[count++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, NAME_AT);
	program[count++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, (int32_t)length);
	program[count++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0);
	program[count++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_4, BPF_REG_10, 0, 0);
	program[count++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_4, 0, 0, RESULT_AT);
	program[count++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_kallsyms_lookup_name);
	program[count++] = INSN(BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_1, BPF_REG_10, RESULT_AT, 0);
	program[count++] = INSN(BPF_STX | BPF_DW | BPF_MEM, BPF_REG_6, BPF_REG_1, 0, 0);
	program[count++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return count;
}

/* 1 and the address; 0: there is no such symbol; a kernel below 5.16 has no such helper and refuses the program. */
static int ask_program(const char *name, uint64_t *address)
{
	LIBBPF_OPTS(bpf_prog_load_opts, how, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = address, .ctx_size_in = sizeof(*address));
	struct bpf_insn program[64];
	size_t length = strlen(name) + 1;
	int fd, error;

	if (length > NAME_BYTES)
		return -ENAMETOOLONG;
	*address = 0;
	fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "symbol", "GPL", program, lookup_program(name, length, program), &how);
	if (fd < 0)
		return fd;
	error = bpf_prog_test_run_opts(fd, &run);
	close(fd);
	if (error)
		return error;
	if ((int32_t)run.retval == -ENOENT || !*address)
		return 0;
	return (int32_t)run.retval < 0 ? (int32_t)run.retval : 1;
}

static int ask_list(const char *wanted, uint64_t *address)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], symbol[257];
	unsigned long long value;
	int found = 0;

	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%llx %*s %256s", &value, symbol) == 2 && !strcmp(symbol, wanted);
	fclose(file);
	*address = found ? value : 0;
	return found;
}

int ankylo_kernel_symbol(const uint8_t *name, uint64_t *address)
{
	int found = ask_program((const char *)name, address);

	return found < 0 ? ask_list((const char *)name, address) : found;
}

/* ---- this process ---- */

/* Nobody ever wrote to these pages, so that what is needed again is read again. */
static int release_pages(unsigned long long start, unsigned long long end)
{
	return madvise((void *)(uintptr_t)start, end - start, MADV_DONTNEED) ? -errno : 0;
}

int ankylo_release_memory(void)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long start, end, inode, kb, written = 0, code_start = 0, code_end = 0;
	char line[4200], mode[5];
	int error = 0;

	malloc_trim(0);
	if (!file)
		return -errno;
	while (!error && fgets(line, sizeof(line), file)) {
		/* Pages that were written to are anonymous, or in the swap and then not counted as such. */
		if (sscanf(line, "Anonymous: %llu kB", &kb) == 1 || sscanf(line, "Swap: %llu kB", &kb) == 1) {
			written += kb;
		} else if (!strncmp(line, "VmFlags:", 8)) {
			if (code_end && !written)
				error = release_pages(code_start, code_end);
			code_end = 0;
		} else if (sscanf(line, "%llx-%llx %4s %*s %*s %llu", &start, &end, mode, &inode) == 4) {
			code_start = start;
			code_end = inode && (!strcmp(mode, "r-xp") || !strcmp(mode, "r--p")) ? end : 0;
			written = 0;
		}
	}
	fclose(file);
	return error;
}
