/** The policies under which the bench measures. */

/** What containers are refused, always and when the policy has changed. */
const BLOCKED_DIR = "/data/blocked/";
const CHANGED_DIR = "/data/changed/";

/** Paths of different shapes and depths, none of which the bench opens. */
export function fillerPath(index: number): string {
  switch (index % 4) {
    case 0:
      return `/usr/share/app${index % 97}/module${index % 13}/file${index}.so`;
    case 1:
      return `/etc/svc${index % 31}/conf.d/item${index}.conf`;
    case 2:
      return `/var/lib/data${index % 53}/shard${index}`;
    default:
      return `/opt/vendor${index % 17}/bin/tool-${index}`;
  }
}

function matchPaths(count: number): string {
  const lines = Array.from({ length: count }, (_, index) => `      - path: ${fillerPath(index)}`);
  return `    matchPaths:\n${lines.join("\n")}\n`;
}

/** Of file and process rules, how many. */
interface RuleCounts {
  file: number;
  process: number;
}

/** A policy for the containers labelled `app=LABEL`; one of its file rules blocks a directory, the others nothing. */
function policy(name: string, label: string, rules: RuleCounts, blockedDir: string): string {
  return `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      app: ${label}
  process:
${matchPaths(rules.process)}  file:
${matchPaths(rules.file - 1)}    matchDirectories:
      - dir: ${blockedDir}
        recursive: true
  action: Block
`;
}

/** Files of the guest's /job/policies: see guest/common.sh. In the template NAME stands for the container. */
export function benchPolicies(): Record<string, string> {
  const ten = { file: 10, process: 10 };
  return {
    "ten.yaml": policy("ten", "ten", ten, BLOCKED_DIR),
    "many.yaml": policy("many", "many", { ...ten, file: 10_000 }, BLOCKED_DIR),
    "changed.yaml": policy("changed", "ten", ten, CHANGED_DIR),
    "each.template": policy("NAME", "NAME", ten, BLOCKED_DIR),
  };
}
