/**
 * Measures what policies become at scale: images for 1,000 containers with 100 rules each, none like another, and one
 * image of 100,000 rules. Processor time, as the agent's compiler takes it; bytes, as the kernel's maps get them.
 */

import process from "node:process";
import { DEFAULT_POSTURE } from "../../../src/model/posture.ts";
import type { Policy } from "../../../src/model/policy.ts";
import type { Rule } from "../../../src/model/rule.ts";
import { compileImage } from "../../../src/compile/compile_image.ts";
import { KEYS } from "../../../src/compile/test_policies.ts";
import { fillerPath } from "../policies.ts";

/** A policy of so many rules about files, the first of which is about the path of this number. */
function policy(name: string, rules: number, first: number): Policy {
  return {
    kind: "KubeArmorPolicy",
    namespace: "",
    name,
    selector: { matchLabels: {}, containerNames: [] },
    rules: Array.from({ length: rules }, (_, index) => rule(fillerPath(first + index), index)),
    where: { file: `${name}.yaml`, line: 1, column: 1 },
  };
}

function rule(path: string, index: number): Rule {
  return {
    ...{ group: "file", list: "matchPaths", index, target: { kind: "path", path } },
    ...{ action: "Block", readOnly: false, fromSource: [], severity: 0, tags: [], message: "" },
    where: { file: "scale.yaml", line: index + 1, column: 1 },
  };
}

/** Compiles a policy for each container, and says what that took. */
function measure(id: string, containers: number, rules: number): void {
  const policies = Array.from(
    { length: containers },
    (_, container) => policy(`p${container}`, rules, container * 7),
  );
  const before = process.cpuUsage();
  let bytes = 0;
  for (const policy of policies) {
    bytes += compileImage([policy], DEFAULT_POSTURE, KEYS)!.bytes.length;
  }
  const { user, system } = process.cpuUsage(before);
  console.log(`@bench ${id}.ms ${((user + system) / 1_000).toFixed(0)}`);
  console.log(`@bench ${id}.mb ${(bytes / 1e6).toFixed(2)}`);
}

measure("scale.containers", 1_000, 100);
measure("scale.rules", 1, 100_000);
