/**
 * The kernel's answer to random opens against the specification's: names of every length, deep paths, nested mounts,
 * bind mounts and overlays that were there before the policies, rules of every kind.
 *
 * ANKYLO_SEED repeats a run, ANKYLO_TREES and ANKYLO_OPENS make it larger: 12 and 1,000 are 12,000 opens, in minutes.
 */

import { outputDir } from "../../../scripts/vm/store.ts";
import { DEFAULT_POSTURE } from "../../../src/model/posture.ts";
import { type Act, type ContainerSpec, scenario, STRICT_AGENT } from "../harness.ts";
import { ASKERS, randomTree } from "../random_trees.ts";
import { compileTool } from "../tools/compile.ts";
import { seedOf, setting } from "../settings.ts";

const seed = seedOf("random paths");
const trees = setting("ANKYLO_TREES", 3);
const opens = setting("ANKYLO_OPENS", 150);
const posture = { ...DEFAULT_POSTURE, file: "block" } as const;

const folder = `${outputDir}/e2e-trees`;
await Deno.mkdir(folder, { recursive: true });
const policies: Record<string, string> = {};
const containers: Record<string, ContainerSpec> = {};
const files = [await compileTool("compare")];
const acts: Act[] = [];
for (let i = 0; i < trees; i++) {
  const name = `tree-${i}`;
  const tree = randomTree(seed + i, name, opens, posture);
  policies[`${name}.yaml`] = tree.policies;
  for (const part of ["build", "questions"] as const) {
    files.push(`${folder}/${name}.${part}`);
    await Deno.writeTextFile(files.at(-1)!, tree[part]);
  }
  containers[name] = {
    privileged: true,
    prepare: [
      "mkdir /s",
      ...ASKERS.map((asker) => `cp /files/compare /s/${asker}`),
      `/files/compare build /files/${name}.build`,
      // The control: without the policies all of it can be opened.
      `/files/compare free /files/${name}.questions`,
    ].join(" && "),
  };
  acts.push({
    claim: `${opens} opens of seed ${seed + i} are answered as the specification says`,
    in: name,
    run: ASKERS.map((asker) => `/s/${asker} ask ${asker} /files/${name}.questions`).join("; "),
    expect: {
      status: 0,
      output: new RegExp(ASKERS.map((asker) => `${asker}: .* 0 differences\\s*`).join("")),
    },
  });
}

scenario({
  name: "random paths",
  agentOptions: STRICT_AGENT,
  policies,
  containers,
  files,
  acts,
  otherAlerts: "unread",
});
