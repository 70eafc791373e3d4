/** Flags of open(2) and mount(2) by name, in KubeArmor's form: `O_RDONLY|O_CLOEXEC`. Numbers are x86-64's. */

const ACCESS_MODES = ["O_RDONLY", "O_WRONLY", "O_RDWR"] as const;
const ACCESS_MASK = 3;

/** O_LARGEFILE and FMODE_EXEC are set by the kernel itself and say nothing about the caller: left out. */
const OPEN_FLAGS: readonly (readonly [number, string])[] = [
  [0o100, "O_CREAT"],
  [0o200, "O_EXCL"],
  [0o400, "O_NOCTTY"],
  [0o1000, "O_TRUNC"],
  [0o2000, "O_APPEND"],
  [0o4000, "O_NONBLOCK"],
  [0o10000, "O_DSYNC"],
  [0o40000, "O_DIRECT"],
  [0o200000, "O_DIRECTORY"],
  [0o400000, "O_NOFOLLOW"],
  [0o1000000, "O_NOATIME"],
  [0o2000000, "O_CLOEXEC"],
  [0o10000000, "O_PATH"],
  [0o20000000, "__O_TMPFILE"],
];

const MOUNT_FLAGS: readonly (readonly [number, string])[] = [
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

/** `f_flags` of an open. @see include/uapi/asm-generic/fcntl.h */
export function openFlagsText(flags: number): string {
  const access = ACCESS_MODES[flags & ACCESS_MASK] ?? "O_ACCMODE";
  return [access, ...namesOf(flags, OPEN_FLAGS)].join("|");
}

/** Flags of mount(2); empty without any. @see include/uapi/linux/mount.h */
export function mountFlagsText(flags: number): string {
  return namesOf(flags, MOUNT_FLAGS).join("|");
}

function namesOf(flags: number, table: readonly (readonly [number, string])[]): string[] {
  return table.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
}
