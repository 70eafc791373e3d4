// SPDX-License-Identifier: Apache-2.0
/*
 * Rings, drained in batches.
 *
 * libbpf's ring_buffer calls back for each record, which costs 15 us from a thread of Deno's; a copy of a whole batch
 * costs as little as reading it.  The layout of the mapped pages is the kernel's, kernel/bpf/ringbuf.c: a page with the
 * consumer's position, a page with the producer's, and the data.  The kernel offers the data twice in a row, so that no record
 * wraps; to map it once and copy such a record in two parts halves what the process has resident.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Alerts, events, and what tests open. */
#define RINGS_MAX 8
/* How long a ring that fills quickly goes unseen while its records gather. */
#define SLICE_US 20000u

static struct ring {
	atomic_flag taken;
	int open;
	int map_fd; /* our own dup */
	int wake_fd;
	atomic_flag reading;
	uint64_t size;
	uint8_t *consumer_page;
	uint8_t *producer_pages;
	_Atomic uint64_t *consumer;
	const _Atomic uint64_t *producer;
	const uint8_t *data;
} rings[RINGS_MAX];

static struct ring *ring_of(int handle)
{
	if (handle < 0 || handle >= RINGS_MAX || !rings[handle].open)
		return NULL;
	return &rings[handle];
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void release(struct ring *ring)
{
	size_t page = page_size();

	if (ring->consumer_page && ring->consumer_page != MAP_FAILED)
		munmap(ring->consumer_page, page);
	if (ring->producer_pages && ring->producer_pages != MAP_FAILED)
		munmap(ring->producer_pages, page + ring->size);
	if (ring->map_fd >= 0)
		close(ring->map_fd);
	if (ring->wake_fd >= 0)
		close(ring->wake_fd);
	ring->open = 0;
	ring->consumer_page = NULL;
	ring->producer_pages = NULL;
	atomic_flag_clear(&ring->reading);
	atomic_flag_clear(&ring->taken);
}

/* Maps the pages of ring->map_fd. */
static int map_pages(struct ring *ring)
{
	struct bpf_map_info info = {};
	uint32_t info_size = sizeof(info);
	size_t page = page_size();
	int error = bpf_obj_get_info_by_fd(ring->map_fd, &info, &info_size);

	if (error)
		return error;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	ring->size = info.max_entries;
	ring->consumer_page = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring->map_fd, 0);
	if (ring->consumer_page == MAP_FAILED)
		return -errno;
	ring->producer_pages = mmap(NULL, page + ring->size, PROT_READ, MAP_SHARED, ring->map_fd, (off_t)page);
	if (ring->producer_pages == MAP_FAILED)
		return -errno;
	ring->consumer = (_Atomic uint64_t *)ring->consumer_page;
	ring->producer = (const _Atomic uint64_t *)ring->producer_pages;
	ring->data = ring->producer_pages + page;
	return 0;
}

int ankylo_ring_open(int map_fd)
{
	struct ring *ring;
	int handle = 0;
	int error;

	while (handle < RINGS_MAX && atomic_flag_test_and_set(&rings[handle].taken))
		handle++;
	if (handle == RINGS_MAX)
		return -EMFILE;
	ring = &rings[handle];
	ring->map_fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 3);
	error = ring->map_fd < 0 ? -errno : 0;
	ring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!error && ring->wake_fd < 0)
		error = -errno;
	if (!error)
		error = map_pages(ring);
	if (error) {
		release(ring);
		return error;
	}
	ring->open = 1;
	return handle;
}

static uint64_t padded(uint32_t length)
{
	return ((uint64_t)length + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
}

/* Records begin at multiples of 8, so that a header never wraps. */
static uint32_t header_at(const struct ring *ring, uint64_t position)
{
	const uint8_t *record = ring->data + (position & (ring->size - 1));

	return atomic_load_explicit((const _Atomic uint32_t *)record, memory_order_acquire);
}

static void copy_data(const struct ring *ring, uint64_t position, uint8_t *target, uint64_t length)
{
	uint64_t offset = position & (ring->size - 1);
	uint64_t first = length <= ring->size - offset ? length : ring->size - offset;

	memcpy(target, ring->data + offset, first);
	memcpy(target + first, ring->data, length - first);
}

/*
 * Copies records until the ring is empty, the next one is not committed yet, or it does not fit.  Returns the bytes;
 * -ENOBUFS when it stopped at a record that does not fit an empty batch.
 */
static int drain(struct ring *ring, uint8_t *batch, uint32_t capacity)
{
	uint64_t consumed = atomic_load_explicit(ring->consumer, memory_order_relaxed);
	uint64_t produced = atomic_load_explicit(ring->producer, memory_order_acquire);
	uint32_t filled = 0;
	int fits = 1;

	while (consumed < produced) {
		uint32_t header = header_at(ring, consumed);
		uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		uint64_t stride = padded(length);

		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			fits = filled + stride <= capacity;
			if (!fits)
				break;
			/* The header's second word is the kernel's own page offset: it is not copied. */
			memcpy(batch + filled, &(uint32_t[2]){ length, 0 }, 8);
			copy_data(ring, consumed + 8, batch + filled + 8, stride - 8);
			filled += (uint32_t)stride;
		}
		consumed += stride;
	}
	atomic_store_explicit(ring->consumer, consumed, memory_order_release);
	return filled == 0 && !fits ? -ENOBUFS : (int)filled;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 1 when the ring has records, 0 after the time-out or a wake-up, which it takes. */
static int wait_for_records(struct ring *ring, int timeout_ms)
{
	struct pollfd waits[] = {
		{ .fd = ring->wake_fd, .events = POLLIN },
		{ .fd = ring->map_fd, .events = POLLIN },
	};
	int64_t end = now_ms() + timeout_ms;
	uint64_t wakes;
	int count;

	do {
		int64_t left = timeout_ms < 0 ? -1 : end - now_ms();

		count = poll(waits, 2, timeout_ms >= 0 && left < 0 ? 0 : (int)left);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	if (waits[0].revents && read(ring->wake_fd, &wakes, sizeof(wakes)) > 0)
		return 0;
	return waits[1].revents != 0;
}

static uint64_t waiting_bytes(const struct ring *ring)
{
	return atomic_load_explicit(ring->producer, memory_order_relaxed) -
	       atomic_load_explicit(ring->consumer, memory_order_relaxed);
}

/* Sleeps until `enough` bytes are there, but not through a wake-up, which the next wait will then find. */
static void gather(struct ring *ring, uint32_t gather_us, uint32_t enough)
{
	struct pollfd wake = { .fd = ring->wake_fd, .events = POLLIN };

	while (gather_us > 0 && waiting_bytes(ring) < enough) {
		uint32_t slice_us = gather_us < SLICE_US ? gather_us : SLICE_US;
		struct timespec time = { .tv_nsec = slice_us * 1000 };

		if (ppoll(&wake, 1, &time, NULL))
			return;
		gather_us -= slice_us;
	}
}

/* Times of gathering: after a rest, and in a flow. */
struct patience {
	uint32_t coalesce_us;
	uint32_t flow_us;
};

/* For records that came after so long without any. */
static uint32_t gather_time(const struct patience *patience, int64_t rest_ms)
{
	int flows = rest_ms * 1000 < patience->flow_us && patience->flow_us > patience->coalesce_us;

	return flows ? patience->flow_us : patience->coalesce_us;
}

static int wait_and_drain(struct ring *ring, uint8_t *batch, uint32_t capacity, int timeout_ms, struct patience patience)
{
	int filled = drain(ring, batch, capacity);
	int64_t since = now_ms();
	int more;

	/* A quarter full is worth handing over: under load, waiting would only let the ring overflow. */
	if (filled < 0 || (uint32_t)filled >= capacity / 4)
		return filled;
	if (filled == 0) {
		int ready = wait_for_records(ring, timeout_ms);

		if (ready < 0)
			return ready;
		/* Nobody wakes a reader to have it wait once more: what came at the same time comes at once. */
		if (ready == 0)
			return drain(ring, batch, capacity);
	}
	gather(ring, gather_time(&patience, now_ms() - since), capacity / 4);
	more = drain(ring, batch + filled, capacity - (uint32_t)filled);
	/* What does not fit behind the first part will fit the next batch. */
	if (more == -ENOBUFS && filled > 0)
		return filled;
	return more < 0 ? more : filled + more;
}

int ankylo_ring_read(int handle, uint8_t *batch, uint32_t capacity, int timeout_ms, uint32_t coalesce_us,
		     uint32_t flow_us)
{
	struct ring *ring = ring_of(handle);
	int result;

	if (!ring)
		return -EBADF;
	if (atomic_flag_test_and_set(&ring->reading))
		return -EBUSY;
	result = wait_and_drain(ring, batch, capacity, timeout_ms, (struct patience){ coalesce_us, flow_us });
	atomic_flag_clear(&ring->reading);
	return result;
}

int ankylo_ring_wake(int handle)
{
	struct ring *ring = ring_of(handle);
	uint64_t one = 1;

	if (!ring)
		return -EBADF;
	/* EAGAIN: the counter is full of wake-ups that no one took; one is enough. */
	return write(ring->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

int ankylo_ring_close(int handle)
{
	struct ring *ring = ring_of(handle);

	if (!ring)
		return -EBADF;
	if (atomic_flag_test_and_set(&ring->reading))
		return -EBUSY;
	release(ring);
	return 0;
}
