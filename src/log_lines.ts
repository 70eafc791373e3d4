/** What the agent's log lines have in common. */

import type { ListenAddress } from "./config/config.ts";
import type { Log } from "./lib/log.ts";
import type { Diagnostic } from "./model/diagnostic.ts";

/** A line for each finding. */
export function logFindings(log: Log, findings: readonly Diagnostic[]): void {
  for (const { severity, where, field, message } of findings) {
    const place = `${where.file}:${where.line}:${where.column}`;
    log[severity === "error" ? "error" : "warn"](message, {
      where: place,
      field: field || undefined,
    });
  }
}

/** As a log line has it. */
export function addressText(
  listen: ListenAddress | undefined,
  port: number | undefined,
): string | undefined {
  return listen === undefined ? undefined : `${listen.hostname}:${port}`;
}
