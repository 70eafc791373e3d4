// SPDX-License-Identifier: Apache-2.0
/*
 * Where the kernel lets programs be attached, by name. libbpf searches all types of the kernel for each program, of which
 * there are more than a hundred; here they are searched once.
 */
#define _GNU_SOURCE
#include "shim_attach.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of each kind of section: what the kernel's type for an attach point begins with, and is. */
static const struct kind {
	const char *section;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const char *prefix;
	uint32_t btf_kind;
} kinds[] = {
	{ "lsm+", BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_", BTF_KIND_FUNC },
	{ "tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_", BTF_KIND_TYPEDEF },
	{ "iter+", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_", BTF_KIND_FUNC },
};

#define KINDS ((long)(sizeof(kinds) / sizeof(kinds[0])))

/* The names lie behind each other in `names`, with their prefixes. */
struct point {
	uint32_t type;
	uint32_t name;
};

/* Kept as long as the process: some 100 KB. `lock` is for them and for the handlers below: workers have objects, too. */
static struct point *points;
static uint32_t points_count;
static char *names;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_point(const struct btf_type *type, const char *name)
{
	for (long i = 0; i < KINDS; i++)
		if (btf_kind(type) == kinds[i].btf_kind && !strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)))
			return 1;
	return 0;
}

/* Calls with both NULL count only. Returns the number of attach points, and the bytes of their names. */
static uint32_t collect(const struct btf *btf, struct point *into, char *text, uint32_t *bytes)
{
	uint32_t types = btf__type_cnt(btf), found = 0;

	*bytes = 0;
	for (uint32_t id = 1; id < types; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);
		uint32_t size;

		/* The first letter of all prefixes: most types are told by it. */
		if (!name || name[0] != 'b' || !is_point(type, name))
			continue;
		size = (uint32_t)strlen(name) + 1;
		if (into) {
			into[found] = (struct point){ .type = id, .name = *bytes };
			memcpy(text + *bytes, name, size);
		}
		found++;
		*bytes += size;
	}
	return found;
}

static int remember_locked(const struct btf *btf)
{
	uint32_t bytes, count;

	if (points)
		return 0;
	count = collect(btf, NULL, NULL, &bytes);
	names = malloc(bytes + 1);
	points = names ? calloc(count + 1, sizeof(*points)) : NULL;
	if (!points) {
		free(names);
		return -ENOMEM;
	}
	points_count = collect(btf, points, names, &bytes);
	return 0;
}

int remember_attach_points(const struct btf *btf)
{
	int error;

	pthread_mutex_lock(&lock);
	error = remember_locked(btf);
	pthread_mutex_unlock(&lock);
	return error;
}

static int learn_attach_points(void)
{
	struct btf *btf;
	int known, error;

	pthread_mutex_lock(&lock);
	known = points != NULL;
	pthread_mutex_unlock(&lock);
	if (known)
		return 0;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	error = remember_attach_points(btf);
	btf__free(btf);
	return error;
}

/* libbpf calls it for each program before it is loaded. */
static int set_attach_point(struct bpf_program *program, struct bpf_prog_load_opts *options, long kind)
{
	const char *place = strchr(bpf_program__section_name(program), '/');
	const char *prefix = kinds[kind].prefix;
	int error = place ? learn_attach_points() : -EINVAL;

	for (uint32_t i = 0; !error && i < points_count; i++) {
		const char *name = names + points[i].name;

		if (strncmp(name, prefix, strlen(prefix)) || strcmp(name + strlen(prefix), place + 1))
			continue;
		options->attach_btf_id = points[i].type;
		return 0;
	}
	return error ? error : -ESRCH;
}

static int register_locked(void)
{
	static int registered;

	for (long i = 0; !registered && i < KINDS; i++) {
		LIBBPF_OPTS(libbpf_prog_handler_opts, options, .cookie = i, .prog_prepare_load_fn = set_attach_point);
		int error = libbpf_register_prog_handler(kinds[i].section, kinds[i].type, kinds[i].attach, &options);

		if (error < 0)
			return error;
	}
	registered = 1;
	return 0;
}

int register_sections(void)
{
	int error;

	pthread_mutex_lock(&lock);
	error = register_locked();
	pthread_mutex_unlock(&lock);
	return error;
}
