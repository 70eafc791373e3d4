// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs that the agent loads when a policy needs them, with the maps of those that are there: most nodes have no rules about
 * sockets or capabilities, and their hooks are called all the time.
 */
#include "capability.bpf.c"
#include "network.bpf.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
