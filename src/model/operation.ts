/** An operation that took place in a container: what a rule could decide about, without when and how often. */
export interface Operation {
  /** As `ankylo explain` calls them: `exec`, `read`, `socket`, `capability`, … */
  readonly access: string;
  /** The object's path as the container sees it, or the name of a kind of socket or of a capability. */
  readonly object: string;
  /** Executable of the acting program; of an exec the program that executed another. Empty: unknown. */
  readonly from: string;
  /** Executable of the program that it was forked from. Empty: unknown. */
  readonly parent: string;
  /** Whether the process has a controlling terminal. */
  readonly terminal: boolean;
}
