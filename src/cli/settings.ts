/** Settings as options of commands: one flag for each, read back as the texts that the user gave. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { DEFINITIONS, flagOf, type SettingName, variableOf } from "../config/config.ts";
import {
  CONFIG_VARIABLE,
  DEFAULT_CONFIG_FILE,
  type LoadedSettings,
  loadSettings,
} from "../config/load.ts";
import { resolve } from "node:path";

/** Adds `--config` and the flags of these settings. */
export function addSettings(command: CommandUnknownOpts, names: readonly SettingName[]): void {
  command.option(
    "--config <file>",
    `configuration file (default: ${DEFAULT_CONFIG_FILE} if there is one, env: ${CONFIG_VARIABLE})`,
  );
  for (const name of names) {
    const { argument, about, initial } = DEFINITIONS[name];
    const origin = `(default: ${initial()}, env: ${variableOf(name)})`;
    command.option(`${flagOf(name)} ${argument}`, `${about} ${origin}`);
  }
}

/** The settings with the command's flags on top. @throws {ConfigError} */
export async function settingsFrom(
  command: CommandUnknownOpts,
  names: readonly SettingName[],
): Promise<LoadedSettings> {
  const options = command.opts() as Record<string, string | undefined>;
  const flags: Partial<Record<SettingName, string>> = {};
  for (const name of names) {
    const text = options[attributeOf(flagOf(name).slice(2))];
    if (text !== undefined) flags[name] = name === "policies" ? fromHere(text) : text;
  }
  return await loadSettings(flags, options["config"]);
}

/** On the command line a path is meant from where the user stands. */
function fromHere(path: string): string {
  return path === "" ? path : resolve(path);
}

/** commander's name for an option: `posture-file` is `postureFile`. */
export function attributeOf(option: string): string {
  return option.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
