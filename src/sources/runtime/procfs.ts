/** What the agent reads of /proc and /sys. A missing file, or a process that is gone, is `undefined`; nothing throws. */
export interface Procfs {
  readText(path: string): string | undefined;
  /** The inode number of a file or directory. */
  inode(path: string): bigint | undefined;
}

/** Through Deno, which lets only a process with every permission read /proc; for tests and tools. */
export const denoProcfs: Procfs = {
  readText(path) {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return undefined;
    }
  },
  inode(path) {
    try {
      const { ino } = Deno.statSync(path);
      return ino === null ? undefined : BigInt(ino);
    } catch {
      return undefined;
    }
  },
};
