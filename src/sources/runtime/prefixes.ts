/** Where runtimes make containers' cgroups, so that the kernel knows a container by its cgroup before any process is in it. */

/**
 * A cgroup is a container's when its path begins with `text` and has `depth` names behind it: for `/default/` and 1,
 * `/default/web` is one, `/default` and `/default/web/init.scope` are not. The first of these names may be cut:
 * `/system.slice/docker-` and 1 takes `/system.slice/docker-4f0d.scope`.
 */
export interface CgroupPrefix {
  /** ASCII, at most `CGROUP_PREFIX_TEXT_MAX` bytes, begins with a slash. */
  readonly text: string;
  readonly depth: number;
}

/** Of `struct cgroup_prefix` and its map in `bpf/agent_api.h`: 64 bytes, of which two are lengths; 32 entries. */
export const CGROUP_PREFIX_TEXT_MAX = 62;
export const CGROUP_PREFIXES_MAX = 32;

/**
 * None of these takes a cgroup that lies between, such as a pod's, nor begins another of them: which of two that fit is asked
 * first does not matter. `kubepods` ones hold a pod's cgroup and below it the containers', with a class of service above
 * the pod unless all its limits equal its requests.
 */
const FIXED: readonly CgroupPrefix[] = [
  { text: "/kubepods/pod", depth: 2 },
  { text: "/kubepods/burstable/", depth: 2 },
  { text: "/kubepods/besteffort/", depth: 2 },
  { text: "/kubepods.slice/kubepods-pod", depth: 2 },
  { text: "/kubepods.slice/kubepods-burstable.slice/", depth: 2 },
  { text: "/kubepods.slice/kubepods-besteffort.slice/", depth: 2 },
  // What containerd's Kubernetes plugin does without a parent from the kubelet.
  { text: "/k8s.io/", depth: 1 },
  { text: "/system.slice/cri-containerd-", depth: 1 },
  // `ctr` and nerdctl use their namespace's name.
  { text: "/default/", depth: 1 },
  { text: "/system.slice/nerdctl-", depth: 1 },
  { text: "/docker/", depth: 1 },
  { text: "/moby/", depth: 1 },
  { text: "/system.slice/docker-", depth: 1 },
];

/** Names at the top of the hierarchy that are not a runtime's: below them are services and logins. */
const NOT_A_RUNTIME = ["system.slice", "user.slice", "machine.slice", "init.scope"];

export interface CgroupPrefixes {
  readonly prefixes: readonly CgroupPrefix[];
  /** Namespaces that found no place: their containers are known only once the agent reads of them. */
  readonly omitted: readonly string[];
}

/**
 * The usual places, then one for each of containerd's namespaces (`/name/`, one name deep), as far as there is room.
 *
 * @param namespaces containerd's, in any order; the earlier ones are preferred.
 */
export function cgroupPrefixes(namespaces: readonly string[]): CgroupPrefixes {
  const prefixes = [...FIXED];
  const omitted: string[] = [];
  for (const namespace of namespaces) {
    const text = `/${namespace}/`;
    if (prefixes.some((prefix) => prefix.text === text)) continue;
    if (prefixes.length < CGROUP_PREFIXES_MAX && mayBePrefix(namespace, text)) {
      prefixes.push({ text, depth: 1 });
    } else omitted.push(namespace);
  }
  return { prefixes, omitted };
}

/** Not one under which others lie: a namespace `kubepods` would make every class of service a container. */
function mayBePrefix(namespace: string, text: string): boolean {
  return text.length <= CGROUP_PREFIX_TEXT_MAX && !NOT_A_RUNTIME.includes(namespace) &&
    !FIXED.some((prefix) => prefix.text.startsWith(text));
}
