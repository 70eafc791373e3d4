import assert from "node:assert/strict";
import { SYSCALL_NUMBERS, SYSCALL_SOCKETCALL } from "../../ffi/generated/agent_api.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { compatNumbers, nativeNumbers, syscallEntries, syscallsIn } from "./syscall_table.ts";

const numberOf = (name: string) => SYSCALL_NAMES.indexOf(name);
const ALL = new Set(SYSCALL_NAMES.keys());

Deno.test("nativeNumbers() has every name on x86-64", () => {
  const names = new Set(nativeNumbers("x86_64").values());
  assert.deepEqual(SYSCALL_NAMES.filter((name) => !names.has(name)), []);
});

Deno.test("nativeNumbers() has every name that arm64 has: the others are x86's own or have successors", () => {
  const names = new Set(nativeNumbers("aarch64").values());
  const lacking = SYSCALL_NAMES.filter((name) => !names.has(name));
  const successors = [
    ...["open", "stat", "lstat", "poll", "access", "pipe", "select", "dup2", "pause", "alarm"],
    ...["fork", "vfork", "getdents", "rename", "mkdir", "rmdir", "creat", "link", "unlink"],
    ...["symlink", "readlink", "chmod", "chown", "lchown", "getpgrp", "utime", "mknod", "ustat"],
    ...["time", "epoll_create", "epoll_wait", "utimes", "inotify_init", "futimesat", "signalfd"],
    "eventfd",
  ];
  const gone = [
    ...["uselib", "sysfs", "_sysctl", "create_module", "get_kernel_syms", "query_module"],
    ...["getpmsg", "putpmsg", "afs_syscall", "tuxcall", "security", "epoll_ctl_old"],
    ...["epoll_wait_old", "vserver"],
  ];
  const ofX86 = [
    ...["modify_ldt", "arch_prctl", "iopl", "ioperm", "set_thread_area", "get_thread_area"],
  ];
  assert.deepEqual(lacking.sort(), [...successors, ...gone, ...ofX86].sort());
});

Deno.test("compatNumbers() has every name of a 32-bit program that a 64-bit one has, and those that arm64 left behind", () => {
  const compat = new Set(compatNumbers("aarch64").values());
  const native = [...nativeNumbers("aarch64").values()];
  assert.deepEqual(native.filter((name) => !compat.has(name)), ["memfd_secret"]);
  for (const name of ["open", "fork", "rename", "unlink", "chmod", "poll", "select", "mkdir"]) {
    assert.ok(compat.has(name), name);
  }
});

Deno.test("numbers of system calls leave room for those that i386 tells by an argument", () => {
  for (const numbers of [nativeNumbers("x86_64"), nativeNumbers("aarch64")]) {
    assert.ok(Math.max(...numbers.keys()) < SYSCALL_SOCKETCALL);
  }
  assert.ok(Math.max(...compatNumbers("x86_64").keys()) < SYSCALL_NUMBERS - 1);
  assert.ok(Math.max(...compatNumbers("aarch64").keys()) < SYSCALL_SOCKETCALL);
});

Deno.test("syscallEntries() knows only what is wanted", () => {
  assert.deepEqual(syscallEntries(new Set(), "x86_64"), Array(2 * SYSCALL_NUMBERS).fill(0));
  const entries = syscallEntries(new Set([numberOf("getpid")]), "x86_64");
  const named = entries.flatMap((entry, number) => entry === 0 ? [] : [number]);
  assert.deepEqual(named, [39, SYSCALL_NUMBERS + 20]);
  assert.equal(entries[39], numberOf("getpid") + 1);
});

for (
  const [claim, number, name, argumentBits] of [
    ["arm64's", 35, "unlinkat", 2 | 1 << 3],
    ["arm64's mount", 40, "mount", 2 | 1 << 6],
    ["arm's", SYSCALL_NUMBERS + 10, "unlink", 1],
    ["arm's, with a directory", SYSCALL_NUMBERS + 328, "unlinkat", 2 | 1 << 3],
    ["arm's mask of 64 bits", SYSCALL_NUMBERS + 368, "fanotify_mark", 6 | 5 << 3],
  ] as const
) {
  Deno.test(`syscallEntries() knows ${claim}`, () => {
    const entry = syscallEntries(ALL, "aarch64")[number]!;
    assert.equal(SYSCALL_NAMES[(entry & 0xffff) - 1], name);
    assert.equal(entry >>> 16, argumentBits);
  });
}

for (
  const [claim, number, name, argumentBits] of [
    ["a path", 87, "unlink", 1],
    ["a path with a directory", 263, "unlinkat", 2 | 1 << 3],
    ["two paths", 82, "rename", 1 | 2 << 6],
    ["two paths with directories", 316, "renameat2", 2 | 1 << 3 | 4 << 6 | 3 << 9],
    ["the target of a mount before its source", 165, "mount", 2 | 1 << 6],
    ["no path", 105, "setuid", 0],
    ["x32's own numbers", 520, "execve", 1],
    ["i386's", SYSCALL_NUMBERS + 301, "unlinkat", 2 | 1 << 3],
    ["i386's old forms", SYSCALL_NUMBERS + 213, "setuid", 0],
    ["i386's mask of 64 bits", SYSCALL_NUMBERS + 339, "fanotify_mark", 6 | 5 << 3],
    ["what i386 tells by an argument", SYSCALL_NUMBERS + SYSCALL_SOCKETCALL + 3, "connect", 0],
  ] as const
) {
  Deno.test(`syscallEntries() knows ${claim}`, () => {
    const entry = syscallEntries(ALL, "x86_64")[number]!;
    assert.equal(SYSCALL_NAMES[(entry & 0xffff) - 1], name);
    assert.equal(entry >>> 16, argumentBits);
  });
}

Deno.test("syscallsIn() finds what syscallEntries() was given", () => {
  for (const wanted of [[], [0], [3, 77, 300], [...ALL]]) {
    assert.deepEqual(syscallsIn(syscallEntries(new Set(wanted), "x86_64")), wanted);
  }
});
