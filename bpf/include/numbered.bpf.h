/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Judging what has a number and no path: kinds of sockets, capabilities. The image has one row reference for each; nothing is
 * walked, so that such a decision costs two look-ups more than finding the image.
 */
#pragma once
#include "decide.bpf.h"

/* The verdict for what has this number; remembers the row. What can't be read refuses. */
static __always_inline __u32 verdict_of_number(struct act *act, __u32 number, __u32 op)
{
	__u32 first = act->image.header->references_entry;
	__u32 entry = first + number / REFERENCES_PER_ENTRY;

	/* Nothing to say: the policy that had such rules was replaced a moment ago. */
	if (!first)
		return VERDICT_NONE;
	struct image_references *references = bpf_map_lookup_elem(act->image.map, &entry);

	if (!references) {
		count(COUNT_IMAGE_MISSING);
		return VERDICT_UNKNOWN_BLOCK;
	}
	act->place.row = references->row[number & (REFERENCES_PER_ENTRY - 1)];
	return verdict_at(act, op, act->class);
}

/* Reports what the verdict asks for; 0 passes, 1 refuses. */
static __always_inline int conclude_unwalked(struct act *act, __u32 verdict)
{
	act->identity->decision.verdict = verdict;
	act->identity->decision.reason = REASON_ROW;
	/* NONE and ALLOW: the policy lets this pass, and has nothing to tell. */
	if (!reports(verdict))
		return 0;
	return emit_unwalked(act->identity);
}
