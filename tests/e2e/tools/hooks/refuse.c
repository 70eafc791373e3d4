// SPDX-License-Identifier: Apache-2.0
// Has the kernel refuse a program by its name, as a verifier would that follows other paths: hooks refuse NAME.
#include "refuse.h"
#include "operations.h"
#include <linux/bpf.h>

#define INSTRUCTION(operation, to, from, offset, value) { operation, to, from, offset, value }
#define LOAD_NUMBER(to, number) \
	INSTRUCTION(BPF_LD | BPF_DW | BPF_IMM, to, 0, 0, (uint32_t)(number)), INSTRUCTION(0, 0, 0, 0, (number) >> 32)

/* union bpf_attr of BPF_PROG_LOAD. */
#define NAME_AT __builtin_offsetof(union bpf_attr, prog_name)

static int bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* security_bpf(command, attributes): -EPERM for a program of that name, else 0. */
static int load_refusal(int hook_type, const uint64_t name[2])
{
	const struct bpf_insn program[] = {
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 2, 1, 0, 0),
		INSTRUCTION(BPF_JMP32 | BPF_JNE | BPF_K, 2, 0, 14, BPF_PROG_LOAD),
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 3, 1, 8, 0),
		INSTRUCTION(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, NAME_AT),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0),
		INSTRUCTION(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -16),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 16),
		INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel),
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -16, 0),
		LOAD_NUMBER(2, name[0]),
		INSTRUCTION(BPF_JMP | BPF_JNE | BPF_X, 1, 2, 4, 0),
		INSTRUCTION(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8, 0),
		LOAD_NUMBER(2, name[1]),
		INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_X, 1, 2, 2, 0),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -EPERM),
		INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_LSM };

	attributes.insns = (uintptr_t)program;
	attributes.insn_cnt = sizeof(program) / sizeof(*program);
	attributes.license = (uintptr_t)"GPL";
	attributes.expected_attach_type = BPF_LSM_MAC;
	attributes.attach_btf_id = hook_type;
	return must("load", bpf(BPF_PROG_LOAD, &attributes));
}

int refuse_program(int hook_type, const char *name)
{
	uint64_t words[2] = {};

	/* The kernel keeps one byte less, for the NUL. */
	strncpy((char *)words, name, BPF_OBJ_NAME_LEN - 1);
	union bpf_attr attributes = { .raw_tracepoint.prog_fd = load_refusal(hook_type, words) };

	must("attach", bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes));
	printf("refusing %s\n", name);
	for (;;)
		pause();
}
