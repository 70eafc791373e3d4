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

/*
 * What the verifier trusts, as an address like any other. For each pointer that is loaded from a trusted structure the kernel
 * searches all its types four times (btf_nested_type_is_trusted in kernel/bpf/btf.c): a quarter of what loading the
 * programs cost.
 */
#define untrusted(type, pointer) (CAN_CAST ? cast(type, pointer) : (type *)(pointer))

/* A member of the structure at `address`. `casts`, a constant: whether this code runs only where CAN_CAST. */
#define read_of(casts, type, address, member)                  \
	((casts) ? (typeof(((type *)0)->member))cast(type, address)->member : \
		   (typeof(((type *)0)->member))BPF_CORE_READ((type *)(address), member))

/* The same in code that runs everywhere. */
#define read_any(type, address, member)                        \
	(CAN_CAST ? read_of(1, type, address, member) :          \
		    read_of(0, type, address, member))

/*
 * A pointer as the number that it is: what the verifier knows the type of can't be given to a global function. It forgets
 * what a negated pointer was.
 */
static __always_inline __u64 address_of(const void *pointer)
{
	__u64 address = (__u64)pointer;

	asm volatile("%0 = -%0; %0 = -%0" : "+r"(address));
	return address;
}
