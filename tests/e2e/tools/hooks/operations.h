/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of which main.c finds the hooks: each is run once, in a process of its own, with the world laid out. */
#pragma once
#define _GNU_SOURCE
#include "../tool.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct operation {
	const char *name;
	long (*run)(void); /* negative: failed, with errno */
};

extern const struct operation file_operations[], program_operations[], mount_operations[], task_operations[],
	socket_operations[], kernel_operations[], ring_operations[];

/* Where everything lies. */
#define WORLD "/tmp/world"
#define AT(name) WORLD "/" name

/* What is open before an operation begins. */
struct world {
	int file;      /* AT("file"), for reading and writing */
	int target;    /* AT("target"), the same */
	int directory; /* WORLD */
	int program;   /* a copy of this program */
	int memory;    /* the same in a memfd */
	int unlinked;  /* the same, its name gone */
	int nameless;  /* made by O_TMPFILE */
	int namespace; /* this mount namespace */
	int letters;   /* a unix socket, in which a descriptor waits */
	int stream;    /* a TCP socket without address */
	int listener;  /* one that listens on LISTEN_PORT, with one connection waiting */
	int datagrams; /* a UDP socket without address */
	int connected; /* one that is connected */
	int victim;    /* process that waits */
};
extern struct world world;

#define LISTEN_PORT 7778

void lay_out_world(void);
