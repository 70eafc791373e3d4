/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The kernel's types. Some kernel has enumerators with our names (an NFS server's); they move out of the way. */
#pragma once
#define OP_READ KERNEL_OP_READ
#define OP_WRITE KERNEL_OP_WRITE
#define OP_CREATE KERNEL_OP_CREATE
#define OP_RENAME KERNEL_OP_RENAME
#define OP_LINK KERNEL_OP_LINK
#include "vmlinux.h"
#undef OP_READ
#undef OP_WRITE
#undef OP_CREATE
#undef OP_RENAME
#undef OP_LINK
