/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map and the settings, once: ankylo.bpf.c is one unit of all programs. */
#pragma once
#include "portable.bpf.h"
#include <bpf/bpf_tracing.h>

#include "agent_api.h"

#define EPERM 1
#define EACCES 13
#define ENOMEM 12
#define ERRNO_MAX 4095

/* Bytes of a name that come with the first read of its dentry: DNAME_INLINE_LEN is 32 or 40. */
#define INLINE_BYTES 32

/* task_identity.state */
#define TASK_RESERVED 0 /* made, and not yet filled in */
#define TASK_STAGING 1  /* entered from outside: the runtime setting the container up; not judged */
#define TASK_ARMED 2    /* the container's own, for ever, and all its children */

/* task_identity.counted */
#define USE_NONE 0
#define USE_COUNTED 1
#define USE_ENDED 2

/* task_identity.next */
#define NEXT_NONE 0
#define NEXT_PROGRAM 1
#define NEXT_LOADER 2 /* a dynamic loader by its name */

/* A file, as the kernel names it: dentry and vfsmount. dentry 0: there is none. */
struct object {
	__u64 dentry;
	__u64 vfsmount;
};

/* One decision in the making; what a record tells of it. */
struct decision {
	struct object object;
	struct object object2;
	__u64 suppressed;
	__u32 generation;
	__u32 row;
	__u32 row2;
	__u32 open_flags;
	__u8 op;
	__u8 verdict;
	__u8 hook;
	__u8 reason;
	__u32 image_flags; /* of the image that decides */
};

/* The first 64 bytes of a dentry from d_parent on: parent, qstr {hash, len, name}, inode, the inline name. */
struct dentry_head {
	__u64 parent;
	__u32 hash;
	__u32 length;
	__u64 name;
	__u64 inode;
	__u64 word[INLINE_BYTES / 8];
};

/* Of rename_lock and mount_lock, whose holders are the writers of the tree; odd: one is at work. */
struct sequences {
	__u32 rename;
	__u32 mount;
};

/* Where a descent of the image's trie has come to. */
struct descent_rows {
	__u32 end;
	__u32 child;
	__u32 desc;
	__u32 unread; /* a name could not be read */
};

/* What a path leads on to, so that two can be compared. */
struct below {
	__u32 next; /* the node that it ends at, with flags; 0: at none */
	__u32 child;
	__u32 desc;
};

/* A name on its way through a lexer. */
struct lexed_name {
	__u64 at; /* address of what has not been read */
	__u64 left; /* bytes */
	__u64 word; /* the next eight of them */
	__u64 state;
	/* The image's header.lexers_entry, and what the lexer's head says. Here, as the stack is short. */
	__u64 lexers;
	__u64 classes;
	__u64 sinks;
	__u64 moves; /* entry */
	__u64 outcomes; /* entry */
};

/* Scratch of one walk, and what it leaves behind. */
struct walk_result {
	struct dentry_head head; /* of the name that is being written, or hashed */
	struct object object; /* where it begins: by way of memory, as typed pointers can't be scalar arguments */
	__u64 dentry[COMPONENTS_MAX]; /* ring; index 0 is the leaf, the last COMPONENTS_MAX are nearest the root */
	__u64 path_hash; /* set by hash_path() */
	struct sequences sequences; /* under which it was walked */
	__u32 components; /* 0: "/", or nothing was walked */
	__u32 bytes; /* of all names, with one NUL each; set by hash_path() */
	__u32 text_at; /* write position while a record's text is filled */
	__u32 truncated;
	struct descent_rows descent;
	struct lexed_name lexed;
	__u32 leads_to; /* as below.next, of the path that was looked for last */
	__u32 forgotten; /* see forget() */
	__u32 named_end; /* of the last walk_by_rules() */
#ifdef KERNEL_5_10
	__u64 owner; /* identity_ref of the identity that this is the scratch of */
	__u64 component[COMPONENTS_MAX]; /* hashes of the names at `dentry` */
#endif
};

/* Places at which one mount namespace shows the same file: a hook without a mount can't tell more of them apart. */
#define SHOWN_MAX 8

/*
 * What is kept with a task (tasks.bpf.h). Written by identity.bpf.c; `walk` and `decision` are the scratch of whoever judges,
 * always the task itself. Not per CPU: programs are preempted, and two tasks must not mix. Not on the stack: 512 bytes are
 * few. Only tasks of containers have one, and the host's while a host policy is there, so its absence is the cheapest "not ours".
 */
struct task_identity {
	__u32 container;
	__u8 state;
	__u8 loader; /* its image is a dynamic loader that was executed by name */
	__u8 host_mounts; /* armed in the host's mount namespace: its names are the container's */
	__u8 arms; /* its exec under way ends the runtime's work */
	__u32 claimed; /* whoever sets it first fills the rest */
	__u32 counted; /* USE_*: its part in container_use */
	__u32 exit_told; /* of a group's leader: the process's exit record is out */
	__u32 exempt; /* enum exemption; of the host's tasks only */
	__u64 exe;        /* path hash of its image; 0: not reachable */
	__u64 next_exe;   /* the same of what its exec under way executes */
	__u64 parent_exe; /* of the image that forked it */
	__u64 entered_ns; /* CLOCK_BOOTTIME at which it entered the container; staging tasks only */
	__u64 held_ns;    /* CLOCK_BOOTTIME since when it waits with its exec; 0: it does not */
	__u64 fresh_sb;   /* super block that it has just made by fsopen, to be attached once */
	__u64 home;       /* mount namespace in which it, or its ancestor, was armed: see namespace_number(); 0: none */
	struct exec_ref exec;
	struct exec_ref parent;
	struct object old_name; /* of the rename or link under judgement */
	struct object new_name;
	struct below old_below; /* of old_name, where that keeps what is below it from leaving */
	__u32 _pad1;
	__u64 shown_by[SHOWN_MAX]; /* vfsmounts that show the dentry under judgement */
	__u32 shown; /* how many do, more than fit among them; here, as it changes in a loop */
	__u32 is_layered; /* 1: its file system has a mount that only the kernel holds */
	__u64 refused_create; /* dentry of the name that its last act was refused to make; 0: none */
	__u32 next; /* NEXT_*: what is known of its exec under way */
	__u32 next_bytes; /* of the path of what its exec under way, or its last one, executes */
	struct decision decision;
	struct walk_result walk;
};

/* Bytes of a sender's working directory: as many as a short record's text. */
#define SENDER_CWD_BYTES 1536

/* With a socket by which something asked for names. Its first part decides; the rest is what an alert tells. */
struct sender {
	__u32 container; /* 0: not known */
	__u32 is_shared; /* by several programs */
	__u64 exe;       /* path hash of the program */
	__u32 elsewhere; /* it sent to other ports as well */
	__u32 is_counted; /* TCP: `expected` is known */
	__u32 expected;  /* TCP: number of the byte at which the next message begins */
	__u32 cwd_bytes;
	struct event_header header;
	char cwd[SENDER_CWD_BYTES];
};

/* Written by dns.bpf.c. Here, so that it outlives an exchange of the programs: a connection's count is not found anew. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sender);
} senders SEC(".maps");

/* cgroup id -> container index. Written at cgroup_mkdir and by the agent; removed at cgroup_rmdir. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} cgroups SEC(".maps");

/* container index -> word (see agent_api.h). Published by the agent in one store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} containers SEC(".maps");

/* container index -> tasks that carry it, and whether its cgroup is gone. Written here, read by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct container_use);
} container_use SEC(".maps");

/* An image: frozen before it is published. Its number of entries differs, hence BPF_F_INNER_MAP. */
struct image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, IMAGE_ENTRY_BYTES);
};

/* slot -> image. Written by the agent, before any word names the slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, IMAGES_MAX);
	__type(key, __u32);
	__array(values, struct image_map);
} images SEC(".maps");

/* One entry, written by the agent: which system calls any policy names. Before anything else is looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct syscall_table);
} syscall_table SEC(".maps");

/* enum counter -> count, per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Path hash of a program -> enum exemption. Written by the agent before the host is followed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, HOST_PROGRAMS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} host_programs SEC(".maps");

/* Written by the agent each second. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct agent_pulse);
} agent_pulse SEC(".maps");

/* Written by the task iterator, read by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_survey);
} task_survey SEC(".maps");

/* Written by the agent before the programs are attached, and when a runtime shows a new namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_PREFIXES_MAX);
	__type(key, __u32);
	__type(value, struct cgroup_prefix);
} cgroup_prefixes SEC(".maps");

/* What self-protection guards: one entry, written by the agent and by `protect_register`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct protection);
} protection SEC(".maps");

/* Files and directories of the agent, and the directories above them. Written by `protect_register`; the agent removes old ones. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROTECTED_OBJECTS_MAX);
	__type(key, struct protected_key);
	__type(value, struct protected_object);
} protected_objects SEC(".maps");

/* Maps, programs and links of the agent, to epoch. Written by the agent, which removes old ones. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROTECTED_IDS_MAX);
	__type(key, struct protected_id);
	__type(value, __u32);
} protected_ids SEC(".maps");

/* Decisions and containers; never shares room with telemetry. 4 MiB hold some 2,500 records. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_ALERTS_BYTES);
} ring_alerts SEC(".maps");

/* container index -> what became of its decisions. Written here; the agent reads it, and clears it with the index. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct container_account);
} accounts SEC(".maps");

/* One entry, written by the agent before the programs are attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct alert_limits);
} alert_limits SEC(".maps");

/* One entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct numbering);
} numbering SEC(".maps");

struct alert_bucket {
	__u64 full_ns;  /* boot time at which the bucket is full again */
	__u64 untold;   /* decisions without a record since the last one */
};

/* kind -> its bucket. Written here only. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ALERT_KINDS_MAX);
	__type(key, struct alert_kind);
	__type(value, struct alert_bucket);
} alert_kinds SEC(".maps");

/* Telemetry. 16 MiB ride out 63 ms at a million records a second. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring_events SEC(".maps");

/* Set by the agent between open and load. */
const volatile struct agent_settings settings = {};

/* Global: there are many uses, at each of which the verifier would follow two ways. */
__noinline int count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	/* Atomic, as another task's program may interrupt this one on the same CPU. */
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}
