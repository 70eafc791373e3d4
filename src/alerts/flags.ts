/** Flags of open(2) and mount(2) by name, in KubeArmor's form: `O_RDONLY|O_CLOEXEC`. */

/** A bit and its name. */
export type Names = readonly (readonly [number, string])[];

const ACCESS_MODES = ["O_RDONLY", "O_WRONLY", "O_RDWR"] as const;
const ACCESS_MASK = 3;

/** O_LARGEFILE and FMODE_EXEC are set by the kernel itself and say nothing about the caller: left out. */
const OPEN_FLAGS: Names = [
  [0o100, "O_CREAT"],
  [0o200, "O_EXCL"],
  [0o400, "O_NOCTTY"],
  [0o1000, "O_TRUNC"],
  [0o2000, "O_APPEND"],
  [0o4000, "O_NONBLOCK"],
  [0o10000, "O_DSYNC"],
  [0o1000000, "O_NOATIME"],
  [0o2000000, "O_CLOEXEC"],
  [0o10000000, "O_PATH"],
  [0o20000000, "__O_TMPFILE"],
];

/** Those whose numbers differ. @see include/uapi/asm-generic/fcntl.h and arch/arm64/include/uapi/asm/fcntl.h */
const OWN_OPEN_FLAGS: Readonly<Record<typeof Deno.build.arch, Names>> = {
  x86_64: [[0o40000, "O_DIRECT"], [0o200000, "O_DIRECTORY"], [0o400000, "O_NOFOLLOW"]],
  aarch64: [[0o40000, "O_DIRECTORY"], [0o100000, "O_NOFOLLOW"], [0o200000, "O_DIRECT"]],
};

const MOUNT_FLAGS: Names = [
  [1, "MS_RDONLY"],
  [2, "MS_NOSUID"],
  [4, "MS_NODEV"],
  [8, "MS_NOEXEC"],
  [32, "MS_REMOUNT"],
  [4096, "MS_BIND"],
  [8192, "MS_MOVE"],
  [16384, "MS_REC"],
  [1 << 17, "MS_UNBINDABLE"],
  [1 << 18, "MS_PRIVATE"],
  [1 << 19, "MS_SLAVE"],
  [1 << 20, "MS_SHARED"],
];

/** `f_flags` of an open, in the order of their numbers on x86-64. */
export function openFlagsText(flags: number, architecture = Deno.build.arch): string {
  const access = ACCESS_MODES[flags & ACCESS_MASK] ?? "O_ACCMODE";
  const own = flagNames(flags, OWN_OPEN_FLAGS[architecture]);
  const [low, high] = [
    flagNames(flags & 0o17777, OPEN_FLAGS),
    flagNames(flags & ~0o17777, OPEN_FLAGS),
  ];
  return [access, ...low, ...own, ...high].join("|");
}

/** Flags of mount(2); empty without any. @see include/uapi/linux/mount.h */
export function mountFlagsText(flags: number): string {
  return flagNames(flags, MOUNT_FLAGS).join("|");
}

/** Names of the bits that are set, in the table's order. */
export function flagNames(flags: number, table: Names): string[] {
  return table.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
}
