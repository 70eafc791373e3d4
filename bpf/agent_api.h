/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one home of every layout and number that kernel programs and agent share.
 *
 * scripts/gen_types.ts turns this into ffi/generated/ by way of the object's BTF; nothing here is typed a second time.
 * Rules: fixed widths only, padding is named, no bool, no bare enum as a field, no pointer, no bit field; sizes are
 * asserted.  A change of a size or of a meaning raises AGENT_FORMAT: an agent adopts pinned maps of its own format only.
 */
#pragma once

#define AGENT_FORMAT 6

/* ---- limits -------------------------------------------------------------------------------------------------- */

/* Path components that the kernel compares, counted from the root.  A rule that names more is refused by the
 * compiler; PATH_MAX allows 2,048, real rules have fewer than 20. */
#define COMPONENTS_MAX 64
/* Keys per hash: constant, length, 64 chunks of 4 bytes (NAME_MAX is 255), multiplier and start of the path hash. */
#define HASH_KEYS 68
/* Container indices.  The kernel gives out 1 .. CONTAINERS_KERNEL-1 at cgroup_mkdir, the agent the rest: two ranges, so
 * that neither has to lock the other out. */
#define CONTAINERS_MAX 65536
#define CONTAINERS_KERNEL 49152
/* The last two are the node's own: its tasks, and those that only a forced policy judges. See bpf/include/host.bpf.h. */
#define HOST_CONTAINER 65534
#define HOST_EXEMPT 65535
/* Programs that make a host task exempt. systemd has some 80. */
#define HOST_PROGRAMS_MAX 1024
#define IMAGES_MAX 4096
#define IMAGE_ENTRY_BYTES 128
#define BUCKET_SLOTS 5
#define ROWS_PER_ENTRY 16
#define MOVES_PER_ENTRY 64
#define OUTCOMES_PER_ENTRY 8
#define CGROUP_PREFIXES_MAX 32
#define CGROUP_PREFIX_BYTES 64
/* Kinds of decisions with a rate of their own at a time; beyond that the longest unused are forgotten. 2 MiB. */
#define ALERT_KINDS_MAX 16384
/* Names of system calls, in the agent's order; they fill whole entries of an image. */
#define SYSCALLS 384
/* Rules about system calls in one image: a bit each in an entry. */
#define SYSCALL_RULES_MAX 1024
/* Numbers of system calls in one table. Linux is below 600; those behind 960 are ours, for what goes by one number on i386. */
#define SYSCALL_NUMBERS 1024
#define SYSCALL_SOCKETCALL 960
#define SYSCALL_IPC 992
/* Bytes of a path argument that are read, with its NUL: rules name shorter ones; of a longer one the directories count. */
#define ARGUMENT_PATH_BYTES 256
#define SYSCALL_ARGUMENTS 6
/* Labels of a domain that are compared, from the last one on. */
#define LABELS_MAX 32
/* Bytes of a name in a DNS query, as they stand there, with NULs at the end. */
#define QUERY_NAME_BYTES 256
/* Bytes of ring_alerts, a power of two. */
#define RING_ALERTS_BYTES (4 << 20)
/* Bytes of names in one record: PATH_MAX and one NUL per component never need more. */
#define PATH_BYTES_MAX 4096
#define ARGS_BYTES_MAX 1024

/* ---- numbers ------------------------------------------------------------------------------------------------- */

/* What a task does to an object, or with what.  A verdict row holds one 4-bit verdict per class. */
enum op_class {
	OP_EXEC = 0,      /* execve of this file, or as interpreter of a script */
	OP_MMAP_EXEC = 1, /* mmap with PROT_EXEC by any program */
	OP_LOAD = 2,      /* mmap with PROT_EXEC by a dynamic loader that was itself executed: the loader as launcher */
	OP_READ = 3,      /* open for reading, directories too */
	OP_WRITE = 4,     /* open for writing, truncate */
	OP_CREATE = 5,    /* a new name: target of rename and link; mknod, mkdir, symlink */
	OP_DELETE = 6,    /* unlink, rmdir */
	OP_RENAME = 7,    /* rename of this object, at its old name */
	OP_LINK = 8,      /* hard link to this object, at its old name */
	OP_ATTR = 9,      /* chmod, chown, xattrs */
	OP_NETWORK = 10,  /* make or use a socket; rows of socket kinds only */
	OP_MOUNT = 11,    /* something is mounted on this object, or this mount is moved or pivoted */
	OP_CONNECT = 12,  /* connect to a unix socket's path */
	OP_NOTIFY = 13,   /* fanotify mark of a whole file system */
	OP_CREDS = 14,    /* io_uring personality */
	OP_CAPABILITY = 15, /* use a capability; rows of capabilities only */
	OP_PROTECTED = 16, /* of no row: what self-protection refuses */
	OP_SYSCALL = 17, /* of no row: a system call that a rule tells of; the decision's row is the rule's place in the image's sets */
	OP_DNS = 18, /* ask for a name; rows of names only, which have its verdict in the place of OP_NETWORK */
	OP_PRESET = 20,  /* of no row: what a preset is about; the decision's row is the preset */
};
/* Those of a row. */
#define OP_CLASSES 16

/* What network rules tell apart, by family, type and protocol: see kind_of() in bpf/include/network.bpf.h. */
enum socket_kind {
	SOCKET_TCP = 0,
	SOCKET_UDP = 1,
	SOCKET_ICMP_DGRAM = 2,
	SOCKET_ICMP_RAW = 3,
	SOCKET_ICMPV6_DGRAM = 4,
	SOCKET_ICMPV6_RAW = 5,
	SOCKET_SCTP_STREAM = 6,
	SOCKET_SCTP_SEQPACKET = 7,
	SOCKET_STREAM = 8, /* from here on: of no protocol that a rule can name */
	SOCKET_DGRAM = 9,
	SOCKET_RAW = 10,
	SOCKET_RDM = 11,
	SOCKET_SEQPACKET = 12,
	SOCKET_DCCP = 13,
	SOCKET_PACKET_DGRAM = 14, /* AF_PACKET */
	SOCKET_PACKET_RAW = 15,
	SOCKET_PACKET = 16, /* AF_PACKET with SOCK_PACKET */
	SOCKET_OTHER = 17,
	SOCKET_KINDS = 18,
};

/* What presets refuse or tell of, by the names of policies. Each has a bit in image_header.presets. */
enum preset {
	PRESET_FILELESS_EXEC = 0,
	PRESET_ANONYMOUS_MAP_EXEC = 1,
	PRESET_PROTECT_ENV = 2,
	PRESET_PROTECT_PROC = 3,
	PRESET_EXEC = 4,
	PRESET_PROTECT_RUNTIME_SOCKET = 5,
	PRESET_BLOCK_RAW_DEVICES = 6,
	PRESET_DENY_USER_NAMESPACES = 7,
	PRESET_DENY_IO_URING = 8,
	PRESET_PROTECT_KERNEL_TUNABLES = 9,
	PRESETS = 10,
};

/* Bits of image_header.presets: those in force from 0 on, and from here on those that refuse. */
#define PRESETS_REFUSING 16
/* Bit of ops_live in the place of a class that no row speaks of (OP_NOTIFY): some preset is in force. */
#define LIVE_PRESETS 13

/* Numbers of what has a row and no path: a socket's kind, or REFERENCE_CAPABILITIES plus a capability's number. */
#define REFERENCE_CAPABILITIES 32
#define CAPABILITIES_MAX 64
#define REFERENCES 96
#define REFERENCES_PER_ENTRY 32

/* A verdict is 4 bits.  Larger is stricter, so that the stricter of two is their maximum; VERDICT_SOURCE is added
 * when the deciding rule has a fromSource, which beats every rule without. */
enum verdict {
	VERDICT_NONE = 0,          /* no rule, no allow-list: pass, no event */
	VERDICT_ALLOW = 1,         /* pass, no event */
	VERDICT_AUDIT = 2,         /* pass, event */
	VERDICT_BLOCK = 3,         /* refuse, event */
	VERDICT_POSTURE_AUDIT = 4, /* not in the allow-list: pass, event */
	VERDICT_POSTURE_BLOCK = 5, /* not in the allow-list: refuse, event */
	VERDICT_UNKNOWN_AUDIT = 6, /* the object's path can't be established: pass, event */
	VERDICT_UNKNOWN_BLOCK = 7, /* the object's path can't be established: refuse, event */
	VERDICT_SOURCE = 8,
	VERDICT_AUDITED = 16, /* of records only: what would be refused passes, because the image only audits */
};

/* Why a host task is exempt from host policies that are not forced; a larger one is kept when a program is executed. */
enum exemption {
	EXEMPT_NOT = 0,
	EXEMPT_INIT = 1,    /* init, and what it forked, until that executes a program that is not init's */
	EXEMPT_RUNTIME = 2, /* kubelet or a container runtime, with all that it starts */
	EXEMPT_AGENT = 3,   /* the agent, which a forced policy does not judge either */
};

/* Why a decision was taken when it was not (only) a verdict row. */
enum reason {
	REASON_ROW = 0,         /* the row's verdict; the generation's rule table names the rule */
	REASON_ANCESTOR = 1,    /* rename or mount of a directory above a blocked object */
	REASON_LAUNDER = 2,     /* rename or link that would give a blocked program an unblocked name, chmod that would hide that it is one */
	REASON_UNREACHABLE = 3, /* the object is not in the task's mount tree */
	REASON_GAVE_UP = 4,     /* renames or mounts never stood still long enough to read the path */
	REASON_STACKING = 5,    /* own overlay (or other stacking file system) in a container with blocked objects */
	REASON_ALIAS = 6,       /* bind mount, second mount of a file system, moved mount, pivot_root, or any mount where names are trusted */
	REASON_NOTIFY = 7,      /* fanotify mark of a super block there */
	REASON_CREDS = 8,       /* io_uring personality there */
	REASON_IMAGE = 9,       /* no complete policy image could be read: refused */
	REASON_PROTECTED = 10,  /* the agent's own: no policy is behind it */
	REASON_PENDING = 11,    /* no one has described the container, and the settings refuse that: its first program */
	REASON_QUERY = 13,      /* a DNS query whose name can't be read */
};

enum hook {
	HOOK_BPRM_CHECK = 1,
	HOOK_MMAP_FILE = 2,
	HOOK_FILE_OPEN = 3,
	HOOK_PATH_TRUNCATE = 4,
	HOOK_FILE_TRUNCATE = 5,
	HOOK_PATH_RENAME = 6,
	HOOK_PATH_LINK = 7,
	HOOK_PATH_UNLINK = 8,
	HOOK_SB_MOUNT = 9,
	HOOK_MOVE_MOUNT = 10,
	HOOK_SB_PIVOTROOT = 11,
	HOOK_SB_KERN_MOUNT = 12,
	HOOK_PATH_NOTIFY = 13,
	HOOK_URING_OVERRIDE_CREDS = 14,
	HOOK_PATH_MKDIR = 15,
	HOOK_PATH_RMDIR = 16,
	HOOK_PATH_MKNOD = 17,
	HOOK_PATH_SYMLINK = 18,
	HOOK_PATH_CHMOD = 19,
	HOOK_PATH_CHOWN = 20,
	HOOK_INODE_SETXATTR = 21,
	HOOK_INODE_REMOVEXATTR = 22,
	HOOK_SB_UMOUNT = 23,
	HOOK_SB_REMOUNT = 24,
	HOOK_FILE_RECEIVE = 26,
	HOOK_TASK_KILL = 27,
	HOOK_PTRACE_ACCESS_CHECK = 28,
	HOOK_BPF = 29,
	HOOK_BPF_MAP = 30,
	HOOK_BPF_PROG = 31,
	HOOK_TASK_SETRLIMIT = 32,
	HOOK_TASK_SETSCHEDULER = 33,
	HOOK_TASK_SETNICE = 34,
	HOOK_TASK_SETIOPRIO = 35,
	HOOK_FILE_SEND_SIGIOTASK = 36,
	HOOK_INODE_CREATE = 37,
	HOOK_INODE_LINK = 38,
	HOOK_INODE_UNLINK = 39,
	HOOK_INODE_SYMLINK = 40,
	HOOK_INODE_MKDIR = 41,
	HOOK_INODE_RMDIR = 42,
	HOOK_INODE_MKNOD = 43,
	HOOK_INODE_RENAME = 44,
	HOOK_INODE_SETATTR = 45,
	HOOK_FILE_MPROTECT = 50,
	HOOK_INODE_SET_ACL = 51,
	HOOK_INODE_REMOVE_ACL = 52,
	HOOK_SOCKET_CREATE = 60,
	HOOK_SOCKET_BIND = 61,
	HOOK_SOCKET_LISTEN = 62,
	HOOK_SOCKET_CONNECT = 63,
	HOOK_SOCKET_ACCEPT = 64,
	HOOK_SOCKET_SENDMSG = 65,
	HOOK_UNIX_STREAM_CONNECT = 66,
	HOOK_CAPABLE = 68,
	HOOK_SYS_ENTER = 76, /* a tracepoint */
	HOOK_DNS_EGRESS = 77, /* of control groups: a packet leaves */
	HOOK_INODE_FOLLOW_LINK = 80,
	HOOK_INODE_READLINK = 81,
	HOOK_USERNS_CREATE = 82,
	HOOK_INODE_INIT_SECURITY_ANON = 83,
	HOOKS = 84,
};

enum event_type {
	EVENT_DECISION = 1, /* ring_alerts */
	EVENT_EXEC = 2,     /* ring_events */
	EVENT_EXIT = 3,     /* ring_events */
	EVENT_CONTAINER = 4, /* ring_alerts: a container's cgroup came or went */
	EVENT_HELD = 5,      /* ring_alerts: a process waits with its exec until its container is described */
	EVENT_SUPPRESSED = 6, /* ring_alerts: decisions of one kind that went without a record */
};

enum counter {
	COUNT_DENIED = 0,
	COUNT_AUDITED = 1,
	COUNT_ALERTS_LOST = 2,     /* decisions without a record: ring_alerts was full, or the container's part of it */
	COUNT_EVENTS_LOST = 3,     /* ring_events was full */
	COUNT_SECOND_OPENS = 4,    /* overlayfs' own opens, not judged (the user's was) */
	COUNT_UNREACHABLE = 5,
	COUNT_GAVE_UP = 6,
	COUNT_WALK_RETRIES = 7,
	COUNT_IMAGE_MISSING = 8,   /* a container's word named an image that could not be read */
	COUNT_IDENTITY_FAILED = 9, /* a task's identity could not be made or read: its fork or act refused */
	COUNT_STAGED = 10,         /* tasks that entered a container from outside */
	COUNT_ARMED = 11,          /* staging tasks whose exec made them the container's own */
	COUNT_PENDING = 12,        /* programs that began a container which no one had described, and passed */
	COUNT_INDEX_EXHAUSTED = 13, /* a container's cgroup came and no index was free */
	COUNT_EMPTY_SLOT = 14,
	COUNT_HELD = 15,           /* processes stopped at their exec until their container is described */
	COUNT_PENDING_REFUSED = 16, /* programs that would have begun a container which no one had described, and were refused */
	COUNT_LIMITED = 17, /* decisions without a record: their kind had used up its rate */
	COUNT_PROTECTED = 18, /* acts on the agent itself, refused */
	COUNT_SENT = 19,    /* decisions with a record; DENIED + AUDITED = SENT + LIMITED + ALERTS_LOST */
	COUNT_NOTICES_LOST = 20, /* ring_alerts had no room to tell of a container or of a held process: the agent looks itself */
	COUNT_PROBES = 21, /* capabilities that were refused where the kernel only probed: not told */
	COUNT_SYSCALLS_UNREAD = 22, /* system calls whose path could not be read or placed: rules with a path said nothing */
	COUNT_QUERIES_UNREAD = 23, /* DNS queries of containers with rules about names that could not be read */
	COUNT_SENDERS_UNKNOWN = 24, /* DNS queries of such a container whose program is not known: judged as the strictest */
	COUNT_HOST_UNJUDGED = 31, /* acts of host tasks that passed because no image, or no identity, could be had */
	COUNTERS = 32,
};

/* ---- one container: an 8-byte word, replaced by one store --------------------------------------------------------- */

/* word = slot | ops_live << 16 | generation << 32.  0 is a free index.  ops_live has a bit per op_class for which the
 * image has any verdict other than NONE and ALLOW: without it a hook returns before it walks. */
#define WORD_FREE 0ULL
#define WORD_PENDING 0xffffULL   /* slot 0xffff: a container that no one has described yet */
#define WORD_UNPOLICED 0xfffeULL /* slot 0xfffe: described, no policy selects it */
#define WORD_PASSED 0xfffdULL    /* slot 0xfffd: pending, and the time limit is over: its programs pass */
#define WORD_REFUSED 0xfffcULL   /* slot 0xfffc: the same, its first program is refused */

/* What applies to a pending container while the agent is silent. */
enum pending_mode {
	PENDING_AUDIT = 0, /* passes, counted */
	PENDING_BLOCK = 1, /* its first program is refused */
	PENDING_HOLD = 2,  /* waits, stopped, for the next agent */
};

/* The agent is silent when its last beat is older. It beats each second, and may be busy for a while. */
#define BEAT_LIMIT_NS 5000000000ULL

#include "image_api.h"

/* ---- settings, counters, who is who ------------------------------------------------------------------------------ */

/* The hierarchy of cgroups that is followed: cgroup2, or under cgroup v1 the one of this controller. */
enum cgroup_controller {
	CGROUP_UNIFIED = 0,
	CGROUP_PIDS = 1,
	CGROUP_MEMORY = 2,
	CGROUP_CPU = 3,
};

/* const volatile in .rodata: set once, between open and load. */
struct agent_settings {
	struct hash_keys keys;
	__u64 init_mnt_ns; /* inode number of the host's mount namespace */
	__u64 rename_lock_at; /* addresses of the kernel's two locks whose counters the path walker reads */
	__u64 mount_lock_at;
	__u32 format;
	__u32 cgroup_hierarchy; /* id of the hierarchy whose cgroups are containers; 0: the unified one */
	__u32 cgroup_controller; /* enum cgroup_controller: how a task leads to its cgroup there */
	__u32 _pad;
	__u8 build_id[32]; /* SHA-256 of the objects; the next agent adopts these pins only when it is equal */
};

/*
 * Where runtimes make containers' cgroups: a new cgroup whose path begins with `text` and has `depth` names behind it is a
 * container and gets an index at once; the longest `text` that fits decides.  "/default/" with depth 1 is ctr's, "/kubepods/burstable/"
 * with depth 2 a kubelet's, "/system.slice/docker-" with depth 1 docker's under systemd.
 */
struct cgroup_prefix {
	__u8 length; /* of text; 0: unused */
	__u8 depth;
	__u8 text[CGROUP_PREFIX_BYTES - 2];
};

/* What the kernel knows of the agent. Written by the agent; the beat is cleared as its process exits. */
struct agent_pulse {
	__u64 beat_ns; /* CLOCK_BOOTTIME of the last sign that containers are being described; 0: silent */
	__u32 pending; /* enum pending_mode */
	__u32 _pad;
};

/* What the task iterator saw in its last run. */
struct task_survey {
	__u32 staging; /* tasks that have been staging for longer than STAGING_LIMIT_NS */
	__u32 held;    /* processes that wait with their exec */
};

/* A runtime needs less from entering a container to its exec. */
#define STAGING_LIMIT_NS 5000000000ULL

struct container_use {
	__u32 tasks; /* live tasks that carry the index */
	__u16 gone;  /* 1: its cgroup was removed; free once tasks is 0 (the agent frees) */
	__u16 begun; /* 1: a program of its own has run: what enters from now on is not its first */
};

/*
 * What became of one container's decisions, by index, since the index was given out:
 *   denied + audited = sent + limited + lost
 * as soon as no decision is under way. The rest bounds its part of ring_alerts: see has_room() in account.bpf.h.
 */
struct container_account {
	__u64 denied;
	__u64 audited;
	__u64 sent;    /* records in the ring */
	__u64 limited; /* no record: the kind had used up its rate */
	__u64 lost;    /* no record: no room in the ring, or not for this container */
	__u64 window_end;   /* position in the ring; what was sent in former windows lies before it */
	__u64 window_bytes; /* sent since */
	__u64 former_bytes; /* sent in the window before */
};

/* How many records one kind of decision may send: a bucket of `burst` that refills by one each `interval_ns`. */
struct alert_limits {
	__u64 interval_ns; /* 0: no limit */
	__u64 burst_ns;    /* burst * interval_ns */
};

/* Where the agent is in numbering its records, for the next one to go on. Only agents read and write it. */
struct numbering {
	__u64 life; /* names the sequence: random, 0 before the first agent */
	__u64 alerts; /* the last number that was given out */
	__u64 logs;
};

/*
 * Decisions that tell the same: one rule, one subject, one object, one container. The first of a kind is always told, so
 * a flood of one can't hide another.
 */
struct alert_kind {
	__u64 exe;    /* path hash of the subject's executable; 0: unknown */
	__u64 object; /* path hash of the object, or its inode where no path was walked, or what socket or capability it is; 0: none */
	__u32 container;
	__u32 generation;
	__u32 row;
	__u8 op;      /* enum op_class */
	__u8 verdict; /* enum verdict, VERDICT_SOURCE included */
	__u8 hook;    /* enum hook */
	__u8 reason;  /* enum reason */
};

/* ---- self-protection --------------------------------------------------------------------------------------------- */

/* protected_object.flags */
#define PROTECT_TREE 1u   /* it, and what lies up to PROTECTED_LEVELS below it: no change */
#define PROTECT_NAME 2u   /* it lies above a protected one: it keeps its name, and nothing is mounted over it */
#define PROTECT_FILES 4u  /* a cgroup that holds the agent: no write to its files */
#define PROTECT_SECRET 8u /* may not be read either */
/* Answers about an object, never stored. */
#define PROTECT_UNKNOWN 16u /* opened by handle: it may lie in a protected directory */
#define PROTECT_MOVE 32u    /* its writers move processes between cgroups */

#define PROTECTED_LEVELS 6
/* Some 12 places with 8 directories above each. */
#define PROTECTED_OBJECTS_MAX 1024
#define PROTECTED_IDS_MAX 4096
#define PROTECTED_FDS_MAX 32
#define PROTECTED_DEVICES_MAX 16
#define PROTECTED_ANCESTORS_MAX 8
#define PROTECTED_FILTER_WORDS 16

/* What the kernel knows a file by, as long as it exists (on overlayfs: is open). Not stat(2)'s numbers: btrfs tells others. */
struct protected_key {
	__u64 inode;
	__u32 device;
	__u32 generation;
};

struct protected_object {
	__u32 flags;
	__u32 epoch; /* of the registration that found it last */
};

#define PROTECTED_MAP 1u
#define PROTECTED_PROGRAM 2u
#define PROTECTED_LINK 3u

struct protected_id {
	__u32 kind;
	__u32 id;
};

/* Names a process for ever, as exec_ref does an image: when it began, and its tgid on the host. */
struct process_ref {
	__u64 start_ns;
	__u32 pid; /* 0: none */
	__u32 _pad;
};

/* A descriptor that the agent has open while it registers. */
struct protected_fd {
	__u32 fd;
	__u32 flags; /* 0: none */
};

/*
 * The agent writes fds, epoch and host and runs `protect_register`, which fills in the rest from the kernel's own view of that
 * process and those descriptors.
 */
struct protection {
	struct process_ref agent;
	struct process_ref ancestors[PROTECTED_ANCESTORS_MAX];
	__u64 filter[PROTECTED_FILTER_WORDS]; /* a bit per inode number modulo its bits: most inodes are none of ours */
	__u32 devices[PROTECTED_DEVICES_MAX]; /* with protected objects; 0: none */
	__u32 devices_overflow; /* 1: any device may have some */
	__u32 epoch;
	__u32 host;       /* 1: host tasks are refused too, but the agent, its ancestors and init */
	__u32 secrets;    /* how many objects may not be read */
	__u32 registered; /* of fds, in the last run */
	__u32 failed;     /* objects that found no room */
	__u32 borrowed;   /* 1: the scratch for tasks without an identity is in use */
	__u32 _pad;
	struct protected_fd fds[PROTECTED_FDS_MAX];
};

/* What a path of the agent's is to the kernel's side: for self_test, which fills in all but `fd`. */
struct known_path {
	__u64 path_hash;
	__u32 fd;         /* of the agent's open file */
	__u32 walked;     /* 1: the rest was filled in */
	__u32 end;        /* enum walk_end: 0 is reached */
	__u32 components; /* names */
};

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Names an exec for ever: the image that a process runs. ns since boot at exec, and the process. 0/0: unknown. */
struct exec_ref {
	__u64 time_ns;
	__u32 pid;
	__u32 _pad;
};

/* Begins every record. */
struct event_header {
	__u16 type; /* enum event_type */
	__u16 flags; /* EVENT_* */
	__u32 container;
	__u64 time_ns; /* CLOCK_BOOTTIME */
	struct exec_ref exec;   /* the image that acts (EVENT_EXEC: the new one) */
	struct exec_ref parent; /* the image that it was forked from */
	__u32 pid;    /* tgid in the host's pid namespace */
	__u32 tid;
	__u32 ppid;
	__u32 ns_pid; /* tgid in the task's own pid namespace */
	__u32 ns_ppid; /* the parent's in the same namespace, 0 when it lives outside */
	__u32 uid;    /* in the initial user namespace */
	__u8 tty[16]; /* "pts0", NUL-padded; empty without a controlling terminal */
};

#define EVENT_TRUNCATED 1 /* a path or the arguments did not fit */
#define EVENT_FOUND 2     /* EVENT_EXEC: the process ran before the agent did; arguments and cwd are not in the record */
#define EVENT_STAGING 4   /* the container's set-up by its runtime */
#define EVENT_DENIED 8    /* EVENT_DECISION: the kernel refused */

/*
 * Paths come as names from the leaf to the root, each ended by a NUL; the empty list is "/".  They lie in `text`, which
 * begins right behind the fixed part: path_bytes of the object, then path2_bytes (new name of a rename or link), then cwd_bytes, then args_bytes (NUL-ended
 * words as in /proc/PID/cmdline, argv[0] first).
 *
 * Of a system call `path` is its path argument as it stands, ARGUMENT_PATH_BYTES with NULs at the end, or nothing; `path2` its
 * SYSCALL_ARGUMENTS of 8 bytes; `args` the names of the directory that the path begins at. Of a DNS query `path` is the name,
 * QUERY_NAME_BYTES of labels with their lengths.
 */
struct decision_event {
	struct event_header header;
	struct alert_kind kind; /* its row: source class added */
	__u64 suppressed; /* decisions of this kind without a record since its last one */
	__u32 row2;    /* row of the new name, for REASON_LAUNDER; of a system call what tells its path from others */
	/*
	 * f_flags of file_open; mount flags of sb_mount; of a socket family | type << 8 | protocol << 16; a capability's
	 * number; a system call's, by its name; what self-protection tells beside the target; of a preset about memory
	 * MAPPED_* below, about a device that is made or mounted its number as the kernel keeps it.
	 */
	__u32 open_flags;
	__u16 path_bytes;
	__u16 path2_bytes;
	__u16 cwd_bytes;
	__u16 args_bytes;
};

/* Parts of open_flags: requested protection from bit 0 on, the one that is applied, and the flags of mmap(2). */
#define MAPPED_PROTECTION_BITS 4
#define MAPPED_FLAGS_AT 8

/* Sent on the agent's demand for kinds that fell quiet. Of the header only type, container and time are set. */
struct suppressed_event {
	struct event_header header;
	struct alert_kind kind;
	__u64 suppressed;
};

struct exec_event {
	struct event_header header;
	__u16 path_bytes;
	__u16 _pad0;
	__u16 cwd_bytes;
	__u16 args_bytes;
};

struct exit_event {
	struct event_header header;
	__u32 code; /* wait status as of wait(2) */
	__u32 _pad;
};

struct held_event {
	struct event_header header;
	__u64 start_ns; /* of the process, CLOCK_BOOTTIME: with header.pid its name for ever */
};

/* header.exec and what follows it are 0. */
struct container_event {
	struct event_header header;
	__u64 cgroup_id;
	__u32 gone; /* 0: made, 1: removed */
	__u16 path_bytes; /* cgroup path, from the root, as text (not reversed), without NUL */
	__u16 _pad;
};
