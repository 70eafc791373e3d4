/**
 * The functions of the shim, as `Deno.dlopen` wants them, each with its C prototype.
 *
 * ffi/shim.h says what they do and who owns what; ffi/symbols_test.ts proves that both say the same. Strings are
 * NUL-terminated buffers. A negative result is an errno.
 */
export const SYMBOLS = {
  /** `int ankylo_version(void)` */
  ankylo_version: { parameters: [], result: "i32" },
  /** `int ankylo_messages(uint8_t *text, uint32_t capacity)` */
  ankylo_messages: { parameters: ["buffer", "u32"], result: "i32" },
  /** `uint64_t ankylo_boot_time(void)` */
  ankylo_boot_time: { parameters: [], result: "u64" },

  // Objects: handles from 0; close them, their descriptors are dups and outlive them.
  /** `int ankylo_object_open(const uint8_t *elf, uint32_t length, const uint8_t *name)` */
  ankylo_object_open: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
  /** `int ankylo_object_close(int object)` */
  ankylo_object_close: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_object_set_rodata(int object, const uint8_t *variable, const uint8_t *value, uint32_t length)` */
  ankylo_object_set_rodata: { parameters: ["i32", "buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_object_set_autoload(int object, const uint8_t *program, int on)` */
  ankylo_object_set_autoload: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int ankylo_object_set_max_entries(int object, const uint8_t *map, uint32_t entries)` */
  ankylo_object_set_max_entries: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_object_reuse_map(int object, const uint8_t *map, int map_fd)` */
  ankylo_object_reuse_map: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int ankylo_object_load(int object)` */
  ankylo_object_load: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_object_verifier_log(int object, uint8_t *text, uint32_t capacity)` */
  ankylo_object_verifier_log: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_object_program_name(int object, uint32_t index, uint8_t *name, uint32_t capacity)` */
  ankylo_object_program_name: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_object_map_name(int object, uint32_t index, uint8_t *name, uint32_t capacity)` */
  ankylo_object_map_name: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_object_program(int object, const uint8_t *program)` */
  ankylo_object_program: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int ankylo_object_map(int object, const uint8_t *map)` */
  ankylo_object_map: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int ankylo_object_attach_type(int object, const uint8_t *program)` */
  ankylo_object_attach_type: { parameters: ["i32", "buffer"], result: "i32" },

  // Programs and links: descriptors.
  /** `int ankylo_link_create(int program_fd, int target_fd, uint32_t attach_type)` */
  ankylo_link_create: { parameters: ["i32", "i32", "u32"], result: "i32" },
  /** `int ankylo_link_info(int link_fd, uint64_t *numbers)` */
  ankylo_link_info: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int ankylo_program_info(int program_fd, uint64_t *numbers, uint8_t *tag, uint8_t *name)` */
  ankylo_program_info: { parameters: ["i32", "buffer", "buffer", "buffer"], result: "i32" },
  /** `int ankylo_program_run(int program_fd, uint8_t *context, uint32_t length, uint32_t *result)` */
  ankylo_program_run: { parameters: ["i32", "buffer", "u32", "buffer"], result: "i32" },
  /** `int ankylo_program_iterate(int program_fd, int map_fd)` */
  ankylo_program_iterate: { parameters: ["i32", "i32"], result: "i32" },
  /** `int ankylo_program_by_id(uint32_t id)` */
  ankylo_program_by_id: { parameters: ["u32"], result: "i32" },
  /** `int ankylo_stats_enable(void)` */
  ankylo_stats_enable: { parameters: [], result: "i32" },

  // Maps: descriptors.
  /** `int ankylo_map_create(uint32_t type, const uint8_t *name, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags, int inner_fd)` */
  ankylo_map_create: {
    parameters: ["u32", "buffer", "u32", "u32", "u32", "u32", "i32"],
    result: "i32",
  },
  /** `int ankylo_map_by_id(uint32_t id)` */
  ankylo_map_by_id: { parameters: ["u32"], result: "i32" },
  /** `int ankylo_map_info(int map_fd, uint64_t *numbers, uint8_t *name)` */
  ankylo_map_info: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int ankylo_map_lookup(int map_fd, const uint8_t *key, uint8_t *value)` */
  ankylo_map_lookup: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int ankylo_map_update(int map_fd, const uint8_t *key, const uint8_t *value, uint32_t flags)` */
  ankylo_map_update: { parameters: ["i32", "buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_map_update_batch(int map_fd, const uint8_t *keys, const uint8_t *values, uint32_t count)` */
  ankylo_map_update_batch: { parameters: ["i32", "buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_map_read(int map_fd, uint8_t *keys, uint8_t *values, uint32_t count)` */
  ankylo_map_read: { parameters: ["i32", "buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_map_delete(int map_fd, const uint8_t *key)` */
  ankylo_map_delete: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int ankylo_map_next_key(int map_fd, int first, const uint8_t *key, uint8_t *next)` */
  ankylo_map_next_key: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
  /** `int ankylo_map_freeze(int map_fd)` */
  ankylo_map_freeze: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_cpus_possible(void)` */
  ankylo_cpus_possible: { parameters: [], result: "i32" },

  // Pins and descriptors.
  /** `int ankylo_pin(int fd, const uint8_t *path)` */
  ankylo_pin: { parameters: ["i32", "buffer"], result: "i32" },
  /** `int ankylo_open_pin(const uint8_t *path)` */
  ankylo_open_pin: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_close(int fd)` */
  ankylo_close: { parameters: ["i32"], result: "i32" },

  // Rings: handles from 0.
  /** `int ankylo_ring_open(int map_fd)` */
  ankylo_ring_open: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_ring_read(int ring, uint8_t *batch, uint32_t capacity, int timeout_ms, uint32_t coalesce_us, uint32_t flow_us)` */
  ankylo_ring_read: {
    parameters: ["i32", "buffer", "u32", "i32", "u32", "u32"],
    result: "i32",
    nonblocking: true,
  },
  /** `int ankylo_ring_wake(int ring)` */
  ankylo_ring_wake: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_ring_close(int ring)` */
  ankylo_ring_close: { parameters: ["i32"], result: "i32" },

  // What the kernel can do.
  /** `int ankylo_kernel_functions(const uint8_t *prefixes, uint32_t length, uint8_t *names, uint32_t capacity)` */
  ankylo_kernel_functions: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_kernel_symbol(const uint8_t *name, uint64_t *address)` */
  ankylo_kernel_symbol: { parameters: ["buffer", "buffer"], result: "i32" },

  // This process.
  /** `int ankylo_release_memory(void)` */
  ankylo_release_memory: { parameters: [], result: "i32" },

  // Files of /proc, /sys and bpffs, which Deno's own functions refuse without --allow-all.
  /** `int ankylo_file_read(const uint8_t *path, uint8_t *bytes, uint32_t capacity)` */
  ankylo_file_read: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_path_open(const uint8_t *path)` */
  ankylo_path_open: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_link_read(const uint8_t *path, uint8_t *target, uint32_t capacity)` */
  ankylo_link_read: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_file_stat(const uint8_t *path, int follow, uint64_t *numbers)` */
  ankylo_file_stat: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  /** `int ankylo_dir_list(const uint8_t *path, uint8_t *names, uint32_t capacity)` */
  ankylo_dir_list: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  /** `int ankylo_dir_make(const uint8_t *path, uint32_t mode)` */
  ankylo_dir_make: { parameters: ["buffer", "u32"], result: "i32" },
  /** `int ankylo_dir_remove(const uint8_t *path)` */
  ankylo_dir_remove: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_file_remove(const uint8_t *path)` */
  ankylo_file_remove: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_file_rename(const uint8_t *from, const uint8_t *to)` */
  ankylo_file_rename: { parameters: ["buffer", "buffer"], result: "i32" },
  /** `int ankylo_bpffs_mounted(const uint8_t *path)` */
  ankylo_bpffs_mounted: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_bpffs_mount(const uint8_t *path)` */
  ankylo_bpffs_mount: { parameters: ["buffer"], result: "i32" },
  /** `int ankylo_unmount(const uint8_t *path)` */
  ankylo_unmount: { parameters: ["buffer"], result: "i32" },

  // Watches of directories: a descriptor.
  /** `int ankylo_watch_open(void)` */
  ankylo_watch_open: { parameters: [], result: "i32" },
  /** `int ankylo_watch_add(int watch_fd, const uint8_t *path, uint32_t mask)` */
  ankylo_watch_add: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int ankylo_watch_remove(int watch_fd, int id)` */
  ankylo_watch_remove: { parameters: ["i32", "i32"], result: "i32" },
  /** `int ankylo_watch_read(int watch_fd, uint8_t *events, uint32_t capacity)` */
  ankylo_watch_read: { parameters: ["i32", "buffer", "u32"], result: "i32", nonblocking: true },

  // Processes: descriptors.
  /** `int ankylo_pidfd_open(int pid)` */
  ankylo_pidfd_open: { parameters: ["i32"], result: "i32" },
  /** `int ankylo_pidfd_continue(int pidfd)` */
  ankylo_pidfd_continue: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** What `Deno.dlopen` returns for them. */
export type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** SHIM_VERSION in ffi/shim.h, proved by the same test. */
export const SHIM_VERSION = 8;
