/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a verdict asks for: enum verdict of agent_api.h. */
#pragma once
#include "kernel.bpf.h"
#include <bpf/bpf_helpers.h>

#include "agent_api.h"

static __always_inline int refuses(__u32 verdict)
{
	__u32 kind = verdict & ~VERDICT_SOURCE;

	return kind == VERDICT_BLOCK || kind == VERDICT_POSTURE_BLOCK || kind == VERDICT_UNKNOWN_BLOCK;
}

static __always_inline int reports(__u32 verdict)
{
	return (verdict & ~VERDICT_SOURCE) > VERDICT_ALLOW;
}
