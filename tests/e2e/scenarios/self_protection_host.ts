/**
 * `protect: host`: processes of the host are kept off the agent as containers are, but for init and those that started the
 * agent; and the node can be repaired all the same.
 */

import { type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const told = (Operation: string, lsm: string): AlertPattern => ({
  PolicyName: "SelfProtection",
  Operation,
  Action: "Block",
  Data: new RegExp(`^lsm=${lsm}( |$)`),
});

/** Each command but the last `kill` is a process of its own; that one is the shell's, which started the agent. */
const script = [
  "stop_agent TERM",
  "start_agent --protect host",
  "env kill -9 $(<$agent_pid) && echo killed",
  "/job/files/tamper trace $(<$agent_pid) && echo traced",
  "/job/files/tamper maps 0 && echo taken",
  "env rm /sys/fs/bpf/ankylo/v1/links/hook_file_open && echo removed",
  "/job/files/tamper trace 0",
  "wait_until grep -q INODE_UNLINK $alerts",
  "stop_agent TERM",
  "ankylo uninstall",
].join("; ");

scenario({
  name: "self-protection from the host",
  policies: {},
  containers: { web: {} },
  files: [await compileTool("tamper")],
  // Whoever followed the agent before follows this one too, so each alert comes twice.
  otherAlerts: "ignore",
  acts: [
    {
      claim:
        "M2, M3 other processes of the host are refused; the shell that started the agent can end it, and take all out",
      in: "host",
      run: script,
      expect: /^(?!.*(killed|traced|taken|removed)).*\bdone\b.*Nothing is enforced any more/s,
      alert: [
        told("Process", "TASK_KILL"),
        told("Process", "PTRACE_ACCESS_CHECK"),
        told("Syscall", "BPF_MAP"),
        told("File", "INODE_UNLINK"),
      ],
    },
  ],
});
