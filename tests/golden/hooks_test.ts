/** That no operation about which rules speak goes past every deciding hook, on any kernel of tests/golden/hooks. */

import assert from "node:assert/strict";
import { DECIDING_HOOKS } from "../../src/kernel/hooks.ts";

/** As tests/e2e/tools/hooks names them. What is not here hands out no content, changes no name, or has no rules yet. */
const DECIDED = [
  ...["execve", "execve of a script", "execve of the dynamic loader", "execveat of a memfd"],
  ...["execveat of an unlinked file", "mmap of a file as code", "mprotect of a file as code"],
  ...["open for reading", "open for writing", "open a new file", "open with O_TRUNC"],
  ...["open an O_PATH descriptor again", "open with O_TMPFILE", "open a directory"],
  ...["linkat of an O_TMPFILE", "open_by_handle_at", "mmap shared for writing"],
  ...["mprotect shared for writing", "unlink", "rename", "rename over another"],
  ...["rename with RENAME_EXCHANGE", "rename with RENAME_WHITEOUT", "link", "symlink"],
  ...["chmod", "fchmod", "chown", "fchown", "truncate", "ftruncate", "mkdir", "rmdir"],
  ...["mknod of a pipe", "mknod of a device", "bind of a unix socket to a path", "setxattr"],
  ...["removexattr", "setxattr of an ACL", "removexattr of an ACL", "recvmsg of a descriptor"],
  ...["pidfd_getfd", "io_uring: open", "io_uring: open by a worker", "io_uring: unlink"],
  ...["swapon", "acct", "mount of tmpfs", "mount --bind", "mount --move", "umount"],
  ...["mount of overlay", "open_tree and move_mount", "fsopen, fsmount and move_mount"],
  ...["fanotify_mark of a file system", "pivot_root in an own namespace"],
  ...["socket of TCP", "socket of ICMP", "socket of raw IP", "socket of packets", "bind of TCP"],
  ...["listen of TCP", "connect of TCP", "accept of TCP", "sendto of UDP", "connect of UDP"],
  ...["send of connected UDP", "sendto of TCP with MSG_FASTOPEN", "io_uring: connect"],
  ...["io_uring: socket", "setuid", "setgid", "sethostname", "settimeofday"],
];

const goldenDir = new URL("hooks/", import.meta.url);
const deciding = new Set(DECIDING_HOOKS.map(({ name }) => name));

for (const { name: file } of Deno.readDirSync(goldenDir)) {
  const kernel = file.replace(/\.txt$/, "");
  Deno.test(`hooks that decide see every operation that rules are about on ${kernel}`, () => {
    const reached = hooksByOperation(Deno.readTextFileSync(new URL(file, goldenDir)));
    const unseen = DECIDED.filter((operation) =>
      !reached.get(operation)?.some((hook) => deciding.has(hook))
    );
    assert.deepEqual(unseen, []);
  });
}

/** A name may hold a colon; what follows the last is the error and the hooks. */
function hooksByOperation(text: string): Map<string, string[]> {
  const lines = text.trim().split("\n").map((line) => {
    const at = line.lastIndexOf(":");
    return [line.slice(0, at), line.slice(at + 1).trim().split(" ")] as const;
  });
  return new Map(lines);
}
