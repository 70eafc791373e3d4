/** Programs by which the kernel knows what keeps the node alive. @see bpf/include/host.bpf.h */

import { EXEMPT_AGENT, EXEMPT_INIT, EXEMPT_RUNTIME } from "../../ffi/generated/agent_api.ts";
import { type HashKeys, PathHasher } from "../compile/hash.ts";

/** Real paths in the node's own file system; a path in several counts for the last. */
export interface HostPrograms {
  /** What counts in the hands of init: its helpers and daemons. */
  readonly init: readonly string[];
  /** Kubelet, container runtimes, and what the settings add. */
  readonly runtime: readonly string[];
  readonly agent: readonly string[];
}

/** Path hash → `enum exemption`. */
export function programsByHash(programs: HostPrograms, keys: HashKeys): Map<bigint, number> {
  const hasher = PathHasher.of(keys);
  const kinds = [
    [programs.init, EXEMPT_INIT],
    [programs.runtime, EXEMPT_RUNTIME],
    [programs.agent, EXEMPT_AGENT],
  ] as const;
  return new Map(
    kinds.flatMap(([paths, exemption]) =>
      paths.map((path) => [hasher.path(path), exemption] as const)
    ),
  );
}
