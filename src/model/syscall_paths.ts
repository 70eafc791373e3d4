/**
 * Which arguments of a system call are paths, from the prototypes in include/linux/syscalls.h. The one that a rule's path is
 * about, as a rule, comes first. A file's contents, an attribute's name or a symbolic link's text is none.
 */

export interface PathArgument {
  /** Index of the argument, from 0. */
  readonly at: number;
  /** Index of the descriptor that a relative path begins at; undefined: the working directory. */
  readonly from?: number;
}

/** Calls by the arguments: `at`, or `at@from`. */
const BY_ARGUMENTS: Readonly<Record<string, string>> = {
  "0": `open stat lstat access execve truncate chdir mkdir rmdir creat unlink readlink chmod chown
    lchown utime mknod uselib statfs chroot acct umount2 swapon swapoff setxattr lsetxattr getxattr
    lgetxattr listxattr llistxattr removexattr lremovexattr utimes`,
  "1": "symlink quotactl inotify_add_watch",
  "0 1": "rename link",
  "1 0": "mount pivot_root",
  "1@0": `openat openat2 mkdirat mknodat fchownat futimesat newfstatat unlinkat readlinkat fchmodat
    faccessat faccessat2 utimensat name_to_handle_at execveat statx open_tree fspick mount_setattr`,
  "2@1": "symlinkat",
  "4@3": "fanotify_mark",
  "1@0 3@2": "renameat renameat2 linkat move_mount",
};

const ARGUMENTS = new Map(
  Object.entries(BY_ARGUMENTS).flatMap(([words, names]) => {
    const parsed = words.split(" ").map((word): PathArgument => {
      const [at, from] = word.split("@").map(Number);
      return from === undefined ? { at: at! } : { at: at!, from };
    });
    return names.trim().split(/\s+/).map((name) => [name, parsed] as const);
  }),
);

/** One or two; none for a call without a path. */
export function pathArguments(syscall: string): readonly PathArgument[] {
  return ARGUMENTS.get(syscall) ?? [];
}
