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
static __always_inline long follow_lexer(struct descent *descent)
{
	return 1;
}

#else

struct lexing {
	void *map;
	struct walk_result *walk;
	struct image_classes *low; /* of bytes 0 .. 127 */
	struct image_classes *high;
};

/* One byte further. Returns 1 where a table is not there, which the compiler never brings about. */
static __always_inline int lex_byte(struct lexing *lexing, __u8 byte)
{
	struct lexed_name *name = &lexing->walk->lexed;
	struct image_classes *classes = byte & 128 ? lexing->high : lexing->low;
	__u32 move = name->state * name->classes + classes->class[byte & 127];
	__u32 entry = name->moves + move / MOVES_PER_ENTRY;
	struct image_moves *moves = bpf_map_lookup_elem(lexing->map, &entry);

	if (!moves)
		return 1;
	name->state = moves->state[move & (MOVES_PER_ENTRY - 1)];
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
	if (name->state < name->sinks)
		name->left = 0;
	return !name->left;
}

/* Goes through the automaton. Returns 0 when the name could not be read. */
static __always_inline int lex_name(struct lexing *lexing)
{
	struct lexed_name *name = &lexing->walk->lexed;

	/* A lexer that tells no names apart need not read any. */
	if (name->state < name->sinks)
		return 1;
	repeat(NAME_LENGTH_MAX, lex_step, lexing);
	return !name->left;
}

/* Begins with the name of that dentry in the automaton whose entry in the image that is. Returns 0 where the image does not hold it. */
static __always_inline int open_lexer(struct lexing *lexing, __u32 entry, __u64 dentry)
{
	struct lexed_name *name = &lexing->walk->lexed;
	struct image_lexer *lexer = bpf_map_lookup_elem(lexing->map, &entry);

	if (!lexer)
		return 0;
	name->at = (__u64)read_any(struct dentry, dentry, d_name.name);
	name->left = read_any(struct dentry, dentry, d_name.len);
	name->state = lexer->start;
	name->classes = lexer->classes;
	name->sinks = lexer->sinks;
	name->moves = entry + lexer->moves;
	name->outcomes = entry + lexer->outcomes;
	entry++;
	lexing->low = bpf_map_lookup_elem(lexing->map, &entry);
	entry++;
	lexing->high = bpf_map_lookup_elem(lexing->map, &entry);
	return lexing->low && lexing->high;
}

/* Where the automaton has ended; NULL: the image does not hold it. */
static __always_inline struct image_trie *outcome_of(void *map, struct lexed_name *name)
{
	__u32 entry = name->outcomes + name->state / OUTCOMES_PER_ENTRY;
	struct image_outcomes *outcomes = bpf_map_lookup_elem(map, &entry);

	return outcomes ? &outcomes->outcome[name->state & (OUTCOMES_PER_ENTRY - 1)] : NULL;
}

/* What the node's lexer makes of the next name: its outcome, or NULL when that can't be told. */
static __always_inline struct image_trie *lexer_outcome(struct descent *descent)
{
	struct walk_result *walk = descent->walk;
	struct lexing lexing = { .map = descent->map, .walk = walk };
	__u32 entry = walk->lexed.lexers + (descent->next & NEXT_NODE & ~NODE_LEXER);

	if (!open_lexer(&lexing, entry, *dentry_at(walk, descent->left - 1)) || !lex_name(&lexing))
		return NULL;
	return outcome_of(lexing.map, &walk->lexed);
}

/*
 * One component further by the node's lexer. Returns 1 where there is none, or, with descent->component 0, where it can't tell. A call,
 * as the stack is short where names are hashed.
 */
static __noinline long follow_lexer(struct descent *descent)
{
	struct image_trie *outcome;

	if (!(descent->next & NEXT_LEXER))
		return 1;
	outcome = lexer_outcome(descent);
	descent->component = !!outcome;
	if (!outcome)
		return 1;
	descent->left--;
	descent->next = outcome->next;
	descent->walk->descent = (struct descent_rows){ outcome->end, outcome->child, outcome->desc };
	return 0;
}

#endif
