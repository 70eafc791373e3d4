/**
 * Writes `src/kernel/syscall_numbers.ts` from the kernel's headers (Debian's packages linux-libc-dev, which has those of x86 and
 * the generic ones, which are arm64's, and linux-libc-dev-armhf-cross). A test fails when they differ.
 */

import { SYSCALL_NAMES } from "../src/model/syscall_names.ts";

export const NUMBERS_PATH = "src/kernel/syscall_numbers.ts";

const X32_BIT = 0x4000_0000;

interface Table {
  readonly name: string;
  readonly about: string;
  readonly header: string;
  /** Where the header's own are, if not among the machine's. */
  readonly folder?: string;
  /** What architectures say that include the generic header: arch/arm64/include/uapi/asm/unistd.h. */
  readonly wants?: readonly string[];
}

const TABLES: readonly Table[] = [
  { name: "X86_64", about: "x86-64's.", header: "asm/unistd_64.h" },
  {
    name: "X32",
    about: "x32's, without the bit that says so; most are x86-64's.",
    header: "asm/unistd_x32.h",
  },
  {
    name: "I386",
    about: "i386's, old and new forms of a call under one name.",
    header: "asm/unistd_32.h",
  },
  {
    name: "ARM64",
    about: "arm64's.",
    header: "asm-generic/unistd.h",
    wants: ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "SYS_CLONE3", "MEMFD_SECRET"],
  },
  {
    name: "ARM32",
    about: "Of 32-bit programs on arm64, old and new forms of a call under one name.",
    header: "asm/unistd.h",
    folder: "/usr/arm-linux-gnueabihf/include",
  },
];

/** Names of i386 and arm for what x86-64 has under another one, where no suffix tells. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  _llseek: "lseek",
  _newselect: "select",
  arm_fadvise64_64: "fadvise64",
  arm_sync_file_range: "sync_file_range",
  bdflush: "",
  fadvise64_64: "fadvise64",
  fstatat64: "newfstatat",
  mmap2: "mmap",
  oldfstat: "fstat",
  oldlstat: "lstat",
  oldolduname: "uname",
  oldstat: "stat",
  olduname: "uname",
  readdir: "getdents",
  recv: "recvfrom",
  send: "sendto",
  sigaction: "rt_sigaction",
  signal: "rt_sigaction",
  sigpending: "rt_sigpending",
  sigprocmask: "rt_sigprocmask",
  sigreturn: "rt_sigreturn",
  sigsuspend: "rt_sigsuspend",
  stime: "settimeofday",
  ugetrlimit: "getrlimit",
  umount: "umount2",
  waitpid: "wait4",
};

/** Suffixes of calls whose arguments grew. */
const SUFFIX = /(?:_time64|64|32)$/;

/** The text of the file. @throws {Error} the headers can't be read */
export async function numbersText(): Promise<string> {
  const tables = await Promise.all(TABLES.map(async (table) => {
    const numbers = await numbersOf(table);
    const words = [...numbers].sort(([a], [b]) => a - b).map(([nr, name]) => `${nr} ${name}`);
    return `/** ${table.about} */\nexport const ${table.name} = \`\n${wrapped(words)}\n\`;\n`;
  }));
  const head = [
    "/**",
    " * Numbers of the system calls that a policy may name, with their names.",
    " * Written by scripts/gen_syscall_numbers.ts from the kernel's headers. Not to be edited.",
    " */",
  ];
  return `${head.join("\n")}\n\n${tables.join("\n")}`;
}

async function numbersOf({ header, folder, wants = [] }: Table): Promise<Map<number, string>> {
  // arm's numbers are those of its new calling convention.
  const other = folder === undefined ? [] : ["-nostdinc", "-isystem", folder, "-D__ARM_EABI__"];
  const options = [...other, ...wants.map((want) => `-D__ARCH_WANT_${want}`)];
  const defined = await definitions(header, options);
  const numbers = new Map<number, string>();
  for (const [key, value] of defined) {
    const name = key.startsWith("__NR_") ? knownName(key.slice("__NR_".length)) : undefined;
    if (name !== undefined) numbers.set(numberOf(value, defined), name);
  }
  return numbers;
}

function knownName(name: string): string | undefined {
  const candidates = [name, OTHER_NAMES[name], name.replace(SUFFIX, "")];
  return candidates.find((candidate) => SYSCALL_NAMES.includes(candidate!));
}

function numberOf(value: string, defined: ReadonlyMap<string, string>): number {
  const number = Number(/(\d+)\)?$/.exec(defined.get(value) ?? value)?.[1]);
  return number & ~X32_BIT;
}

async function definitions(header: string, options: readonly string[]) {
  const args = ["-E", "-dM", ...options, "-include", header, "-x", "c", "/dev/null"];
  const { success, stdout, stderr } = await new Deno.Command("gcc", { args }).output();
  if (!success) {
    throw new Error(`Read header "${header}": ${new TextDecoder().decode(stderr).trim()}`);
  }
  const lines = new TextDecoder().decode(stdout).matchAll(/^#define (__NR(?:3264)?_\w+) (.+)$/gm);
  return new Map([...lines].map(([, name, value]) => [name!, value!]));
}

function wrapped(words: readonly string[]): string {
  const lines = [" "];
  for (const word of words) {
    if (`${lines.at(-1)} ${word}`.length > 100) lines.push(" ");
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.join("\n");
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL(`../${NUMBERS_PATH}`, import.meta.url), await numbersText());
}
