/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which container a task belongs to, and since when it is the container's own.
 *
 * An identity is stored with the task, copied at fork before the child runs, and never changes: not by unshare, setns or a
 * move to another cgroup. A task that enters a container's cgroup from outside (attach, or clone3 into it, which raises
 * no attach event) is staging: the runtime at work. Its arming exec (identity.bpf.h) makes it the container's own.
 * Trusted: the cgroup tree outside containers. A fork that can't get memory for the identity that its
 * parent has fails.
 */
#include "emit_exec.bpf.h"
#include "ending.bpf.h"
#include "hold.bpf.h"
#include "identity.bpf.h"
#include "slot.bpf.h"

/* Of a cgroup's path; nested clusters make long ones. */
#define TEXT_PATH 512

#define CLONE_THREAD 0x00010000

FOLLOWING_HOOK("lsm/task_alloc", identity_task_alloc)

/* The child's identity, while fork can still fail. */
SEC("lsm/task_alloc")
int BPF_PROG(identity_task_alloc, struct task_struct *task, unsigned long clone_flags, int ret)
{
	if (ret)
		return ret < 0 && ret >= -4095 ? ret : -EACCES;
	struct task_identity *parent = process_identity();

	/* Denies: it would begin as another task. */
	if (!is_new(task)) {
		count(COUNT_IDENTITY_FAILED);
		return -ENOMEM;
	}
	/* Allows: the parent is in no container, so the child's cgroup decides, in identity_newtask. */
	if (!parent)
		return 0;
	struct task_identity *child = make_identity(task);

	/* Allows: a host task without an identity is not judged until it executes. */
	if (!child && is_host(parent->container)) {
		count(COUNT_HOST_UNJUDGED);
		return 0;
	}
	if (!child) {
		count(COUNT_IDENTITY_FAILED);
		return -ENOMEM;
	}
	inherit(child, parent, !!(clone_flags & CLONE_THREAD));
	return 0;
}

FOLLOWING_HOOK("lsm/task_free", identity_task_free)

/*
 * The end of every task, also of one whose fork failed: its address may be another's from now on. Does nothing where the
 * kernel keeps identities with the task.
 */
SEC("lsm/task_free")
int BPF_PROG(identity_task_free, struct task_struct *task)
{
	drop_identity(task);
	return 0;
}

FOLLOWING_HOOK("tp_btf/task_newtask", identity_newtask)

/*
 * Runs in the parent, after the child joined its cgroup and before it can run: for one that clone3 put into a container's
 * cgroup from outside. Left out (see identity_wakeup_new), the child's exec finds out.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(identity_newtask, struct task_struct *task, unsigned long clone_flags)
{
	struct task_identity *parent = process_identity();

	/* It has its parent's. */
	if (parent && !is_host(parent->container))
		return 0;
	struct cgroup *cgroup = cgroup_of(task);
	__u32 container = container_of_cgroup(cgroup);

	if (!container)
		return 0;
	/*
	 * A container's task that the iterator has not reached yet: it will find the child as well. A host's there is a runtime's thread, whose
	 * move raised no event.
	 */
	if (!parent && container_of_cgroup(cgroup_of(current_task())) == container)
		return 0;
	stage(task, cgroup);
	return 0;
}

FOLLOWING_HOOK("tp_btf/sched_wakeup_new", identity_wakeup_new)

/*
 * What identity_task_alloc gave a task counts from now on, as its fork can't fail any more. The scheduler's lock is held here:
 * no task interrupts this one. Elsewhere at tracepoints that happens since 7.0, and then the kernel leaves the program out for
 * every other task on this CPU (__bpf_trace_run in kernel/trace/bpf_trace.c): what must not be missed is at LSM hooks, here, and
 * in identity_free.
 */
SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(identity_wakeup_new, struct task_struct *task)
{
	struct task_identity *identity = quick_identity_of(task);

	if (identity && identity->state != TASK_RESERVED)
		begin_use(identity);
	return 0;
}

FOLLOWING_HOOK("tp_btf/sched_process_free", identity_free)

/*
 * Nobody waits for the task any more: its use of the container ends, and what monitor_exit would have told is told here, if the
 * kernel left that out. RCU calls this, and is not interrupted by tasks.
 */
SEC("tp_btf/sched_process_free")
int BPF_PROG(identity_free, struct task_struct *task)
{
	struct task_identity *identity = quick_identity_of(task);

	/* A process' leader is the last of it to go. */
	if (task_read(task, pid) == task_read(task, tgid))
		end_agent(task);
	if (!identity || identity->state == TASK_RESERVED)
		return 0;
	if (task_read(task, pid) == task_read(task, tgid) && claim(&identity->exit_told, 0, 1))
		tell_exit(task, identity);
	end_use(identity);
	return 0;
}

FOLLOWING_HOOK("tp_btf/cgroup_attach_task", identity_attach)

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(identity_attach, struct cgroup *cgroup, const char *path, struct task_struct *task, bool threadgroup)
{
	if (is_followed(cgroup))
		stage(task, cgroup);
	return 0;
}

FOLLOWING_HOOK("lsm/bprm_committed_creds", identity_committed_creds)

SEC("lsm/bprm_committed_creds")
int BPF_PROG(identity_committed_creds, struct linux_binprm *bprm)
{
	struct task_identity *identity = current_identity();

	if (!identity)
		return 0;
	/* It entered its container after bprm_check_security was asked. What runs in its own mounts is the container's. */
	if (identity->next == NEXT_NONE) {
		identity->arms = !is_host(identity->container) && !is_in_host_mounts(current_task());
		forget_judged_path(identity);
		remember_exec(identity, BPF_CORE_READ(bprm, file));
	}
	note_exec(ref_of(identity));
	emit_new_exec(identity, bprm);
	return 0;
}

/*
 * A new cgroup's path under comparison. What changes in a loop lies here, in map memory: constants that differ from one
 * iteration to the next would make the verifier follow each alone.
 */
struct cgroup_search {
	char path[TEXT_PATH];
	__u32 prefix; /* that it is compared with */
	__u32 differs;
	__u32 names;
	__u32 from; /* names are counted behind this */
	__u32 longest;
	__u32 matches;
};

/* cgroup_mkdir runs under cgroup_mutex, so one of these is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_search);
} cgroup_search SEC(".maps");

static __always_inline struct cgroup_search *the_cgroup_search(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&cgroup_search, &first);
}

static long compare_character(__u32 index, void *unused)
{
	struct cgroup_search *search = the_cgroup_search();

	if (!search || index >= CGROUP_PREFIX_BYTES - 2)
		return 1;
	struct cgroup_prefix *prefix = bpf_map_lookup_elem(&cgroup_prefixes, &search->prefix);

	if (!prefix || index >= prefix->length)
		return 1;
	if (search->path[index] == prefix->text[index])
		return 0;
	search->differs = 1;
	return 1;
}

static long count_name(__u32 index, void *unused)
{
	struct cgroup_search *search = the_cgroup_search();

	if (!search || index >= TEXT_PATH || !search->path[index])
		return 1;
	if (index >= search->from && search->path[index] == '/')
		search->names++;
	return 0;
}

/* Global: verified once. */
__noinline int compare_prefix(void)
{
	repeat(CGROUP_PREFIX_BYTES, compare_character, NULL);
	return 0;
}

/* Global: verified once. */
__noinline int count_names(void)
{
	repeat(TEXT_PATH, count_name, NULL);
	return 0;
}

static long try_prefix(__u32 index, void *unused)
{
	struct cgroup_search *search = the_cgroup_search();
	struct cgroup_prefix *prefix = bpf_map_lookup_elem(&cgroup_prefixes, &index);

	if (!search || !prefix || prefix->length <= search->longest)
		return 0;
	search->prefix = index;
	search->differs = 0;
	compare_prefix();
	if (search->differs)
		return 0;
	search->longest = prefix->length;
	search->from = search->longest;
	search->names = 1;
	count_names();
	search->matches = search->names == prefix->depth;
	return 0;
}

/* Whether a path is where a runtime makes containers' cgroups. */
static __always_inline int is_container_path(const char *path)
{
	struct cgroup_search *search = the_cgroup_search();

	if (!search)
		return 0;
	search->longest = 0;
	search->matches = 0;
	bpf_probe_read_kernel_str(search->path, TEXT_PATH, path);
	repeat(CGROUP_PREFIXES_MAX, try_prefix, NULL);
	return search->matches;
}

/* Where to look for a free index next. */
__u32 next_container = 0;

struct index_search {
	__u32 found;
};

static long try_index(__u32 step, struct index_search *search)
{
	__u32 index = 1 + take_next(&next_container) % (CONTAINERS_KERNEL - 1);
	__u64 *word = bpf_map_lookup_elem(&containers, &index);

	if (!word || !claim(word, WORD_FREE, WORD_PENDING))
		return 0;
	struct container_use *use = bpf_map_lookup_elem(&container_use, &index);

	if (use) {
		use->tasks = 0;
		use->gone = 0;
		use->begun = 0;
	}
	search->found = index;
	return 1;
}

LONG_LOOP(try_index, struct index_search, no_pointers)

struct container_record {
	struct container_event event;
	char path[TEXT_PATH];
};

static __always_inline void tell_container(__u32 container, __u64 cgroup, __u32 gone, const char *path)
{
	struct container_record *record = bpf_ringbuf_reserve(&ring_alerts, sizeof(*record), 0);

	if (!record) {
		count(COUNT_NOTICES_LOST);
		return;
	}
	__builtin_memset(&record->event, 0, sizeof(record->event));
	record->event.header.type = EVENT_CONTAINER;
	record->event.header.container = container;
	record->event.header.time_ns = bpf_ktime_get_boot_ns();
	record->event.cgroup_id = cgroup;
	record->event.gone = gone;
	long bytes = bpf_probe_read_kernel_str(record->path, TEXT_PATH, path);

	record->event.path_bytes = bytes > 0 ? bytes - 1 : 0;
	bpf_ringbuf_submit(record, 0);
}

FOLLOWING_HOOK("tp_btf/cgroup_mkdir", identity_cgroup_mkdir)

/* A runtime makes a container's cgroup: it has an index before any task can enter it. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(identity_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct index_search search = {};
	__u64 id = BPF_CORE_READ(cgroup, kn, id);

	if (!is_followed(cgroup) || !is_container_path(path))
		return 0;
	repeat_long(CONTAINERS_KERNEL, try_index, &search);
	if (!search.found) {
		/* The agent is told, and gives one of its own range. */
		count(COUNT_INDEX_EXHAUSTED);
	} else if (bpf_map_update_elem(&cgroups, &id, &search.found, BPF_NOEXIST)) {
		__u64 *word = bpf_map_lookup_elem(&containers, &search.found);

		if (word)
			*word = WORD_FREE;
		search.found = 0;
		count(COUNT_INDEX_EXHAUSTED);
	}
	tell_container(search.found, id, 0, path);
	return 0;
}

FOLLOWING_HOOK("tp_btf/cgroup_rmdir", identity_cgroup_rmdir)

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(identity_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	__u64 id = BPF_CORE_READ(cgroup, kn, id);
	__u32 *container = bpf_map_lookup_elem(&cgroups, &id);

	if (!container || !is_followed(cgroup))
		return 0;
	__u32 index = *container;
	struct container_use *use = bpf_map_lookup_elem(&container_use, &index);

	if (use)
		use->gone = 1;
	bpf_map_delete_elem(&cgroups, &id);
	tell_container(index, id, 1, path);
	return 0;
}

/* Hash of what a found task's parent runs, as the task's mount namespace names it. 0: nothing there. */
static __always_inline __u64 find_parent_exe(struct task_struct *task, struct task_identity *found)
{
	struct file *exe = BPF_CORE_READ(task, real_parent, mm, exe_file);

	if (!exe || walk_hashed(found, object_of_file(exe), task) != WALK_REACHED)
		return 0;
	return found->walk.path_hash;
}

/* What the task runs, for fromSource and for the process tree. Returns WALK_REACHED when its program has a path. */
static __always_inline int find_program(struct task_struct *task, struct task_identity *identity)
{
	struct task_identity *found = found_identity();
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);

	if (!found || !exe)
		return WALK_UNREACHABLE;
	identity->loader = is_loader(exe);
	identity->parent_exe = find_parent_exe(task, found);
	struct object program = object_of_file(exe);
	int end = walk_hashed(found, program, task);

	if (end == WALK_REACHED)
		identity->exe = found->walk.path_hash;
	found->container = identity->container;
	found->state = TASK_ARMED;
	found->exec = identity->exec;
	found->parent = (struct exec_ref){
		.time_ns = BPF_CORE_READ(task, real_parent, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, real_parent, tgid),
	};
	identity->parent = found->parent;
	if (BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
		emit_exec(task, found, program, walked_bytes(&found->walk, end), (struct argument_block){});
	return end;
}

static __always_inline void begin_survey(void)
{
	struct task_survey nothing = {};
	__u32 first = 0;

	agent_tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_map_update_elem(&task_survey, &first, &nothing, BPF_ANY);
}

/* For status; and a new agent learns of what an agent before held. */
static __always_inline void survey_task(struct task_struct *task, struct task_identity *identity)
{
	__u32 first = 0;
	struct task_survey *survey = bpf_map_lookup_elem(&task_survey, &first);

	if (!survey || identity->state != TASK_STAGING || is_host(identity->container))
		return;
	if (bpf_ktime_get_boot_ns() - identity->entered_ns > STAGING_LIMIT_NS)
		survey->staging++;
	if (identity->held_ns) {
		survey->held++;
		tell_held(task, identity);
	}
}

/* What a host task is that ran before it was followed. What it executes is known. */
static __always_inline __u32 found_exemption(struct task_struct *task, struct task_identity *identity)
{
	struct task_struct *parent = task_read(task, real_parent);

	if (is_init(task))
		return EXEMPT_INIT;
	if (is_agent(task))
		return EXEMPT_AGENT;
	struct task_identity *parents = identity_of(parent);

	if (parents && parents->exempt == EXEMPT_RUNTIME)
		return EXEMPT_RUNTIME;
	__u32 exemption = is_real_root(task) ? exemption_of(identity->exe) : EXEMPT_NOT;

	return exemption == EXEMPT_INIT && !is_init(parent) ? EXEMPT_NOT : exemption;
}

/* A host task that has no identity, while a host policy is there. Not judged before it is known what it is. */
static __always_inline void find_on_host(struct task_struct *task)
{
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD || !is_host_followed())
		return;
	struct task_identity *leader = identity_of(task_read(task, group_leader));
	int is_thread = task_read(task, pid) != task_read(task, tgid);
	struct task_identity *identity = begin_on_host(task);

	if (!identity)
		return;
	if (is_thread && leader && leader->state != TASK_RESERVED) {
		inherit(identity, leader, 1);
	} else {
		identity->exec = found_exec_ref(task);
		find_program(task, identity);
		place_on_host(identity, found_exemption(task, identity));
	}
	begin_use(identity);
}

/*
 * Tasks that ran before the agent, run after it attached, and now and then for the survey; and the host's, when there is a host
 * policy. One in a mount namespace other than the host's is the container's own; in the host's, one whose program is reachable is
 * (a runtime's copy of itself is not).
 */
SEC("iter/task")
int identity_iterate(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (ctx->meta->seq_num == 0)
		begin_survey();
	if (!task || BPF_CORE_READ(task, flags) & PF_EXITING)
		return 0;
	if (is_init(task))
		host_home = home_of(task);
	struct task_identity *known = identity_of(task);
	struct cgroup *cgroup = cgroup_of(task);
	int has_own = known && known->state != TASK_RESERVED;

	/* Seen when it entered: its own exec arms it, also while a runtime is in the middle of its work. */
	if (has_own && !is_host(known->container)) {
		survey_task(task, known);
		return 0;
	}
	struct task_identity *leader = identity_of(task_read(task, group_leader));

	/* A runtime's thread: no event came with it, and it is the runtime's until its process is armed. */
	if (leader && leader->state == TASK_STAGING && !is_host(leader->container))
		return 0;
	struct task_identity *identity = stage(task, cgroup);

	if (!identity && !has_own && !container_of_cgroup(cgroup))
		find_on_host(task);
	if (!identity || identity->state != TASK_STAGING)
		return 0;
	int end = find_program(task, identity);

	if (end == WALK_REACHED || !is_in_host_mounts(task)) {
		arm(identity, task);
	}
	return 0;
}
