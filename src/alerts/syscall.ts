/** KubeArmor's words for system calls. */
import type { DecisionEvent } from "../events/event.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";

/** Arguments that KubeArmor tells, by the call, with their places. */
const TOLD: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  unlinkat: { flags: 2 },
  chown: { userid: 1, group: 2 },
  fchownat: { userid: 2, group: 3, mode: 4 },
  setuid: { userid: 0 },
  setgid: { userid: 0 },
  mount: { mountflag: 3 },
  umount2: { flag: 1 },
  ptrace: { request: 0, pid: 1 },
};

const AT_REMOVEDIR = 0x200n;

/** `syscall=SYS_UNLINK`, and what else KubeArmor tells of that call. */
export function syscallWords({ openFlags, call }: DecisionEvent): (readonly [string, string])[] {
  const name = SYSCALL_NAMES[openFlags] ?? String(openFlags);
  const told = call === undefined ? [] : Object.entries(TOLD[name] ?? {});
  return [
    ["syscall", `SYS_${name.toUpperCase()}`],
    ...told.map(([word, place]) => [word, argumentText(name, call![place]!)] as const),
  ];
}

/** Numbers of the kernel are of 32 bits, some of them negative, but for what unlinkat(2) has a name. */
function argumentText(name: string, argument: bigint): string {
  if (name === "unlinkat") return (argument & AT_REMOVEDIR) === 0n ? "" : "AT_REMOVEDIR";
  return String(BigInt.asIntN(32, argument));
}
