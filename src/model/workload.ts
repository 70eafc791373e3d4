/** A container as its runtime describes it, or the node itself. */
export interface Workload {
  /** Runtime's id, 64 hex digits under Kubernetes and docker, any text with `ctr`. */
  readonly id: string;
  /** Name to show and to match: `io.kubernetes.container.name`, nerdctl's or docker's name label, else the id. */
  readonly name: string;
  /** The runtime's own namespace: `default`, `k8s.io`, `moby`. */
  readonly runtimeNamespace: string;
  /** KubeArmor's NamespaceName: the pod's namespace, or `container_namespace` without Kubernetes (label `kubearmor.io/namespace` overrides). */
  readonly namespace: string;
  /** Pod's name under Kubernetes, else the container's name. */
  readonly podName: string;
  /** With digest where the runtime knows one. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The container's first process in the host's pid namespace; 0: its runtime has not told yet. */
  readonly pid: number;
  /** Path below the cgroup2 mount point, with a leading slash, for example `/default/web`. */
  readonly cgroupPath: string;
  /** Inode number of that directory, which is the cgroup's id. */
  readonly cgroupId: bigint;
  /**
   * Of the node itself: `judged` are its tasks, `exempt` those that keep the node alive, which only forced policies select. Both have
   * a cgroupId that no cgroup has.
   */
  readonly host?: "judged" | "exempt";
}

/** `id` of the node itself. */
export const HOST_ID = "host";

/** Unique on a node: two of the runtime's namespaces may use the same id. */
export function workloadKey(
  { runtimeNamespace, id }: Pick<Workload, "runtimeNamespace" | "id">,
): string {
  return `${runtimeNamespace}/${id}`;
}
