/** What the numbers of system calls mean on this machine: see `struct syscall_table` in bpf/agent_api.h. */
import { SYSCALL_IPC, SYSCALL_NUMBERS, SYSCALL_SOCKETCALL } from "../../ffi/generated/agent_api.ts";
import { type PathArgument, pathArguments } from "../model/syscall_paths.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { ARM32, ARM64, I386, X32, X86_64 } from "./syscall_numbers.ts";

/** As Deno.build.arch says. */
export type Architecture = typeof Deno.build.arch;

/** Number of a call to its name. */
export type Numbers = ReadonlyMap<number, string>;

/** What i386's socketcall(2) does, by its first argument. @see include/uapi/linux/net.h */
const SOCKET_CALLS = [
  ...["", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername"],
  ...["socketpair", "sendto", "recvfrom", "sendto", "recvfrom", "shutdown", "setsockopt"],
  ...["getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"],
];

/** What i386's ipc(2) does, by its first argument. @see include/uapi/linux/ipc.h */
const IPC_CALLS: Readonly<Record<number, string>> = {
  ...{ 1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop" },
  ...{ 11: "msgsnd", 12: "msgrcv", 13: "msgget", 14: "msgctl" },
  ...{ 21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl" },
};

/** The calls of a machine's own programs. */
export function nativeNumbers(architecture: Architecture): Numbers {
  if (architecture === "aarch64") return numbersOf(ARM64);
  return new Map([...numbersOf(X32), ...numbersOf(X86_64)]);
}

/** The calls of 32-bit programs. */
export function compatNumbers(architecture: Architecture): Numbers {
  if (architecture === "aarch64") return numbersOf(ARM32);
  const calls = (base: number, names: Readonly<Record<number, string>>) =>
    Object.entries(names).map(([call, name]) => [base + Number(call), name] as const);
  return new Map([
    ...numbersOf(I386),
    ...calls(SYSCALL_SOCKETCALL, { ...SOCKET_CALLS }),
    ...calls(SYSCALL_IPC, IPC_CALLS),
  ]);
}

function numbersOf(table: string): Map<number, string> {
  const pairs = table.matchAll(/(\d+) (\w+)/g);
  return new Map([...pairs].map(([, number, name]) => [Number(number), name!]));
}

/** The table's entries for a machine on which policies name these system calls: indices of SYSCALL_NAMES. */
export function syscallEntries(
  wanted: ReadonlySet<number>,
  architecture: Architecture = Deno.build.arch,
): number[] {
  const entries: number[] = Array(2 * SYSCALL_NUMBERS).fill(0);
  const tables = [nativeNumbers(architecture), compatNumbers(architecture)];
  tables.forEach((numbers, table) => {
    for (const [number, name] of numbers) {
      const index = SYSCALL_NAMES.indexOf(name);
      if (!wanted.has(index)) continue;
      entries[table * SYSCALL_NUMBERS + number] = index + 1 | argumentBits(name, table === 1);
    }
  });
  return entries;
}

/** The system calls that a table's entries are for, ascending: indices of SYSCALL_NAMES. */
export function syscallsIn(entries: Iterable<number>): number[] {
  const named = new Set([...entries].filter((entry) => entry !== 0));
  return [...new Set([...named].map((entry) => (entry & 0xffff) - 1))].sort((a, b) => a - b);
}

function argumentBits(name: string, isCompat: boolean): number {
  const bits = ({ at, from }: PathArgument) => at + 1 | (from === undefined ? 0 : from + 1) << 3;
  // Its mask is of 64 bits, and takes two places where an argument has 32, on i386 and on arm.
  if (isCompat && name === "fanotify_mark") return bits({ at: 5, from: 4 }) << 16;
  const [first, second] = pathArguments(name);
  return (first === undefined ? 0 : bits(first) << 16) |
    (second === undefined ? 0 : bits(second) << 22);
}
