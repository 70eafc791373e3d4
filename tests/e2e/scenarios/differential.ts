/**
 * The kernel against the specification: random policies, random operations, done for real. Each verdict, and each alert with
 * its rule, severity, tags and message, must be what src/compile/evaluate.ts says; none may be missing, and none more.
 *
 * ANKYLO_SEED makes it another run, ANKYLO_ROUNDS and ANKYLO_OPERATIONS (of each container in a round) make it larger. A seed that
 * found a difference belongs into differential/seeds.ts: those run first.
 */

import { outputDir } from "../../../scripts/vm/store.ts";
import { DEFAULT_POSTURE } from "../../../src/model/posture.ts";
import { differenceOf } from "../differential/compare.ts";
import { CONTAINERS, makeRound, partsOf, POLICY_FILE, type Round } from "../differential/round.ts";
import { SEEDS } from "../differential/seeds.ts";
import { type Act, type ContainerSpec, scenario, STRICT_AGENT } from "../harness.ts";
import { setting } from "../settings.ts";
import { compileTool } from "../tools/compile.ts";

/** The same every time: what a change breaks shows with that change. Others are for long runs by hand. */
const seed = setting("ANKYLO_SEED", 1);
const rounds = setting("ANKYLO_ROUNDS", 10);
const operations = setting("ANKYLO_OPERATIONS", 600);
/** As STRICT_AGENT has it. */
const posture = { ...DEFAULT_POSTURE, file: "block" } as const;

const guest = new URL("../guest/rounds.sh", import.meta.url).pathname;
const files = [await compileTool("differ"), await compileTool("terminal"), guest];
const folder = `${outputDir}/e2e-rounds`;
await Deno.mkdir(folder, { recursive: true });

/** Whole at once: a run on another kernel may read the same. */
async function addFile(name: string, text: string): Promise<void> {
  const path = `${folder}/${name}`;
  await Deno.writeTextFile(`${path}.${Deno.pid}`, text);
  await Deno.rename(`${path}.${Deno.pid}`, path);
  files.push(path);
}

async function writeRound({ prefix, policies, lists }: Round): Promise<void> {
  await addFile(`${prefix}.yaml`, policies);
  for (const { container, tree, operations, hasTerminal } of lists) {
    const name = `${prefix}-${container}`;
    await addFile(`${name}.tree`, tree);
    for (const [place, part] of partsOf(operations).entries()) {
      const text = part.map(({ line }) => `${line}\n`).join("");
      await addFile(`${name}.list.${String(place).padStart(3, "0")}`, text);
    }
    if (hasTerminal) await addFile(`${name}.terminal`, "");
  }
}

function sizeOf({ lists }: Round): number {
  return lists.reduce((sum, { operations }) => sum + operations.length, 0);
}

const seeds = new Set([...SEEDS, ...Array.from({ length: rounds }, (_, index) => seed + index)]);
const all = [...seeds].map((seed, index) => makeRound(seed, `r${index}`, operations, posture));
for (const round of all) await writeRound(round);

const names = Object.keys(CONTAINERS);
const container: ContainerSpec = {
  privileged: true,
  prepare: [
    "mkdir -p /s /t/m && chmod 777 /t",
    ...["main", "one", "two"].map((name) => `cp /files/differ /s/${name}`),
    "mount -t tmpfs -o mode=777 m /t/m",
    "echo '0 0' >/proc/sys/net/ipv4/ping_group_range",
  ].join(" && "),
};
/** One for each part of a list. */
const marks = all.flatMap(({ lists }) => lists)
  .reduce((sum, { operations }) => sum + partsOf(operations).length, 0);
const begin = { claim: "the alerts are followed", in: "host", expect: "ok" } as const;
const acts: Act[] = [
  { ...begin, run: ". /job/files/rounds.sh; follow_rounds" },
  ...all.map((round, index): Act => ({
    claim: `${sizeOf(round)} operations of seed ${round.seed} are decided and told as specified`,
    in: "host",
    run: [
      ". /job/files/rounds.sh",
      ...index > 0 ? [`swap_policies /job/files/${round.prefix}.yaml`] : [],
      `round ${round.prefix} ${names.join(" ")}`,
    ].join("; "),
    expect: (output) => differenceOf(round, output),
  })),
];

scenario({
  name: "differential",
  agentOptions: STRICT_AGENT,
  policies: { [POLICY_FILE]: all[0]!.policies },
  containers: {
    ...Object.fromEntries(names.map((name) => [name, container])),
    mark: { prepare: `mkdir /marks && cd /marks && touch $(seq ${marks})` },
  },
  files,
  acts,
  otherAlerts: "unread",
});
