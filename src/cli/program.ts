/** The command line: what there is, how it is called, and which exit status comes of it. */

import { Command, CommanderError, Option } from "@commander-js/extra-typings";
import { SETTING_NAMES, type SettingName } from "../config/config.ts";
import { ConfigError, printSettings } from "../config/load.ts";
import { errorText } from "../lib/log.ts";
import { CHECK_FORMATS, runCheck } from "./check.ts";
import { runCheckAgainst } from "./check_against.ts";
import { AgentRefusedError, AgentUnreachableError } from "./client.ts";
import {
  EXIT_BUSY,
  EXIT_CODES,
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_UNREACHABLE,
  EXIT_USAGE,
} from "./exit_codes.ts";
import { PATH_ACCESSES } from "../compile/explain.ts";
import { ASKS, runExplain } from "./explain.ts";
import { type CommandIo, processIo } from "./io.ts";
import { runLogs } from "./logs.ts";
import { runProbe } from "./probe.ts";
import { runAgent } from "./run.ts";
import { addSettings, attributeOf, settingsFrom } from "./settings.ts";
import { runStatus } from "./status.ts";
import { runUninstall } from "./uninstall.ts";
import { runVersion } from "./version.ts";
import { AgentRunsError } from "../lib/instance_lock.ts";

/** Where an agent can be reached. */
const ADDRESS: readonly SettingName[] = [
  "socket",
  "listen",
  "http.tokenFile",
  "http.certificate",
  "http.key",
  "http.clientCa",
];

const GOVERNANCE: readonly SettingName[] = [
  "posture.file",
  "posture.network",
  "posture.capabilities",
  "posture.namespaces",
  "policyMode",
  "trustLabels",
  "posture.hostFile",
  "posture.hostNetwork",
  "posture.hostCapabilities",
];

const EXAMPLES = `
Examples:
  $ ankylo probe                          what can this kernel enforce?
  $ ankylo check policies/*.yaml          are these policies right, and what will become of each rule?
  $ sudo ankylo run --policies ./policies enforce them
  $ sudo ankylo status                    what is enforced, on which containers, and what came of it
  $ sudo ankylo explain --container web --exec /bin/sh
                                          may it, by which rule, and which rules lost?
  $ sudo ankylo logs --follow             alerts as they come
  $ sudo ankylo uninstall                 take everything out of the kernel again

Policies are KubeArmor's, as YAML files: KubeArmorPolicy, KubeArmorClusterPolicy and KubeArmorHostPolicy.`;

/**
 * Runs one command. Returns its exit status; throws nothing.
 * @param args without the program's name
 */
export async function main(args: readonly string[], io: CommandIo = processIo): Promise<number> {
  let status: number = EXIT_OK;
  const program = buildProgram(io, (code) => status = code);
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    // Whoever read our output has had enough, as `head` does.
    if (error instanceof Deno.errors.BrokenPipe) return EXIT_OK;
    io.err(`${errorText(error)}\n`);
    return statusOf(error);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof ConfigError || error instanceof AgentRefusedError) return EXIT_USAGE;
  if (error instanceof AgentUnreachableError) return EXIT_UNREACHABLE;
  return error instanceof AgentRunsError ? EXIT_BUSY : EXIT_FAILURE;
}

function buildProgram(io: CommandIo, done: (status: number) => void): Command {
  const program = new Command("ankylo")
    .description(
      "A runtime guard for containers and their node: KubeArmor policies, enforced by the kernel itself (BPF LSM).",
    )
    .addHelpText("after", `${EXAMPLES}\n\n${exitCodesText()}`);
  addRun(program, io, done);
  addCheck(program, io, done);
  program.command("probe")
    .description("say what this kernel can enforce, what it lacks and what to do about it")
    .option("--json", "the report as JSON", false)
    .option("--verify", "have the kernel verify the programs, and say how much that took", false)
    .action(async (options) => done(await runProbe(options, io)));
  addExplain(program, io, done);
  addStatusAndLogs(program, io, done);
  addUninstall(program, io, done);
  program.command("version").description("say what this is").action(() => runVersion(io));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().showHelpAfterError("(ankylo --help and ankylo COMMAND --help say more)");
    command.configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) });
  }
  return program;
}

function addCheck(program: Command, io: CommandIo, done: (status: number) => void): void {
  const check = program.command("check")
    .description(
      "read policy files and report what is wrong, and what becomes of each rule; changes nothing",
    )
    .argument("<files...>", "policy files, or folders of them")
    .addOption(
      new Option("--format <format>", "how findings are written").choices(CHECK_FORMATS)
        .default("text" as const),
    )
    .addOption(new Option("--json", "the same as --format json").default(false).conflicts("format"))
    .option("--strict", "warnings are errors, for pull requests", false)
    .option("--root <folder>", "the container's file system: paths are looked up in it")
    .option("--entrypoint <path>", "the program that the container starts with: is it refused?")
    .option(
      "--against <recording>",
      'say what would have become of recorded operations: "agent", http://HOST:PORT, or a file',
    )
    .option("--since <time>", "with --against: only what was seen so long before, for example 10m");
  addSettings(check, [...ADDRESS, ...GOVERNANCE]);
  check.addHelpText("after", CHECK_HELP);
  check.action(async (files, { json, format, strict, root, entrypoint, against, since }) => {
    const { settings } = await settingsFrom(check, [...ADDRESS, ...GOVERNANCE]);
    const { posture, host: hostPosture } = settings.governance;
    const complaint = misusedAgainst(against, since, format);
    if (complaint !== undefined) {
      io.err(`${complaint}\n`);
      return done(EXIT_USAGE);
    }
    if (against !== undefined) {
      const asked = { against, json: json || format === "json", strict, settings };
      const period = since === undefined ? {} : { since };
      return done(await runCheckAgainst(files, { ...asked, ...period }, io));
    }
    const container = {
      ...(root !== undefined && { root }),
      ...(entrypoint !== undefined && { entrypoint }),
    };
    const options = {
      format: json ? "json" as const : format,
      strict,
      posture,
      hostPosture,
      ...container,
    };
    done(await runCheck(files, options, io));
  });
}

function misusedAgainst(against?: string, since?: string, format?: string): string | undefined {
  if (against === undefined && since !== undefined) {
    return "Cannot use --since without --against\n  hint: for example --against agent --since 10m";
  }
  if (against === undefined || format !== "sarif") return undefined;
  return "Cannot use --against with --format sarif: what took place has no line in a file\n" +
    "  hint: use --json";
}

const CHECK_HELP = `
Examples:
  $ ankylo check policies
  $ ankylo check --strict --format sarif policies >findings.sarif
  $ ankylo check --posture-file block --root ./rootfs --entrypoint /usr/sbin/nginx web.yaml
  $ sudo ankylo check --against agent --since 10m --posture-file block allow-web.yaml`;

function addRun(program: Command, io: CommandIo, done: (status: number) => void): void {
  const run = program.command("run")
    .description(
      "enforce policies until SIGTERM or Ctrl-C; what is enforced then stays in force until `ankylo uninstall`",
    )
    .option("--print-config", "print every setting with where it came from, and exit", false);
  addSettings(run, SETTING_NAMES);
  run.addHelpText("after", RUN_HELP).action(async ({ printConfig }) => {
    const loaded = await settingsFrom(run, SETTING_NAMES);
    if (printConfig) io.out(printSettings(loaded));
    else done(await runAgent(loaded.settings, loaded.file));
  });
}

const RUN_HELP = `
Each setting can be a flag, a variable or a line in the configuration file; the first of these wins:
  --posture-file block        ANKYLO_POSTURE_FILE=block        posture: { file: block }

Examples:
  $ sudo ankylo run
  $ sudo ankylo run --policies ./policies --posture-file block --log-format json
  $ ankylo run --print-config`;

function addExplain(program: Command, io: CommandIo, done: (status: number) => void): void {
  const explain = program.command("explain")
    .description(
      "say whether a container, or the node, may do something, by which rule, and which rules lost",
    )
    .option("--container <name>", "its name, its id or the beginning of that")
    .option("--host", "the node itself, not a container", false)
    .option(
      "--from <program>",
      "executable of the program that acts; without: any that no rule names",
    )
    .option("--parent <program>", "executable of the program that started it; without: the same")
    .option("--owner", "the program runs as the user whose the file is", false)
    .option("--no-terminal", "the program has no controlling terminal")
    .option("--write", "with --open: for writing", false)
    .option("--path <path>", "with --syscall: a path among its arguments")
    .option("--policies <files...>", "ask these files or folders, not the agent")
    .option("--labels <key=value...>", "with --policies: the container's labels, or the node's")
    .option("--namespace <name>", "with --policies: the namespace of the container's pod")
    .option("--json", "the answer as JSON", false);
  for (const [option, access, about] of ASKS) {
    explain.option(`--${option} <${access in PATH_ACCESSES ? "path" : "name"}>`, about);
  }
  const names: readonly SettingName[] = [
    ...[...ADDRESS, ...GOVERNANCE],
    ...["hostname", "nodeLabels", "hostExempt"] as const,
  ];
  addSettings(explain, names);
  explain.addHelpText("after", EXPLAIN_HELP);
  explain.action(async (options) => {
    const given: Readonly<Record<string, unknown>> = options;
    const objects = Object.fromEntries(
      ASKS.map(([option]) => [option, given[attributeOf(option)] as string | undefined]),
    );
    const loaded = await settingsFrom(explain, names);
    done(await runExplain(loaded.settings, { ...options, objects }, io));
  });
}

const EXPLAIN_HELP = `
Examples:
  $ sudo ankylo explain --container web --exec /bin/sh --from /usr/sbin/nginx
  $ sudo ankylo explain --container web --open /etc/passwd --write --json
  $ sudo ankylo explain --host --exec /usr/bin/nc
  $ sudo ankylo explain --container web --net icmp/raw --from /usr/bin/ping
  $ sudo ankylo explain --container web --syscall unlinkat --path /var/log/auth.log
  $ ankylo explain --policies ./policies --labels app=web --open /etc/shadow --posture-file block`;

function addStatusAndLogs(program: Command, io: CommandIo, done: (status: number) => void): void {
  const status = program.command("status")
    .description("show what the running agent enforces, on which containers, and what came of it")
    .option("--json", "what the HTTP API says, as JSON", false);
  addSettings(status, ADDRESS);
  status.action(async (options) => {
    const { settings } = await settingsFrom(status, ADDRESS);
    done(await runStatus(settings, options, io));
  });
  const logs = program.command("logs")
    .description("print the alerts that the running agent still holds")
    .option("-f, --follow", "go on with alerts as they come", false)
    .option("--json", "one JSON object a line, in KubeArmor's schema", false);
  addSettings(logs, ADDRESS);
  logs.addHelpText("after", "\nExample:\n  $ sudo ankylo logs --follow --json | jq .Resource");
  logs.action(async (options) => {
    const { settings } = await settingsFrom(logs, ADDRESS);
    done(await runLogs(settings, options, io));
  });
}

function addUninstall(program: Command, io: CommandIo, done: (status: number) => void): void {
  const uninstall = program.command("uninstall")
    .description("take the programs out of the kernel: from then on nothing is enforced")
    .option("--force", "even while an agent runs", false);
  addSettings(uninstall, ["bpffs", "state"]);
  uninstall.action(async (options) => {
    const { settings } = await settingsFrom(uninstall, ["bpffs", "state"]);
    done(await runUninstall(settings, options, io));
  });
}

function exitCodesText(): string {
  return `Exit status:\n${EXIT_CODES.map(([code, text]) => `  ${code}  ${text}`).join("\n")}`;
}
