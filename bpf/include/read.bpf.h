/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading kernel structures that are known by their address only. Since 6.2 an address can be given a type and be read by
 * loads, of which a fault reads 0; before, each read is a helper's call, ten times as dear.
 */
#pragma once
#include "portable.bpf.h"

#ifdef KERNEL_5_10

#define CAN_CAST 0
#define cast(type, address) ((type *)(address))

#else

extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

#define CAN_CAST (bpf_rdonly_cast != NULL)
#define cast(type, address) ((type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(type)))

#endif

/* A member of the structure at `address`. `casts`, a constant: whether this code runs only where CAN_CAST. */
#define read_of(casts, type, address, member)                  \
	((casts) ? (typeof(((type *)0)->member))cast(type, address)->member : \
		   (typeof(((type *)0)->member))BPF_CORE_READ((type *)(address), member))
