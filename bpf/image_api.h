/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The policy image: entries of 128 bytes. A part of agent_api.h, which includes it, and whose rules hold here. */
#pragma once

#define IMAGE_MAGIC 0x4b4e4131u /* "1ANK" */
#define NODE_ROOT 1u    /* the trie of object paths */
#define NODE_SOURCES 2u /* (path hash of an executable) -> source class in `next` */
#define NEXT_NODE 0x00ffffffu
#define NEXT_GUARD 0x40000000u /* a Block row lies at this node or below it: a directory here keeps its name */
#define NEXT_GUARD_END 0x20000000u /* v_end has a Block for some source: a file here keeps its name */
#define NEXT_LEXER 0x80000000u /* the node has a lexer, to ask where no edge has the name: see struct image_lexer */
#define NODE_LEXER 0x00800000u /* such a node: added to its lexer's place behind lexers_entry */
#define ROW_BY_SOURCE 0x80000000u /* add the source class (0 = none) to the row index */
#define ROW_INDEX 0x00ffffffu
/*
 * Bits of a row from ROW_CIRCUMSTANCES on, in the place of an op class that no row has: which circumstances matter to it. By those of
 * them that are given, as a number, the row counts that lies so many times `sources` and one further on.
 */
#define ROW_CIRCUMSTANCES 56
#define IS_OWNER 1u    /* the object is the acting process's own: see owns_object() */
#define NO_TERMINAL 2u /* it has no controlling terminal */
#define CIRCUMSTANCES 3u /* all of them */

/* header.flags */
#define IMAGE_BLOCKS 1u /* names must stay: some path is refused, or a socket or capability is but for one program */
/* A program's name gives it something: an allow-list of programs that refuses the rest, or a rule with fromSource that
 * lets pass what is refused to others. A file system mounted there could put any program under that name, so nothing may be
 * mounted. */
#define IMAGE_TRUSTS_NAMES 2u
#define IMAGE_AUDITS 32u /* the container is only audited: nothing is refused, and what would be is told */
#define IMAGE_HOLDS_CREDS 4u /* some capability is refused: io_uring may not act with other credentials */

/* Where a trie begins: as root_next, root_end, root_child and root_desc of the header. */
struct image_trie {
	__u32 next;
	__u32 end;
	__u32 child;
	__u32 desc;
};

/* Entry 0. */
struct image_header {
	__u32 magic;
	__u32 format;       /* AGENT_FORMAT */
	__u32 generation;   /* equals the upper half of the container's word, else the reader reads the word again */
	__u32 buckets;      /* entries 1 .. buckets */
	__u32 rows_entry;   /* 1 + buckets */
	__u32 rows;
	__u32 sources;      /* source classes 1 .. sources; 0 skips the look-up */
	__u32 flags;
	__u32 root_next;    /* NODE_ROOT with flags, or flags alone when the trie has no edge */
	__u32 root_end;     /* row of "/" itself */
	__u32 root_child;   /* row of /name without an edge */
	__u32 root_desc;    /* row of anything deeper without an edge */
	__u64 unreachable;  /* row, in place, for objects outside the task's mount tree and for walks that gave up */
	__u64 anonymous;    /* row, in place, for memfd, pipes, sockets, anonymous inodes, message queues */
	__u32 ops_live;     /* the same as in the word */
	__u32 references_entry; /* REFERENCES from there on; 0: no rule about sockets or capabilities */
	__u64 root_names;   /* bit component % 64 for each edge of the root: the others need no look-up; 0: all do */
	struct image_trie callers; /* of executables; its rows are sets of rules about system calls */
	struct image_trie arguments; /* of paths among their arguments; the same */
	__u32 syscalls_entry; /* SYSCALLS set indices from there on, then the sets; 0: no rule about system calls */
	__u32 lexers_entry; /* of the first lexer */
	__u32 names_entry; /* struct image_names; 0: no rule about DNS names */
	__u32 presets; /* a bit for each enum preset, see PRESETS_REFUSING */
};
_Static_assert(sizeof(struct image_header) == IMAGE_ENTRY_BYTES, "image_header");

/*
 * An edge.  key = component ^ node << 40; an empty slot has key 0.  It lives in one of two buckets:
 *   x = component ^ node * 0x9e3779b97f4a7c15;  y = (x ^ x >> 29) * 0xbf58476d1ce4e5b9   (mod 2^64)
 *   first = ((y >> 32) * buckets) >> 32;        second = ((y & 0xffffffff) * buckets) >> 32
 * and the bucket's entry is 1 + that.
 */
struct image_slot {
	__u64 key;
	__u32 next;    /* node, or 0 when no edge leaves it; NEXT_* flags */
	__u32 v_end;   /* row when the path ends here */
	__u32 v_child; /* row when one more component follows and has no edge */
	__u32 v_desc;  /* row when more follow and have no edge */
};

struct image_bucket {
	struct image_slot slot[BUCKET_SLOTS];
	__u64 _pad;
};
_Static_assert(sizeof(struct image_bucket) == IMAGE_ENTRY_BYTES, "image_bucket");

/*
 * Rules about DNS names: a trie of labels in lower case, the last one first. `end` is the row of the name itself, `desc` that of
 * longer ones. A row by source has one source class more than others, for a program that is not known: the strictest of all.
 */
struct image_names {
	struct image_trie trie;
	__u32 unreadable; /* enum verdict of a query whose name can't be read */
	__u32 _pad[27];
};
_Static_assert(sizeof(struct image_names) == IMAGE_ENTRY_BYTES, "image_names");

/*
 * Patterns: what a node with NEXT_LEXER says of each name. A lexer is a deterministic automaton over a name's bytes; the state in
 * which it ends is the outcome, which leads on as an edge would. From its entry on: this, the classes of bytes 0 .. 127 and of
 * 128 .. 255, then from `moves` entries further on the next state at state * classes + class, and from `outcomes` on an outcome for each state.
 */
struct image_lexer {
	__u32 classes;  /* of bytes, 1 .. 256 */
	__u32 start;    /* state before the first byte */
	__u32 sinks;    /* states below this one are never left: the rest of the name need not be read */
	__u32 moves;    /* entries from this one */
	__u32 outcomes; /* entries from this one */
	__u32 _pad[27];
};
_Static_assert(sizeof(struct image_lexer) == IMAGE_ENTRY_BYTES, "image_lexer");

struct image_classes {
	__u8 class[IMAGE_ENTRY_BYTES];
};

struct image_moves {
	__u16 state[MOVES_PER_ENTRY];
};
_Static_assert(sizeof(struct image_moves) == IMAGE_ENTRY_BYTES, "image_moves");

struct image_outcomes {
	struct image_trie outcome[OUTCOMES_PER_ENTRY];
};
_Static_assert(sizeof(struct image_outcomes) == IMAGE_ENTRY_BYTES, "image_outcomes");

/* Verdict of op class c: row >> (4 * c) & 15.  Rows fill entries from rows_entry on, ROWS_PER_ENTRY each. */
struct image_rows {
	__u64 row[ROWS_PER_ENTRY];
};
_Static_assert(sizeof(struct image_rows) == IMAGE_ENTRY_BYTES, "image_rows");

/* Rows of socket kinds and capabilities, with ROW_BY_SOURCE, by their numbers. */
struct image_references {
	__u32 row[REFERENCES_PER_ENTRY];
};
_Static_assert(sizeof(struct image_references) == IMAGE_ENTRY_BYTES, "image_references");

/*
 * A set of rules about system calls, a bit for each, the most specific first. A rule is hit where it is in the set of the system call,
 * in that of the program and in that of a path among the arguments. Set 0 is empty.
 */
struct image_set {
	__u64 bits[SYSCALL_RULES_MAX / 64];
};
_Static_assert(sizeof(struct image_set) == IMAGE_ENTRY_BYTES, "image_set");

/*
 * What the numbers of system calls mean, and which of them any policy names: an entry for each number of the machine's own calls,
 * then for each of the 32-bit ones. 0: no policy names it; else
 *   number of the name + 1 | path << 16 | directory << 19 | second path << 22 | second directory << 25
 * each of which is the argument's place from 1 on; 0: there is none.
 */
struct syscall_table {
	__u32 entry[2 * SYSCALL_NUMBERS];
};

/*
 * Secret keys of the component hash, one set per installation (.rodata, so it outlives the agent with the pins).
 *   sum(k) = k[0] + k[1] * length + k[2] * chunk[0] + k[3] * chunk[1] + ...    (mod 2^64)
 * over 4-byte little-endian chunks of the name, padded with zeros;
 *   component = (sum(a) & 0xffffffff00000000) | sum(b) >> 32
 * The path hash of an executable folds its components from the leaf to the root:
 *   hash = a[67];  each: hash = (hash ^ hash >> 32) * (a[66] | 1) + component
 * MULTILINEAR (Lemire and Kaser, "Strongly universal string hashing is fast", 2014).
 */
struct hash_keys {
	__u64 a[HASH_KEYS];
	__u64 b[HASH_KEYS];
};
