/**
 * Capability rules: by name, by the program that acts or by all, Block, Audit and an allow-list; in a user namespace of one's own;
 * and what must go on: probes that nobody meant, and overlayfs at work for who may not do it himself.
 */

import { DENIED, onHost } from "../fixtures.ts";
import { type Act, type AlertPattern, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

/** What /files/capabilities knows to use; each needs no other that root's files do not have. */
const USED = [
  ...["chown", "dac_override", "fowner", "kill", "setgid", "setuid", "net_bind_service"],
  ...["net_admin", "net_raw", "ipc_lock", "sys_module", "sys_rawio", "sys_chroot", "sys_pacct"],
  ...["sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"],
  "setfcap",
];

const policyFor = (container: string, capabilities: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${container}
spec:
  severity: 6
  message: said by the policy
  selector:
    matchLabels:
      kubearmor.io/container.name: ${container}
  capabilities:
    matchCapabilities:
${capabilities.trim().split("\n").map((line) => `      ${line}`).join("\n")}
`;

/** Each for the program that is named after it. */
const words = policyFor(
  "words",
  USED.map((word) => `- {capability: ${word}, fromSource: [{path: /opt/by-${word}}]}`).join("\n"),
);

const block = policyFor(
  "block",
  `
- {capability: "CAP_NET_RAW, sys_chroot,syslog"}
- {capability: sys_nice, action: Audit, message: said by the rule}
- {capability: net_raw, fromSource: [{path: /opt/by-net_raw}], action: Audit}`,
);

const list = policyFor("list", `- {capability: "kill,setuid,setgid", action: Allow}`);

const capability = (name: string) => {
  const resource = `CAP_${name.toUpperCase()}`;
  return { Operation: "Capabilities", Resource: resource, Data: `lsm=CAPABLE ${resource}` };
};

const refused = (policy: string, name: string): AlertPattern => ({
  ...{ ...DENIED, ...capability(name), PolicyName: policy, Type: "MatchedPolicy" },
  ...policy === "DefaultPosture" ? {} : { Severity: "6", Message: "said by the policy" },
});

const use = (name: string, program = `/opt/by-${name}`) => `cd /work && ${program} ${name}`;

const byName = USED.map((name): Act => ({
  claim: `${name} is refused to the program that a rule names`,
  ...{ in: "words", run: use(name), expect: new RegExp(`^${name} refused\\s*$`) },
  alert: { ...refused("words", name), ProcessName: `/opt/by-${name}` },
}));

const prepare = [
  "mkdir -p /opt /work",
  ...USED.map((name) => `cp /files/capabilities /opt/by-${name}`),
].join(" && ");

const all = { privileged: true, prepare };

scenario({
  name: "capability rules",
  agentOptions: ["--posture-capabilities", "block"],
  policies: { "words.yaml": words, "block.yaml": block, "list.yaml": list },
  containers: { words: all, block: all, list: all, free: all },
  files: [await compileTool("capabilities")],
  acts: [
    ...byName,
    {
      claim: "what io_uring opens later, with the credentials of before, is refused",
      ...{ in: "words", run: use("dac_override_later", "/opt/by-dac_override") },
      ...{ expect: /^dac_override_later refused\s*$/, alert: refused("words", "dac_override") },
      control: {
        run: use("dac_override_later", "/files/capabilities"),
        ...{ in: "words", expect: /^dac_override_later passed\s*$/ },
      },
    },
    {
      claim: "the same program under another name uses every capability",
      ...{ in: "words", run: `cd /work && /files/capabilities ${USED.join(" ")}` },
      expect: new RegExp(`^${USED.map((name) => `${name} passed`).join("\\s+")}\\s*$`),
    },
    {
      claim: "a capability that is blocked for all is refused to a program of the image",
      ...{ in: "block", run: "/bin/chroot / /bin/true", expect: "EPERM", control: "free" },
      alert: { ...refused("block", "sys_chroot"), ProcessName: "/bin/chroot" },
    },
    {
      claim: "a capability in a user namespace of one's own is the same capability",
      ...{ in: "block", user: 65534, run: "unshare -U -r /bin/chroot / /bin/true" },
      ...{ expect: "EPERM", control: "free", alert: refused("block", "sys_chroot") },
    },
    {
      claim: "a program may have what the others may not",
      ...{ in: "block", run: use("net_raw"), expect: /^net_raw passed\s*$/ },
      alert: { ...capability("net_raw"), PolicyName: "block", Action: "Audit", Result: "Passed" },
    },
    {
      claim: "the others may not",
      ...{
        in: "block",
        run: use("net_raw", "/files/capabilities"),
        expect: /^net_raw refused\s*$/,
      },
      alert: refused("block", "net_raw"),
    },
    {
      claim: "Audit tells of a capability, and lets pass",
      ...{ in: "block", run: use("sys_nice"), expect: /^sys_nice passed\s*$/ },
      alert: {
        ...{ ...capability("sys_nice"), PolicyName: "block", Message: "said by the rule" },
        ...{ Action: "Audit", Result: "Passed" },
      },
    },
    {
      claim: "a probe gets the answer that use would get, and nothing is told",
      ...{ in: "block", run: "/bin/grep -m 1 ' T _text' /proc/kallsyms", expect: /^0{16} T/ },
      control: { in: "free", expect: /^ffff[0-9a-f]{12} T/ },
    },
    onHost("such probes are counted", `ask /v1/status | grep -o '"probes":[0-9]*'`, /:[1-9]/),

    {
      claim: "a listed capability is used",
      ...{ in: "list", run: use("kill"), expect: /^kill passed\s*$/ },
    },
    {
      claim: "what the list does not name is refused",
      ...{ in: "list", run: "/bin/chroot / /bin/true", expect: "EPERM", control: "free" },
      alert: refused("DefaultPosture", "sys_chroot"),
    },
    {
      claim: "overlayfs copies files up, makes, renames and removes them for who has no capability",
      in: "list",
      run:
        "cd /etc && echo x >>group && chmod 640 group && mkdir new && mv group new/ && mv new/group . && rmdir new && " +
        "rm group && ls / >/dev/null",
      ...{ expect: "ok", control: "free" },
    },
  ],
});
