/**
 * Limits on what a policy may name. Those that the kernel programs share are proved equal to `bpf/agent_api.h` by the
 * test beside this file, because this room may not read generated layouts.
 */

/** Path components that the kernel compares, counted from the root. */
export const COMPONENTS_MAX = 64;

/** Bytes of one path component. `@see` NAME_MAX in `include/uapi/linux/limits.h` */
export const NAME_BYTES_MAX = 255;

/** Bytes of a path without its ending NUL. `@see` PATH_MAX in `include/uapi/linux/limits.h` */
export const PATH_BYTES_MAX = 4095;

/** YAML nodes read from one file, aliases counted each time: a few bytes of nested aliases could fill all memory. */
export const NODES_MAX = 200_000;

/** Aliases read from one file: finding the anchor of each walks the document. */
export const ALIASES_MAX = 1_000;

/** Nesting of YAML collections; policies need about 8. */
export const DEPTH_MAX = 64;

/** Findings reported for one file; behind them the user corrects the first anyway. */
export const DIAGNOSTICS_MAX = 100;
