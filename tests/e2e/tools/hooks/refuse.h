/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `hook_type`: security_bpf's function in the kernel's BTF. Says "refusing NAME" and goes on until it is killed. */
int refuse_program(int hook_type, const char *name);
