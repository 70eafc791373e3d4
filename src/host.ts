/** The node itself: what host policies select, and what keeps it alive under them. */

import { ownFiles } from "../ffi/product.ts";
import type { Settings } from "./config/config.ts";
import type { Enforcer } from "./kernel/enforcer.ts";
import { HOST_IDS } from "./kernel/host_index.ts";
import type { HostPrograms } from "./kernel/host_programs.ts";
import { nodeLabelsOf } from "./model/node_selector.ts";
import type { Policy } from "./model/policy.ts";
import type { Rule } from "./model/rule.ts";
import { HOST_ID, type Workload } from "./model/workload.ts";

/** Where distributions, and kubeadm, put programs. */
const PROGRAM_DIRS = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/bin"];

/** Kubelet, container runtimes, and clients that mount images themselves. */
const RUNTIMES = [
  ...["kubelet", "k3s", "k0s", "rke2"],
  ...["containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2"],
  ...["containerd-shim-kata-v2", "dockerd", "docker-proxy", "docker-init", "crio", "podman"],
  ...["conmon", "conmonrs", "runc", "crun", "ctr", "nerdctl", "buildkitd", "buildah"],
];

/** What init needs to bring a node up, beside its own directories. */
const HELPERS = ["mount", "umount", "swapon", "fsck", "kmod", "agetty"];

/** systemd's own programs: helpers, daemons, generators. */
const INIT_DIRS = ["/usr/lib/systemd", "/usr/lib/systemd/system-generators"];

const LOADERS = [
  ...["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"],
  ...["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"],
];

/** Name of the policy that stands for the guard rails where rules are named. */
export const RAILS_NAME = "GuardRails";

/** All that the agent knows of its node. */
export interface Host {
  readonly rails: Policy;
  readonly workloads: readonly Workload[];
  readonly programs: HostPrograms;
}

/** As readHost(), and tells the kernel which programs keep the node alive. @throws {BpfError} */
export function openHost(settings: Settings, enforcer: Enforcer | undefined) {
  const host = readHost(settings);
  enforcer?.setHostPrograms(host.programs);
  return { ...host, isFollowed: () => enforcer?.followsHost ?? false };
}

export function readHost(settings: Settings): Host {
  const { hostExempt } = settings;
  const agent = ownFiles().slice(0, 1).map(realPath);
  const programs: HostPrograms = {
    init: [...INIT_DIRS.flatMap(filesIn), ...inProgramDirs(HELPERS)],
    runtime: [...inProgramDirs(RUNTIMES), ...hostExempt.map(realPath)],
    agent,
  };
  return {
    rails: railsOf([...programs.runtime, ...agent], [...agent, ...LOADERS.map(realPath)]),
    workloads: hostWorkloads(settings),
    programs,
  };
}

/** The node, and those of its tasks that are exempt from all but forced policies. */
function hostWorkloads({ hostname, nodeLabels }: Settings): Workload[] {
  const labels = nodeLabelsOf(hostname, nodeLabels);
  const none = { namespace: "", podName: "", image: "", pid: 1, cgroupPath: "/" };
  const node = { ...none, runtimeNamespace: "host", labels };
  return [
    { ...node, id: HOST_ID, name: hostname, cgroupId: HOST_IDS.judged, host: "judged" },
    {
      ...node,
      id: "host-exempt",
      name: `${hostname} (exempt)`,
      cgroupId: HOST_IDS.exempt,
      host: "exempt",
    },
  ];
}

/** A policy that lets these programs be executed, and those files be read, unless a rule names the same path. */
export function railsOf(executed: readonly string[], read: readonly string[]): Policy {
  const where = { file: "the guard rails", line: 1, column: 1 };
  const rules = (group: "process" | "file", paths: readonly string[]): Rule[] =>
    [...new Set(paths)].map((path, index) => ({
      ...{ group, list: "matchPaths", index, where, action: "Allow", isRail: true },
      ...{ target: { kind: "path", path }, readOnly: false, fromSource: [] },
      ...{ severity: 0, tags: [], message: "" },
    }));
  return {
    kind: "KubeArmorHostPolicy",
    namespace: "",
    name: RAILS_NAME,
    selector: { matchLabels: {}, containerNames: [] },
    rules: [...rules("process", executed), ...rules("file", read)],
    where,
  };
}

function inProgramDirs(names: readonly string[]): string[] {
  return PROGRAM_DIRS.flatMap((dir) => names.map((name) => realPath(`${dir}/${name}`)));
}

/** Without links; a path that is not there yet, as it is. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return path;
  }
}

function filesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter(({ isDirectory }) => !isDirectory)
      .map(({ name }) => realPath(`${dir}/${name}`));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return [];
  }
}
