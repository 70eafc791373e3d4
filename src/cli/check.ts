/** `ankylo check FILES…`: what is wrong with policies and what becomes of each rule, without a kernel. */
import { errorText } from "../lib/log.ts";
import { compareDiagnostics, hasErrors } from "../model/diagnostic.ts";
import { DEFAULT_POSTURE, type Posture } from "../model/posture.ts";
import { type FindingOptions, findingsAbout } from "./check_findings.ts";
import { checkJson, checkText, strictFindings } from "./check_output.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";
import { type PolicyFiles, readPolicyFiles } from "./policy_arguments.ts";
import { RootTree } from "./root_tree.ts";
import { checkSarif } from "./sarif.ts";
import { VERSION } from "./version.ts";

export const CHECK_FORMATS = ["text", "json", "sarif"] as const;

export interface CheckOptions {
  readonly format: (typeof CHECK_FORMATS)[number];
  /** Warnings count as errors. */
  readonly strict?: boolean;
  /** Folder with the container's file system. */
  readonly root?: string;
  /** Path of the program that the container starts with. */
  readonly entrypoint?: string;
  /** Under which the policies will be. */
  readonly posture?: Posture;
  /** Of the node itself. */
  readonly hostPosture?: Posture;
}

/**
 * Checks files, and in folders every file that the agent would read. Writes the findings and a summary to `io.out`.
 *
 * @returns `EXIT_OK`, with warnings too unless they are errors; `EXIT_POLICY` when there are errors; `EXIT_USAGE` for a root
 *   or an entrypoint that is not there
 */
export async function runCheck(
  paths: readonly string[],
  options: CheckOptions,
  io: CommandIo,
): Promise<number> {
  const container = containerOf(options);
  if (typeof container === "string") {
    io.err(`${container}\n`);
    return EXIT_USAGE;
  }
  const { posture = DEFAULT_POSTURE, hostPosture = DEFAULT_POSTURE } = options;
  const checked = await checkFiles(paths, { posture, hostPosture, ...container });
  const shown = options.strict
    ? { ...checked, diagnostics: strictFindings(checked.diagnostics) }
    : checked;
  io.out(outputOf(shown, options.format));
  return hasErrors(shown.diagnostics) ? EXIT_POLICY : EXIT_OK;
}

/** What is known about the container, or what is wrong with the options about it. */
function containerOf(
  { root, entrypoint }: CheckOptions,
): Omit<FindingOptions, "posture" | "hostPosture"> | string {
  if (entrypoint !== undefined && !entrypoint.startsWith("/")) {
    return `Cannot use --entrypoint: must start with "/": current value is "${entrypoint}"\n` +
      "  hint: write the program's path in the container";
  }
  const alone = entrypoint === undefined ? undefined : { programs: [entrypoint], libraries: [] };
  if (root === undefined) return { resolve: undefined, entrypoint: alone };
  let tree: RootTree;
  try {
    tree = new RootTree(root);
  } catch (error) {
    return `Cannot use --root: ${errorText(error)}\n` +
      "  hint: name a folder with the container's files, for example an unpacked image";
  }
  const resolve = (path: string) => tree.resolve(path);
  try {
    return {
      resolve,
      entrypoint: entrypoint === undefined ? undefined : tree.entrypoint(entrypoint),
    };
  } catch (error) {
    return `Cannot use --entrypoint: ${errorText(error)}\n` +
      "  hint: write the program's path in the container, and check that all of its files are in --root";
  }
}

async function checkFiles(
  paths: readonly string[],
  options: FindingOptions,
): Promise<PolicyFiles> {
  const { files, policies, diagnostics } = await readPolicyFiles(paths);
  const findings = [...diagnostics, ...findingsAbout(policies, options)];
  return { files, policies, diagnostics: findings.sort(compareDiagnostics) };
}

function outputOf(checked: PolicyFiles, format: CheckOptions["format"]): string {
  switch (format) {
    case "text":
      return checkText(checked);
    case "json":
      return checkJson(checked);
    case "sarif":
      return checkSarif(checked.diagnostics, { version: VERSION, folder: Deno.cwd() });
  }
}
