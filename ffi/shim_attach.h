// SPDX-License-Identifier: Apache-2.0
/* Between the files of the shim: attach points of the kernel. */
#ifndef ANKYLO_SHIM_ATTACH_H
#define ANKYLO_SHIM_ATTACH_H

struct btf;

/* Of sections lsm/, tp_btf/ and iter/ of objects that are opened after this. 0, or -errno. Idempotent. */
int register_sections(void);

/* Spares the loading of programs another pass over the kernel's types. 0, or -ENOMEM. Idempotent. */
int remember_attach_points(const struct btf *kernel);

#endif
