// SPDX-License-Identifier: Apache-2.0
/* Objects, programs, links, maps: libbpf behind the pointer-free functions of shim.h. */
#define _GNU_SOURCE
#include "shim.h"
#include "shim_attach.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The agent has one object open, for a moment; tests have a few. */
#define OBJECTS_MAX 16
/* A log of the largest program the verifier takes; untouched pages cost nothing. */
#define VERIFIER_LOG_BYTES (16u << 20)
#define MESSAGES_BYTES (16u << 10)

static struct object {
	atomic_flag taken;
	struct bpf_object *object; /* NULL: not open */
	char *verifier_log;
	int refused; /* the last load failed, and verifier_log may say why */
} objects[OBJECTS_MAX];

/* What libbpf said to this thread: a worker of Deno may have objects of its own. */
static _Thread_local char messages[MESSAGES_BYTES];
static _Thread_local size_t messages_length;

static int keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t room = sizeof(messages) - messages_length;
	int length;

	if (level == LIBBPF_DEBUG)
		return 0;
	length = vsnprintf(messages + messages_length, room, format, args);
	if (length > 0)
		messages_length += (size_t)length < room ? (size_t)length : room - 1;
	return 0;
}

static void forget_messages(void)
{
	libbpf_set_print(keep_message);
	messages_length = 0;
}

static int copy_text(const char *text, size_t length, uint8_t *target, uint32_t capacity)
{
	if (length > capacity)
		length = capacity;
	memcpy(target, text, length);
	return (int)length;
}

int ankylo_version(void)
{
	return SHIM_VERSION;
}

int ankylo_messages(uint8_t *text, uint32_t capacity)
{
	return copy_text(messages, messages_length, text, capacity);
}

uint64_t ankylo_boot_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- objects ---- */

static struct object *object_of(int handle)
{
	if (handle < 0 || handle >= OBJECTS_MAX || !objects[handle].object)
		return NULL;
	return &objects[handle];
}

static struct bpf_program *program_of(int handle, const uint8_t *name)
{
	struct object *object = object_of(handle);

	return object ? bpf_object__find_program_by_name(object->object, (const char *)name) : NULL;
}

static struct bpf_map *map_of(int handle, const uint8_t *name)
{
	struct object *object = object_of(handle);

	return object ? bpf_object__find_map_by_name(object->object, (const char *)name) : NULL;
}

static int missing(int handle)
{
	return object_of(handle) ? -ENOENT : -EBADF;
}

static int duplicate(int fd)
{
	int copy;

	if (fd < 0)
		return -ENOENT; /* Not loaded: autoload was off, or load was not called. */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? -errno : copy;
}

static void release(struct object *object)
{
	bpf_object__close(object->object);
	if (object->verifier_log)
		munmap(object->verifier_log, VERIFIER_LOG_BYTES);
	object->object = NULL;
	object->verifier_log = NULL;
	object->refused = 0;
	atomic_flag_clear(&object->taken);
}

int ankylo_object_open(const uint8_t *elf, uint32_t length, const uint8_t *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = (const char *)name);
	struct object *object;
	int handle = 0, error;
	void *log;

	while (handle < OBJECTS_MAX && atomic_flag_test_and_set(&objects[handle].taken))
		handle++;
	if (handle == OBJECTS_MAX)
		return -EMFILE;
	object = &objects[handle];
	forget_messages();
	log = mmap(NULL, VERIFIER_LOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	error = log == MAP_FAILED ? -errno : register_sections();
	object->verifier_log = log == MAP_FAILED ? NULL : log;
	if (error) {
		release(object);
		return error;
	}
	options.kernel_log_buf = log;
	options.kernel_log_size = VERIFIER_LOG_BYTES;
	/* libbpf reads the bytes only inside this call: it parses the ELF file and closes it. */
	object->object = bpf_object__open_mem(elf, length, &options);
	if (!object->object) {
		error = -errno;
		release(object);
		return error;
	}
	return handle;
}

int ankylo_object_close(int handle)
{
	struct object *object = object_of(handle);

	if (!object)
		return -EBADF;
	release(object);
	return 0;
}

/* The variable's place in .rodata, from the object's BTF; NULL when there is none. */
static const struct btf_var_secinfo *rodata_variable(const struct bpf_object *object, const char *name)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (int i = 0; section && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *info = btf_var_secinfos(section) + i;
		const struct btf_type *variable = btf__type_by_id(btf, info->type);

		if (!strcmp(btf__name_by_offset(btf, variable->name_off), name))
			return info;
	}
	return NULL;
}

/* The map is named after the object too ("ankylo.rodata"), cut to 15 bytes: its kind is what identifies it. */
static struct bpf_map *rodata_map(const struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		const char *suffix = strrchr(bpf_map__name(map), '.');

		if (bpf_map__is_internal(map) && suffix && !strncmp(suffix, ".rodata", 7))
			return map;
	}
	return NULL;
}

int ankylo_object_set_rodata(int handle, const uint8_t *variable, const uint8_t *value, uint32_t length)
{
	struct object *object = object_of(handle);
	const struct btf_var_secinfo *info;
	const void *initial;
	struct bpf_map *map;
	uint8_t *section;
	size_t size;
	int error;

	if (!object)
		return -EBADF;
	info = rodata_variable(object->object, (const char *)variable);
	map = rodata_map(object->object);
	initial = map ? bpf_map__initial_value(map, &size) : NULL;
	if (!info || !initial)
		return -ENOENT;
	if (bpf_map__fd(map) >= 0)
		return -EBUSY; /* loaded: the kernel has its copy */
	if (info->size != length || info->offset + length > size)
		return -EINVAL;
	section = malloc(size);
	if (!section)
		return -ENOMEM;
	memcpy(section, initial, size);
	memcpy(section + info->offset, value, length);
	error = bpf_map__set_initial_value(map, section, size);
	free(section);
	return error;
}

int ankylo_object_set_autoload(int handle, const uint8_t *name, int on)
{
	struct bpf_program *program = program_of(handle, name);

	return program ? bpf_program__set_autoload(program, on != 0) : missing(handle);
}

int ankylo_object_set_max_entries(int handle, const uint8_t *name, uint32_t entries)
{
	struct bpf_map *map = map_of(handle, name);

	return map ? bpf_map__set_max_entries(map, entries) : missing(handle);
}

/* libbpf takes any map, and the programs would then be verified against another layout than they were written for. */
static int same_layout(const struct bpf_map *map, int map_fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	int error = bpf_obj_get_info_by_fd(map_fd, &info, &size);

	if (error)
		return error;
	return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

int ankylo_object_reuse_map(int handle, const uint8_t *name, int map_fd)
{
	struct bpf_map *map = map_of(handle, name);
	int same;

	if (!map)
		return missing(handle);
	same = same_layout(map, map_fd);
	if (same < 0)
		return same;
	return same ? bpf_map__reuse_fd(map, map_fd) : -EINVAL;
}

int ankylo_object_load(int handle)
{
	struct object *object = object_of(handle);
	int error;

	if (!object)
		return -EBADF;
	forget_messages();
	object->verifier_log[0] = '\0';
	error = bpf_object__load(object->object);
	object->refused = error != 0;
	return error;
}

int ankylo_object_verifier_log(int handle, uint8_t *text, uint32_t capacity)
{
	struct object *object = object_of(handle);

	if (!object)
		return -EBADF;
	if (!object->refused)
		return 0;
	return copy_text(object->verifier_log, strnlen(object->verifier_log, VERIFIER_LOG_BYTES), text, capacity);
}

int ankylo_object_program_name(int handle, uint32_t index, uint8_t *name, uint32_t capacity)
{
	struct object *object = object_of(handle);
	struct bpf_program *program;

	if (!object)
		return -EBADF;
	bpf_object__for_each_program(program, object->object) {
		const char *text = bpf_program__name(program);

		if (index-- == 0)
			return copy_text(text, strlen(text), name, capacity);
	}
	return -ENOENT;
}

int ankylo_object_map_name(int handle, uint32_t index, uint8_t *name, uint32_t capacity)
{
	struct object *object = object_of(handle);
	struct bpf_map *map;

	if (!object)
		return -EBADF;
	bpf_object__for_each_map(map, object->object) {
		const char *text = bpf_map__name(map);

		if (index-- == 0)
			return copy_text(text, strlen(text), name, capacity);
	}
	return -ENOENT;
}

int ankylo_object_program(int handle, const uint8_t *name)
{
	struct bpf_program *program = program_of(handle, name);

	return program ? duplicate(bpf_program__fd(program)) : missing(handle);
}

int ankylo_object_map(int handle, const uint8_t *name)
{
	struct bpf_map *map = map_of(handle, name);

	return map ? duplicate(bpf_map__fd(map)) : missing(handle);
}

int ankylo_object_attach_type(int handle, const uint8_t *name)
{
	struct bpf_program *program = program_of(handle, name);

	return program ? (int)bpf_program__expected_attach_type(program) : missing(handle);
}

/* ---- programs and links ---- */

int ankylo_link_create(int program_fd, int target_fd, uint32_t attach_type)
{
	return bpf_link_create(program_fd, target_fd, attach_type, NULL);
}

int ankylo_link_info(int link_fd, uint64_t *numbers)
{
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);
	int error = bpf_obj_get_info_by_fd(link_fd, &info, &size);

	if (error)
		return error;
	numbers[0] = info.id;
	numbers[1] = info.type;
	numbers[2] = info.prog_id;
	return 0;
}

int ankylo_program_info(int program_fd, uint64_t *numbers, uint8_t *tag, uint8_t *name)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);
	int error = bpf_obj_get_info_by_fd(program_fd, &info, &size);

	if (error)
		return error;
	numbers[0] = info.id;
	numbers[1] = info.type;
	numbers[2] = info.run_cnt;
	numbers[3] = info.run_time_ns;
	numbers[4] = info.recursion_misses;
	numbers[5] = info.verified_insns;
	memcpy(tag, info.tag, BPF_TAG_SIZE);
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	return 0;
}

int ankylo_program_run(int program_fd, uint8_t *context, uint32_t length, uint32_t *result)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context, .ctx_size_in = length);
	int error = bpf_prog_test_run_opts(program_fd, &options);

	if (error)
		return error;
	*result = options.retval;
	return 0;
}

static int read_to_end(int fd)
{
	uint8_t bytes[4096];
	int total = 0;

	for (;;) {
		ssize_t count = read(fd, bytes, sizeof(bytes));

		if (count == 0)
			return total;
		if (count > 0)
			total += (int)count;
		/* The kernel gives up the processor with EAGAIN after a million objects without output. */
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int ankylo_program_iterate(int program_fd, int map_fd)
{
	union bpf_iter_link_info over = { .map.map_fd = (uint32_t)map_fd };
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &over, .iter_info_len = sizeof(over));
	int link_fd = bpf_link_create(program_fd, 0, BPF_TRACE_ITER, map_fd < 0 ? NULL : &options);
	int iterator_fd, result;

	if (link_fd < 0)
		return link_fd;
	iterator_fd = bpf_iter_create(link_fd);
	result = iterator_fd < 0 ? iterator_fd : read_to_end(iterator_fd);
	if (iterator_fd >= 0)
		close(iterator_fd);
	close(link_fd);
	return result;
}

int ankylo_stats_enable(void)
{
	return bpf_enable_stats(BPF_STATS_RUN_TIME);
}

int ankylo_program_by_id(uint32_t id)
{
	return bpf_prog_get_fd_by_id(id);
}

/* ---- maps ---- */

int ankylo_map_create(uint32_t type, const uint8_t *name, uint32_t key_size, uint32_t value_size, uint32_t entries,
		      uint32_t flags, int inner_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);

	if (inner_fd >= 0)
		options.inner_map_fd = (uint32_t)inner_fd;
	return bpf_map_create(type, (const char *)name, key_size, value_size, entries, &options);
}

int ankylo_map_by_id(uint32_t id)
{
	return bpf_map_get_fd_by_id(id);
}

int ankylo_map_info(int map_fd, uint64_t *numbers, uint8_t *name)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	int error = bpf_obj_get_info_by_fd(map_fd, &info, &size);

	if (error)
		return error;
	numbers[0] = info.id;
	numbers[1] = info.type;
	numbers[2] = info.key_size;
	numbers[3] = info.value_size;
	numbers[4] = info.max_entries;
	numbers[5] = info.map_flags;
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	return 0;
}

int ankylo_map_lookup(int map_fd, const uint8_t *key, uint8_t *value)
{
	return bpf_map_lookup_elem(map_fd, key, value);
}

int ankylo_map_update(int map_fd, const uint8_t *key, const uint8_t *value, uint32_t flags)
{
	return bpf_map_update_elem(map_fd, key, value, flags);
}

int ankylo_map_update_batch(int map_fd, const uint8_t *keys, const uint8_t *values, uint32_t count)
{
	uint32_t done = count;
	int error = bpf_map_update_batch(map_fd, keys, values, &done, NULL);

	/* On -EFAULT the kernel has not set the count. */
	if (error && (error == -EFAULT || done == 0 || done == count))
		return error;
	return (int)done;
}

int ankylo_map_read(int map_fd, uint8_t *keys, uint8_t *values, uint32_t count)
{
	uint32_t next, read = count;
	int error = bpf_map_lookup_batch(map_fd, NULL, &next, keys, values, &read, NULL);

	/* -ENOENT: the end of the array was reached. */
	if (error && error != -ENOENT)
		return error;
	return (int)read;
}

int ankylo_map_delete(int map_fd, const uint8_t *key)
{
	return bpf_map_delete_elem(map_fd, key);
}

int ankylo_map_next_key(int map_fd, int first, const uint8_t *key, uint8_t *next)
{
	return bpf_map_get_next_key(map_fd, first ? NULL : key, next);
}

int ankylo_map_freeze(int map_fd)
{
	return bpf_map_freeze(map_fd);
}

int ankylo_cpus_possible(void)
{
	return libbpf_num_possible_cpus();
}

/* ---- pins and descriptors ---- */

int ankylo_pin(int fd, const uint8_t *path)
{
	return bpf_obj_pin(fd, (const char *)path);
}

int ankylo_open_pin(const uint8_t *path)
{
	return bpf_obj_get((const char *)path);
}

int ankylo_close(int fd)
{
	/* Linux has closed it even when close() says EINTR: another try could hit someone else's descriptor. */
	return close(fd) && errno != EINTR ? -errno : 0;
}
