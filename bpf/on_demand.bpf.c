// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs that the agent loads when a policy needs them, with the maps of those that are there: most nodes have no rules about
 * sockets, names, capabilities or system calls, nor presets, and their hooks are called all the time.
 */
#include "capability.bpf.c"
#ifndef KERNEL_5_10 /* It has loops that its verifier would follow step by step. */
#include "dns.bpf.c"
#endif
#include "network.bpf.c"
#include "presets_exec.bpf.c"
#include "presets_files.bpf.c"
#include "presets_other.bpf.c"
#ifndef KERNEL_5_10 /* What it reads into memory of the CPU has loops that its verifier would follow step by step. */
#include "syscalls.bpf.c"
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";
