import type { Workload } from "../../model/workload.ts";
import type { Cgroup } from "./cgroup.ts";

/** What a runtime says of a container before it has a process. */
export interface Description {
  readonly id: string;
  /** containerd's namespace. */
  readonly runtimeNamespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Reference as the runtime has it. */
  readonly image: string;
  /** `sha256:…` of the image's manifest; empty where the runtime does not know it. */
  readonly imageDigest: string;
  /** `linux.cgroupsPath` of its OCI specification; empty where it has none. */
  readonly cgroupsPath: string;
  /** Id of the pod's sandbox under Kubernetes, else empty. */
  readonly sandboxId: string;
  /** What could not be read of it; empty when nothing is wrong. */
  readonly problem: string;
}

/** A label of containerd's Kubernetes plugin: `container`, or `sandbox` for the pod's pause container. */
export const KIND_LABEL = "io.cri-containerd.kind";
const POD_NAMESPACE_LABEL = "io.kubernetes.pod.namespace";
const POD_NAME_LABEL = "io.kubernetes.pod.name";
const KUBERNETES_NAME_LABEL = "io.kubernetes.container.name";
const NERDCTL_NAME_LABEL = "nerdctl/name";
const KUBEARMOR_NAMESPACE_LABEL = "kubearmor.io/namespace";
/** KubeArmor's name for the namespace of containers that no orchestrator manages. */
const UNORCHESTRATED_NAMESPACE = "container_namespace";

/** What the agent reads of an OCI runtime specification. */
export interface SpecFacts {
  readonly cgroupsPath: string;
  readonly sandboxId: string;
  readonly isSandbox: boolean;
}

/**
 * Reads an OCI runtime specification. What is not there is empty.
 *
 * @param json Bytes of the JSON document.
 * @throws {SyntaxError} when they are not JSON.
 */
export function readSpec(json: Uint8Array): SpecFacts {
  const spec: unknown = json.length === 0 ? {} : JSON.parse(new TextDecoder().decode(json));
  const annotations = field(spec, "annotations");
  return {
    cgroupsPath: textField(field(spec, "linux"), "cgroupsPath"),
    sandboxId: textField(annotations, "io.kubernetes.cri.sandbox-id"),
    isSandbox: textField(annotations, "io.kubernetes.cri.container-type") === "sandbox",
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function textField(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === "string" ? found : "";
}

/**
 * A container as policies see it. `podLabels` are those of its pod's sandbox: Kubernetes gives the pod's labels only to that.
 * The sandbox itself is a workload too, named `pause`, with the label `io.cri-containerd.kind` = `sandbox`.
 *
 * Docker's names are not in containerd: its containers have their id for a name.
 */
export function toWorkload(
  description: Description,
  podLabels: Readonly<Record<string, string>>,
  pid: number,
  cgroup: Cgroup,
): Workload {
  const { id, runtimeNamespace } = description;
  const { [KIND_LABEL]: _sandbox, ...inherited } = podLabels;
  const labels = { ...inherited, ...description.labels };
  const isSandbox = labels[KIND_LABEL] === "sandbox";
  const name = labels[KUBERNETES_NAME_LABEL] ?? labels[NERDCTL_NAME_LABEL] ??
    (isSandbox ? "pause" : id);
  return {
    id,
    name,
    runtimeNamespace,
    namespace: labels[POD_NAMESPACE_LABEL] ?? labels[KUBEARMOR_NAMESPACE_LABEL] ??
      UNORCHESTRATED_NAMESPACE,
    podName: labels[POD_NAME_LABEL] ?? name,
    image: imageName(description.image, description.imageDigest),
    labels,
    pid,
    cgroupPath: cgroup.path,
    cgroupId: cgroup.id,
  };
}

function imageName(reference: string, digest: string): string {
  return digest === "" || reference.includes("@") || reference === digest
    ? reference
    : `${reference}@${digest}`;
}
