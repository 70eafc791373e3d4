/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whose credentials a task acts with: its user's, or others that the kernel gave it for a moment. */
#pragma once
#include <bpf/bpf_core_read.h>

#include "portable.bpf.h"

#define PF_IO_WORKER 0x10

/* What an io_uring worker is doing, NULL for another task, and for one that takes requests from a ring (SQPOLL). */
static __always_inline void *worker_request(struct task_struct *task)
{
	struct io_worker *worker = io_worker_of(task);

	return task_read(task, flags) & PF_IO_WORKER ? BPF_CORE_READ(worker, cur_work) : NULL;
}

/*
 * The credentials that the task's user acts with. A worker of io_uring has its request's; they may be others than its own
 * (io_issue_sqe in io_uring/io_uring.c).
 */
static __always_inline __u64 users_credentials(struct task_struct *task)
{
	void *work = worker_request(task);

	if (!work)
		return (__u64)BPF_CORE_READ(task, real_cred);
	struct io_kiocb *request = work - bpf_core_field_offset(struct io_kiocb, work);

	return (__u64)BPF_CORE_READ(request, creds);
}

/* Whether the kernel acts with its own credentials on behalf of the user, as overlayfs does in its layers. */
static __always_inline int acts_for_user(struct task_struct *task)
{
	/* What takes requests from a ring acts with the credentials of whose ring it is. */
	if (task_read(task, flags) & PF_IO_WORKER && !worker_request(task))
		return 0;
	return (__u64)BPF_CORE_READ(task, cred) != users_credentials(task);
}
