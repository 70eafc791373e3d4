/** Exit statuses of every command, as `ankylo --help` lists them. */

export const EXIT_OK = 0;
/** The command failed; the message says why. */
export const EXIT_FAILURE = 1;
/** The command line or a setting is wrong. */
export const EXIT_USAGE = 2;
/**
 * `check` found errors in a policy, or warnings where it is strict, or, `--against` a recording, something that would have
 * been refused; `explain` was given such files.
 */
export const EXIT_POLICY = 3;
/** `probe`: this kernel cannot enforce as it runs; with `--verify` also: it refuses a program, so not all is enforced. */
export const EXIT_UNSUPPORTED = 4;
/** `status`, `logs`, `explain`, `check --against`: no agent answers. */
export const EXIT_UNREACHABLE = 5;
/** `run`, `uninstall`: an agent runs already. */
export const EXIT_BUSY = 6;

/** For help. */
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [EXIT_OK, "done, or nothing to complain about"],
  [EXIT_FAILURE, "failed; the message says why"],
  [EXIT_USAGE, "wrong command line or setting"],
  [EXIT_POLICY, "check, explain: a policy has errors, or would have refused what is recorded"],
  [EXIT_UNSUPPORTED, "probe: this kernel cannot enforce as it runs, or refuses programs"],
  [EXIT_UNREACHABLE, "status, logs, explain, check --against: no agent answers"],
  [EXIT_BUSY, "run, uninstall: an agent runs already"],
];
