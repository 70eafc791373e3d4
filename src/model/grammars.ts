/**
 * Texts that a policy may contain, as regular expressions for the API server and in words for people. Supersets of
 * KubeArmor's: longer paths, directories without their trailing slash, and the capabilities that Linux has gained since.
 */

export interface Grammar {
  /** RE2 for the API server; read here with the flags `u` and `s`. */
  readonly pattern: string;
  /** What a message says behind "must ". */
  readonly wanted: string;
  readonly hint: string;
  /** More precise words for one text that does not match. */
  readonly explain?: (text: string) => { readonly wanted: string; readonly hint: string };
}

/** Protocols and types of sockets, as a policy names them. */
export const PROTOCOLS = [
  ...["tcp", "udp", "raw", "icmp", "icmpv6", "sctp", "stream", "dgram", "rdm"] as const,
  ...["seqpacket", "dccp", "packet", "all"] as const,
] as const;
export type Protocol = typeof PROTOCOLS[number];

/** Without `cap_`, by their numbers. */
export const CAPABILITIES: readonly string[] = `
  chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
  net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
  sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
  mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
`.trim().split(/\s+/);

/** One or more of the words, in lower or upper case, separated by commas and blanks. */
function commaList(words: readonly string[], prefix = ""): string {
  const one = `(?:${prefix})?(?:${[...words, ...words.map((w) => w.toUpperCase())].join("|")})`;
  return `^\\s*${one}(?:\\s*,\\s*${one})*\\s*$`;
}

export const PATH: Grammar = {
  pattern: "^/+.*[^/]$",
  wanted: 'start with "/" and not end with one',
  hint: 'write the real path of the file as the container sees it, for example "/usr/bin/curl"',
  explain: (text) =>
    text.startsWith("/") ? { wanted: 'not end with "/"', hint: FILE_HINT } : {
      wanted: 'start with "/"',
      hint: `write the path as the container sees it, for example "/${
        text.replace(/^[./]+/, "").slice(0, 60) || "usr/bin/curl"
      }"`,
    },
};

const FILE_HINT =
  'for a file remove the slash at the end; a directory goes to matchDirectories as "dir"';

export const DIRECTORY: Grammar = {
  pattern: "^/",
  wanted: 'start with "/"',
  hint:
    'write the directory as the container sees it, with a slash at its end, for example "/tmp/"',
};

export const EXECUTABLE_NAME: Grammar = {
  pattern: "^[^/]+$",
  wanted: "be a file name without slashes",
  hint: 'write the last part of the path, for example "curl", or use "path" for a whole path',
};

export const PROTOCOL: Grammar = {
  pattern: commaList(PROTOCOLS),
  wanted: `be one of ${PROTOCOLS.join(", ")}`,
  hint: 'write one name, or several with commas, for example "tcp,udp"',
};

export const CAPABILITY: Grammar = {
  pattern: commaList(CAPABILITIES, "cap_|CAP_"),
  wanted: "be a capability of Linux",
  hint: 'write its name in lower case, for example "net_raw"; capabilities(7) lists them',
};

export const LIMIT: Grammar = {
  pattern: "^[0-9]+(KB|MB|GB|K|M|G)?$",
  wanted: "be a number of bytes with an optional unit of KB, MB or GB",
  hint: 'for example "100MB"; without a unit it counts GB',
};

/** `@see` RFC 1123 as Kubernetes reads it: the names of most objects. */
export const OBJECT_NAME: Grammar = {
  pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
  wanted:
    'consist of lower-case letters, digits, "-" and ".", and start and end with a letter or digit',
  hint: 'for example "block-shells"',
};

export const NAMESPACE_NAME: Grammar = {
  pattern: "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
  wanted: 'consist of lower-case letters, digits and "-", and start and end with a letter or digit',
  hint: 'for example "default"',
};

const GRAMMARS: readonly Grammar[] = [
  PATH,
  DIRECTORY,
  EXECUTABLE_NAME,
  PROTOCOL,
  CAPABILITY,
  LIMIT,
  OBJECT_NAME,
  NAMESPACE_NAME,
];

interface CompiledGrammar extends Grammar {
  readonly test: (text: string) => boolean;
}

const compiled = new Map<string, CompiledGrammar>();

/**
 * The grammar that a schema's pattern belongs to.
 *
 * @throws {RangeError} when a schema uses a pattern that has no words
 */
export function grammarOf(pattern: string): CompiledGrammar {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const grammar = GRAMMARS.find((candidate) => candidate.pattern === pattern);
  if (grammar === undefined) {
    throw new RangeError(`Cannot describe pattern: "${pattern}" has no words`);
  }
  const expression = new RegExp(pattern, "us");
  const entry = { ...grammar, test: (text: string) => expression.test(text) };
  compiled.set(pattern, entry);
  return entry;
}
