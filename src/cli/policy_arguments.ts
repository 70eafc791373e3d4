/** Policy files that a command line names. */
import { join } from "node:path";
import type { Diagnostic } from "../model/diagnostic.ts";
import { parsePolicies, withoutDuplicates } from "../model/parse.ts";
import type { Policy } from "../model/policy.ts";
import { fileFinding, listPolicyFiles, readPolicyText } from "../sources/policy_files.ts";

/** What the files hold. */
export interface PolicyFiles {
  readonly files: readonly string[];
  readonly policies: readonly Policy[];
  /** In the order in which they were found. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads files, and in folders every file that the agent would read. What can't be read is among the findings. */
export async function readPolicyFiles(paths: readonly string[]): Promise<PolicyFiles> {
  const findings: Diagnostic[] = [];
  const found = (await Promise.all(paths.map((path) => expand(path, findings)))).flat();
  const files = [...new Set(found)];
  const policies: Policy[] = [];
  for (const file of files) {
    try {
      const parsed = parsePolicies(readPolicyText(file), file);
      policies.push(...parsed.policies);
      findings.push(...parsed.diagnostics);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      findings.push(fileFinding(file, error, "name YAML or JSON files, or folders of them"));
    }
  }
  const unique = withoutDuplicates(policies, (finding) => findings.push(finding));
  return { files, policies: unique, diagnostics: findings };
}

/** A folder's policy files; anything else is taken for a file and reported when it is read. */
async function expand(path: string, findings: Diagnostic[]): Promise<string[]> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info?.isDirectory !== true) return [path];
  const names = listPolicyFiles(path);
  if (names.length === 0) {
    findings.push({
      severity: "warning",
      where: { file: path, line: 1, column: 1 },
      field: "",
      message: "Found no policy files in this folder",
      hint: "their names end in .yaml, .yml or .json; subfolders are not read",
    });
  }
  return names.map((name) => join(path, name));
}
