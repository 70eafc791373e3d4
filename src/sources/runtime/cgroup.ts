import type { Procfs } from "./procfs.ts";

/** A tree of cgroups. */
export interface CgroupTree {
  /** Mount point. */
  readonly root: string;
  /** Of the v1 hierarchy; empty for cgroup2. */
  readonly controller: string;
}

/** Where a container's processes are: path below the tree's mount point, and the id by which the kernel knows it. */
export interface Cgroup {
  readonly path: string;
  readonly id: bigint;
}

/** A container whose cgroup can't be told, and why. */
export class CgroupError extends Error {
  override readonly name = "CgroupError";
}

/**
 * The container's cgroup from two witnesses: where its first process is, and where its specification puts it. The process is
 * believed, but for a process that moved itself further down (systemd as a container's init does): then the cgroup of the
 * specification holds it and all its siblings.
 *
 * @param cgroupsPath `linux.cgroupsPath` of the OCI specification; may be empty.
 * @returns undefined when the process is gone and left no cgroup.
 * @throws {CgroupError}
 */
export function findCgroup(
  procfs: Procfs,
  { root, controller }: CgroupTree,
  pid: number,
  cgroupsPath: string,
): Cgroup | undefined {
  const specified = specifiedPath(cgroupsPath);
  const lines = pid > 0 ? procfs.readText(`/proc/${pid}/cgroup`) : undefined;
  const path = lines === undefined
    ? specified
    : chooseCgroup(readMembership(lines, controller), specified);
  if (path === undefined) return undefined;
  // Its id is 1: a rule for this container would be a rule for the whole host.
  if (path === "/") {
    throw new CgroupError(`process ${pid} is in the root cgroup, which is the whole host's`);
  }
  const id = procfs.inode(`${root}${path}`);
  if (id !== undefined) return { path, id };
  if (procfs.readText(`/proc/${pid}/cgroup`) === undefined) return undefined;
  throw new CgroupError(`no cgroup at "${root}${path}", where process ${pid} should be`);
}

function chooseCgroup(path: string, specified: string | undefined): string {
  // Not only at the start: containerd within a container (kind, docker-in-docker) has its root further up.
  const at = specified === undefined ? -1 : `${path}/`.indexOf(`${specified}/`);
  return specified !== undefined && at >= 0 ? path.slice(0, at + specified.length) : path;
}

/**
 * The process's path in the controller's hierarchy (empty: cgroup2), from /proc/PID/cgroup.
 *
 * @throws {CgroupError} where there is no such hierarchy, and where the agent does not see the host's cgroups.
 * @see cgroups(7)
 */
function readMembership(lines: string, controller: string): string {
  let path: string | undefined;
  for (const line of lines.split("\n")) {
    const [, controllers, rest] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers?.split(",").includes(controller)) path = rest;
  }
  if (path === undefined) {
    throw new CgroupError(
      controller === ""
        ? 'process has no cgroup2: expected a line "0::/…" in /proc/PID/cgroup'
        : `process has no cgroup of "${controller}": expected a line ":${controller}:/…" in /proc/PID/cgroup`,
    );
  }
  if (`${path}/`.startsWith("/../")) {
    throw new CgroupError(
      `agent runs in a cgroup namespace of its own and sees "${path}": run it in the host's`,
    );
  }
  return path;
}

/**
 * The path that runc and crun make of `linux.cgroupsPath`; undefined where they decide by themselves (none given, or a
 * relative one).
 *
 * @see runc libcontainer/cgroups/systemd/common.go
 */
export function specifiedPath(cgroupsPath: string): string | undefined {
  const systemd = /^([^:/]*):([^:/]*):([^:/]+)$/.exec(cgroupsPath);
  if (systemd) {
    const [, slice, prefix, name] = systemd;
    return systemdPath(slice || "system.slice", prefix ?? "", name ?? "");
  }
  if (!cgroupsPath.startsWith("/")) return undefined;
  const names = cgroupsPath.split("/").filter((name) => name !== "" && name !== ".");
  return names.includes("..") ? undefined : `/${names.join("/")}`;
}

/** `a-b.slice`, `docker`, `id` is /a.slice/a-b.slice/docker-id.scope. */
function systemdPath(slice: string, prefix: string, name: string): string | undefined {
  if (!slice.endsWith(".slice")) return undefined;
  const unit = name.endsWith(".slice") ? name : `${prefix === "" ? "" : `${prefix}-`}${name}.scope`;
  const parts = slice === "-.slice" ? [] : slice.slice(0, -".slice".length).split("-");
  const slices = parts.map((_, end) => `${parts.slice(0, end + 1).join("-")}.slice`);
  return `/${[...slices, unit].join("/")}`;
}
