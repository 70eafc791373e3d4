/**
 * Which act of which scenario proves each field of a policy: that it does what the reference says, with its control. The
 * results of these acts are kept per kernel in tests/golden/fields, and the table of k8s/REFERENCE.md is written from them.
 */

import { isHeader } from "../../src/model/fields.ts";

/** By the scenario's name: fields, as `testedAs()` names them, with the claim of the act. */
export const PROOFS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "process rules": {
    "spec.action": "what a group leaves out comes from the policy",
    "spec.severity": "what a group leaves out comes from the policy",
    "spec.tags": "what a group leaves out comes from the policy",
    "spec.message": "what a group leaves out comes from the policy",
    "spec.*.action": "a group's action stands before the policy's",
    "spec.*.severity": "what a rule leaves out comes from its group, then from the policy",
    "spec.*.tags": "what a rule leaves out comes from its group, then from the policy",
    "spec.*.*[].action": "a rule's own action, severity, tags and message are what its alert says",
    "spec.*.*[].severity":
      "a rule's own action, severity, tags and message are what its alert says",
    "spec.*.*[].tags": "a rule's own action, severity, tags and message are what its alert says",
    "spec.*.*[].message": "a rule's own action, severity, tags and message are what its alert says",
    "spec.selector.matchLabels":
      "a rule's own action, severity, tags and message are what its alert says",
    "spec.process.matchPaths[].path": "Block refuses a program, by its path",
    "spec.process.matchPaths[].ownerOnly":
      "ownerOnly does not let root execute a program of somebody",
    "spec.process.matchPaths[].pts": "pts: false refuses who executes it on a terminal",
    "spec.process.matchPaths[].fromSource[].path":
      "Block refuses a program whose fromSource is the caller",
    "spec.process.matchDirectories[].dir": "Block refuses a program directly in a directory",
    "spec.process.matchDirectories[].recursive":
      "Block refuses a program far below a recursive directory",
    "spec.process.matchDirectories[].ownerOnly":
      "ownerOnly in a directory does not let root execute it",
    "spec.process.matchDirectories[].pts":
      "pts: false refuses who executes it in a directory on a terminal",
    "spec.process.matchDirectories[].fromSource[].path":
      "Block refuses a directory whose fromSource is the caller",
    "spec.file.matchPaths[].ownerOnly": "ownerOnly does not let root read a file of somebody",
    "spec.file.matchPaths[].pts": "pts: false refuses who reads it on a terminal",
    "spec.file.matchDirectories[].pts":
      "pts: false refuses who reads it in a directory on a terminal",
    "spec.network.matchProtocols[].pts": "pts: false refuses who makes a socket on a terminal",
    "spec.file.matchDirectories[].ownerOnly":
      "ownerOnly of a new name asks for the owner of its directory",
  },
  "file rules": {
    "spec.file.matchPaths[].path": "Block refuses reading a file, by its path",
    "spec.file.matchPaths[].readOnly": "Block refuses writing a readOnly file",
    "spec.file.matchPaths[].fromSource[].path": "Block refuses a file whose fromSource acts",
    "spec.file.matchDirectories[].dir": "Block refuses reading directly in a directory",
    "spec.file.matchDirectories[].recursive":
      "Block refuses reading far below a recursive directory",
    "spec.file.matchDirectories[].readOnly": "Block refuses unlinking below a readOnly directory",
    "spec.file.matchDirectories[].fromSource[].path": "Block refuses a directory's fromSource",
  },
  "host rules": {
    "spec.nodeSelector.matchLabels": "a program is not executed on the node",
  },
  "rules with patterns": {
    "spec.process.matchPaths[].execname": "the program of /opt/named, by its last name, is refused",
    "spec.process.matchPatterns[].pattern":
      "the program /opt/net-admin, which a pattern matches, is refused",
    "spec.process.matchPatterns[].ownerOnly":
      "the program /opt/own-tool, which a pattern leaves to its owner, is refused",
    "spec.file.matchPatterns[].pattern": "reading what * at the start of a name matches is refused",
    "spec.file.matchPatterns[].readOnly": "writing what a pattern makes readOnly is refused",
    "spec.file.matchPatterns[].ownerOnly": "reading what a pattern leaves to its owner is refused",
  },
  "network rules": {
    "spec.network.matchProtocols[].protocol":
      "tcp for one program refuses the sockets that it names, and no other",
    "spec.network.matchProtocols[].fromSource[].path":
      "tcp for one program refuses the sockets that it names, and no other",
  },
  "dns rules": {
    "spec.network.matchDNSQueries[].domain": "a query for www.blocked.test by udp is refused",
    "spec.network.matchDNSQueries[].fromSource[].path": "a rule for one program refuses it",
  },
  "capability rules": {
    "spec.capabilities.matchCapabilities[].capability":
      "a capability that is blocked for all is refused to a program of the image",
    "spec.capabilities.matchCapabilities[].fromSource[].path":
      "net_raw is refused to the program that a rule names",
  },
  "syscall rules": {
    "spec.*.message": "a system call is told of, and passes",
    "spec.syscalls.matchSyscalls[].syscall": "a system call is told of, and passes",
    "spec.syscalls.matchSyscalls[].fromSource[].path": "by a program",
    "spec.syscalls.matchSyscalls[].fromSource[].dir": "by a program of a directory",
    "spec.syscalls.matchSyscalls[].fromSource[].recursive": "by a program below a directory",
    "spec.syscalls.matchPaths[].syscall": "by a path",
    "spec.syscalls.matchPaths[].path": "by a path",
    "spec.syscalls.matchPaths[].recursive": "by what lies below a directory",
    "spec.syscalls.matchPaths[].fromSource[].path": "by a program and a path",
    "spec.syscalls.matchPaths[].fromSource[].dir": "by a program of a directory and a path",
    "spec.syscalls.matchPaths[].fromSource[].recursive":
      "by a program below a directory and a path",
  },
  "presets": {
    "spec.presets[].name": "a program on tmpfs",
    "spec.presets[].action": "a program on tmpfs: told where it is audited",
  },
  "policy changes": {
    "spec.selector.matchExpressions[].key":
      "a cluster policy holds for a container that came later, in a namespace that it does not except",
    "spec.selector.matchExpressions[].operator":
      "a cluster policy holds for a container that came later, in a namespace that it does not except",
    "spec.selector.matchExpressions[].values":
      "a cluster policy holds for a container that came later, in a namespace that it does not except",
  },
};

/** Enforced fields that no act proves, with the reason, and the test that does. */
export const PROVEN_ELSEWHERE: Readonly<Record<string, { readonly why: string; test: string }>> =
  {};

/** What is inherited does the same in every group and every item: `spec.*.severity`, `spec.*.*[].severity`. */
export function testedAs(path: string): string {
  if (!isHeader(path)) return path;
  const names = path.split(".");
  const name = names.at(-1)!;
  if (names.length === 2) return path;
  const isItem = names.at(-2)!.endsWith("[]");
  return isItem ? `spec.*.*[].${name}` : `spec.*.${name}`;
}
