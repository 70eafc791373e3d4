/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Patterns: what a node's lexer says of a name that no edge has (struct image_lexer). A part of image.bpf.h.
 *
 * The name is read once more; whether it is still that of the path, walk_holds() tells afterwards, as
 * for its hash.
 */
#pragma once

#ifdef KERNEL_5_10

/* Rules with patterns are not enforced there: the verifier would follow each byte of each name. */
#define ask_lexer(descent) 1

#else

/* All 64 bits wide, as struct descent. */
struct lexing {
	void *map;
	struct walk_result *walk;
	__u64 classes_entry;
	__u64 moves_entry;
	__u64 classes;
	__u64 sinks;
};

/* One byte further. Returns 1 where a table is not there, which the compiler never brings about. */
static __always_inline int lex_byte(struct lexing *lexing, __u8 byte)
{
	__u32 entry = lexing->classes_entry + byte / IMAGE_ENTRY_BYTES;
	struct image_classes *classes = bpf_map_lookup_elem(lexing->map, &entry);

	if (!classes)
		return 1;
	__u32 move = lexing->walk->lexed.state * lexing->classes + classes->class[byte & (IMAGE_ENTRY_BYTES - 1)];

	entry = lexing->moves_entry + move / MOVES_PER_ENTRY;
	struct image_moves *moves = bpf_map_lookup_elem(lexing->map, &entry);

	if (!moves)
		return 1;
	lexing->walk->lexed.state = moves->state[move & (MOVES_PER_ENTRY - 1)];
	return 0;
}

/*
 * Reads the next eight bytes of the name, and what lies behind it: names begin and their memory ends at multiples of eight
 * (d_iname; struct external_name in fs/dcache.c). Returns 1 where that fails.
 */
static __always_inline int read_word(struct lexed_name *name)
{
	if (bpf_probe_read_kernel(&name->word, sizeof(name->word), (void *)name->at))
		return 1;
	name->at += 8;
	return 0;
}

/* One byte further: several in one call would be as many ways for the verifier. Returns 1 at the end, or where a read fails. */
static long lex_step(__u32 index, struct lexing *lexing)
{
	struct lexed_name *name = &lexing->walk->lexed;

	if (!(index & 7) && read_word(name))
		return 1;
	if (lex_byte(lexing, name->word))
		return 1;
	name->word >>= 8;
	name->left--;
	/* The rest of a name that no rule can tell from others any more need not be read. */
	if (name->state < lexing->sinks)
		name->left = 0;
	return !name->left;
}

/* Goes through the automaton. Returns -1 when the name could not be read. */
static __always_inline int lex_name(struct lexing *lexing, __u32 start)
{
	struct lexed_name *name = &lexing->walk->lexed;

	name->state = start;
	/* A lexer that tells no names apart need not read any. */
	if (start < lexing->sinks)
		return 0;
	repeat(NAME_LENGTH_MAX, lex_step, lexing);
	return name->left ? -1 : 0;
}

/* One component further by the node's lexer. Returns 1, with descent->component 0, when the name could not be read. */
static __noinline long ask_lexer(struct descent *descent)
{
	struct walk_result *walk = descent->walk;
	__u64 dentry = *dentry_at(walk, descent->left - 1);
	__u32 first = 0, entry;
	struct image_header *header = bpf_map_lookup_elem(descent->map, &first);

	descent->component = 0;
	if (!header)
		return 1;
	entry = header->lexers_entry + (descent->next & NEXT_NODE & ~NODE_LEXER);
	struct image_lexer *lexer = bpf_map_lookup_elem(descent->map, &entry);

	if (!lexer)
		return 1;
	struct lexing lexing = {
		.map = descent->map,
		.walk = walk,
		.classes_entry = entry + 1,
		.moves_entry = entry + lexer->moves,
		.classes = lexer->classes,
		.sinks = lexer->sinks,
	};
	__u32 outcomes_entry = entry + lexer->outcomes;

	walk->lexed.at = (__u64)read_any(struct dentry, dentry, d_name.name);
	walk->lexed.left = read_any(struct dentry, dentry, d_name.len);
	if (lex_name(&lexing, lexer->start))
		return 1;
	__u32 state = walk->lexed.state;

	entry = outcomes_entry + state / OUTCOMES_PER_ENTRY;
	struct image_outcomes *outcomes = bpf_map_lookup_elem(descent->map, &entry);

	if (!outcomes)
		return 1;
	struct image_trie *outcome = &outcomes->outcome[state & (OUTCOMES_PER_ENTRY - 1)];

	descent->component = 1;
	take_step(descent, outcome->next, outcome->end, outcome->child, outcome->desc);
	return 0;
}

#endif
