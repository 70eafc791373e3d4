/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent asks of the kernel, as C functions that Deno can call under --allow-ffi=PATH alone.
 *
 * No pointer crosses the border but to memory that the caller owns, and none is kept when a call returns: objects and
 * rings are small numbers, maps, programs and links are file descriptors.  Strings are NUL-terminated.  Every function
 * returns a negative errno on failure.  Nothing here decides anything: it opens, loads, attaches, pins, reads, writes,
 * waits.  Interrupted calls are taken up again.  Threads may each have objects and rings of their own.
 *
 * ffi/symbols.ts has the same prototypes; ffi/symbols_test.ts compares them.
 */
#pragma once

#include <stdint.h>

#define SHIM_API __attribute__((visibility("default")))

/* Raised with every change of a prototype or of a meaning: a shim of another number is refused. */
#define SHIM_VERSION 8

SHIM_API int ankylo_version(void);
/* Copies what libbpf said since the last object_open or object_load; returns its length. */
SHIM_API int ankylo_messages(uint8_t *text, uint32_t capacity);
/* Now, as events tell it: ns of CLOCK_BOOTTIME. */
SHIM_API uint64_t ankylo_boot_time(void);

/* ---- objects: handles from 0; close them, their descriptors are dups and outlive them ---------------------------- */

SHIM_API int ankylo_object_open(const uint8_t *elf, uint32_t length, const uint8_t *name);
SHIM_API int ankylo_object_close(int object);
/* Before load.  -ENOENT: no such variable in .rodata; -EINVAL: `length` is not its size. */
SHIM_API int ankylo_object_set_rodata(int object, const uint8_t *variable, const uint8_t *value, uint32_t length);
SHIM_API int ankylo_object_set_autoload(int object, const uint8_t *program, int on);
SHIM_API int ankylo_object_set_max_entries(int object, const uint8_t *map, uint32_t entries);
/* The object's map will be this one.  Before load.  -EINVAL: of another type, key size, value size or flags. */
SHIM_API int ankylo_object_reuse_map(int object, const uint8_t *map, int map_fd);
SHIM_API int ankylo_object_load(int object);
/* After a failed load: the verifier's log of the program that it refused; returns its length, 0 for none. */
SHIM_API int ankylo_object_verifier_log(int object, uint8_t *text, uint32_t capacity);
/* The name of the index-th program (its length is returned), or -ENOENT behind the last; likewise for maps. */
SHIM_API int ankylo_object_program_name(int object, uint32_t index, uint8_t *name, uint32_t capacity);
SHIM_API int ankylo_object_map_name(int object, uint32_t index, uint8_t *name, uint32_t capacity);
/* After load: a new descriptor. */
SHIM_API int ankylo_object_program(int object, const uint8_t *program);
SHIM_API int ankylo_object_map(int object, const uint8_t *map);
/* enum bpf_attach_type of the program's section. */
SHIM_API int ankylo_object_attach_type(int object, const uint8_t *program);

/* ---- programs and links: descriptors ------------------------------------------------------------------------------- */

SHIM_API int ankylo_link_create(int program_fd, int target_fd, uint32_t attach_type);
/* numbers[3]: id, enum bpf_link_type, program id. */
SHIM_API int ankylo_link_info(int link_fd, uint64_t *numbers);
/* numbers[6]: id, enum bpf_prog_type, run_cnt, run_time_ns, recursion_misses, verified_insns; tag: 8 bytes, the
 * kernel's hash of the instructions; name: 16 bytes, NUL-padded. */
SHIM_API int ankylo_program_info(int program_fd, uint64_t *numbers, uint8_t *tag, uint8_t *name);
/* Runs a program of type syscall on a context that it may write to.  Returns 0; *result: what the program returned. */
SHIM_API int ankylo_program_run(int program_fd, uint8_t *context, uint32_t length, uint32_t *result);
/* Runs an iterator program to its end, over a map's entries where it wants a map, else with map_fd -1.  Returns the number of
 * bytes that it printed. */
SHIM_API int ankylo_program_iterate(int program_fd, int map_fd);
SHIM_API int ankylo_program_by_id(uint32_t id);
/* Has the kernel count run_cnt and run_time_ns as long as the descriptor that is returned is open. */
SHIM_API int ankylo_stats_enable(void);

/* ---- maps: descriptors --------------------------------------------------------------------------------------------- */

/* inner_fd: the template of a map of maps, else -1. */
SHIM_API int ankylo_map_create(uint32_t type, const uint8_t *name, uint32_t key_size, uint32_t value_size,
			       uint32_t entries, uint32_t flags, int inner_fd);
SHIM_API int ankylo_map_by_id(uint32_t id);
/* numbers[6]: id, enum bpf_map_type, key size, value size, max_entries, flags; name: 16 bytes, NUL-padded. */
SHIM_API int ankylo_map_info(int map_fd, uint64_t *numbers, uint8_t *name);
/* The buffers must have the map's sizes; a per-CPU map has cpus_possible values of a multiple of 8 bytes. */
SHIM_API int ankylo_map_lookup(int map_fd, const uint8_t *key, uint8_t *value);
/* flags: BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2. */
SHIM_API int ankylo_map_update(int map_fd, const uint8_t *key, const uint8_t *value, uint32_t flags);
/* Returns how many were written: fewer than `count` when the kernel refused the next. */
SHIM_API int ankylo_map_update_batch(int map_fd, const uint8_t *keys, const uint8_t *values, uint32_t count);
/* Reads an array from its start, `count` entries at most, in one call of the kernel.  Returns how many were read. */
SHIM_API int ankylo_map_read(int map_fd, uint8_t *keys, uint8_t *values, uint32_t count);
SHIM_API int ankylo_map_delete(int map_fd, const uint8_t *key);
/* first 1: ignores `key` and gives the first one.  -ENOENT behind the last. */
SHIM_API int ankylo_map_next_key(int map_fd, int first, const uint8_t *key, uint8_t *next);
/* No more writes from user space, for ever. */
SHIM_API int ankylo_map_freeze(int map_fd);
SHIM_API int ankylo_cpus_possible(void);

/* ---- pins and descriptors ------------------------------------------------------------------------------------------ */

SHIM_API int ankylo_pin(int fd, const uint8_t *path);
SHIM_API int ankylo_open_pin(const uint8_t *path);
SHIM_API int ankylo_close(int fd);

/* ---- rings: handles from 0 ----------------------------------------------------------------------------------------- */

SHIM_API int ankylo_ring_open(int map_fd);
/*
 * Drains records into a batch: each as its length (u32), 4 bytes of 0 and its bytes, padded to a multiple of 8.  When
 * the ring is empty it waits, at most timeout_ms (-1: for ever), until a record comes or ring_wake is called; then it
 * lets records gather and takes all that fit: for coalesce_us after a rest, and for flow_us, if that is longer, where less
 * than flow_us passed without a record.  Gathering ends as well with ring_wake, or when a quarter of the batch is there.
 * Returns the batch's bytes; after ring_wake or the time-out what there is, which may be nothing.  -ENOBUFS: not even the
 * first record fits; -EBUSY: a read of this ring is under way.
 */
SHIM_API int ankylo_ring_read(int ring, uint8_t *batch, uint32_t capacity, int timeout_ms, uint32_t coalesce_us,
			      uint32_t flow_us);
/* Ends a read that waits, or the next one. */
SHIM_API int ankylo_ring_wake(int ring);
/* -EBUSY: a read is under way; wake it and let it return first. */
SHIM_API int ankylo_ring_close(int ring);

/* ---- what the kernel can do ---------------------------------------------------------------------------------------- */

/*
 * Names of the functions in the kernel's BTF that begin with one of the prefixes; all end with a NUL.  Returns the bytes of all, of which
 * those that fit are there; -EOPNOTSUPP when the kernel has no BTF.
 */
SHIM_API int ankylo_kernel_functions(const uint8_t *prefixes, uint32_t length, uint8_t *names, uint32_t capacity);
/* 1: the kernel has the symbol, and *address is where (0 without CAP_SYSLOG); 0: it has none of that name. */
SHIM_API int ankylo_kernel_symbol(const uint8_t *name, uint64_t *address);

/* ---- this process -------------------------------------------------------------------------------------------------- */

/*
 * Gives back what the allocator holds of freed memory, and unmaps code and constants of files until they are used again: of
 * what a start uses, little is needed afterwards.  Takes some milliseconds.
 */
SHIM_API int ankylo_release_memory(void);

/* ---- files of /proc, /sys and bpffs, which Deno's own functions refuse without --allow-all ------------------------ */

/* Reads from the start until the end or until the buffer is full; returns the bytes. */
SHIM_API int ankylo_file_read(const uint8_t *path, uint8_t *bytes, uint32_t capacity);
/* A descriptor that names the file and can do nothing else (O_PATH). */
SHIM_API int ankylo_path_open(const uint8_t *path);
SHIM_API int ankylo_link_read(const uint8_t *path, uint8_t *target, uint32_t capacity);
/* numbers[4]: inode, device, mode, size.  Follows symbolic links when `follow` is 1. */
SHIM_API int ankylo_file_stat(const uint8_t *path, int follow, uint64_t *numbers);
/* Names, each ended by a NUL, without "." and "..".  Returns the bytes needed; they are all there when it is at most
 * `capacity`. */
SHIM_API int ankylo_dir_list(const uint8_t *path, uint8_t *names, uint32_t capacity);
SHIM_API int ankylo_dir_make(const uint8_t *path, uint32_t mode);
SHIM_API int ankylo_dir_remove(const uint8_t *path);
SHIM_API int ankylo_file_remove(const uint8_t *path);
SHIM_API int ankylo_file_rename(const uint8_t *from, const uint8_t *to);
/* 1: a bpffs is mounted exactly there; 0: it is not. */
SHIM_API int ankylo_bpffs_mounted(const uint8_t *path);
/* Mounts a new bpffs of mode 0700 on a directory. */
SHIM_API int ankylo_bpffs_mount(const uint8_t *path);
SHIM_API int ankylo_unmount(const uint8_t *path);

/* ---- watches of directories: a descriptor, to be closed by ankylo_close ------------------------------------------- */

SHIM_API int ankylo_watch_open(void);
/* mask: IN_... of inotify(7).  Returns the number that events carry: the same again for the same directory. */
SHIM_API int ankylo_watch_add(int watch_fd, const uint8_t *path, uint32_t mask);
/* -EINVAL: it has ended already, with its directory.  Like that it is told of by IN_IGNORED, which ends a read that waits. */
SHIM_API int ankylo_watch_remove(int watch_fd, int id);
/* Waits until there are events, as read(2) gives them, and takes what fits: one always does in 512 bytes. */
SHIM_API int ankylo_watch_read(int watch_fd, uint8_t *events, uint32_t capacity);

/* ---- processes ------------------------------------------------------------------------------------------------------ */

/* A descriptor that stays this process's, whoever gets its number later.  -ESRCH: it has ended. */
SHIM_API int ankylo_pidfd_open(int pid);
/* Continues it if it is stopped (SIGCONT).  -ESRCH: it has ended. */
SHIM_API int ankylo_pidfd_continue(int pidfd);
