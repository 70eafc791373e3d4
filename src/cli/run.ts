import { runAgent as run } from "../agent.ts";
import type { Settings } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { lockInstance } from "../lib/instance_lock.ts";
import { createLog, errorText } from "../lib/log.ts";
import { EXIT_FAILURE, EXIT_OK } from "./exit_codes.ts";
import { VERSION } from "./version.ts";

/**
 * `ankylo run`: the agent until SIGTERM or SIGINT. What it enforces then stays in force.
 * @throws {ConfigError} a file with credentials is not right. @throws {AgentRunsError} one runs already
 */
export async function runAgent(settings: Settings, configFile?: string): Promise<number> {
  const log = createLog(settings.log);
  const credentials = await readCredentials(settings.http);
  using _lock = await lockInstance();
  using stop = stopSignal();
  try {
    const file = configFile === undefined ? {} : { configFile };
    await run({ settings, log, version: VERSION, signal: stop.signal, credentials, ...file });
    return EXIT_OK;
  } catch (error) {
    log.error("Agent failed", { error: errorText(error) });
    return EXIT_FAILURE;
  }
}

/** Aborts at the first SIGTERM or SIGINT. A second one ends the process at once, as without a listener. */
function stopSignal(): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const signals = ["SIGTERM", "SIGINT"] as const;
  const remove = () => {
    for (const name of signals) Deno.removeSignalListener(name, stop);
  };
  const stop = () => {
    controller.abort();
    remove();
  };
  for (const name of signals) Deno.addSignalListener(name, stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => controller.signal.aborted || remove(),
  };
}
