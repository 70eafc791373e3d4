/** The node itself: what host policies select, and what keeps it alive under them. */

import { ownFiles } from "../ffi/product.ts";
import { railsOf } from "./compile/rails.ts";
import type { Settings } from "./config/config.ts";
import type { Enforcer } from "./kernel/enforcer.ts";
import { HOST_IDS } from "./kernel/host_index.ts";
import type { HostPrograms } from "./kernel/host_programs.ts";
import { errorText, type Log } from "./lib/log.ts";
import { nodeLabelsOf } from "./model/node_selector.ts";
import type { Policy } from "./model/policy.ts";
import { HOST_ID, type Workload } from "./model/workload.ts";

/** Where distributions, and kubeadm, put programs. */
const PROGRAM_DIRS = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/bin"];

/** Where distributions of Kubernetes put theirs; `*` is any one folder. */
const RUNTIME_DIRS = [
  ...["/var/lib/rancher/k3s/data/*/bin", "/var/lib/rancher/rke2/data/*/bin", "/var/lib/k0s/bin"],
  ...["/home/kubernetes/bin", "/var/lib/minikube/binaries/*", "/usr/libexec/crio"],
];

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

type HostSettings = Pick<Settings, "hostname" | "nodeLabels" | "hostExempt">;
type OnFailure = (path: string, error: Error) => void;

/** All that the agent knows of its node. */
export interface Host {
  readonly rails: Policy;
  readonly workloads: readonly Workload[];
  readonly programs: HostPrograms;
}

/** As readHost(), and tells the kernel which programs keep the node alive. @throws {BpfError} */
export function openHost(settings: HostSettings, enforcer: Enforcer | undefined, log: Log) {
  const host = readHost(settings, (path, error) => {
    const reason = errorText(error);
    log.warn("Cannot look for programs of the guard rails: they may not be exempt", {
      path,
      reason,
    });
  });
  enforcer?.setHostPrograms(host.programs);
  return { ...host, isFollowed: () => enforcer?.followsHost ?? false };
}

/** @param onFailure is told which paths could not be looked at; they are taken as they are, folders as empty */
export function readHost(settings: HostSettings, onFailure: OnFailure = () => {}): Host {
  const { hostExempt } = settings;
  const realPath = (path: string) => realPathOf(path, onFailure);
  const inProgramDirs = (names: readonly string[]) =>
    PROGRAM_DIRS.flatMap((dir) => names.map((name) => realPath(`${dir}/${name}`)));
  const agent = ownFiles().slice(0, 1).map(realPath);
  const programs: HostPrograms = {
    init: [...INIT_DIRS.flatMap((dir) => filesIn(dir, onFailure)), ...inProgramDirs(HELPERS)],
    runtime: [
      ...inProgramDirs(RUNTIMES),
      ...RUNTIME_DIRS.flatMap((dir) => runtimesIn(dir, onFailure)),
      ...hostExempt.map(realPath),
    ],
    agent,
  };
  return {
    rails: railsOf([...programs.runtime, ...agent], [...agent, ...LOADERS.map(realPath)]),
    workloads: hostWorkloads(settings),
    programs,
  };
}

/** The node, and those of its tasks that are exempt from all but forced policies. */
function hostWorkloads({ hostname, nodeLabels }: HostSettings): Workload[] {
  const labels = nodeLabelsOf(wholeName(hostname), nodeLabels);
  const none = { namespace: "", podName: "", image: "", pid: 1, cgroupPath: "/" };
  // No container is in a namespace without a name.
  const node = { ...none, runtimeNamespace: "", labels };
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

/** With its domain, which the setting leaves out unless somebody set it; of a node that is named otherwise, that name. */
function wholeName(hostname: string): string {
  const own = Deno.hostname();
  return own.startsWith(`${hostname}.`) ? own : hostname;
}

/** Without links; a path that is not there yet, as it is. */
function realPathOf(path: string, onFailure: OnFailure): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    tellUnlessMissing(path, error, onFailure);
    return path;
  }
}

/** Programs of kubelets and runtimes that are there. @param pattern a folder; one of its names may be `*` */
export function runtimesIn(pattern: string, onFailure: OnFailure): string[] {
  const [above, below] = pattern.split("/*", 2);
  const folders = below === undefined
    ? [pattern]
    : entriesOf(above!, onFailure).map(({ name }) => `${above}/${name}${below}`);
  return folders.flatMap((folder) => filesIn(folder, onFailure)).filter((path) =>
    RUNTIMES.includes(path.slice(path.lastIndexOf("/") + 1))
  );
}

function filesIn(dir: string, onFailure: OnFailure): string[] {
  return entriesOf(dir, onFailure).filter(({ isDirectory }) => !isDirectory)
    .map(({ name }) => realPathOf(`${dir}/${name}`, onFailure));
}

function entriesOf(dir: string, onFailure: OnFailure): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch (error) {
    tellUnlessMissing(dir, error, onFailure);
    return [];
  }
}

function tellUnlessMissing(path: string, error: unknown, onFailure: OnFailure): void {
  if (error instanceof Deno.errors.NotFound) return;
  if (!(error instanceof Error)) throw error;
  onFailure(path, error);
}
