/** Log lines on stderr: `key=value` words for people, or one JSON object a line for machines. */

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = typeof LOG_LEVELS[number];
export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = typeof LOG_FORMATS[number];

/** Facts that go with a message. An Error is written with its causes. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one whole line with its newline. Default: stderr. */
  readonly write?: (line: string) => void;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

/** A log that writes what is at least as severe as `level`. */
export function createLog(options: LogOptions): Log {
  const { level, format, write = writeStderr, now = () => new Date() } = options;
  const limit = LOG_LEVELS.indexOf(level);
  const lineOf = format === "json" ? jsonLine : textLine;
  const at = (line: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(line) <= limit) write(lineOf(now(), line, message, fields));
  };
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}

/** An error's message followed by those of its causes, each behind a colon. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `: ${errorText(error.cause)}`;
  return `${error.message}${cause}`;
}

const encoder = new TextEncoder();

function writeStderr(line: string): void {
  let bytes = encoder.encode(line);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
}

function textLine(time: Date, level: LogLevel, message: string, fields: LogFields): string {
  const words = Object.entries(fields).filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${quoted(plain(value))}`);
  return `${time.toISOString()} ${level.padEnd(5)} ${message}${words.join("")}\n`;
}

function jsonLine(time: Date, level: LogLevel, message: string, fields: LogFields): string {
  const values = Object.entries(fields).map(([key, value]) => [key, plain(value)]);
  const line = { time: time.toISOString(), level, message, ...Object.fromEntries(values) };
  return `${JSON.stringify(line)}\n`;
}

/** What JSON can hold: bigint and Error have no form of their own there. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Error ? errorText(value) : value;
}

/** A word as it is, anything else as JSON, so that a workload's name can't forge a field or a line. */
function quoted(value: unknown): string {
  if (typeof value === "string" && /^[\w./:@+-]+$/.test(value)) return value;
  return JSON.stringify(value);
}
