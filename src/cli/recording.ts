/** What an agent has recorded (/v1/operations): asked of it, or read from a file that somebody kept. */
import type { Settings } from "../config/config.ts";
import type { RecordedOperations } from "../http/operations_view.ts";
import { errorText } from "../lib/log.ts";
import { AgentClient } from "./client.ts";

/** The word that means the agent of the settings. */
export const RUNNING_AGENT = "agent";

/** Files larger than this are none of ours: what is kept of paths (SEEN_TEXT_MAX) takes far less. */
const FILE_BYTES_MAX = 256 << 20;

/** A recording can't be used; the message says why, and what to do. */
export class RecordingError extends Error {
  override name = "RecordingError";
}

type AddressSettings = Pick<Settings, "socket" | "listen" | "http">;

/**
 * @param where `agent`, `http://HOST:PORT`, or a file with what /v1/operations said
 * @throws {RecordingError} it is none of these, or holds something else
 * @throws {AgentUnreachableError}
 */
export async function readRecording(
  where: string,
  settings: AddressSettings,
): Promise<RecordedOperations> {
  const isUrl = /^https?:\/\//.test(where);
  const value = where === RUNNING_AGENT || isUrl
    ? await askAgent(isUrl ? { ...settings, ...addressOf(where) } : settings)
    : await readFile(where);
  const defect = defectOf(value);
  if (defect === undefined) return value as RecordedOperations;
  throw new RecordingError(
    `Cannot use recording "${where}": ${defect}\n` +
      "  hint: keep what /v1/operations of an agent says, for example with curl -o",
  );
}

async function askAgent(settings: AddressSettings): Promise<unknown> {
  using client = await AgentClient.open(settings);
  return await client.getJson("/v1/operations");
}

function addressOf(text: string): Pick<AddressSettings, "socket" | "listen"> {
  if (!URL.canParse(text)) throw new RecordingError(`Cannot use --against: "${text}" is no URL`);
  const { protocol, hostname, port } = new URL(text);
  const usual = protocol === "https:" ? 443 : 80;
  return {
    socket: undefined,
    listen: {
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? usual : Number(port),
    },
  };
}

async function readFile(path: string): Promise<unknown> {
  try {
    const { size } = await Deno.stat(path);
    if (size > FILE_BYTES_MAX) throw new RangeError(`it has ${size} bytes`);
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    throw new RecordingError(
      `Cannot read recording "${path}": ${errorText(error)}\n` +
        `  hint: name a file with what /v1/operations said, "${RUNNING_AGENT}", or http://HOST:PORT`,
      { cause: error },
    );
  }
}

const TEXTS = ["access", "object", "from", "parent", "first", "last"] as const;

/** What keeps a value from being a recording. */
function defectOf(value: unknown): string | undefined {
  const { containers, operations, until, since } = (value ?? {}) as Record<string, unknown>;
  if (!Array.isArray(containers) || !Array.isArray(operations)) {
    return 'it has no "containers" and "operations"';
  }
  if (![until, since].every(isTime)) return 'it has no "until" and "since"';
  const container = containers.findIndex((one) => !isContainer(one));
  if (container >= 0) return `containers[${container}] is none`;
  const operation = operations.findIndex((one) => !isOperation(one, containers.length));
  return operation < 0 ? undefined : `operations[${operation}] is none`;
}

function isTime(value: unknown): boolean {
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}

function isContainer(value: unknown): boolean {
  const { id, name, namespace, labels, host } = (value ?? {}) as Record<string, unknown>;
  return [undefined, "judged", "exempt"].some((word) => word === host) &&
    [id, name, namespace].every((text) => typeof text === "string") &&
    typeof labels === "object" && labels !== null &&
    Object.values(labels).every((label) => typeof label === "string");
}

function isOperation(value: unknown, containers: number): boolean {
  const operation = (value ?? {}) as Record<string, unknown>;
  const { container, count, terminal, last } = operation;
  return TEXTS.every((name) => typeof operation[name] === "string") && isTime(last) &&
    typeof terminal === "boolean" && Number.isInteger(count) && Number.isInteger(container) &&
    (container as number) >= 0 && (container as number) < containers;
}
