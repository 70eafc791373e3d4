/** Paths as policies write them, turned into what the kernel compares: absolute, one slash between components. */
import type { Report } from "./diagnostic.ts";
import { COMPONENTS_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX } from "./limits.ts";
import type { ScalarTree } from "./tree.ts";
import { shorten } from "./validate.ts";

export type PathKind = "path" | "directory";

/**
 * The normal form of a path: without slashes at its end, `/` for the root. Reports what had to be changed as a warning,
 * and what the kernel can never match as an error.
 *
 * @returns undefined after an error
 */
export function normalisePath(
  tree: ScalarTree,
  kind: PathKind,
  field: string,
  report: Report,
): string | undefined {
  const written = String(tree.value);
  const complain = (severity: "error" | "warning", message: string, hint?: string) =>
    report({ severity, where: tree.where, field, message, ...(hint !== undefined && { hint }) });
  const components = written.split("/").filter((component) => component !== "");
  const kept = components.filter((component) => component !== ".");
  const path = `/${kept.join("/")}`;

  const defect = pathDefect(written, components);
  if (defect !== undefined) {
    complain("error", ...defect);
    return undefined;
  }
  // The schema reports a relative path, and a file's path that ends with a slash.
  if (!written.startsWith("/") || (kind === "path" && written.endsWith("/"))) return undefined;
  if (kind === "directory" && !written.endsWith("/")) {
    complain(
      "warning",
      `Found no slash at the end of directory "${shorten(written)}": adding it`,
      `write "${shorten(path)}/"`,
    );
  }
  const normal = kind === "path" || path === "/" ? path : `${path}/`;
  if (written !== normal && written !== path) {
    complain("warning", `Found path "${shorten(written)}": reading it as "${shorten(normal)}"`);
  }
  warnUnlikely(path, kind, complain);
  return path;
}

/** Message and hint for a path that no file has. */
export function pathDefect(
  written: string,
  components: readonly string[],
): [message: string, hint?: string] | undefined {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  if (/\p{Cc}/u.test(written)) {
    return [
      `Cannot use path: must not contain control characters: current value is "${
        shorten(written)
      }"`,
      "write the value on one line",
    ];
  }
  if (components.includes("..")) {
    return [
      `Cannot use path: must not contain "..": current value is "${shorten(written)}"`,
      `the kernel compares real paths: write it without, for example "${resolved(components)}"`,
    ];
  }
  if (components.length > COMPONENTS_MAX) {
    return [
      `Cannot use path: must have at most ${COMPONENTS_MAX} components: it has ${components.length}`,
      "name a directory further up",
    ];
  }
  const long = components.find((component) => bytes(component) > NAME_BYTES_MAX);
  if (long !== undefined) {
    return [
      `Cannot use path: a name must have at most ${NAME_BYTES_MAX} bytes: "${shorten(long)}" has ${
        bytes(long)
      }`,
      "Linux has no longer file names",
    ];
  }
  if (bytes(written) > PATH_BYTES_MAX) {
    return [`Cannot use path: must have at most ${PATH_BYTES_MAX} bytes: it has ${bytes(written)}`];
  }
  return undefined;
}

function resolved(components: readonly string[]): string {
  const kept: string[] = [];
  for (const component of components) {
    if (component === "..") kept.pop();
    else if (component !== ".") kept.push(component);
  }
  return shorten(`/${kept.join("/")}`);
}

/** Paths that can exist and that nobody means. */
function warnUnlikely(
  path: string,
  kind: PathKind,
  complain: (severity: "warning", message: string, hint?: string) => void,
): void {
  if (path !== path.trimEnd()) {
    complain("warning", `Found a blank at the end of path "${shorten(path)}": keeping it`);
  }
  if (/[*?[\]{}]/.test(path)) {
    complain(
      "warning",
      `Found a wildcard in path "${shorten(path)}": here it stands for itself`,
      kind === "directory"
        ? 'name the directory and add "recursive: true"'
        : "matchPatterns takes wildcards",
    );
  }
}
