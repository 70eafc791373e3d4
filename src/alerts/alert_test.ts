import assert from "node:assert/strict";
import * as api from "../../ffi/generated/agent_api.ts";
import { decodeEvent } from "../events/decode.ts";
import {
  callFields,
  type DecisionFields,
  decisionRecord,
  nameBytes,
  names,
  spokenCall,
  viewOf,
} from "../events/samples.ts";
import type { Protocol } from "../model/grammars.ts";
import { PRESET_NAMES, type PresetName } from "../model/presets.ts";
import type { Rule } from "../model/rule.ts";
import { SYSCALL_NAMES } from "../model/syscall_names.ts";
import { type AlertInput, buildAlert } from "./alert.ts";
import { AlertTemplate, FilledAlert } from "./alert_template.ts";
import { jsonText } from "./json_record.ts";
import { attribute } from "./match.ts";
import { alertInput, decision, REPORTER, RULE, RULE_REF, TABLE } from "./samples.ts";

const GOLDEN = new URL("../../tests/golden/alerts/", import.meta.url);
/** `ANKYLO_UPDATE_GOLDEN=1 deno test -A src/alerts` writes the files anew; read the difference before it is committed. */
const UPDATE = Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1";

/** AF_INET; SOCK_STREAM, SOCK_DGRAM, SOCK_RAW; as the kernel tells them. */
const TCP = 2 | 1 << 8 | 6 << 16;
const UDP = 2 | 2 << 8 | 17 << 16;
const RAW_ICMP = 2 | 3 << 8 | 1 << 16;

/** One alert of each hook and of each reason, named as its file. */
const CASES: Readonly<Record<string, AlertInput>> = {
  "exec": exec(["sleep", "1"]),
  "exec-of-20-arguments": exec(["sleep", ...Array.from({ length: 20 }, (_, i) => String(i))]),
  "exec-audit": exec(["sleep", "1"], { verdict: api.VERDICT_AUDIT, header: { flags: 0 } }),
  "exec-from-source": exec(["sleep"], { verdict: api.VERDICT_BLOCK | api.VERDICT_SOURCE }),
  "exec-default-posture-block": posture(api.VERDICT_POSTURE_BLOCK, api.EVENT_DENIED),
  "exec-default-posture-audit": posture(api.VERDICT_POSTURE_AUDIT, 0),
  "exec-default-posture-audited": posture(api.VERDICT_POSTURE_BLOCK | api.VERDICT_AUDITED, 0),
  "exec-audited": exec(["sleep", "1"], {
    ...{ verdict: api.VERDICT_BLOCK | api.VERDICT_AUDITED, header: { flags: 0 } },
  }),
  "mmap": hook(api.HOOK_MMAP_FILE, api.OP_MMAP_EXEC, "/usr/lib/evil.so"),
  "load": hook(api.HOOK_MMAP_FILE, api.OP_LOAD, "/usr/bin/sleep"),
  "open-read": hook(api.HOOK_FILE_OPEN, api.OP_READ, "/etc/shadow", { openFlags: 0o2100000 }),
  "open-write": hook(api.HOOK_FILE_OPEN, api.OP_WRITE, "/etc/shadow", { openFlags: 0o1101 }),
  "open-block-not-denied": hook(api.HOOK_FILE_OPEN, api.OP_READ, "/etc/shadow", {
    header: { flags: 0 },
  }),
  "truncate": hook(api.HOOK_PATH_TRUNCATE, api.OP_WRITE, "/etc/shadow"),
  "ftruncate": hook(api.HOOK_FILE_TRUNCATE, api.OP_WRITE, "/etc/shadow"),
  "rename": hook(api.HOOK_PATH_RENAME, api.OP_RENAME, "/etc/shadow", {}, "/tmp/a b"),
  "rename-onto": hook(
    api.HOOK_PATH_RENAME,
    api.OP_CREATE,
    "/etc/shadow",
    {},
    "/tmp/a b",
  ),
  "link": hook(api.HOOK_PATH_LINK, api.OP_LINK, "/etc/shadow", {}, "/tmp/s"),
  "unlink": hook(api.HOOK_PATH_UNLINK, api.OP_DELETE, "/etc/shadow"),
  "mkdir": hook(api.HOOK_PATH_MKDIR, api.OP_CREATE, "/etc/new"),
  "rmdir": hook(api.HOOK_PATH_RMDIR, api.OP_DELETE, "/etc/old"),
  "mknod": hook(api.HOOK_PATH_MKNOD, api.OP_CREATE, "/etc/new"),
  "symlink": hook(api.HOOK_PATH_SYMLINK, api.OP_CREATE, "/etc/new"),
  "chmod": hook(api.HOOK_PATH_CHMOD, api.OP_ATTR, "/etc/shadow"),
  "chmod-launder": hook(api.HOOK_PATH_CHMOD, api.OP_ATTR, "/bin/sleep", {
    reason: api.REASON_LAUNDER,
  }),
  "chown": hook(api.HOOK_PATH_CHOWN, api.OP_ATTR, "/etc/shadow"),
  "setxattr": hook(api.HOOK_INODE_SETXATTR, api.OP_ATTR, "/etc/shadow"),
  "removexattr": hook(api.HOOK_INODE_REMOVEXATTR, api.OP_ATTR, "/etc/shadow"),
  "set-acl": hook(api.HOOK_INODE_SET_ACL, api.OP_ATTR, "/etc/shadow"),
  "remove-acl": hook(api.HOOK_INODE_REMOVE_ACL, api.OP_ATTR, "/etc/shadow"),
  "connect": hook(api.HOOK_UNIX_STREAM_CONNECT, api.OP_CONNECT, "/run/app.sock"),
  "mprotect": hook(api.HOOK_FILE_MPROTECT, api.OP_MMAP_EXEC, "/usr/lib/evil.so"),
  "mprotect-write": hook(api.HOOK_FILE_MPROTECT, api.OP_WRITE, "/etc/shadow"),
  "mmap-write": hook(api.HOOK_MMAP_FILE, api.OP_WRITE, "/etc/shadow"),
  "receive": hook(api.HOOK_FILE_RECEIVE, api.OP_READ, "/etc/shadow", { openFlags: 0o100000 }),
  "umount": hook(api.HOOK_SB_UMOUNT, api.OP_MOUNT, "/etc", { reason: api.REASON_ANCESTOR }),
  "ancestor": hook(api.HOOK_PATH_RENAME, api.OP_RENAME, "/etc", {
    reason: api.REASON_ANCESTOR,
  }, "/e"),
  "launder": hook(api.HOOK_PATH_LINK, api.OP_LINK, "/bin/sleep", {
    reason: api.REASON_LAUNDER,
  }, "/s"),
  "unreachable": hook(api.HOOK_FILE_OPEN, api.OP_READ, "/secret", {
    reason: api.REASON_UNREACHABLE,
    verdict: api.VERDICT_UNKNOWN_BLOCK,
  }),
  "gave-up": hook(api.HOOK_FILE_OPEN, api.OP_READ, "/a/b", { reason: api.REASON_GAVE_UP }),
  "stacking": hook(api.HOOK_SB_KERN_MOUNT, api.OP_MOUNT, "", {
    reason: api.REASON_STACKING,
  }),
  "alias-bind": hook(api.HOOK_SB_MOUNT, api.OP_MOUNT, "/etc", {
    reason: api.REASON_ALIAS,
    openFlags: 4096 | 16384,
  }),
  "alias-move": hook(api.HOOK_MOVE_MOUNT, api.OP_MOUNT, "/etc", {
    reason: api.REASON_ALIAS,
  }, "/mnt"),
  "alias-pivot": hook(api.HOOK_SB_PIVOTROOT, api.OP_MOUNT, "/new", {
    reason: api.REASON_ALIAS,
  }, "/new/old"),
  "notify": hook(api.HOOK_PATH_NOTIFY, api.OP_NOTIFY, "/etc/hosts", { reason: api.REASON_NOTIFY }),
  "credentials": hook(api.HOOK_URING_OVERRIDE_CREDS, api.OP_CREDS, "/", {
    reason: api.REASON_CREDS,
  }),
  "image": { ...hook(api.HOOK_FILE_OPEN, api.OP_READ, "/x", { reason: api.REASON_IMAGE }) },
  "socket-create": socket(api.HOOK_SOCKET_CREATE, "tcp", TCP),
  "socket-bind": socket(api.HOOK_SOCKET_BIND, "udp", UDP),
  "socket-listen": socket(api.HOOK_SOCKET_LISTEN, "tcp", TCP),
  "socket-connect": socket(api.HOOK_SOCKET_CONNECT, "tcp", TCP),
  "socket-accept": socket(api.HOOK_SOCKET_ACCEPT, "tcp", TCP),
  "socket-sendmsg": socket(api.HOOK_SOCKET_SENDMSG, "udp", UDP),
  "socket-by-type": socket(api.HOOK_SOCKET_CREATE, "raw", RAW_ICMP),
  "socket-audit": socket(api.HOOK_SOCKET_CONNECT, "tcp", TCP, {
    verdict: api.VERDICT_AUDIT,
    header: { flags: 0 },
  }),
  "socket-default-posture-block": socket(api.HOOK_SOCKET_CREATE, "tcp", UDP, {
    verdict: api.VERDICT_POSTURE_BLOCK,
  }),
  "socket-default-posture-audit": socket(api.HOOK_SOCKET_CREATE, "tcp", RAW_ICMP, {
    verdict: api.VERDICT_POSTURE_AUDIT,
    header: { flags: 0 },
  }),
  "capability": capability(13),
  "capability-unknown": capability(50),
  "dns": query("Www.Example.com"),
  "dns-audit": query("example.com", { verdict: api.VERDICT_AUDIT, header: { flags: 0 } }),
  "dns-below": query("a b.example.com", {}, { belowOnly: true }),
  "dns-default-posture-block": query("example.org", { verdict: api.VERDICT_POSTURE_BLOCK }),
  "dns-default-posture-audit": query(".", {
    verdict: api.VERDICT_POSTURE_AUDIT,
    header: { flags: 0 },
  }),
  "dns-unreadable": query("", {
    verdict: api.VERDICT_UNKNOWN_BLOCK,
    reason: api.REASON_QUERY,
  }),
  "syscall": syscall("getpid", "", [], ""),
  "syscall-with-path": syscall("unlink", "../tmp/./a b", [4096n]),
  "syscall-at-directory": syscall("unlinkat", "old", [3n, 4096n, 0x200n], "/srv"),
  "syscall-setuid": syscall("setuid", "", [0xffff_ffffn], ""),
  "syscall-chown": syscall("chown", "/etc/shadow", [4096n, 1000n, 1000n]),
  "syscall-mount": syscall("mount", "/mnt", [4096n, 4100n, 4104n, 4096n, 0n], "/"),
  "syscall-unknown": syscall("", "", [], ""),
  "syscall-unlink": syscall("unlink", "/tmp/a", [4096n]),
  "syscall-rmdir": syscall("rmdir", "/tmp/d", [4096n]),
  "syscall-fchownat": syscall("fchownat", "shadow", [-100n, 4096n, 1000n, 1000n, 0x100n], "/etc"),
  "syscall-setgid": syscall("setgid", "", [1000n], ""),
  "syscall-ptrace": syscall("ptrace", "", [16n, 4242n, 0n, 0n], ""),
  "syscall-umount": syscall("umount2", "/mnt", [4096n, 2n], "/"),
  "capability-audit": capability(13, { verdict: api.VERDICT_AUDIT, header: { flags: 0 } }),
  "capability-default-posture-audit": capability(13, {
    verdict: api.VERDICT_POSTURE_AUDIT,
    header: { flags: 0 },
  }),
  "capability-default-posture-block": capability(13, { verdict: api.VERDICT_POSTURE_BLOCK }),
  "open-audit": fileOpen({ verdict: api.VERDICT_AUDIT, header: { flags: 0 } }),
  "open-default-posture-audit": fileOpen({
    verdict: api.VERDICT_POSTURE_AUDIT,
    header: { flags: 0 },
  }),
  "open-default-posture-block": fileOpen({ verdict: api.VERDICT_POSTURE_BLOCK }),
  "pending": exec(["sleep", "1"], { reason: api.REASON_PENDING, generation: 0 }),
  "preset-fileless-memfd": preset("filelessExec", api.HOOK_BPRM_CHECK, "/memfd:program"),
  "preset-fileless-shm": preset("filelessExec", api.HOOK_BPRM_CHECK, "/dev/shm/program"),
  "preset-fileless-loader": preset("filelessExec", api.HOOK_MMAP_FILE, "/dev/shm/program"),
  "preset-anonymous-map": preset("anonymousMapExec", api.HOOK_MMAP_FILE, "", mapped(7, 7, 0x22)),
  "preset-anonymous-mprotect": preset(
    "anonymousMapExec",
    api.HOOK_FILE_MPROTECT,
    "/usr/lib/code.so",
    mapped(4, 5, 0x2),
  ),
  "preset-anonymous-summary": {
    ...preset("anonymousMapExec", api.HOOK_MMAP_FILE, ""),
    isSummary: true,
  },
  "preset-env": preset("protectEnv", api.HOOK_FILE_OPEN, "/proc/1/environ", 0o100000),
  "preset-env-audit": preset("protectEnv", api.HOOK_FILE_OPEN, "/proc/1/environ", 0, {
    verdict: api.VERDICT_AUDIT,
    header: { flags: 0 },
  }),
  "preset-proc": preset("protectProc", api.HOOK_FILE_OPEN, "/proc/1/status", 0o100000),
  "preset-proc-link": preset("protectProc", api.HOOK_INODE_FOLLOW_LINK, "/1/root"),
  "preset-proc-readlink": preset("protectProc", api.HOOK_INODE_READLINK, "/1/exe"),
  "preset-exec": preset("exec", api.HOOK_BPRM_CHECK, "/bin/sh", 0, {
    header: { flags: api.EVENT_DENIED | api.EVENT_STAGING },
  }),
  "preset-runtime-socket": preset(
    "protectRuntimeSocket",
    api.HOOK_UNIX_STREAM_CONNECT,
    "/run/containerd/containerd.sock",
  ),
  "preset-raw-open": preset("blockRawDevices", api.HOOK_FILE_OPEN, "/dev/sda", 0o2),
  "preset-raw-mknod": preset("blockRawDevices", api.HOOK_PATH_MKNOD, "/tmp/disk", 8 << 20 | 1),
  "preset-raw-mount": preset("blockRawDevices", api.HOOK_SB_KERN_MOUNT, "", 8 << 20 | 1),
  "preset-user-namespace": preset("denyUserNamespaces", api.HOOK_USERNS_CREATE, ""),
  "preset-io-uring": preset("denyIoUring", api.HOOK_INODE_INIT_SECURITY_ANON, ""),
  "preset-tunables": preset(
    "protectKernelTunables",
    api.HOOK_FILE_OPEN,
    "/proc/sys/kernel/core_pattern",
    0o1001,
  ),
  "protected-signal": own(api.HOOK_TASK_KILL, "/var/cache/ankylo/ankylo-deno-0a1b", 9),
  "protected-signal-by-descriptor": own(api.HOOK_FILE_SEND_SIGIOTASK, "/usr/bin/ankylo", 29),
  "protected-trace": own(api.HOOK_PTRACE_ACCESS_CHECK, "/usr/bin/ankylo", 18),
  "protected-limit": own(api.HOOK_TASK_SETRLIMIT, "/usr/bin/ankylo", 9),
  "protected-scheduler": own(api.HOOK_TASK_SETSCHEDULER, "/usr/bin/ankylo", 0),
  "protected-nice": own(api.HOOK_TASK_SETNICE, "/usr/bin/ankylo", 19),
  "protected-io-priority": own(api.HOOK_TASK_SETIOPRIO, "/usr/bin/ankylo", 24_576),
  "protected-link": own(api.HOOK_BPF, "", 40),
  "protected-map": own(api.HOOK_BPF_MAP, "", 41),
  "protected-program": own(api.HOOK_BPF_PROG, "", 42),
  "protected-create": own(api.HOOK_INODE_CREATE, "/etc/ankylo/policies/new.yaml", 0),
  "protected-hard-link": own(api.HOOK_INODE_LINK, "/etc/ankylo/policies/deny.yaml", 0),
  "protected-symlink": own(api.HOOK_INODE_SYMLINK, "/etc/ankylo/policies/new.yaml", 0),
  "protected-mkdir": own(api.HOOK_INODE_MKDIR, "/etc/ankylo/policies/new", 0),
  "protected-rmdir": own(api.HOOK_INODE_RMDIR, "/etc/ankylo/policies/old", 0),
  "protected-mknod": own(api.HOOK_INODE_MKNOD, "/etc/ankylo/policies/pipe", 0),
  "protected-rename": own(api.HOOK_INODE_RENAME, "/etc/ankylo/policies/deny.yaml", 0),
  "protected-attributes": own(api.HOOK_INODE_SETATTR, "/etc/ankylo/policies/deny.yaml", 0),
  "protected-remount": own(api.HOOK_SB_REMOUNT, "/sys/fs/bpf/ankylo", 0),
  "protected-file": own(api.HOOK_INODE_UNLINK, "/etc/ankylo/policies/deny.yaml", 0),
  "protected-open": own(api.HOOK_FILE_OPEN, "/etc/ankylo/policies/deny.yaml", 0o2001),
  "host-exec": ofHost(exec(["sleep", "1"])),
  "host-open": ofHost(
    hook(api.HOOK_FILE_OPEN, api.OP_READ, "/etc/shadow", { openFlags: 0o2100000 }),
  ),
  "host-default-posture": ofHost(posture(api.VERDICT_POSTURE_BLOCK, api.EVENT_DENIED)),
  "host-forced": ofHost(exec(["sleep", "1"]), api.HOST_EXEMPT),
  "container-not-described": alertInput({ workload: undefined }),
  "actor-unknown": alertInput({ actor: { exe: "", args: [], cwd: "", parentExe: "" } }),
  "rule-without-words": alertInput({
    rule: { ...RULE_REF, rule: { ...RULE, severity: 0, tags: [], message: "" } },
  }),
  "suppressed": alertInput({ event: decision("/etc/shadow", { suppressed: 41n }) }),
  "summary": alertInput({
    event: decision("/etc/shadow", { suppressed: 41n }),
    isSummary: true,
  }),
  "staging-truncated": alertInput({
    event: decision("/etc/shadow", {
      header: { flags: api.EVENT_DENIED | api.EVENT_STAGING | api.EVENT_TRUNCATED },
    }),
  }),
};

/** The same of the node itself. */
function ofHost(input: AlertInput, container = api.HOST_CONTAINER): AlertInput {
  return { ...input, workload: undefined, event: { ...input.event, container, uid: 0 } };
}

function exec(args: readonly string[], fields: DecisionFields = {}): AlertInput {
  const event = decision("/usr/bin/sleep", {
    hook: api.HOOK_BPRM_CHECK,
    op: api.OP_EXEC,
    ...fields,
  }, { args });
  const actor = { exe: "/usr/bin/bash", args: ["bash"], cwd: "/root", parentExe: "/usr/bin/bash" };
  return alertInput({ event, actor, rule: attribute(event, TABLE) });
}

function posture(verdict: number, flags: number): AlertInput {
  return exec(["sleep", "1"], { verdict, header: { flags } });
}

function hook(
  number: number,
  op: number,
  path: string,
  fields: DecisionFields = {},
  path2?: string,
): AlertInput {
  const event = decision(
    path,
    { hook: number, op, ...fields },
    path2 === undefined ? {} : { path2 },
  );
  return alertInput({ event, rule: attribute(event, TABLE) });
}

function numbered(
  hook: number,
  op: number,
  facts: number,
  rule: Partial<Rule>,
  fields: DecisionFields = {},
): AlertInput {
  const event = decision("", { hook, op, openFlags: facts, object: BigInt(facts), ...fields });
  const ref = attribute(event, TABLE);
  const actor = {
    ...{ exe: "/usr/bin/curl", args: ["curl", "-s", "http://192.0.2.1/"], cwd: "/root" },
    parentExe: "/usr/bin/bash",
  };
  return alertInput({
    event,
    actor,
    rule: ref === undefined ? undefined : { ...ref, rule: { ...RULE, ...rule } },
  });
}

/** `facts`: as of decision_event.open_flags. */
function socket(hook: number, protocol: Protocol, facts: number, fields: DecisionFields = {}) {
  const target = { kind: "protocol", protocol } as const;
  const rule = { group: "network", list: "matchProtocols", target } as const;
  return numbered(hook, api.OP_NETWORK, facts, rule, fields);
}

function capability(number: number, fields: DecisionFields = {}) {
  const target = { kind: "capability", capability: "net_raw" } as const;
  const rule = { group: "capabilities", list: "matchCapabilities", target } as const;
  return numbered(api.HOOK_CAPABLE, api.OP_CAPABILITY, number, rule, fields);
}

function fileOpen(fields: DecisionFields): AlertInput {
  return hook(api.HOOK_FILE_OPEN, api.OP_READ, "/etc/shadow", { openFlags: 0o100000, ...fields });
}

function query(
  name: string,
  fields: DecisionFields = {},
  more: { belowOnly?: true } = {},
): AlertInput {
  const path = nameBytes(name);
  const event = decodeEvent(viewOf(decisionRecord({ path, cwd: names("/root") }, {
    ...{ op: api.OP_DNS, hook: api.HOOK_DNS_EGRESS },
    ...fields,
  })));
  if (event?.type !== "decision") throw new TypeError("The sample record is no decision");
  const target = { kind: "domain", domain: "example.com", ...more } as const;
  const rule = { group: "network", list: "matchDNSQueries", target } as const;
  const ref = { ...RULE_REF, rule: { ...RULE, ...rule } };
  const table = { ...TABLE, explain: () => ref, nameRule: ref };
  return alertInput({ event, rule: attribute(event, table) });
}

function syscall(name: string, spoken: string, call: bigint[], start?: string): AlertInput {
  const record = decisionRecord(spokenCall(spoken, call, start), callFields(numberOf(name)));
  const event = decodeEvent(viewOf(record));
  assert.ok(event?.type === "decision");
  const target = { kind: "syscall", syscalls: [name], sources: [] } as const;
  const rule = { group: "syscalls", list: "matchSyscalls", action: "Audit", target } as const;
  return alertInput({ event, rule: { ...RULE_REF, rule: { ...RULE, ...rule } } });
}

/** `openFlags`: as of decision_event.open_flags. */
function preset(
  preset: PresetName,
  hook: number,
  path: string,
  openFlags = 0,
  fields: DecisionFields = {},
): AlertInput {
  const row = PRESET_NAMES.indexOf(preset);
  const args = hook === api.HOOK_BPRM_CHECK ? { args: ["program", "-v"] } : {};
  const event = decision(path, { hook, op: api.OP_PRESET, row, openFlags, ...fields }, args);
  const target = { kind: "preset", preset } as const;
  const rule = { ...RULE, group: "presets", list: "presets", target } as const;
  return alertInput({ event, rule: { ...RULE_REF, rule } });
}

function mapped(asked: number, applied: number, flags: number): number {
  return asked | applied << api.MAPPED_PROTECTION_BITS | flags << api.MAPPED_FLAGS_AT;
}

/** Beyond all names where there is none. */
function numberOf(name: string): number {
  return name === "" ? api.SYSCALLS - 1 : SYSCALL_NAMES.indexOf(name);
}

/** What self-protection refuses. */
function own(hook: number, path: string, openFlags: number): AlertInput {
  const event = decision(path, {
    hook,
    op: api.OP_PROTECTED,
    reason: api.REASON_PROTECTED,
    generation: 0,
    openFlags,
  });
  return alertInput({ event, rule: attribute(event, undefined) });
}

for (const [name, input] of Object.entries(CASES)) {
  Deno.test(`buildAlert() of ${name} gives its golden JSON`, async () => {
    const file = new URL(`${name}.json`, GOLDEN);
    // Through the wire's own text: order and absence of fields are part of the contract.
    const text = JSON.stringify(JSON.parse(JSON.stringify(buildAlert(input, REPORTER))), null, 2);
    if (UPDATE) await Deno.writeTextFile(file, text + "\n");
    assert.equal(text + "\n", await Deno.readTextFile(file));
  });
}

for (const [name, input] of Object.entries(CASES)) {
  Deno.test(`AlertTemplate of ${name} writes what buildAlert() gives, with any number`, () => {
    const alert = buildAlert(input, REPORTER);
    const facets = { policy: "", containers: [], action: "", operation: "" };
    const filled = new FilledAlert();
    const template = new AlertTemplate(buildAlert({ ...input, seq: 99 }, REPORTER), facets);
    const micros = Number(input.unixNs / 1_000n);
    filled.fill(template, micros, input.seq, input.event.suppressed);
    assert.equal(jsonText(filled), JSON.stringify(alert));
  });
}

Deno.test("every golden alert belongs to a case", () => {
  const files = [...Deno.readDirSync(GOLDEN)].map((entry) => entry.name).sort();
  assert.deepEqual(files, Object.keys(CASES).map((name) => `${name}.json`).sort());
});

/** What the golden alerts say of one field, each value once. */
function valuesOf(value: (alert: ReturnType<typeof buildAlert>) => string): Set<string> {
  return new Set(Object.values(CASES).map((input) => value(buildAlert(input, REPORTER))));
}

Deno.test("there is a golden alert of every hook, class of operations and reason", () => {
  const { HOOK_NAMES, OP_CLASS_NAMES, REASON_NAMES } = api;
  const events = Object.values(CASES).map(({ event }) => event);
  const without = (names: Readonly<Record<number, string>>, seen: Set<number>) =>
    Object.entries(names).filter(([number]) => !seen.has(Number(number))).map(([, name]) => name);
  assert.deepEqual(without(OP_CLASS_NAMES, new Set(events.map(({ op }) => op))), []);
  const hooks = valuesOf(({ Ankylo }) => Ankylo.Hook);
  const reasons = valuesOf(({ Ankylo }) => Ankylo.Reason);
  const named = (fields: DecisionFields) => decision("/x", fields);
  const numbers = Object.keys(HOOK_NAMES).filter((number) => Number(number) !== api.HOOKS);
  const silent = numbers.filter((number) => !hooks.has(named({ hook: Number(number) }).hook));
  assert.deepEqual(silent.map((number) => HOOK_NAMES[Number(number)]), []);
  const unsaid = Object.keys(REASON_NAMES).filter((number) =>
    !reasons.has(named({ reason: Number(number) }).reason)
  );
  assert.deepEqual(unsaid.map((number) => REASON_NAMES[Number(number)]), []);
  console.log(
    `golden alerts: ${Object.keys(CASES).length}, of ${hooks.size} hooks, ` +
      `${Object.keys(OP_CLASS_NAMES).length} classes of operations, ${reasons.size} reasons`,
  );
});

Deno.test("there is a golden alert of every operation with every action and result that it can have", () => {
  const told = valuesOf(({ Operation, Action, Result, Ankylo }) =>
    `${Operation} ${Action}, ${Result}${Ankylo.Reason === "posture" ? ", DefaultPosture" : ""}`
  );
  for (const operation of ["Process", "File", "Network", "Capabilities"]) {
    for (const posture of ["", ", DefaultPosture"]) {
      assert.ok(told.has(`${operation} Block, Permission denied${posture}`), operation);
      assert.ok(told.has(`${operation} Audit, Passed${posture}`), operation);
    }
  }
  assert.ok(told.has("Syscall Audit, Passed"));
  assert.ok(told.has("File Audit (Block), Passed"));
  for (const operation of ["Process", "File", "Syscall"]) {
    assert.ok(told.has(`${operation} Block, Operation not permitted`), operation);
  }
});

Deno.test("there is a golden alert of every system call of which KubeArmor tells", () => {
  const told = valuesOf(({ Data }) => (Data ?? "").split(" ")[0]!);
  const calls = ["unlink", "unlinkat", "rmdir", "chown", "fchownat", "setuid", "setgid", "ptrace"];
  for (const name of [...calls, "mount", "umount2"]) {
    assert.ok(told.has(`syscall=SYS_${name.toUpperCase()}`), name);
  }
});

/** The specification's table 7.3, in its order, without what only Kubernetes, hosts and throttling have. */
const FIELDS = [
  "Timestamp",
  "UpdatedTime",
  "ClusterName",
  "HostName",
  "NamespaceName",
  "PodName",
  "Labels",
  "ContainerID",
  "ContainerName",
  "ContainerImage",
  "HostPPID",
  "HostPID",
  "PPID",
  "PID",
  "UID",
  "ParentProcessName",
  "ProcessName",
  "PolicyName",
  "Severity",
  "Tags",
  "ATags",
  "Message",
  "Type",
  "Source",
  "Operation",
  "Resource",
  "Data",
  "EventData",
  "Enforcer",
  "Action",
  "Result",
  "Cwd",
  "TTY",
  "ExecEvent",
  "KubeArmorVersion",
  "NodeID",
  "Ankylo",
];

Deno.test("buildAlert() has every field in KubeArmor's order and its own object last", () => {
  const json = JSON.stringify(buildAlert(alertInput(), REPORTER));
  assert.deepEqual(Object.keys(JSON.parse(json)), FIELDS);
});

Deno.test("buildAlert() never adds a field outside the table, but the user's name on the node itself", () => {
  const all = FIELDS.toSpliced(-1, 0, "UserName");
  for (const input of Object.values(CASES)) {
    const names = Object.keys(JSON.parse(JSON.stringify(buildAlert(input, REPORTER))));
    assert.deepEqual(names, all.filter((field) => names.includes(field)));
  }
});

Deno.test("attribute() names no rule for posture and for a missing image", () => {
  const event = decision("/x", { verdict: api.VERDICT_POSTURE_BLOCK });
  assert.equal(attribute(event, TABLE), undefined);
  assert.equal(attribute(decision("/x"), undefined), undefined);
});

Deno.test("attribute() asks the row for a rule, the old name's exec for laundering, else the guard", () => {
  const asked: [number, number][] = [];
  const first = { ...RULE_REF };
  const table = {
    explain: (row: number, op: number) => {
      asked.push([row, op]);
      return RULE_REF;
    },
    guardRule: first,
    blockRules: [],
  };
  attribute(decision("/x", { row: 5, op: api.OP_WRITE }), table);
  attribute(decision("/x", { row: 6, op: api.OP_LINK, reason: api.REASON_LAUNDER }), table);
  assert.deepEqual(asked, [[5, api.OP_WRITE], [6, api.OP_EXEC]]);
  assert.equal(attribute(decision("/x", { reason: api.REASON_ALIAS }), table), first);
});

Deno.test("attribute() names the rule below the directory that had to stay", () => {
  const about = (path: string) => ({
    ...RULE_REF,
    rule: { ...RULE, target: { kind: "path" as const, path } },
  });
  const [shell, shadow] = [about("/bin/sh"), about("/etc/shadow")];
  const table = { explain: () => undefined, guardRule: shell, blockRules: [shell, shadow] };
  const ancestor = (path: string) =>
    attribute(decision(path, { reason: api.REASON_ANCESTOR }), table);
  assert.equal(ancestor("/etc"), shadow);
  assert.equal(ancestor("/"), shell);
  assert.equal(ancestor("/et"), shell); // None lies below it: any Block rule is better than none.
});
