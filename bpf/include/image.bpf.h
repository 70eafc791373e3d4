/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading a policy image: from a container's word to the image, from a walked path to its rows.
 * The format is in agent_api.h; an image never changes once a word names it.
 */
#pragma once
#include "maps.bpf.h"
#include "path.bpf.h"
#include "verdict.bpf.h"

#define NODE_FACTOR 0x9e3779b97f4a7c15ULL
#define MIX_FACTOR 0xbf58476d1ce4e5b9ULL
/* Times to read the word again when the slot already holds another image. */
#define WORD_TRIES 3

static __always_inline __u32 slot_of(__u64 word)
{
	return word & 0xffff;
}

static __always_inline __u32 ops_live_of(__u64 word)
{
	return word >> 16 & 0xffff;
}

static __always_inline __u32 generation_of(__u64 word)
{
	return word >> 32;
}

static __always_inline __u64 word_of(__u32 container)
{
	__u64 *word = bpf_map_lookup_elem(&containers, &container);

	/* An index outside the map can't be: identities come from this range. Pending has no op live. */
	return word ? *(volatile __u64 *)word : WORD_PENDING;
}

struct image {
	void *map;
	struct image_header *header;
	__u64 word; /* which names it */
};

/* The image that the word names. Returns 0 where its slot holds another by now, or none. */
static __always_inline int find_image(__u64 word, struct image *image)
{
	__u32 slot = slot_of(word), first = 0;
	void *map = bpf_map_lookup_elem(&images, &slot);

	if (!map)
		return 0;
	struct image_header *header = bpf_map_lookup_elem(map, &first);

	if (!header || header->generation != generation_of(word))
		return 0;
	image->map = map;
	image->header = header;
	image->word = word;
	return 1;
}

/*
 * `word` is the container's, of a moment ago; where what it names is gone, it is read again. `live`: of the word, what says that it
 * names an image with something to say.
 */
static __always_inline int open_image_where(__u64 word, __u32 container, struct image *image, __u64 live)
{
	for (int try = 0; try < WORD_TRIES; try++, word = word_of(container)) {
		if (!(word & live))
			return 1;
		if (find_image(word, image))
			return 0;
	}
	if (!is_host(container))
		return -1;
	/* Allows: a node whose own policy can't be read has to be repaired by somebody. */
	count(COUNT_HOST_UNJUDGED);
	return 1;
}

#define WORD_OPS 0xffff0000ULL
#define WORD_GENERATION 0xffffffff00000000ULL

/*
 * Opens the image that `word`, the container's a moment ago, names, or else the one that its word names now. Returns 0, 1: its
 * policy was taken away meanwhile, so all pass, or -1: none complete could be read.
 */
static __always_inline int open_image(__u64 word, __u32 container, struct image *image)
{
	return open_image_where(word, container, image, WORD_OPS);
}

/* The same, of the word as it is now, of an image that may refuse and tell nothing but system calls, which have no bit in the word. */
static __always_inline int open_any_image(__u32 container, struct image *image)
{
	return open_image_where(word_of(container), container, image, WORD_GENERATION);
}

/*
 * All 64 bits wide, and the rest in walk->descent: stores of half a word leave the stack in one state the first time and in
 * another the next, which the verifier would follow anew. The stack is short, too.
 */
struct descent {
	void *map;
	struct walk_result *walk;
	__u64 component; /* hash of the next name; 0: it could not be read */
	__u64 buckets;
	__u64 next; /* of the last edge: the node, with flags */
	__u64 left; /* components that have not been consumed */
};

/*
 * Which slot of a bucket has the key; BUCKET_SLOTS: none. Global where pointers can be passed, so that the verifier follows one
 * way behind it and not one for each slot.
 */
VERIFIED_ONCE int slot_with_key(struct image_bucket *bucket, __u64 key)
{
	if (!bucket)
		return BUCKET_SLOTS;
#pragma unroll
	for (int i = 0; i < BUCKET_SLOTS; i++)
		if (bucket->slot[i].key == key)
			return i;
	return BUCKET_SLOTS;
}

/* Copies the edge's slot out of one bucket. Returns 1 when it is there. */
static __always_inline int find_in_bucket(void *map, __u32 entry, __u64 key, struct image_slot *found)
{
	struct image_bucket *bucket = bpf_map_lookup_elem(map, &entry);

	if (!bucket)
		return 0;
	__u32 index = slot_with_key(bucket, key);

	if (index >= BUCKET_SLOTS)
		return 0;
	*found = bucket->slot[index];
	return 1;
}

static __always_inline int find_edge(void *map, __u32 buckets, __u32 node, __u64 component,
				     struct image_slot *found)
{
	__u64 mixed = component ^ node * NODE_FACTOR;
	__u64 key = component ^ (__u64)node << 40;

	mixed = (mixed ^ mixed >> 29) * MIX_FACTOR;
	if (find_in_bucket(map, 1 + ((mixed >> 32) * buckets >> 32), key, found))
		return 1;
	return find_in_bucket(map, 1 + ((mixed & 0xffffffff) * buckets >> 32), key, found);
}

/* Returns 1 when no edge has this component. */
static __always_inline long follow_edge(struct descent *descent, __u64 component)
{
	struct image_slot slot;

	if (!find_edge(descent->map, descent->buckets, descent->next & NEXT_NODE, component, &slot))
		return 1;
	descent->left--;
	descent->next = slot.next;
	descent->walk->descent.end = slot.v_end;
	descent->walk->descent.child = slot.v_child;
	descent->walk->descent.desc = slot.v_desc;
	return 0;
}

#include "lexer.bpf.h"

/* Whether there is another name and an edge may go on with it. */
static __always_inline int goes_on(struct descent *descent)
{
	return descent->left && descent->next & NEXT_NODE;
}

/* Hash of the next name when `left`, 1 or more, have not been consumed; 0 when it can't be read. */
static __always_inline __u64 next_component(struct walk_result *walk, __u32 left)
{
	return component_at(walk, left - 1, *dentry_at(walk, left - 1));
}

/* One component further from the root. `asks_lexers`, a constant: whether there are any. Returns 1 when nothing goes on. */
static __always_inline long step_down(struct descent *descent, int asks_lexers)
{
	/* Both are so from the first step on; it tells the verifier that `left` only shrinks, so that rounds look alike. */
	if (!goes_on(descent))
		return 1;
	if (NAMES_READ_EARLY)
		return follow_edge(descent, next_component(descent->walk, descent->left));
	if (follow_edge(descent, descent->component) && (!asks_lexers || follow_lexer(descent)))
		return 1;
	if (!goes_on(descent))
		return 1;
	descent->component = next_component(descent->walk, descent->left);
	return !descent->component;
}

STEP descend_step(__u32 step, struct descent *descent)
{
	return step_down(descent, 1);
}

STEP descend_plain_step(__u32 step, struct descent *descent)
{
	return step_down(descent, 0);
}

/* Where a walked path ended in the trie. */
struct place {
	__u32 row;   /* with ROW_BY_SOURCE, before a source class is added */
	__u32 guard; /* NEXT_GUARD and NEXT_GUARD_END, when the path is a node of the trie */
};

/* A place as one number, as global functions return no more: its row, above it its guard and, so that it is not 0, this. */
#define PLACE_FOUND (1ULL << 32)

static __always_inline __u64 place_at(__u32 row, __u32 next)
{
	return PLACE_FOUND | (__u64)(next & (NEXT_GUARD | NEXT_GUARD_END)) << 32 | row;
}

/* Whether an edge leaves the root for that name; perhaps not, where the image does not tell its names. */
static __always_inline int may_enter(struct image_header *header, __u64 component)
{
	if (!(header->root_next & NEXT_NODE))
		return 0;
	return !header->root_names || header->root_names >> (component & 63) & 1;
}

/* Follows a path, of which `component` is the first name's hash, from the root on. Returns as find_place(). */
static __always_inline __u64 descend(struct image *image, struct walk_result *walk, __u64 component, int asks_lexers)
{
	struct image_header *header = image->header;
	struct descent descent = {
		.map = image->map,
		.walk = walk,
		.component = component,
		.buckets = header->buckets,
		.next = header->root_next,
		.left = walk->components,
	};

	walk->descent = (struct descent_rows){ header->root_end, header->root_child, header->root_desc };
	walk->lexed.lexers = header->lexers_entry;
	if (asks_lexers) {
		if (!descend_step(0, &descent))
			repeat(COMPONENTS_MAX - 1, descend_step, &descent);
	} else if (!descend_plain_step(0, &descent)) {
		repeat(COMPONENTS_MAX - 1, descend_plain_step, &descent);
	}
	if (!NAMES_READ_EARLY && !descent.component)
		return 0;
	if (descent.left)
		return place_at(descent.left == 1 ? walk->descent.child : walk->descent.desc, 0);
	walk->leads_to = descent.next;
	return place_at(walk->descent.end, descent.next);
}

static __always_inline __u64 place_in(struct image *image, struct walk_result *walk, int asks_lexers)
{
	struct image_header *header = image->header;
	__u32 components = walk->components;

	walk->leads_to = 0;
	/* 5.10: all names were read, and a hash costs nothing. */
	if (NAMES_READ_EARLY)
		return descend(image, walk, 1, 0);
	if (!components)
		return place_at(header->root_end, header->root_next);
	__u64 component = next_component(walk, components);

	if (!component)
		return 0;
	if (may_enter(header, component))
		return descend(image, walk, component, asks_lexers);
	/* Most paths have left the trie by their first name. */
	return place_at(components == 1 ? header->root_child : header->root_desc, 0);
}

/*
 * Where the path that was walked last lies in the image: as place_at(). Returns 0 when a name could not be read or the tree has
 * changed since the walk: then it must be walked again. `asks_lexers`, a constant: whether the image has any.
 */
static __always_inline __u64 settled_place_in(struct image *image, struct walk_result *walk, int asks_lexers)
{
	__u64 place = place_in(image, walk, asks_lexers);

	return NAMES_READ_EARLY || walk_holds(walk) ? place : 0;
}

/*
 * The same of the image that `word` names. Global: verified once, at the price of finding the image again, whose map can't be passed.
 * It is there: the agent clears a slot when no program runs any more that may have read its word.
 */
__noinline __u64 find_place(identity_ref ref, __u64 word)
{
	struct task_identity *identity = identity_at(ref);
	struct image image;

	if (!identity || !find_image(word, &image))
		return 0;
	return settled_place_in(&image, &identity->walk, 1);
}

/* The class of an executable among the fromSource paths of the image; 0: none names it. */
static __always_inline __u32 source_class(struct image *image, __u64 exe)
{
	struct image_slot slot;

	if (!image->header->sources || !exe)
		return 0;
	if (!find_edge(image->map, image->header->buckets, NODE_SOURCES, exe, &slot))
		return 0;
	return slot.next & NEXT_NODE;
}

static __always_inline __u32 row_index(__u32 row, __u32 class)
{
	return row & ROW_BY_SOURCE ? (row & ROW_INDEX) + class : row & ROW_INDEX;
}

/* The row's 15 verdicts. Returns -1 for an index outside the image, which the compiler never makes. */
static __always_inline int read_row(struct image *image, __u32 index, __u64 *row)
{
	__u32 entry = image->header->rows_entry + index / ROWS_PER_ENTRY;
	struct image_rows *rows = bpf_map_lookup_elem(image->map, &entry);

	if (!rows)
		return -1;
	*row = rows->row[index & (ROWS_PER_ENTRY - 1)];
	return 0;
}

static __always_inline __u32 verdict_in(__u64 row, __u32 op)
{
	return row >> (4 * op) & 15;
}
