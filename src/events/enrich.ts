/** Joins an event with who acted: executables, command line and working directory. */
import type { DecisionEvent, ExecEvent, ExitEvent } from "./event.ts";
import type { ProcessEntry, ProcessTree } from "./process_tree.ts";

/** Who acted. Paths as the container names them; an empty string is unknown. */
export interface Actor {
  readonly exe: string;
  /** argv, argv[0] first; empty when unknown. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** The image that the process was forked from. */
  readonly parentExe: string;
}

/** The record's own facts first, then those of `entry`, the image that `tree` gives as the event's actor. */
export function actorOf(
  event: DecisionEvent | ExecEvent | ExitEvent,
  entry: ProcessEntry | undefined,
  tree: ProcessTree,
): Actor {
  // The arguments in the record of an exec's decision are those of the program that was refused.
  const own = event.type === "decision" && event.opName !== "exec" ? event.args : [];
  const ownCwd = event.type === "exit" ? undefined : event.cwd;
  return {
    exe: entry?.exe ?? "",
    args: own.length > 0 ? own : entry?.args ?? [],
    cwd: ownCwd ?? entry?.cwd ?? "",
    parentExe: tree.parentExe(event) ?? "",
  };
}
