import type { Settings } from "../config/config.ts";
import type { statusView } from "../http/views.ts";
import { readServerSentEvents, type ServerSentEvent } from "../lib/sse_parser.ts";
import { alertText } from "./alert_text.ts";
import { AgentClient } from "./client.ts";
import { EXIT_FAILURE, EXIT_OK } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";

export interface LogsOptions {
  /** Goes on with alerts as they come. */
  readonly follow: boolean;
  /** One JSON object a line, as the agent sent it. */
  readonly json: boolean;
}

/**
 * `ankylo logs`: the alerts that the agent still holds, then those that come.
 * @throws {AgentUnreachableError}
 */
export async function runLogs(
  settings: Pick<Settings, "socket" | "listen" | "http">,
  options: LogsOptions,
  io: CommandIo,
): Promise<number> {
  using client = await AgentClient.open(settings);
  const status = await client.getJson<ReturnType<typeof statusView>>("/v1/status");
  const { published, held } = status.alerts;
  if (held === 0 && !options.follow) return EXIT_OK;
  const last = options.follow ? Infinity : published;
  // From the first alert on: the agent sends what it has kept and says how many are gone.
  const response = await client.get("/v1/alerts", { "last-event-id": "0" });
  for await (const event of readServerSentEvents(response.body!)) {
    print(event, options, io);
    if (sequenceOf(event) >= last) return EXIT_OK;
  }
  if (!options.follow) return EXIT_OK;
  io.err("Stream of alerts ended: the agent stopped\n");
  return EXIT_FAILURE;
}

function print(event: ServerSentEvent, { json }: LogsOptions, io: CommandIo): void {
  const data = JSON.parse(event.data) as Record<string, unknown>;
  if (event.type === "lost") {
    io.err(`${data["Lost"] ?? "Some"} alerts are no longer held by the agent\n`);
  } else {
    io.out(json ? `${event.data}\n` : alertText(data));
  }
}

/** `17-life` → 17. */
function sequenceOf({ id }: ServerSentEvent): number {
  return Number.parseInt(id, 10) || 0;
}
