/** Guard rails: what host policies let pass so that the node stays alive. */
import type { Policy } from "../model/policy.ts";
import type { Rule } from "../model/rule.ts";

/** Name of the policy that stands for the guard rails where rules are named. */
export const RAILS_NAME = "GuardRails";

/** A policy that lets these programs be executed, and those files be read, unless a rule names the same path. */
export function railsOf(executed: readonly string[], read: readonly string[]): Policy {
  const where = { file: "the guard rails", line: 1, column: 1 };
  const rules = (group: "process" | "file", paths: readonly string[]): Rule[] =>
    [...new Set(paths)].map((path, index) => ({
      ...{ group, list: "matchPaths", index, where, action: "Allow", isRail: true },
      ...{ target: { kind: "path", path }, readOnly: false, fromSource: [] },
      ...{ severity: 0, tags: [], message: "" },
    }));
  return {
    kind: "KubeArmorHostPolicy",
    namespace: "",
    name: RAILS_NAME,
    selector: { matchLabels: {}, containerNames: [] },
    rules: [...rules("process", executed), ...rules("file", read)],
    where,
  };
}
