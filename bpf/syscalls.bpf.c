// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * System calls that rules name: told when they begin, never refused. Attached only while a policy has such rules, because the
 * tracepoint makes each system call of each task on the machine dearer.
 *
 * What goes by a number is told by the table that the agent made: the machine's own calls, x32's among them, and those of 32-bit
 * programs, by whatever way they come. A path argument is read from the caller's memory and compared as text, with the directory
 * that it begins at: links in it are not followed, and another thread may change it before the kernel reads it. No more is
 * built on that than a record. Not seen: what io_uring does, and what a seccomp filter stops. Told as well: what then fails.
 */
#include "decide.bpf.h"

#define TS_COMPAT 2
#define X32_BIT 0x40000000
#define AT_FDCWD -100
#define I386_SOCKETCALL 102
#define I386_IPC 117

/* Sets of an image that do not depend on its rules: see src/compile/syscalls.ts. */
#define SET_ANY_CALLER 1
#define SET_ANY_PATH 2
/* There is none. */
#define SET_UNKNOWN ~0U

/* A path among the arguments, taken apart. */
struct spoken_path {
	char text[ARGUMENT_PATH_BYTES];
	__u64 arguments[8]; /* from 1 on, as the table counts; the others are 0 */
	__u64 component[COMPONENTS_MAX]; /* hashes of its names */
	struct object start; /* the directory that it begins at */
	struct sums sums; /* of the name that is being read */
	__u64 hash; /* of all names */
	__u32 name_bytes;
	__u32 letters; /* 1: the name is not only dots */
	__u32 names;
	__u32 ups; /* names of the beginning that ".." took away */
	__u32 is_read; /* 1: there is one */
	__u32 _pad;
};

/*
 * Of one program at a time on each CPU: the kernel leaves out another that would begin there before this one has ended, counts that
 * (recursion_misses), and moves none to another CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spoken_path);
} spoken_paths SEC(".maps");

static __always_inline struct spoken_path *the_spoken_path(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&spoken_paths, &first);
}

/* Sockets and System V's IPC have one number each on i386, and say what they mean by their first argument. */
static __always_inline __u32 i386_number(__u32 number, __u32 first_argument)
{
	if (number == I386_SOCKETCALL)
		return SYSCALL_SOCKETCALL + (first_argument & 31);
	if (number == I386_IPC)
		return SYSCALL_IPC + (first_argument & 31);
	return number < SYSCALL_SOCKETCALL ? number : SYSCALL_NUMBERS - 1;
}

static __always_inline int is_compat(void)
{
	return task_read(current_task(), thread_info.status) & TS_COMPAT;
}

/* What the table says about a system call. 0: no policy names it. */
static __always_inline __u32 entry_of(struct pt_regs *regs, __u32 id)
{
	__u32 first = 0, place = id & ~X32_BIT;
	struct syscall_table *table = bpf_map_lookup_elem(&syscall_table, &first);

	if (!table)
		return 0;
	if (is_compat())
		place = SYSCALL_NUMBERS + i386_number(id, regs->bx);
	else if (place >= SYSCALL_NUMBERS)
		return 0;
	return table->entry[place & (2 * SYSCALL_NUMBERS - 1)];
}

static __always_inline void read_arguments(struct spoken_path *spoken)
{
	struct pt_regs *regs = user_registers(current_task());
	__u64 *to = spoken->arguments + 1;

	if (is_compat()) {
		to[0] = (__u32)BPF_CORE_READ(regs, bx);
		to[1] = (__u32)BPF_CORE_READ(regs, cx);
		to[2] = (__u32)BPF_CORE_READ(regs, dx);
		to[3] = (__u32)BPF_CORE_READ(regs, si);
		to[4] = (__u32)BPF_CORE_READ(regs, di);
		to[5] = (__u32)BPF_CORE_READ(regs, bp);
		return;
	}
	to[0] = BPF_CORE_READ(regs, di);
	to[1] = BPF_CORE_READ(regs, si);
	to[2] = BPF_CORE_READ(regs, dx);
	to[3] = BPF_CORE_READ(regs, r10);
	to[4] = BPF_CORE_READ(regs, r8);
	to[5] = BPF_CORE_READ(regs, r9);
}

/* Argument `place` from 1 on; of none 0. */
static __always_inline __u64 argument_at(struct spoken_path *spoken, __u32 place)
{
	asm volatile("%0 &= 7" : "+r"(place));
	return spoken->arguments[place & 7];
}

static __always_inline void add_letter(struct spoken_path *spoken, __u8 letter)
{
	__u32 at = spoken->name_bytes, key = 2 + at / 4;
	__u64 value = (__u64)letter << 8 * (at & 3);

	if (key > HASH_KEYS - 1)
		return;
	spoken->sums.a += settings.keys.a[key] * value;
	spoken->sums.b += settings.keys.b[key] * value;
	spoken->name_bytes = at + 1;
	spoken->letters |= letter != '.';
}

static __always_inline void add_component(struct spoken_path *spoken, __u64 component)
{
	spoken->component[spoken->names & (COMPONENTS_MAX - 1)] = component;
	spoken->hash = fold_component(spoken->hash, component);
	spoken->names++;
}

static __always_inline void end_name(struct spoken_path *spoken)
{
	__u32 bytes = spoken->name_bytes, letters = spoken->letters;
	struct sums sums = sums_of_length(bytes);

	sums.a += spoken->sums.a;
	sums.b += spoken->sums.b;
	spoken->sums = (struct sums){};
	spoken->name_bytes = 0;
	spoken->letters = 0;
	/* Two slashes, or ".". */
	if (!bytes || (!letters && bytes == 1))
		return;
	if (letters || bytes != 2)
		add_component(spoken, component_of(sums));
	else if (spoken->names)
		spoken->names--;
	else
		spoken->ups++;
}

static long text_step(__u32 index, struct spoken_path **context)
{
	struct spoken_path *spoken = *context;
	__u8 letter = spoken->text[index & (ARGUMENT_PATH_BYTES - 1)];

	if (letter && letter != '/') {
		add_letter(spoken, letter);
		return 0;
	}
	end_name(spoken);
	return !letter;
}

/* Reads and takes apart the text at `address`. Returns 0 where there is none. A call, as the stack is short. */
static __noinline int read_text(struct spoken_path *spoken, __u64 address)
{
	__builtin_memset(&spoken->text, 0, sizeof(spoken->text));
	spoken->sums = (struct sums){};
	spoken->hash = 0;
	spoken->name_bytes = 0;
	spoken->letters = 0;
	spoken->names = 0;
	spoken->ups = 0;
	spoken->is_read = 1;
	/* Calls by a descriptor alone have no text. */
	if (!address)
		return 1;
	long bytes = bpf_probe_read_user_str(spoken->text, sizeof(spoken->text), (void *)address);

	if (bytes <= 0)
		return 0;
	repeat(ARGUMENT_PATH_BYTES, text_step, &spoken);
	/* The last name is cut off, and others may follow. */
	if (bytes == sizeof(spoken->text))
		add_component(spoken, 0);
	return spoken->names <= COMPONENTS_MAX;
}

/* The directory that a path begins at. */
static __always_inline struct object start_of(struct spoken_path *spoken, __u32 has_directory, int fd)
{
	struct task_struct *task = current_task();

	if (spoken->text[0] == '/')
		return (struct object){ (__u64)BPF_CORE_READ(task, fs, root.dentry),
					(__u64)BPF_CORE_READ(task, fs, root.mnt) };
	if (!has_directory || fd == AT_FDCWD)
		return working_directory(task);
	struct file *file = file_of(task, fd);

	return file ? object_of_file(file) : (struct object){};
}

struct argument_descent {
	struct descent descent;
	struct spoken_path *spoken; /* NULL: only what was walked */
};

/* One name further, first of the walked path, then of the spoken one. Returns 1 when no edge goes on. */
static long argument_step(__u32 index, struct argument_descent *argument)
{
	struct descent *descent = &argument->descent;
	struct spoken_path *spoken = argument->spoken;
	__u32 names = spoken ? spoken->names : 0, ups = spoken ? spoken->ups : 0;

	if (!goes_on(descent))
		return 1;
	if (spoken && descent->left <= names)
		return follow_edge(descent, spoken->component[(names - descent->left) & (COMPONENTS_MAX - 1)]);
	__u32 last = descent->left - names - 1 + ups;
	__u64 component = component_at(descent->walk, last, *dentry_at(descent->walk, last));

	if (!component) {
		descent->walk->descent.unread = 1;
		return 1;
	}
	return follow_edge(descent, component);
}

/* Whether paths differ at all in a trie. */
static __always_inline int tells_paths_apart(struct image_trie *trie)
{
	return trie->next & NEXT_NODE || trie->end != trie->child || trie->child != trie->desc;
}

/* The set of the walked path, with the spoken one behind it. SET_UNKNOWN: it changed meanwhile, or a name could not be read. A call, as the stack is short. */
static __noinline __u32 set_of_path(struct act *act, struct image_trie *trie, struct spoken_path *spoken)
{
	struct walk_result *walk = &act->identity->walk;
	__u32 names = spoken ? spoken->names : 0, ups = spoken ? spoken->ups : 0;
	struct argument_descent argument = {
		.descent = {
			.map = act->image.map,
			.walk = walk,
			.buckets = act->image.header->buckets,
			.next = trie->next,
			.left = (walk->components > ups ? walk->components - ups : 0) + names,
		},
		.spoken = spoken,
	};

	walk->descent = (struct descent_rows){ trie->end, trie->child, trie->desc };
	repeat(COMPONENTS_MAX, argument_step, &argument);
	if (!NAMES_READ_EARLY && (walk->descent.unread || !walk_holds(walk)))
		return SET_UNKNOWN;
	if (!argument.descent.left)
		return walk->descent.end;
	return argument.descent.left == 1 ? walk->descent.child : walk->descent.desc;
}

struct set_search {
	struct act *act;
	struct image_trie *trie;
	struct spoken_path *spoken;
	struct object start;
	__u64 set;
};

/* Returns 1 when the result counts. */
STEP try_set(__u32 index, struct set_search *search)
{
	search->set = SET_UNKNOWN;
	if (walk_named(search->act->identity, search->start) != WALK_REACHED)
		return 1;
	search->set = set_of_path(search->act, search->trie, search->spoken);
	return search->set != SET_UNKNOWN;
}

/* The set of an object's path, with the spoken one behind it. SET_UNKNOWN: the object has none, or it changed at each try. */
static __always_inline __u32 find_set(struct act *act, struct image_trie *trie, struct object start,
				      struct spoken_path *spoken)
{
	struct set_search search = { .act = act, .trie = trie, .spoken = spoken, .start = start };

	/* Where names are read early they are the walked path's. */
	if (!try_set(0, &search) && !NAMES_READ_EARLY)
		repeat(TRIES_MAX - 1, try_set, &search);
	return search.set;
}

/* The set of rules that speak of the program. One that has no path here is only spoken of by those that name none. */
static __always_inline __u32 set_of_caller(struct act *act)
{
	struct image_trie *trie = &act->image.header->callers;

	if (!tells_paths_apart(trie))
		return trie->end;
	struct object program = object_of_file(BPF_CORE_READ(current_task(), mm, exe_file));
	__u32 set = find_set(act, trie, program, NULL);

	return set == SET_UNKNOWN ? SET_ANY_CALLER : set;
}

/* The set of rules that speak of a path argument, which lies in *spoken afterwards. `place`: of it and its directory in the table. */
static __always_inline __u32 set_of_argument(struct act *act, struct spoken_path *spoken, __u32 place)
{
	struct image_trie *trie = &act->image.header->arguments;
	__u32 directory = place >> 3 & 7;
	int is_text = read_text(spoken, argument_at(spoken, place & 7));

	spoken->start = start_of(spoken, directory, argument_at(spoken, directory));
	if (spoken->text[0] == '/')
		spoken->ups = 0;
	if (!tells_paths_apart(trie))
		return trie->end;
	__u32 set = SET_UNKNOWN;

	if (is_text && spoken->start.dentry)
		set = find_set(act, trie, spoken->start, spoken);
	if (set != SET_UNKNOWN)
		return set;
	count(COUNT_SYSCALLS_UNREAD);
	return SET_ANY_PATH;
}

static __always_inline __u32 lowest_bit(__u64 bits)
{
	bits &= -bits;
	return !!(bits & 0xffffffff00000000ULL) << 5 | !!(bits & 0xffff0000ffff0000ULL) << 4 |
	       !!(bits & 0xff00ff00ff00ff00ULL) << 3 | !!(bits & 0xf0f0f0f0f0f0f0f0ULL) << 2 |
	       !!(bits & 0xccccccccccccccccULL) << 1 | !!(bits & 0xaaaaaaaaaaaaaaaaULL);
}

#define NO_RULE SYSCALL_RULES_MAX

/* The first rule that is in all three. Global, so that the verifier follows one way behind it. */
__noinline __u32 first_common(struct image_set *a, struct image_set *b, struct image_set *c)
{
	if (!a || !b || !c)
		return NO_RULE;
	for (int i = 0; i < SYSCALL_RULES_MAX / 64; i++) {
		__u64 bits = a->bits[i] & b->bits[i] & c->bits[i];

		if (bits)
			return 64 * i + lowest_bit(bits);
	}
	return NO_RULE;
}

/* An index outside the image, which the compiler never makes, gives NULL. */
static __always_inline struct image_set *set_at(struct act *act, __u32 index)
{
	__u32 entry = act->image.header->syscalls_entry + SYSCALLS / REFERENCES_PER_ENTRY + index;

	return bpf_map_lookup_elem(act->image.map, &entry);
}

/* The set of rules that name the system call. 0: none does. */
static __always_inline __u32 set_of_syscall(struct act *act, __u32 number)
{
	__u32 entry = act->image.header->syscalls_entry;

	if (!entry)
		return 0;
	entry += number / REFERENCES_PER_ENTRY;
	struct image_references *sets = bpf_map_lookup_elem(act->image.map, &entry);

	return sets ? sets->row[number & (REFERENCES_PER_ENTRY - 1)] : 0;
}

/* The rule that is hit by way of one path argument, or of none where there is none. */
static __always_inline __u32 rule_by(struct act *act, struct spoken_path *spoken, __u32 syscall_set, __u32 caller_set,
				     __u32 place)
{
	__u32 set = place & 7 ? set_of_argument(act, spoken, place) : SET_ANY_PATH;

	return first_common(set_at(act, syscall_set), set_at(act, caller_set), set_at(act, set));
}

/* Where the parts of a record lie: arguments and text first, as they always fit. */
#define ARGUMENTS_AT ARGUMENT_PATH_BYTES
#define NAMES_AT (ARGUMENTS_AT + 8 * SYSCALL_ARGUMENTS)

/* Returns the record's bytes; 0 when the ring has no room. Global: verified once. */
__noinline int emit_syscall(identity_ref ref)
{
	struct task_identity *identity = identity_at(ref);
	struct spoken_path *spoken = the_spoken_path();

	if (!identity || !spoken)
		return 0;
	struct short_decision *record = reserve_record(ring_alerts, struct short_decision);

	if (!record)
		return 0;
	struct text text = { .identity = identity, .walk = &identity->walk, .bytes = record->text, .limit = TEXT_SHORT };

	fill_facts(&record->event, ref);
	/* By a helper: clang copies through the stack, which is short. */
	bpf_probe_read_kernel(record->text, ARGUMENT_PATH_BYTES, spoken->text);
	bpf_probe_read_kernel(record->text + ARGUMENTS_AT, 8 * SYSCALL_ARGUMENTS, spoken->arguments + 1);
	record->event.path_bytes = ARGUMENT_PATH_BYTES;
	record->event.path2_bytes = 8 * SYSCALL_ARGUMENTS;
	identity->walk.text_at = NAMES_AT;
	record->event.cwd_bytes = write_names(&text, working_directory(current_task()));
	record->event.args_bytes = spoken->is_read && spoken->start.dentry ? write_names(&text, spoken->start) : 0;
	if (text.truncated)
		record->event.header.flags |= EVENT_TRUNCATED;
	return submit_record(ring_alerts, record) ? 0 : sizeof(*record);
}

static __always_inline void tell_rule(struct act *act, struct spoken_path *spoken, __u32 number, __u32 rule)
{
	struct decision *decision = &act->identity->decision;
	identity_ref ref = ref_of(act->identity);

	decision->generation = generation_of(act->image.word);
	decision->row = rule;
	decision->row2 = spoken->is_read ? spoken->hash >> 32 : 0;
	decision->open_flags = number;
	decision->verdict = VERDICT_AUDIT;
	decision->reason = REASON_ROW;
	if (admit_decision(ref))
		settle_decision(ref, emit_syscall(ref));
}

/* Tells of a system call of the running task, where a rule does. `entry`: of the table. Global: verified once. */
__noinline int judge_syscall(identity_ref ref, __u32 entry)
{
	struct task_identity *identity = identity_at(ref);
	struct spoken_path *spoken = the_spoken_path();
	__u32 number = (entry & 0xffff) - 1, first = entry >> 16 & 63, second = entry >> 22 & 63;
	struct act act;

	if (!identity || !spoken)
		return 0;
	begin_act(&act, identity, HOOK_SYS_ENTER, OP_SYSCALL);
	if (open_any_image(identity->container, &act.image))
		return 0;
	__u32 syscall_set = set_of_syscall(&act, number);

	if (!syscall_set)
		return 0;
	read_arguments(spoken);
	spoken->is_read = 0;
	__builtin_memset(&spoken->text, 0, sizeof(spoken->text));
	__u32 caller_set = set_of_caller(&act);
	__u32 rule = rule_by(&act, spoken, syscall_set, caller_set, first);

	if (rule >= NO_RULE && second)
		rule = rule_by(&act, spoken, syscall_set, caller_set, second);
	if (rule < NO_RULE)
		tell_rule(&act, spoken, number, rule);
	return 0;
}

STUB("tp_btf/sys_enter", sys_enter, 0)

SEC("tp_btf/sys_enter")
int BPF_PROG(decide_sys_enter, struct pt_regs *regs, long id)
{
	__u32 entry = entry_of(regs, id);

	/* No policy names it. */
	if (!entry)
		return 0;
	JUDGED_IDENTITY(identity);
	return judge_syscall(ref_of(identity), entry);
}
