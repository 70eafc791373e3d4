/** Command `scripts/run`: Ankylo at work, with attacks on a container, or any command in the same surroundings. */

import { statfsSync } from "node:fs";
import { Command } from "@commander-js/extra-typings";
import { CommandError } from "../vm/command.ts";
import { cacheDir, outputDir, repositoryDir } from "../vm/store.ts";
import { KERNELS, type KernelSeries, parseKernelSeries, prepareVm, VmError } from "../vm/vm.ts";
import { followAlerts, readPicture } from "./agent.ts";
import {
  actLines,
  alertLine,
  COLOURS,
  kernelLines,
  NO_COLOURS,
  type Palette,
  parseAct,
  policyLines,
} from "./screen.ts";
import { type Stage, startStage, whyNotHere } from "./stage.ts";

/** Exit status when the demonstration failed rather than the user's command, as container tools use it. */
const FAILED_STATUS = 125;
const INTERRUPTED_STATUS = 130;

/** Root image, kernel and template of one VM are 1 GB; what is unpacked on the way comes on top. */
const FREE_BYTES_MIN = 2_500_000_000;

/** The stage could not be set. */
class DemoError extends Error {
  override name = "DemoError";
}

const command = new Command("./scripts/run")
  .description(
    "Set up what is missing, build, and start Ankylo with the policies of k8s/examples and two " +
      "containers, of which one is protected. Then attack both, and show what came of it. Where this " +
      "machine's kernel cannot enforce, all of that happens in a micro-VM. Ctrl-C ends it.",
  )
  .usage("[options] [-- COMMAND...]")
  .argument("[command...]", "run this as root in the same surroundings instead of the attacks")
  .option(`--kernel <series>`, `a VM with this kernel: ${Object.keys(KERNELS).join(", ")}`)
  .addHelpText(
    "after",
    "\nExamples:\n" +
      "  $ ./scripts/run\n" +
      "  $ ./scripts/run -- ankylo status\n" +
      "  $ ./scripts/run --kernel 6.1 -- ctr task exec --exec-id me web cat /etc/passwd\n" +
      "\nExit status: the command's; 125 when it could not be run; 130 after Ctrl-C.\n" +
      "ANKYLO_CACHE moves the cache, ANKYLO_KVM=1 uses KVM instead of emulation.",
  )
  .parse();

async function main(): Promise<number> {
  const words = command.args;
  const { kernel, place } = await choosePlace();
  await prepare(kernel);
  const started = performance.now();
  console.error(`run: start two containers and the agent, ${place} ...`);
  await using stage = await startStage({ kernel, command: words });
  const interrupted = stopOnSignals(stage);
  const onReady = () => console.error(`run: ready: ${seconds(started)}`);
  const work = words.length > 0
    ? passOutput(stage, onReady)
    : new Show(stage, place, onReady).follow();
  try {
    await work;
    const status = await stage.status;
    if (!interrupted()) return status;
  } catch (error) {
    if (!interrupted()) throw error;
  }
  // Ctrl-C is how the demonstration is meant to end, and cuts a command short.
  return words.length > 0 ? INTERRUPTED_STATUS : 0;
}

/** `place` ends the sentence "Ankylo enforces on Linux 6.12, ...". */
async function choosePlace(): Promise<{ kernel: KernelSeries | undefined; place: string }> {
  const { kernel } = command.opts();
  const reason = kernel === undefined ? await whyNotHere() : "as you asked";
  if (reason === undefined) return { kernel: undefined, place: "this machine's own kernel" };
  const series = parseKernelSeries(kernel ?? "6.12");
  return { kernel: series, place: `in a micro-VM (${reason})` };
}

async function prepare(kernel: KernelSeries | undefined): Promise<void> {
  if (kernel !== undefined) checkSpace(cacheDir());
  const building = Deno.env.has("ANKYLO_BINARY") ? undefined : build();
  // The VM is made while the compiler runs; one failure must not hide the other.
  const results = await Promise.allSettled([building, kernel && prepareVm({ kernel })]);
  for (const result of results) {
    if (result.status === "rejected") throw result.reason;
  }
}

function checkSpace(dir: string): void {
  const { bavail, bsize } = statfsSync(dir);
  const cached = countEntries(`${dir}/vm`);
  if (cached > 0 || bavail * bsize > FREE_BYTES_MIN) return;
  const free = (bavail * bsize / 1e9).toFixed(1);
  throw new DemoError(
    `Make a micro-VM: ${free} GB are free in "${dir}": ${FREE_BYTES_MIN / 1e9} GB are needed\n` +
      "  hint: name a folder with more space in ANKYLO_CACHE",
  );
}

function countEntries(dir: string): number {
  try {
    return [...Deno.readDirSync(dir)].length;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function build(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "scripts/build_binary.ts"],
    cwd: repositoryDir,
    stdin: "null",
    stdout: "null",
  }).spawn().status;
  if (!success) throw new DemoError(`Build ${outputDir}/ankylo: it failed: see the messages above`);
}

/** Ends the stage at the first signal. Returns whether there was one. */
function stopOnSignals(stage: Stage): () => boolean {
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      interrupted = true;
      void stage.stop();
    });
  }
  return () => interrupted;
}

/** What stage.sh says, as a kind and the rest; lines that are none of its own go to standard error. */
async function* reports(stage: Stage): AsyncGenerator<[kind: string, text: string]> {
  for await (const line of stage.lines) {
    const [, kind, text] = /^@(\w+) ?(.*)$/.exec(line) ?? [];
    if (kind === "failed") throw new DemoError(`Set the stage: ${text}`);
    if (kind === undefined) console.error(line);
    else yield [kind, text ?? ""];
  }
}

/** Prints what the user's command prints, each to the stream it meant. */
async function passOutput(stage: Stage, onReady: () => void): Promise<void> {
  for await (const [kind, text] of reports(stage)) {
    if (kind === "ready") onReady();
    else if (kind === "out") console.log(text);
    else if (kind === "err") console.error(text);
  }
}

/** The screen, written from top to bottom as things happen. */
class Show {
  readonly #stage: Stage;
  readonly #place: string;
  readonly #onReady: () => void;
  readonly #palette: Palette = Deno.stdout.isTerminal() && !Deno.env.has("NO_COLOR")
    ? COLOURS
    : NO_COLOURS;
  /** Alerts that came before their part of the screen. */
  #early: string[] | undefined = [];

  constructor(stage: Stage, place: string, onReady: () => void) {
    this.#stage = stage;
    this.#place = place;
    this.#onReady = onReady;
  }

  async follow(): Promise<void> {
    for await (const [kind, text] of reports(this.#stage)) {
      if (kind === "serving") void this.#showAlerts();
      else if (kind === "ready") await this.#showState();
      else if (kind === "attack") console.log(`  ${text}`);
      else if (kind === "act") this.#print(actLines(parseAct(text), this.#palette));
      else if (kind === "done") this.#showRest();
    }
  }

  async #showState(): Promise<void> {
    this.#onReady();
    const picture = await readPicture(this.#stage.api);
    const { head } = this.#palette;
    this.#print([
      ...["", ...kernelLines(picture, this.#place, this.#palette)],
      ...["", ...policyLines(picture, this.#palette)],
      "",
      `${
        head("Attacks")
      }, in two containers of the same image: "web" has the policies, "free" has none`,
    ]);
  }

  #showRest(): void {
    const { head } = this.#palette;
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#print([
      "",
      `${
        head("Alerts")
      }, as they arrive (web is attacked again every 15 s); the same from another terminal:`,
      `  curl -N ${this.#stage.api}/v1/alerts`,
      "  Ctrl-C ends all of this",
      "",
      ...early,
    ]);
  }

  async #showAlerts(): Promise<void> {
    try {
      for await (const alert of followAlerts(this.#stage.api)) {
        const line = alertLine(alert, this.#palette);
        if (this.#early === undefined) console.log(line);
        else this.#early.push(line);
      }
    } catch {
      // The agent ended. Whether that was wanted, stage.sh's status tells.
    }
  }

  #print(lines: readonly string[]): void {
    console.log(lines.join("\n"));
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (error instanceof VmError && error.console !== "") {
    console.error(`Console of the VM:\n${error.console}\n`);
  }
  const expected = [DemoError, VmError, CommandError, RangeError].some((type) =>
    error instanceof type
  );
  if (!expected) throw error;
  console.error((error as Error).message);
  Deno.exit(FAILED_STATUS);
}
