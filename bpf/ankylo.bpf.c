// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The object that the agent loads: all programs as one unit, because libbpf's linker can't merge typeless kernel symbols
 * (rename_lock, mount_lock), and because maps and settings are then defined once.
 */
#include "identity.bpf.c"
#include "exec.bpf.c"
#include "file.bpf.c"
#include "mapping.bpf.c"
#include "attributes.bpf.c"
#include "mount.bpf.c"
#include "monitor.bpf.c"
#include "unix.bpf.c"
#include "account.bpf.c"
#include "protect.bpf.c"
#include "self_test.bpf.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
