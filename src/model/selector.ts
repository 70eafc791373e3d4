/** `spec.selector` as written; `matches` in this room says what it selects. */
export interface Selector {
  /** Without the container-name key. All must be among the workload's labels. */
  readonly matchLabels: Readonly<Record<string, string>>;
  /** From `kubearmor.io/container.name`: names (bracket list or bare) or a POSIX regular expression; empty: every container. */
  readonly containerNames: readonly string[];
}
